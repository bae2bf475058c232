#!/usr/bin/env bats
# Hidden processes, namespaces, missing rights and file capabilities. Each test makes its own namespaces; a shell in the
# place of memz counts which processes can be listed and read.
# shellcheck disable=SC2016	# bash -c expands
# shellcheck disable=SC2030,SC2031	# each test is a subshell
# shellcheck disable=SC2154	# run sets stderr
load helper

CAPLESS=(setpriv --bounding-set '-sys_ptrace,-perfmon,-sys_admin')	# root as in a container

# The independent count: the processes in /proc, and those whose memory may not be read.
export COUNT='
for dir in /proc/[0-9]*; do
	((++all))
	read -r _ <"$dir/smaps_rollup" || ((++denied))
done 2>/dev/null
echo "$all ${denied:-0}"'

# Pid 1 of a pid namespace with a /proc of its own: starts processes of root and of a user, then runs COUNT, then memz.
export IN_NAMESPACE='
mount -t proc ${1:+-o "$1"} proc /proc || exit 77
shift
eval "$PREPARE"
for i in 1 2 3; do sleep 100 3>&- & done
for i in 1 2; do setpriv --reuid 65534 --regid 65534 --clear-groups sleep 100 3>&- & done
until [[ $(cat /proc/[0-9]*/comm) == *sleep*sleep*sleep*sleep*sleep* ]]; do read -rt 0.01 <>/dev/zero; done
cd /
"$@" bash -c "$COUNT" >"$OUT/counted"
"$@" "$PROGRAM" --json -c pid,user,pss,rss >"$OUT/json" 2>"$OUT/notes"
echo $? >"$OUT/status"
kill %1 %2 %3 %4 %5'

setup() {
	need_root
	need unshare setpriv jq
	chmod go+x "$BATS_RUN_TMPDIR"
	OUT=$BATS_TEST_TMPDIR PROGRAM=$BATS_TEST_TMPDIR/memz PREPARE=''
	export OUT PROGRAM PREPARE
	install -m 755 "$MEMZ" "$PROGRAM"
}

# scan_in_namespace OPTIONS [AS...]: runs memz in a pid namespace where /proc is mounted with OPTIONS. Its counts must be
# those of COUNT. Sets ALL, DENIED and NOTES.
scan_in_namespace() {
	local result=0

	unshare --mount --pid --fork --kill-child bash -c "$IN_NAMESPACE" - "$@" || result=$?
	((result != 77)) || skip "needs a kernel that mounts proc with $1"
	read -r ALL DENIED <"$OUT/counted"
	NOTES=$(<"$OUT/notes")
	echo "$*: all $ALL, denied $DENIED, notes: $NOTES"
	[[ $(<"$OUT/status") == 0 ]]
	((ALL > 0))
	jq -e --argjson all "$ALL" --argjson denied "$DENIED" '.scan.processes == $all and .scan.denied == $denied
		and .scan.measured == $all - $denied and .scan.vanished + .scan.stalled + .scan.skipped == 0
		and (.processes | length) == $all and ([.processes[] | select(.pss == null)] | length) == $denied' "$OUT/json"
}

# only_denied REASON: the only note says that PSS of DENIED processes is not readable, with a reason that matches.
only_denied() {
	local count="$DENIED processes"

	((DENIED == 1)) && count='1 process'
	[[ $NOTES == "memz: $count: "?(PSS )"not readable ("*'); shown as -' && $NOTES =~ \($1\) && $NOTES != *$'\n'* ]]
}

HIDDEN="memz: other users' processes are hidden (hidepid)"

# give_capability CAPABILITY,...: gives the program file PROGRAM these capabilities.
give_capability() {
	need setcap
	setcap "$1+ep" "$PROGRAM" || skip 'needs a file system that keeps capabilities'
}

# From Linux 6.15 CAP_PERFMON is enough to read smaps of another user's process.
need_perfmon() {
	[[ $(printf '6.15\n%s\n' "$(uname -r)" | sort -V | head -1) == 6.15 ]] || skip 'needs Linux 6.15'
}

# Hidden processes.

