# Shared by all bats files: paths, what a test needs, processes of known memory, cleaning up, Python.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
MEMZ=${MEMZ:-$ROOT/memz}
LOAD=${LOAD:-$ROOT/tests/load}
MACHINES=$ROOT/tests/machines
CURRENT=$MACHINES/current
export ROOT MEMZ LC_ALL=C.UTF-8 TERM=xterm
unset COLUMNS NO_COLOR MAKEFLAGS MFLAGS MAKELEVEL

NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)
START_AS=()	# "${NOBODY[@]}": start runs load as that user
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

# need_answer COMMAND...: skips where it hangs, as ps and smem do while any process is stuck with its mmap lock held.
need_answer() {
	local status=0

	need "$1"
	timeout -s KILL 30 "$@" >/dev/null 2>&1 3>&- || status=$?
	((status != 137)) || skip "needs $1 to answer, which waits for a stuck process"
}

need_root() {
	((EUID == 0)) || skip 'needs root'
}

# as_user PROGRAM ARG...: as the user nobody. The program is copied if that user may not enter its directory.
as_user() {
	local program=$BATS_TEST_TMPDIR/${1##*/}

	if ! "${NOBODY[@]}" test -x "$(command -v "$1")"; then
		chmod go+x "$BATS_RUN_TMPDIR"
		[[ -x $program ]] || install -m 755 "$1" "$program"
		set -- "$program" "${@:2}"
	fi
	"${NOBODY[@]}" "$@"
}

# start KIND [SIZE_KIB [COUNT [SEED]]]: starts stopped processes (see load.c). PIDS: their pids, PID: the first.
# It runs a copy of load, so that tests that run at once share no pages, and -P "$BATS_TEST_TMPDIR" selects only its own.
start() {
	local program=$BATS_TEST_TMPDIR/load

	chmod go+x "$BATS_RUN_TMPDIR"
	[[ -x $program ]] || { install -m 755 "$LOAD" "$program" && sync "$program"; }
	start_program "$program" "$@"
}

# start_program PROGRAM ARG...: the same with any program that prints pids and closes its output.
start_program() {
	local output

	exec {output}< <(exec "${START_AS[@]}" "$@" 3>&-)
	LOADERS+=("$!")
	mapfile -t PIDS <&"$output"
	exec {output}<&-
	PID=${PIDS[0]-}
	[[ $PID ]]
}

# Starts a process, PID, that takes 256 KiB more every few milliseconds, up to 750 MiB.
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

# join WORD...: the words with commas between them, for -p.
join() {
	local IFS=,

	echo "$*"
}

is_gone() {
	[[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# at_end COMMAND...: runs it when the test ends, even if it fails. The last one runs first.
at_end() {
	AT_END=("$(printf '%q ' "$@")" "${AT_END[@]}")
}

# Ends all that start started: each load leads a process group, and SIGKILL ends stopped processes as well.
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

# set_kernel FILE VALUE: changes a setting of the kernel until the test ends.
set_kernel() {
	local file=$1 value=$2 old

	old=$(<"$file")
	[[ $old =~ \[(.*)\] ]] && old=${BASH_REMATCH[1]}	# of "always [madvise] never" the one in brackets is set
	at_end tee_into "$old" "$file"
	tee_into "$value" "$file"
}

tee_into() {
	printf '%s\n' "$1" >"$2"
}

# wait_for COMMAND...: repeats it until it succeeds, for at most ten seconds.
wait_for() {
	local i

	for ((i = 0; i < 200; i++)); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

# wait_for_first_scan PID: until that memz --interval sleeps between its two scans.
wait_for_first_scan() {
	wait_for grep -q nanosleep "/proc/$1/wchan"
}

# python ARG...: runs the Python program on standard input, after lib.py and the PRELUDE of the file.
python() {
	need python3
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/tests python3 -c 'from lib import *'$'\n'"${PRELUDE-}"$'\n'"$(cat)" "$@"
}

# Repeats a measurement of the whole machine until it succeeds: others use its memory, too. For 90 seconds, at least three
# times.
measure() {
	local try end=$((SECONDS + 90))

	for ((try = 1; try <= 3 || SECONDS < end; try++)); do
		"$@" && return
		echo "not at try $try: $*"
		sleep 1
	done
	return 1
}

# recipe NAME: the code behind .\" recipe: NAME in the manual.
recipe() {
	awk -v name="$1" '
		/^\.Ed/ { inside = 0 }
		inside
		here && /^\.Dl / { print substr($0, 5) }
		/^\.Bd / { inside = here }
		/^\./ { here = $2 == "recipe:" && $3 == name }' "$ROOT/man/memz.1" |
		sed "s/\\\\-/-/g; s/\\\\(aq/'/g; s/\\\\(ti/~/g; s/\\\\(ha/^/g; s/\\\\e/\\\\/g; s/^\\\\&//"
}

# replace_program NAME: makes a program NAME of the shell script on standard input.
replace_program() {
	rm -f "bin/$1"
	{ echo '#!/bin/sh' && cat; } >"bin/$1"
	chmod +x "bin/$1"
	hash -r
}

# memz_of MACHINE: from here on memz reads a saved machine.
memz_of() {
	replace_program memz <<<"exec '$MEMZ' -S '$1' \"\$@\""
}

# Makes a machine, "short", on which 2 % of the memory are available.
short_of_memory() {
	cp -r "$MACHINE" short
	awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { $2 = int(total / 50) } 1' "$MACHINE/proc/meminfo" >short/proc/meminfo
}
