# Rows and sums: a value is the same in every report, each address space counts once, a reused pid is another process.
# shellcheck disable=SC2016	# sh -c expands
load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
}

# add_process PID [PPID]: adds a process of 900 pages in statm and 3000 KiB in smaps_rollup to TREE.
add_process() {
	local dir=$TREE/proc/$1

	mkdir -p "$dir"
	echo "p$1" >"$dir/comm"
	echo '2000 900 100 1 0 200 0' >"$dir/statm"
	echo "$1 (p$1) S ${2:-1} 1 1 0 -1 4194304 10 0 3 0 0 0 0 0 20 0 1 0 100 8192000 900" >"$dir/stat"
	printf '%s\t%s\n' Name: "p$1" State: 'S (sleeping)' Tgid: "$1" Pid: "$1" PPid: "${2:-1}" Uid: '0 0 0 0' Threads: 1 \
		VmPTE: '44 kB' RssAnon: '2800 kB' >"$dir/status"
	printf '%s kB\n' '1000-2000 rw-p 0 0:0 0 [rollup] Rss: 3000' 'Rss: 3000' 'Pss: 2900' 'Private_Dirty: 2000' 'Private_Clean: 8' \
		>"$dir/smaps_rollup"
}

small_tree() {
	mkdir -p "$TREE/proc"
	printf '%s kB\n' 'MemTotal: 1000000' 'MemFree: 500000' 'MemAvailable: 600000' >"$TREE/proc/meminfo"
	printf 'memz 1.0.0\npage_size 4096\n' >"$TREE/memz"
}

# -- values

@test "rss is that of smaps_rollup where it is read, with a limit, a filter and without" {
	small_tree
	for pid in 5 6 7; do
		add_process $pid
	done
	for args in '' '-n 1' '-n 1 -s rss' '-f rss>2M' '-f pss>1M -n 2' '-f vsz>1' '-t -n 1' '-s vsz -n 1'; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr "$MEMZ" -S "$TREE" -k -H $args -c pid,rss,pss,vsz
		echo "$args: $output $stderr"
		[[ ${lines[0]} =~ ^5\ +3000\ +2900\ +8000$ && ! $stderr ]]
	done
	[[ $("$MEMZ" -S "$TREE" -k -H -n 1 -s rss -c pid,rss,vsz) =~ ^5\ +3600\ +8000$ ]]	# of statm
}

@test "rss_anon is that of status, and unknown without, whatever else is shown" {
	small_tree
	add_process 5
	add_process 6
	rm "$TREE/proc/6/status"
	for columns in rss_anon rss_anon,vsz rss_anon,pss_anon,vsz rss_anon,rss,pss all; do
		[[ $("$MEMZ" -q -S "$TREE" --json -p 5 -c "$columns") == *'"rss_anon":2800'[,}]* ]]
		[[ $("$MEMZ" -q -S "$TREE" --json -p 6 -c "$columns") == *'"rss_anon":null'[,}]* ]]
	done
}

@test "a malformed vsz in statm is unknown, whether stat is read or not; without statm it is that of stat" {
	small_tree
	add_process 5
	echo 'x 900 100 1 0 200 0' >"$TREE/proc/5/statm"
	for columns in vsz vsz,state vsz,state,pss all; do
		[[ $("$MEMZ" -q -S "$TREE" --json -c "$columns") == *'"vsz":null'[,}]* ]]
	done
	rm "$TREE/proc/5/statm"
	for columns in vsz vsz,state vsz,state,pss all; do
		[[ $("$MEMZ" -q -S "$TREE" --json -c "$columns") == *'"vsz":8000'[,}]* ]]
	done
}