@test "hidepid=1: the counts are right, and the note names no right that does not help" {
	scan_in_namespace hidepid=1 "${NOBODY[@]}"
	((DENIED >= 4))
	only_denied '.*'
	[[ $NOTES != *CAP_PERFMON* ]]		# which opens nothing there: see the next test
}

@test "hidepid=1: a memz with CAP_PERFMON is not told to get it, and one with CAP_SYS_PTRACE reads every process" {
	need_perfmon
	give_capability cap_perfmon
	COUNT='for dir in /proc/[0-9]*; do ((++all)); read -r _ <$dir/statm || ((++denied)); done 2>/dev/null; echo $all $denied'
	scan_in_namespace hidepid=1 "${NOBODY[@]}"
	((DENIED >= 4))
	[[ $NOTES != *CAP_PERFMON* ]]
	give_capability cap_sys_ptrace
	COUNT='all=(/proc/[0-9]*); echo ${#all[@]} 0'
	scan_in_namespace hidepid=1 "${NOBODY[@]}"
	[[ ! $NOTES ]]
}

@test "hidepid=2: a user is told that others are hidden, and no more" {
	scan_in_namespace hidepid=2 "${NOBODY[@]}"
	((DENIED == 0 && ALL == 3))
	[[ $NOTES == "$HIDDEN" ]]
}

@test "hidepid=4: a user is told that others are hidden, and no more" {
	scan_in_namespace hidepid=4 "${NOBODY[@]}"
	((DENIED == 0 && ALL == 3))
	[[ $NOTES == "$HIDDEN" ]]
}

@test "hidepid=4: root without CAP_SYS_PTRACE is told that processes are hidden" {
	scan_in_namespace hidepid=4 "${CAPLESS[@]}"
	((DENIED == 0 && ALL == 1))
	[[ $NOTES == memz:*hidden*hidepid* && $NOTES != *$'\n'* ]]
}

@test "hidepid=1, 2 and 4: root sees every process, and is told nothing" {
	for option in hidepid=1 hidepid=2 hidepid=4; do
		scan_in_namespace "$option"
		((DENIED == 0 && ALL == 7))
		[[ ! $NOTES ]]
	done
}

@test "hidepid=2 with gid=: a member of that group sees every process, and is not told that some are hidden" {
	scan_in_namespace hidepid=2,gid=65534 "${NOBODY[@]}"
	((ALL == 7))
	only_denied 'needs root or CAP_.*'
}

@test "a /proc mounted elsewhere with hidepid=2 does not matter" {
	PREPARE='mkdir "$OUT/proc" && mount -t proc -o hidepid=2 proc "$OUT/proc"'
	scan_in_namespace '' "${NOBODY[@]}"
	((ALL == 7))
	only_denied 'needs root or CAP_.*'
}

@test "hidepid=2: with CAP_SYS_PTRACE in the file memz sees every process, and prints no note" {
	give_capability cap_sys_ptrace
	COUNT='all=(/proc/[0-9]*); echo 7 0'
	scan_in_namespace hidepid=2 "${NOBODY[@]}"
	[[ ! $NOTES ]]
}

@test "hidepid=2: with CAP_PERFMON in the file memz says that processes are hidden" {
	need_perfmon
	give_capability cap_perfmon
	scan_in_namespace hidepid=2 "${NOBODY[@]}"
	((ALL == 3))
	[[ $NOTES == "$HIDDEN" ]]
}

@test "subset=pid: every process is counted, and a note says that there is no meminfo" {
	scan_in_namespace subset=pid
	((DENIED == 0 && ALL == 7))
	jq -e '.memory.mem_total == null and .memory.mem_used == null and (.time | length) == 20' "$OUT/json"
	[[ $NOTES == memz:*meminfo* && $NOTES != *$'\n'* ]]
}

@test "subset=pid: a user is told of each of the two causes once" {
	scan_in_namespace subset=pid "${NOBODY[@]}"
	((ALL == 7))
	[[ $(wc -l <<<"$NOTES") == 2 ]]
	[[ $(grep -c "^memz: $DENIED processes: PSS not readable (needs root or CAP_.*); shown as -$" <<<"$NOTES") == 1 ]]
	[[ $(grep -c meminfo <<<"$NOTES") == 1 ]]
}

