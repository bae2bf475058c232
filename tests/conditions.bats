#!/usr/bin/env bats
# Conditions: what a value may be, and what is said when nothing meets them.
load helper

CURRENT=$ROOT/tests/machines/current	# read at 2026-01-31T12:00:00Z

# pids CONDITION...: who meets them all, one a line.
pids() {
	local condition
	local -a options=()

	for condition; do
		options+=(-f "$condition")
	done
	"$MEMZ" -q -H -S "$CURRENT" -s pid -c pid "${options[@]}" | tr -d ' '
}

starts() {
	"$MEMZ" -q --csv -H -S "$CURRENT" -s pid -c pid,start
}

# The pids whose start, as printed, is OP the time, by awk.
started() {
	starts | awk -F, -v op="$1" -v time="$2" \
		'(op == "<" && $2 < time) || (op == "<=" && $2 <= time) || (op == ">" && $2 > time) || (op == ">=" && $2 >= time) ||
		(op == "=" && $2 == time) || (op == "!=" && $2 != time) { print $1 }'
}

@test "a start is compared as a time: with a date, a minute or a second, with T or a blank, with Z or not" {
	local op second minute form

	second=$(starts | sed -n '3s/.*,//p')		# 2026-01-21T12:15:02Z
	minute=${second%:??Z}
	for op in '<' '<=' '>' '>=' '=' '!='; do
		for form in "${second%Z}" "$second" "${second/T/ }" "$(sed 's/T/ /; s/Z//' <<<"$second")"; do
			diff <(pids "start$op$form") <(started "$op" "$second")
		done
		for form in "$minute" "${minute}Z" "${minute/T/ }"; do
			diff <(pids "start $op $form") <(started "$op" "$minute:00Z")
		done
		diff <(pids "start$op${second%T*}") <(started "$op" "${second%T*}T00:00:00Z")
	done
	[[ $(pids "start=$second" | wc -l) -ge 1 ]]
}

@test "a start is compared with an age: the time of the report less so much" {
	local start

	start=$(date -u -d '2026-01-31T12:00:00Z - 10 days' +%FT%TZ)
	for age in 10d 240h 14400m 864000s 1.42857142857142857w; do
		diff <(pids "start>$age") <(started '>' "$start")
		diff <(pids "start<=$age") <(started '<=' "$start")
	done
	[[ -n $(pids 'start>10d') && -z $(pids 'start>1s') && -n $(pids 'start<0s') ]]
	diff <(pids 'start>1w' 'start<1d') <(pids 'start<1d' 'start>1w')
}

@test "live: a process of this moment started less than a minute ago, and not more" {
	start private 64
	"$MEMZ" -q -H -c pid -p "${PIDS[0]}" -f 'start>1m' | grep -wq "${PIDS[0]}"
	[[ -z $("$MEMZ" -q -H -c pid -p "${PIDS[0]}" -f 'start<1m') ]]
	run -3 --separate-stderr "$MEMZ" -q -n 0 -p "${PIDS[0]}" --alert 'start>1h'
}

@test "the time of the report takes the same values" {
	[[ -n $(pids 'time=2026-01-31T12:00') && -n $(pids 'time>1s') && -z $(pids 'time<1s') && -z $(pids 'time>2026-02-01') ]]
}

@test "over an interval a start is compared with the second reading's time" {
	run -0 "$MEMZ" -q -H -S "$ROOT/tests/machines/after" --since "$ROOT/tests/machines/before" -c pid -f 'start>52w'
	[[ -n $output ]]
	run -0 "$MEMZ" -q -H -S "$ROOT/tests/machines/after" --since "$ROOT/tests/machines/before" -c pid -f 'start>1s'
	[[ -z $output ]]
}

@test "anything else is no time" {
	local value

	for value in yesterday now 2026 2026-01 2026-1-31 20260131 2026-02-29 2026-04-31 2026-13-01 2026-00-01 2026-01-00 2026-01-31T24:00 \
		2026-01-31T12:60 2026-01-31T12:00:60 2026-01-31T12 2026-01-31T12:00+01:00 2026-01-31x12:00 2026-01-31Tnoon 12:00 5 1y 1H h -1h +1h \
		1e3s 0x1s '1 h' 1h30m infs nans; do
		run -2 --separate-stderr "$MEMZ" -S "$CURRENT" -f "start>$value"
		echo "$value: $stderr"
		[[ $stderr == "memz: condition 'start>$value': '$value' is not a time, as 2026-01-31 or"* ]]
	done
	[[ -n $(pids 'start<2028-02-29') ]]
}