@test "status of a process whose first thread has ended is that of another thread, whatever else is read" {
	small_tree
	add_process 5
	mkdir -p "$TREE/proc/5/task"
	cp -r "$TREE/proc/5" "$BATS_TEST_TMPDIR/6"
	mv "$BATS_TEST_TMPDIR/6" "$TREE/proc/5/task/6"
	echo '1000-2000 rw-p 00000000 00:00 0' >"$TREE/proc/5/task/6/maps"
	: >"$TREE/proc/5/maps"
	rm "$TREE/memz"		# else status is read in the first scan
	echo '0 0 0 0 0 0 0' >"$TREE/proc/5/statm"
	: >"$TREE/proc/5/smaps_rollup"
	: >"$TREE/proc/5/numa_maps"
	echo '1000 default anon=x N0=x kernelpagesize_kB=4' >"$TREE/proc/5/task/6/numa_maps"
	sed -i 's/) S /) Z /; s/ 20 0 1 0 100 / 20 0 2 0 100 /' "$TREE/proc/5/stat"
	[[ $("$MEMZ" -q -S "$TREE" --json -c pid,numa) == *'"numa":null'* ]]		# not that of the first thread
	printf '%s\t%s\n' Name: p5 State: 'Z (zombie)' Tgid: 5 Pid: 5 PPid: 1 Uid: '0 0 0 0' Threads: 2 >"$TREE/proc/5/status"
	for args in '-c vm_pte' '-c vm_pte -s pid' '-c pid,vm_pte -s pid -A -n 50' '-c pid,vm_pte -s pid -A -f maps>=0' '-c vm_pte -s uss -A' '-c vm_pte,pss' '-c vm_pte,rss_anon -s uss -f pss>=0' '-c all'; do
		# shellcheck disable=SC2086
		run -0 "$MEMZ" -q -S "$TREE" --json $args
		echo "$args: $output"
		[[ $output == *'"vm_pte":44'[,}]* ]]
	done
}