@test "subset=pid: the system view shows no made-up figures, and says what it lacks" {
	PREPARE='mount -t proc -o subset=pid proc /proc'
	run -0 --separate-stderr unshare --mount --pid --fork bash -c "$PREPARE"' || exit 77; "$PROGRAM" -w --json; :'
	jq -e '[.system.areas[] | select(.area != "zram") | .total] | all(. == null)' <<<"$output"
	[[ $stderr == memz:*meminfo* && $stderr != *$'\n'* ]]
}

# Namespaces.

@test "in a pid namespace root sees every process, and is told nothing" {
	scan_in_namespace ''
	((DENIED == 0 && ALL == 7))
	[[ ! $NOTES ]]
}

@test "in a pid namespace a user is told how many processes were denied" {
	scan_in_namespace '' "${NOBODY[@]}"
	((ALL == 7))
	only_denied 'needs root or CAP_.*'
}

@test "in a pid namespace that has the outer /proc, every process is counted" {
	scan_in_namespace '' unshare --pid --fork
	((DENIED == 0 && ALL == 8))
	[[ ! $NOTES ]]
}

# kcmp(2) takes pids of the caller's own namespace.
@test "where the pids of /proc are of another namespace, an address space counts once or a note says so" {
	start twins 1024 3
	list=$(join "${PIDS[@]}")
	once=$("$MEMZ" --json -t -c pid,uss -p "$list" | jq .totals.uss)
	((once > 1024 && once < 2048))
	for space in '' 'unshare --pid --fork'; do
		for source in '' '-S /'; do
			# shellcheck disable=SC2086
			run -0 --separate-stderr $space "$MEMZ" $source --json -t -c pid,uss -p "$list"
			echo "'$space' '$source': once $once, $(jq .totals.uss <<<"$output"), $stderr"
			[[ $(jq .totals.uss <<<"$output") == "$once" && ! $stderr ]] || [[ $stderr == memz:*'one address space'* ]]
		done
	done
}

@test "root of a user namespace is not told to become root" {
	"${NOBODY[@]}" unshare --user --map-root-user true || skip 'needs user namespaces'
	scan_in_namespace '' "${NOBODY[@]}" unshare --user --map-root-user
	((DENIED >= 4 && ALL == 7))
	only_denied 'access denied, even as root|.*CAP_.*'
	[[ $NOTES != *'needs root'* ]]
}

@test "in a user's own namespaces nothing is missing, and no note is printed" {
	"${NOBODY[@]}" unshare --user --map-root-user --pid --fork --mount-proc true || skip 'needs user namespaces'
	"${NOBODY[@]}" unshare --user --map-root-user --pid --fork --mount-proc bash -c 'sleep 100 & sleep 100 &
		"$PROGRAM" --json -c pid,user,pss; kill %1 %2' >"$OUT/json" 2>"$OUT/notes"
	jq -e '.scan.processes == 4 and .scan.measured == 4 and ([.processes[] | .user == "root" and .pss > 0] | all)' "$OUT/json"
	[[ ! -s $OUT/notes ]]
}

@test "a container's root without ptrace rights is told which are missing, not to become root" {
	scan_in_namespace '' "${CAPLESS[@]}"
	((DENIED >= 4 && ALL == 7))
	only_denied 'access denied, even as root|.*CAP_.*'
	[[ $NOTES != *'needs root'* ]]
}

# File capabilities.

# compare_with_root COLUMNS: a user with the capability sees the same of root's stopped processes as root.
compare_with_root() {
	local columns=$1 list

	start mixed 256 14
	list=$(join "${PIDS[@]}")
	"$MEMZ" -q --json -t -c "$columns" -p "$list" >"$OUT/root"
	"${NOBODY[@]}" "$PROGRAM" --json -t -c "$columns" -p "$list" >"$OUT/user" 2>"$OUT/notes"
	jq -e '(.processes | length) >= 14 and .scan.denied == 0' "$OUT/root"
	diff <(jq -S '.processes, .totals' "$OUT/root") <(jq -S '.processes, .totals' "$OUT/user")
	diff <("$MEMZ" -q --csv -m -c mapping,kind,procs,pss,rss,swap,maps -p "$list") \
		<("${NOBODY[@]}" "$PROGRAM" -q --csv -m -c mapping,kind,procs,pss,rss,swap,maps -p "$list")
}