@test "<>, => and the like are refused where a blank does not set the value apart" {
	local condition

	for condition in 'name<>bash' 'pss=>1M' 'pss=<1M' 'pss><1M' 'name=!x' 'name~=x' 'name==~x' 'pss>>1M' 'name!~~x'; do
		run -2 --separate-stderr "$MEMZ" -S "$CURRENT" -f "$condition"
		echo "$stderr"
		[[ $stderr == *"is not an operator"* ]]
	done
	for condition in 'command= <defunct>' 'command~<x>' 'name!= ~x' 'command~ =' 'name==java' 'name=~java'; do
		run -0 "$MEMZ" -q -S "$CURRENT" -f "$condition"
	done
}

@test "a text may hold 'and' and 'or'" {
	local condition

	for condition in 'command~this and that' 'command=a or b' 'command~x&&y' 'command~a|b or c=d'; do
		run -0 "$MEMZ" -q -S "$CURRENT" -f "$condition"
	done
}

@test "column names may be written in any case" {
	diff <("$MEMZ" -S "$CURRENT" -s RSS -c PID,Rss,+VM_hwm -f 'RSS>1M' --csv) <("$MEMZ" -S "$CURRENT" -s rss -c pid,rss,+vm_hwm -f 'rss>1M' --csv)
	diff <("$MEMZ" -S "$CURRENT" -g USER -c USER,count) <("$MEMZ" -S "$CURRENT" -g user -c user,count)
	diff <("$MEMZ" -S "$CURRENT" -c ALL) <("$MEMZ" -S "$CURRENT" -c all)
	run -3 "$MEMZ" -q -n 0 -S "$CURRENT" --alert 'PSS>1G'
	[[ $("$MEMZ" -q --csv -S "$CURRENT" -c pid,PSS_Delta -n 0) == pid,pss_delta ]]
}

# notes MESSAGE ARG...: there are no rows, and that is the note.
notes() {
	local message=$1

	shift
	run -0 --separate-stderr "$MEMZ" -H -S "$CURRENT" "$@"
	echo "memz $*: $stderr"
	[[ -z $output && $stderr == "memz: $message" ]]
}

@test "an empty result names the condition that nothing meets" {
	notes "no process matches -f 'pss>100G'" -f 'pss>100G'
	notes "no process matches -f 'pss>100G'" -f 'pss>100G' -n 5 -s pss
	notes "no process matches -f 'pss>100G'" -f 'rss>1K' -f 'pss>100G' -f 'uss>1K'
	notes "no process matches -P 'xyzzy'" -P xyzzy
	notes "no process matches -P 'xyzzy'" -f 'pss>1M' -P xyzzy -U root
	notes "no process matches -U '4711'" -U 4711 -P java
	notes "no mapping matches -M 'xyzzy'" -m -M xyzzy -P java
	notes "no mapping matches -f 'pss>100G'" -m -f 'pss>100G' -M libc
	notes "no process matches -P 'xyzzy'" -m -P xyzzy -M libc
	notes "no process matches -f 'pss>100G'" --by user -f 'pss>100G'
	notes "no process matches -f 'start>1s'" -f 'start>1s'
}

@test "an empty result of conditions that are met one by one says so" {
	notes "no process matches -U 'root' and -P 'java' together" -P java -U root
	notes "no process matches -f 'name=java' and -f 'user=root' together" -f name=java -f user=root
	long=$(printf 'a%.0s' {1..90})
	notes "no process matches -f 'pid>2' and -f 'exe!=$long' and -f 'pid<2' and -f 'name!=$long' together" -f 'pid>2' -f "exe!=$long" -f 'pid<2' -f "name!=$long"
}

@test "an empty result mentions kernel threads and zombies that would match" {
	notes "no process matches -P 'kthreadd'; a kernel thread or zombie does: -A" -P kthreadd
	run -0 --separate-stderr "$MEMZ" -H -S "$CURRENT" -A -P kthreadd
	[[ -n $output && -z $stderr ]]
}

@test "rows, -q, and a report without conditions have no such note" {
	run -0 --separate-stderr "$MEMZ" -q -H -S "$CURRENT" -P xyzzy
	[[ -z $stderr ]]
	run -0 --separate-stderr "$MEMZ" -n 0 -S "$CURRENT" -P java
	[[ -z $stderr ]]
	run -0 --separate-stderr "$MEMZ" -S "$ROOT/tests/machines/empty"
	[[ $stderr != *'no process'* ]]
}

@test "an alert on a few KiB warns that a size without a unit is in KiB" {
	run -0 --separate-stderr "$MEMZ" -n 0 -S "$CURRENT" --alert 'mem_available<10'
	[[ $stderr == "memz: --alert 'mem_available<10': 10 is 10 KiB; for another unit add %, M or G" ]]
	for condition in 'mem_available<10%' 'mem_available<10K' 'mem_available<1024' 'mem_available<0' 'threads>1000'; do
		run -0 --separate-stderr "$MEMZ" -n 0 -S "$CURRENT" --alert "$condition"
		[[ -z $stderr ]]
	done
	run -0 --separate-stderr "$MEMZ" -q -n 0 -S "$CURRENT" --alert 'mem_available<10'
	[[ -z $stderr ]]
}