@test "of a zombie whose threads have all ended the files are its own" {
	small_tree
	add_process 5
	echo '0 0 0 0 0 0 0' >"$TREE/proc/5/statm"
	rm "$TREE/proc/5/smaps_rollup"
	: >"$TREE/proc/5/maps"
	: >"$TREE/proc/5/numa_maps"
	sed -i 's/) S /) Z /; s/ 20 0 1 0 100 / 20 0 2 0 100 /' "$TREE/proc/5/stat"
	expected=$("$MEMZ" -q -A -S "$TREE" --jsonl -c all,maps,numa)
	echo "$expected"
	[[ $expected == *'"maps":0'[,}]* ]]
	mkdir -p "$TREE/proc/5/task/6"
	cp "$TREE"/proc/5/{statm,stat,maps,numa_maps} "$TREE/proc/5/task/6"
	[[ $("$MEMZ" -q -A -S "$TREE" --jsonl -c all,maps,numa) == "$expected" ]]
	rm "$TREE/proc/5/task/6"/*maps
	[[ $("$MEMZ" -q -A -S "$TREE" --jsonl -c all,maps,numa) == "$expected" ]]
}

@test "the first rows by a percentage are those of the full report, also where MemTotal is unknown" {
	cp -r "$CURRENT" "$TREE"
	rm "$TREE/proc/meminfo"
	for key in uss_pct pss_pct rss_pct swap_pct; do
		for n in 1 3 5; do
			diff <("$MEMZ" -q -S "$TREE" -H --csv -c pid,pss,uss -s $key | head -n $n) \
				<("$MEMZ" -q -S "$TREE" -H --csv -c pid,pss,uss -s $key -n $n)
		done
	done
}

@test "the delta of a percentage is the change of the percentage" {
	small_tree
	add_process 5
	cp -r "$TREE" "$BATS_TEST_TMPDIR/then"
	echo 'time 1769860000' >>"$BATS_TEST_TMPDIR/then/memz"
	echo 'time 1769863600' >>"$TREE/memz"
	sed -i 's/1000000/10000/' "$BATS_TEST_TMPDIR/then/proc/meminfo"	# 29.0 % then
	sed -i 's/1000000/20000/' "$TREE/proc/meminfo"			# 14.5 % now
	run -0 "$MEMZ" -q --since "$BATS_TEST_TMPDIR/then" -S "$TREE" --csv -H -c pid,pss_pct,pss_pct_delta,pss_delta
	[[ $output == 5,14.5,-14.5,0 ]]
}

@test "a page size that is no power of two, or beyond 16 MiB, is ignored" {
	cp -r "$CURRENT" "$TREE"
	printf 'memz 1.0.0\npage_size 4096\n' >"$TREE/memz"
	rows=$("$MEMZ" -q -S "$TREE" -A -c pid,rss,vsz)
	system=$("$MEMZ" -q -S "$TREE" -A -w)
	for size in 4611686018427387904 9007199254740992 33554432 3000 6144 4097 0 -4096 18446744073709551616 x; do
		printf 'memz 1.0.0\npage_size %s\n' $size >"$TREE/memz"
		echo "page_size $size"
		diff <(echo "$rows") <("$MEMZ" -q -S "$TREE" -A -c pid,rss,vsz)
		diff <(echo "$system") <("$MEMZ" -q -S "$TREE" -A -w)
	done
	printf 'memz 1.0.0\npage_size 16384\n' >"$TREE/memz"
	run ! diff <(echo "$rows") <("$MEMZ" -q -S "$TREE" -A -c pid,rss,vsz)
}

# -- ancestry

# chain COUNT: processes 1 to COUNT, each the parent of the next.
chain() {
	local pid

	small_tree
	for ((pid = 1; pid <= $1; pid++)); do
		mkdir "$TREE/proc/$pid"
		echo "p$pid" >"$TREE/proc/$pid/comm"
		echo '9 5 4 1 0 1 0' >"$TREE/proc/$pid/statm"
		echo "$pid (p$pid) S $((pid - 1)) 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 9 0 0" >"$TREE/proc/$pid/stat"
	done
}

# names FIRST LAST: what the ancestry of LAST is from FIRST on.
names() {
	seq -f 'p%g' -s ';' "$1" "$2"
}

@test "an ancestry has up to 256 names; of more, it begins with ...;" {
	chain 258
	for pid in 1 64 65 256; do
		[[ $("$MEMZ" -q -S "$TREE" --csv -H -c ancestry -f pid=$pid) == "$(names 1 $pid)" ]]
	done
	[[ $("$MEMZ" -q -S "$TREE" --csv -H -c ancestry -f pid=257) == "...;$(names 2 257)" ]]
	[[ $("$MEMZ" -q -S "$TREE" --csv -H -c ancestry -p 258) == "...;$(names 3 258)" ]]
}

# -- processes that are named, new or another's twin

@test "parents that go round in a circle are each in the ancestry once" {
	small_tree
	add_process 5 7
	add_process 6 5
	add_process 7 6
	add_process 8 7
	[[ $("$MEMZ" -S "$TREE" --csv -H -s pid -c ancestry) == $'p6;p7;p5\np7;p5;p6\np5;p6;p7\np5;p6;p7;p8' ]]
}

@test "a command line that is empty is unknown where the name is" {
	small_tree
	add_process 5
	: >"$TREE/proc/5/cmdline"
	[[ $("$MEMZ" -S "$TREE" --csv -H -c command) == '[p5]' ]]
	rm "$TREE/proc/5"/{comm,stat,status}
	[[ $("$MEMZ" -q -S "$TREE" --json -c command) == *'"command":null'* ]]
}

@test "a process that is gone shows when it started by the boot time of the first scan" {
	small_tree
	add_process 5
	add_process 6
	printf 'btime 1000000\n' >"$TREE/proc/stat"
	echo 'time 2000000' >>"$TREE/memz"
	cp -r "$TREE" "$BATS_TEST_TMPDIR/then"
	rm -r "$TREE/proc/6"
	printf 'btime 5000000\n' >"$TREE/proc/stat"
	sed -i 's/^time .*/time 6000000/' "$TREE/memz"
	run -0 "$MEMZ" -q -S "$TREE" --since "$BATS_TEST_TMPDIR/then" --csv -H -s start -c pid,start,change
	[[ $output == $'6,1970-01-12T13:46:41Z,gone\n5,1970-02-27T20:53:21Z,same' ]]
}