# Without the columns that change by themselves: the kernel ages Referenced, and reclaims LazyFree pages at any time.
columns_of_processes() {
	"$MEMZ" --list-columns --csv -H | cut -d, -f1 |
		grep -vxE 'time|referenced|lazy_free|change|count|cg_[a-z_]+|mapping|kind|procs' | paste -sd,
}

@test "with CAP_SYS_PTRACE in the file a user sees all numbers that root sees" {
	give_capability cap_sys_ptrace
	compare_with_root "$(columns_of_processes)"
	[[ ! -s $OUT/notes ]]
}

@test "with CAP_PERFMON in the file a user sees all numbers that root sees, and a note says that exe is missing" {
	need_perfmon
	give_capability cap_perfmon
	compare_with_root "$(columns_of_processes | sed 's/,exe,/,/; s/,ancestry,/,/')"	# a cut name is completed from exe
	run -0 --separate-stderr "${NOBODY[@]}" "$PROGRAM" --csv -H -p "$PID" -c pid,exe
	[[ $output == "$PID," && $stderr == 'memz: 1 process: not all files readable (needs root or CAP_SYS_PTRACE); shown as -' ]]
}

@test "with a capability, processes of one address space count once or a note says so" {
	start twins 1024 3
	list=$(join "${PIDS[@]}")
	once=$("$MEMZ" --json -t -c pid,uss -p "$list" | jq .totals.uss)
	give_capability cap_sys_ptrace
	run -0 --separate-stderr "${NOBODY[@]}" "$PROGRAM" --json -t -c pid,uss -p "$list"
	[[ $(jq .totals.uss <<<"$output") == "$once" && ! $stderr ]]
	need_perfmon
	give_capability cap_perfmon
	run -0 --separate-stderr "${NOBODY[@]}" "$PROGRAM" --json -t -c pid,uss -p "$list"
	[[ $stderr == 'memz: sums count the memory of processes that share one address space once for each of them (finding them needs root or CAP_SYS_PTRACE)' ]]
}

# named_files VARIABLE=...: the files that the variables name and memz, run by a user, passes to a system call.
named_files() {
	strace -f -qq -e trace=%file -o "$OUT/trace" "${NOBODY[@]}" env "$@" "$PROGRAM" -n 1 -c pid,user,start >/dev/null 2>&1
	grep -q "execve(\"$PROGRAM\".* = 0" "$OUT/trace"
	sed "1,\\|execve(\"$PROGRAM\".* = 0|d" "$OUT/trace" | grep -F "$OUT/named"
}

@test "with a capability memz opens no file that the environment names" {
	need strace
	variables=(LC_ALL=xx_YY.UTF-8 LANGUAGE=xx)
	for name in LOCPATH MUSL_LOCPATH NLSPATH HOSTALIASES RES_OPTIONS LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG_OUTPUT \
		LD_PROFILE_OUTPUT MALLOC_TRACE GCONV_PATH TMPDIR HOME; do
		variables+=("$name=$OUT/named/$name")
	done
	zones=("TZ=$OUT/named/TZ" "TZ=:$OUT/named/TZ" "TZ=Mars/Base TZDIR=$OUT/named/TZDIR")
	run -0 named_files "${variables[@]}" "${zones[0]}"	# without capabilities such files are opened
	give_capability cap_sys_ptrace
	for zone in "${zones[@]}"; do
		# shellcheck disable=SC2086
		run -1 named_files "${variables[@]}" $zone
	done
}

# A saved machine that only root may reach.
closed_machine() {
	mkdir -m 700 "$OUT/closed"
	cp -R "$CURRENT" "$OUT/closed/machine"
	chmod -R go+rX "$OUT/closed/machine"
}