@test "-c all of groups has the columns that groups can have" {
	local header

	header=$("$MEMZ" -q --csv -n 0 -S "$CURRENT" --by unit -c all)
	[[ $header == unit,*,count* && ,$header, == *,pss,* && ,$header, == *,pss_pct,* && ,$header, == *,threads,* ]]
	for column in pid ppid user name command state start cgroup vm_hwm vm_peak oom_score cg_usage; do
		[[ ,$header, != *,$column,* ]]
	done
	# none is unknown in every group
	"$MEMZ" -q --json -S "$CURRENT" --by unit -c all | jq -e '[.groups[] | to_entries[] | select(.value != null) | .key] | unique | length' >"$BATS_TEST_TMPDIR/known"
	[[ $(<"$BATS_TEST_TMPDIR/known") == "$(tr , '\n' <<<"$header" | wc -l)" ]]
	[[ ,$("$MEMZ" -q --csv -n 0 -S "$CURRENT" -m --by kind -c all), == ,kind,*,pss,* ]]
	[[ $("$MEMZ" -q --csv -n 0 -S "$CURRENT" -m --by kind -c all) != *mapping* ]]
}

@test "CSV with -n 0 is the header alone" {
	[[ $("$MEMZ" -q --csv -n 0 -S "$CURRENT") == pid,user,pss,uss,rss,swap,command ]]
	[[ $("$MEMZ" -q --csv -n 0 -m -S "$CURRENT") == mapping,kind,procs,pss,rss,swap ]]
	[[ -z $("$MEMZ" -q --csv -H -n 0 -S "$CURRENT") ]]
}

@test "10,000 users of -U take no longer than n log n" {
	local few many

	few=$(seq -s, 100000 101000)
	many=$(seq -s, 100000 110000)
	"$MEMZ" -q -S "$CURRENT" -U "$few" >/dev/null
	timeout 2 "$MEMZ" -q -S "$CURRENT" -U "$many,0" -H -c user | grep -wq root
}

@test "the largest machines get as many readers as they have processors, up to 16" {
	need strace
	ASAN_OPTIONS=detect_leaks=0 run -0 --separate-stderr strace -f -e inject=sched_getaffinity:error=EINVAL:when=1 -o /dev/null "$MEMZ" -v -n 0 -S "$CURRENT"
	[[ $stderr == *"read by $(($(getconf _NPROCESSORS_ONLN) > 16 ? 16 : $(getconf _NPROCESSORS_ONLN))) reader"* ]]
}

@test "^ and \$ stand for the begin and the end of a text, also of one with newlines" {
	local tree=$BATS_TEST_TMPDIR/newline

	mkdir -p "$tree/proc/7"
	printf 'new\nline\n' >"$tree/proc/7/comm"
	echo '7 (x) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 4096 1' >"$tree/proc/7/stat"
	echo '1 1 0 0 0 0 0' >"$tree/proc/7/statm"
	for pattern in '^line' 'new$' '^l|^i' 'x|^line'; do
		[[ -z $("$MEMZ" -qHS "$tree" -c pid -f "name~$pattern") ]]
	done
	for pattern in '^new' 'line$' '^new.line$' 'w[[:space:]]l' 'x|^new' $'w\nl'; do
		[[ $("$MEMZ" -qHS "$tree" -c pid -f "name~$pattern") == 7 ]]
	done
}

@test "a condition or an alert on a change says that one scan shows none" {
	local note='memz: one scan shows no change: add -i SEC, or --since FILE'

	for args in '-f pss_delta>1' '-f pss_rate>1' '--alert pss_delta>1' '--alert mem_used_delta>1' '--alert kernel_other_rate>1'; do
		# shellcheck disable=SC2086	# an option and its value
		run --separate-stderr "$MEMZ" -S "$CURRENT" -n 0 $args
		# shellcheck disable=SC2154
		[[ $stderr == *"$note"* ]] || { echo "$args: $stderr"; false; }
		# shellcheck disable=SC2086
		run --separate-stderr "$MEMZ" -S "$CURRENT" -n 0 $args -i 0.01
		[[ $stderr != *"$note"* ]]
	done
	refuses_with 1 "--alert 'mem_used_rate>1': one scan shows no rate: add -i SEC, or --since FILE" -q -S "$CURRENT" -n 0 --alert 'mem_used_rate>1'
}