@test "the order of changes is exact beyond 2^53" {
	small_tree
	add_process 5
	add_process 6
	cp -r "$TREE" "$BATS_TEST_TMPDIR/then"
	echo 'time 1' >>"$BATS_TEST_TMPDIR/then/memz"
	echo 'time 2' >>"$TREE/memz"
	sed -i 's/Pss: 2900/Pss: 9007199254743892/' "$TREE/proc/5/smaps_rollup"
	sed -i 's/Pss: 2900/Pss: 9007199254743893/' "$TREE/proc/6/smaps_rollup"
	run -0 "$MEMZ" -q -S "$TREE" --since "$BATS_TEST_TMPDIR/then" --csv -H -c pid,pss_delta
	[[ $output == $'6,9007199254740993\n5,9007199254740992' ]]
}

@test "the change of a sum is that of the processes that were selected, if they share an address space with others" {
	small_tree
	add_process 5
	add_process 6
	printf 'twin 6 5\n' >>"$TREE/memz"
	cp -r "$TREE" "$BATS_TEST_TMPDIR/then"
	echo 'time 1' >>"$BATS_TEST_TMPDIR/then/memz"
	echo 'time 2' >>"$TREE/memz"
	for filter in 'pid=6' 'pid=5' 'pid>1'; do
		run -0 "$MEMZ" -q -S "$TREE" --since "$BATS_TEST_TMPDIR/then" -f "$filter" --by cgroup --csv -H -c pss,pss_delta
		[[ $output == 2900,0 ]]
	done
}

@test "a line of the description of an archive that names no two processes says nothing" {
	small_tree
	add_process 5
	add_process 6
	expected=$("$MEMZ" -q -S "$TREE" --by cgroup --csv -c count,pss)
	printf '%s\n' 'twin 5 x' 'twin 6 x' 'twin 5 0' 'twin x 6' 'twin 6' 'vanished x' 'stalled -1' >>"$TREE/memz"
	[[ $("$MEMZ" -q -S "$TREE" --by cgroup --csv -c count,pss) == "$expected" ]]
	echo 'twin 6 5' >>"$TREE/memz"
	[[ $("$MEMZ" -q -S "$TREE" --by cgroup --csv -c count,pss) != "$expected" ]]
}

@test "sums count a shared address space once where nothing of smaps was saved, or for one of the two only" {
	small_tree
	add_process 5
	add_process 6
	printf 'twin 6 5\n' >>"$TREE/memz"
	rm "$TREE/proc/5/smaps_rollup"
	for columns in vsz,rss pss,vsz; do
		run -0 "$MEMZ" -q -S "$TREE" --by cgroup --csv -H -c "$columns" -f 'pid>1'
		[[ $output == "$("$MEMZ" -q -S "$TREE" --csv -H -c "$columns" -p 5)" ]]
		rm -f "$TREE/proc/6/smaps_rollup"
	done
}

@test "a pid of -p that does not exist is an error, and not counted as vanished" {
	run -1 --separate-stderr "$MEMZ" -S "$CURRENT" -p 812,99999 --json -c pid
	[[ $output == *'"scan":{"processes":1,"measured":1,"denied":0,"vanished":0,'* && $stderr == 'memz: --pid: no process 99999' ]]
}