# refused_to_caller ARG...: memz fails with "Permission denied", whichever of these capabilities it has.
refused_to_caller() {
	for capability in cap_sys_ptrace cap_dac_override,cap_sys_ptrace cap_dac_read_search,cap_sys_ptrace cap_dac_override,cap_perfmon; do
		give_capability "$capability"
		run -1 --separate-stderr "${NOBODY[@]}" "$PROGRAM" "$@"
		echo "$capability, $*: $stderr"
		[[ ! $output && $stderr == memz:*'Permission denied' && $stderr != *$'\n'* ]]
	done
}

@test "-S of a capable memz reads no directory that its caller may not" {
	closed_machine
	run -0 "$MEMZ" -S "$OUT/closed/machine"
	refused_to_caller -S "$OUT/closed/machine"
}

@test "--since of a capable memz reads no directory that its caller may not" {
	closed_machine
	refused_to_caller --since "$OUT/closed/machine"
}

@test "-S and --since of a capable memz read no archive that their caller may not" {
	closed_machine
	"$MEMZ" -q -S "$OUT/closed/machine" -n 0 --save "$OUT/closed/archive"
	refused_to_caller -S "$OUT/closed/archive"
	refused_to_caller --since "$OUT/closed/archive"
	mv "$OUT/closed/archive" "$OUT/archive"		# now only its mode 0600 protects it
	refused_to_caller -S "$OUT/archive"
	refused_to_caller --since "$OUT/archive"
}

@test "-S of a capable memz does not go through another's /proc/PID/cwd or root" {
	closed_machine
	(cd "$OUT/closed/machine" && exec sleep 100 3>&-) &
	sleeper=$!
	at_end kill "$sleeper"
	wait_for test "/proc/$sleeper/cwd" -ef "$OUT/closed/machine"
	refused_to_caller -S "/proc/$sleeper/cwd"
	refused_to_caller -S "/proc/$sleeper/root"
}

@test "-S of a capable memz shows nothing of a file that its caller may not read" {
	cp -R "$CURRENT" "$OUT/machine"
	chmod -R go+rX "$OUT/machine"
	chmod 600 "$OUT/machine/proc/1433/smaps_rollup"
	give_capability cap_dac_override,cap_sys_ptrace
	run -0 --separate-stderr "${NOBODY[@]}" "$PROGRAM" --csv -H -S "$OUT/machine" -p 1433,812 -c pid,pss -s pid
	[[ $output =~ ^812,[1-9][0-9]*$'\n'1433,$ ]]
	[[ $stderr == memz:*'1 process'* && $stderr != *$'\n'* ]]
}

@test "--save of a capable memz writes nowhere that its caller may not" {
	closed_machine
	mkdir -m 755 "$OUT/readable"
	refused_to_caller -n 0 --save "$OUT/closed/archive"
	refused_to_caller -n 0 --save "$OUT/readable/archive"
	run ls -A "$OUT/closed" "$OUT/readable"
	[[ $output != *archive* ]]
}

@test "what a capable memz saves is its caller's own file, and no other may read it" {
	mkdir -m 1777 "$OUT/open"
	give_capability cap_dac_override,cap_sys_ptrace
	(umask 0 && "${NOBODY[@]}" "$PROGRAM" -q -n 0 --save "$OUT/open/archive")
	[[ $(stat -c '%u %a' "$OUT/open/archive") == '65534 600' ]]
}

@test "in a pid namespace where memz is one of few processes, -w names it" {
	need_root
	need unshare
	for _ in {1..12}; do		# in most runs memz starts in the tick in which it reads itself
		run -0 --separate-stderr unshare -mpf --mount-proc "$MEMZ" -q -w -A --csv
		[[ $output == *"holders,anonymous:${MEMZ##*/} ("* && $output != *':? ('* ]] || { echo "$output"; false; }
	done
}

@test "-P leaves out memz and the ancestors whose command lines hold the pattern, also process 1 of a container" {
	need_root
	need unshare
	run -0 --separate-stderr unshare -mpf --mount-proc bash -c '"$0" -q -H -c pid -P wanted-word; "$0" -q -H -c name -P "^bash$|wanted-word"; :' "$MEMZ"
	[[ $output == bash ]]
}
