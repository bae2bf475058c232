# Shared by all bats files: what is tested, what a test needs, processes of known memory, and that nothing stays behind.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
MEMZ=${MEMZ:-$ROOT/memz}
LOAD=${LOAD:-$ROOT/tests/load}
MACHINES=$ROOT/tests/machines
CURRENT=$MACHINES/current
export ROOT MEMZ LC_ALL=C.UTF-8
unset COLUMNS NO_COLOR MAKEFLAGS MFLAGS MAKELEVEL

NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)
START_AS=()	# a test may set it to "${NOBODY[@]}"
LOADERS=()
AT_END=()

teardown() {
	clean_up
}

need() {
	local tool

	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

need_root() {
	((EUID == 0)) || skip 'needs root'
}

# Runs a program as a user who owns nothing, by a copy where the checkout is closed to others.
as_user() {
	local program=$BATS_TEST_TMPDIR/${1##*/}

	if ! "${NOBODY[@]}" test -x "$(command -v "$1")"; then
		chmod go+x "$BATS_RUN_TMPDIR"
		[[ -x $program ]] || install -m 755 "$1" "$program"
		set -- "$program" "${@:2}"
	fi
	"${NOBODY[@]}" "$@"
}

# start KIND [SIZE_KIB [COUNT [SEED]]] makes stopped processes: PIDS, and PID, the first of them. See load.c.
# It runs a copy of load, so that tests side by side share no page and -P "$BATS_TEST_TMPDIR" finds those of this one.
start() {
	local program=$BATS_TEST_TMPDIR/load

	chmod go+x "$BATS_RUN_TMPDIR"
	[[ -x $program ]] || { install -m 755 "$LOAD" "$program" && sync "$program"; }
	start_program "$program" "$@"
}

# The same by another name of the program.
start_program() {
	local output

	exec {output}< <(exec "${START_AS[@]}" "$@" 3>&-)
	LOADERS+=("$!")
	mapfile -t PIDS <&"$output"
	exec {output}<&-
	PID=${PIDS[0]-}
	[[ $PID ]]
}

# A process that takes 256 KiB every few milliseconds, up to 750 MiB: PID.
start_growing() {
	need python3
	start_program python3 -uc 'import os, time
os.setpgid(0, 0)
print(os.getpid())
os.close(1)
kept = []
while len(kept) < 3000:
    kept.append(bytearray(1 << 18))
    time.sleep(.005)
time.sleep(60)'
}

# refuses STATUS PATTERN ARG...: memz ARG... ends with STATUS, nothing on stdout, and "memz: " and PATTERN in one line on stderr.
refuses() {
	run -"$1" --separate-stderr timeout 60 "$MEMZ" "${@:3}"
	# shellcheck disable=SC2154
	echo "memz ${*:3}: $stderr"
	# shellcheck disable=SC2053,SC2154
	[[ -z $output && ${#stderr_lines[@]} == 1 && $stderr == "memz: "$2 ]]
}

# refuses_with STATUS MESSAGE ARG...: the same, and the line is exactly "memz: MESSAGE".
refuses_with() {
	refuses "$1" '*' "${@:3}"
	[[ $stderr == "memz: $2" ]]
}

# join WORD...: with commas between, for -p.
join() {
	local IFS=,

	echo "$*"
}

is_gone() {
	[[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# Names a command for the end of the test, come what may; the last named is the first to run.
at_end() {
	AT_END=("$(printf '%q ' "$@")" "${AT_END[@]}")
}

# Each load leads a process group. SIGKILL ends the stopped, too.
clean_up() {
	local pid command

	for pid in "${LOADERS[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
	done
	for command in "${AT_END[@]}"; do
		eval "$command" || true
	done
	LOADERS=()
	AT_END=()
}

# Writes a setting of the kernel and puts the old one back at the end.
set_kernel() {
	local file=$1 value=$2 old

	old=$(<"$file")
	[[ $old =~ \[(.*)\] ]] && old=${BASH_REMATCH[1]}	# always [madvise] never
	at_end tee_into "$old" "$file"
	tee_into "$value" "$file"
}

tee_into() {
	printf '%s\n' "$1" >"$2"
}

# Repeats a command until it succeeds, for ten seconds at most.
wait_for() {
	local i

	for ((i = 0; i < 200; i++)); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

# Runs the Python program on standard input, behind what all programs share (lib.py) and what those of the file share
# (PRELUDE).
python() {
	need python3
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/tests python3 -c 'from lib import *'$'\n'"${PRELUDE-}"$'\n'"$(cat)" "$@"
}