@test "--since with -m and -p shows the mappings of a process that is new" {
	start private 2048
	"$MEMZ" -q -m -n 0 --save "$BATS_TEST_TMPDIR/then.tar" -p "$PID"
	start private 4096
	run -0 --separate-stderr "$MEMZ" --since "$BATS_TEST_TMPDIR/then.tar" -m -p "$PID" -k -H -c mapping,procs,rss
	echo "$stderr"
	[[ $output =~ \[anon\]\ +1\ +4[0-9]{3} && $stderr != *'no mappings'* ]]
}

@test "a group whose only process shares the address space of another's is 0, not unknown" {
	need jq
	cp -r "$CURRENT" "$TREE"
	cp "$TREE"/proc/1433/{smaps_rollup,statm} "$TREE/proc/2300/"
	printf 'memz 1.0.0\npage_size 4096\ntwin 2300 1433\n' >"$TREE/memz"
	run -0 "$MEMZ" -q -S "$TREE" --by name --csv -c name,count,pss,uss,rss,swap_pss -f 'name~^(node|java)$'
	[[ $output == *$'\nnode,1,0,0,0,0'* ]]
	one=$("$MEMZ" -q -S "$TREE" --json -p 1433 -c pss,uss | jq -c '.processes[0]')
	[[ $("$MEMZ" -q -S "$TREE" --json -t -p 1433,2300 -c pss,uss | jq -c '.totals | {pss, uss}') == "$one" ]]
	[[ $("$MEMZ" -q -S "$TREE" --json -p 2300 -c pss,uss | jq -c '.processes[0]') == "$one" ]]	# a row shows what the kernel shows
}

# Pid 1 of a namespace. Two sleep without address space randomization are alike, so that a hash of their ranges is equal.
@test "live: of a reused pid the old process is gone, the new one is new, and it is in the totals" {
	need_root
	need unshare setarch jq
	run -0 --separate-stderr unshare --pid --fork --mount-proc bash -c '
		set +m
		setarch -R sleep 60 3>&- &
		old=$!
		until grep -q sleep /proc/$old/comm; do :; done
		sleep 0.2
		"$MEMZ" -q -i 2 -t --json -c pid,pss,rss,pss_delta,change -f "name=sleep" >"$1" &
		memz=$!
		sleep 1
		kill -KILL $old
		wait $old 2>/dev/null
		echo $((old - 1)) >/proc/sys/kernel/ns_last_pid
		setarch -R sleep 60 3>&- &
		echo $old $!
		wait $memz' - "$BATS_TEST_TMPDIR/report"
	read -r old new <<<"$output"
	jq -c '.processes, .totals' "$BATS_TEST_TMPDIR/report"
	[[ $old == "$new" ]] || skip 'the pid was taken by another'
	jq -e --argjson pid "$old" '[.processes[] | select(.pid == $pid) | .change] | sort == ["gone", "new"]' "$BATS_TEST_TMPDIR/report"
	jq -e '([.processes[].rss] | add) as $rss | .totals.rss == $rss and $rss > 0' "$BATS_TEST_TMPDIR/report"
	jq -e '([.processes[].pss_delta] | add) as $delta | .totals.pss_delta == $delta' "$BATS_TEST_TMPDIR/report"
}

# -- readers

# readers COMMAND...: how many threads read a tree of 200 processes.
readers() {
	"$@" "$MEMZ" -v -n 1 -S "$TREE" -c pid,pss 2>&1 >/dev/null | sed -n 's/^memz: read by \([0-9]*\) reader.*/\1/p'
}

@test "as many threads read as there are processors, at most 16, also where the kernel does not tell which" {
	need strace taskset
	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer cannot run under strace
	chain 200
	want=$(($(nproc) < 16 ? $(nproc) : 16))
	[[ $(readers) == "$want" ]]
	[[ $(readers taskset -c "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')") == 1 ]]
	[[ $MEMZ != *san ]] || return 0	# the sanitizers themselves ask for the processors
	[[ $(readers strace -f -qq -o /dev/null -e trace=sched_getaffinity -e inject=sched_getaffinity:error=EINVAL) == "$want" ]]
}
