# Defects that were found and fixed, each with the saved tree or the live processes that showed it.
load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc/sys/kernel" "$TREE/etc"
	echo 6.18.0 >"$TREE/proc/sys/kernel/osrelease"
	printf 'MemTotal: 1000000 kB\nMemAvailable: 500000 kB\n' >"$TREE/proc/meminfo"
	printf 'root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n' >"$TREE/etc/passwd"
}

# add_process PID NAME UID PSS: adds a process to TREE.
add_process() {
	mkdir -p "$TREE/proc/$1"
	echo "$2" >"$TREE/proc/$1/comm"
	printf '%s\0' "$2" >"$TREE/proc/$1/cmdline"
	printf 'Tgid:\t%s\nPid:\t%s\nUid:\t%s\t%s\t%s\t%s\n' "$1" "$1" "$3" "$3" "$3" "$3" >"$TREE/proc/$1/status"
	echo "$1 ($2) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 409600 10" >"$TREE/proc/$1/stat"
	echo "9999 $(($4 / 4)) 10 1 0 100 0" >"$TREE/proc/$1/statm"
	printf 'Rss: %s kB\nPss: %s kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: %s kB\n' "$4" "$4" "$4" >"$TREE/proc/$1/smaps_rollup"
}

# while_changing COMMAND...: memz ARGUMENTS over an interval. COMMAND changes TREE after the first scan.
while_changing() {
	local memz

	"$MEMZ" -S "$TREE" -i 1.5 "${ARGUMENTS[@]}" 3>&- &
	memz=$!
	wait_for_first_scan "$memz"
	"$@"
	wait "$memz"
}

@test "the delta of a group's count is right" {
	add_process 5 a 0 100
	add_process 6 a 0 100
	add_process 7 b 0 100
	ARGUMENTS=(--by name -H -c name,count,count_delta,pss_delta -s name)
	run -0 while_changing rm -r "$TREE/proc/6"
	[[ $output == $'a     1 -1 -100K\nb     1  0     0' || $output == $'a 1 -1 -100K\nb 1  0     0' ]]
}

@test "the delta of a mapping's processes is small, as is that of a cgroup's figures" {
	run -0 "$MEMZ" -m -i 0.1 -c mapping,procs,procs_delta --csv -q
	[[ ! $output =~ [0-9]{9} ]]
	run -0 "$MEMZ" --by cgroup -i 0.1 -c cgroup,cg_usage_delta,cg_limit_delta --csv -H -q
	[[ ! $output =~ ,-?[0-9]{9} ]]
}

@test "a process that changed its name or user between two scans has a delta" {
	add_process 16 exec1 0 800
	for filter in '-P exec2' '-U alice' '-f name=exec2' '-f user=alice'; do
		add_process 16 exec1 0 800
		read -ra ARGUMENTS <<<"$filter -H -c name,user,pss_delta,change"
		run -0 while_changing add_process 16 exec2 1000 1800
		[[ $output == 'exec2 alice +1000K same' ]]
	done
}

@test "a process of which little was saved is there with any number of readers" {
	for file in cmdline comm status; do
		rm -rf "$TREE"/proc/[0-9]*
		add_process 5 few 0 100
		find "$TREE/proc/5" -type f ! -name $file -delete
		for jobs in 1 2 4; do
			[[ $("$MEMZ" -q -S "$TREE" --jobs $jobs -H -c pid | tr -d ' ') == 5 ]]
		done
	done
	rm "$TREE"/proc/5/*
	[[ -z $("$MEMZ" -q -S "$TREE" -H -c pid) ]]
}

@test "a process without a readable name has no name" {
	add_process 5 first 0 100
	add_process 6 x 0 100
	rm "$TREE"/proc/[56]/comm
	echo garbage >"$TREE/proc/6/stat"
	[[ $("$MEMZ" -S "$TREE" --jobs 1 --csv -H -c pid,name) == $'5,first\n6,' ]]
}

@test "a filter on a change keeps the rows of the first N" {
	for ((i = 1; i <= 9; i++)); do
		add_process $((i + 10)) "p$i" 0 $((i * 400))
		((i > 6)) || echo 'KSM: 0 kB' >>"$TREE/proc/$((i + 10))/smaps_rollup"
	done
	[[ $("$MEMZ" -S "$TREE" -n 2 -H -c name -f ksm_delta=0) == $'p6\np5' ]]
}

@test "the memory controller mounted twice, in part or elsewhere: the group's own figures are shown" {
	add_process 5 a 0 100
	mkdir -p "$TREE/sys/fs/cgroup/a" "$TREE/proc/self"
	echo 1048576 >"$TREE/sys/fs/cgroup/a/memory.current"
	echo 4194304 >"$TREE/sys/fs/cgroup/a/memory.max"
	echo 0::/a >"$TREE/proc/5/cgroup"
	whole='30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' part='31 20 0:26 /a /x/sys/fs/cgroup rw - cgroup2 cgroup2 rw'
	for mounts in "$whole"$'\n'"$part" "$part"$'\n'"$whole"; do
		echo "$mounts" >"$TREE/proc/self/mountinfo"
		[[ $("$MEMZ" -S "$TREE" --by cgroup --csv -H -c cgroup,cg_usage,cg_limit,cg_pct) == /a,1024,4096,25.0 ]]
	done
	echo '30 20 0:26 /docker/X /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	for path in /docker /docker/XY /other /..; do
		echo "0::$path" >"$TREE/proc/5/cgroup"
		[[ $("$MEMZ" -S "$TREE" --by cgroup --csv -H -c cgroup,cg_usage,cg_limit) == "$path,," ]]
	done
	echo 0::/docker/X/a >"$TREE/proc/5/cgroup"
	[[ $("$MEMZ" -S "$TREE" --by cgroup --csv -H -c cg_usage) == 1024 ]]
	mkdir -p "$TREE/my groups/a" && cp "$TREE"/sys/fs/cgroup/a/* "$TREE/my groups/a"
	echo '30 20 0:26 /docker/X /my\040groups rw - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	[[ $("$MEMZ" -S "$TREE" --by cgroup --csv -H -c cg_limit) == 4096 ]]
}

@test "zram devices that are not set up do not count" {
	mkdir -p "$TREE"/sys/block/zram{0,1}
	echo 1048576 1 2097152 0 0 >"$TREE/sys/block/zram0/mm_stat"
	: >"$TREE/sys/block/zram1/mm_stat"
	run -0 "$MEMZ" -S "$TREE" -w --csv
	[[ $output == *'areas,zram,2048,KiB'* && $output == *'swap,zram_data,1024,KiB'* ]]
}

@test "malformed pressure is null in JSON" {
	need jq
	mkdir -p "$TREE/proc/pressure"
	printf 'some avg10=inf avg60=1e999 avg300=nan total=0\nfull avg10=0.50 avg60=x avg300=1.25\n' >"$TREE/proc/pressure/memory"
	run -0 jq -c '.system.pressure | [.some_avg10, .some_avg60, .some_avg300, .full_avg10, .full_avg300]' <("$MEMZ" -S "$TREE" -w --json)
	[[ $output == '[null,null,null,0.50,1.25]' || $output == '[null,null,null,0.5,1.25]' ]]
}

@test "sharing is of the processes whose PSS is known" {
	add_process 5 a 0 100
	add_process 6 b 0 100000
	echo 'Rss: 200 kB' >>"$TREE/proc/5/smaps_rollup"
	sed -i 's/Rss: .*/Rss: 200 kB/' "$TREE/proc/5/smaps_rollup"
	rm "$TREE/proc/6/smaps_rollup"
	run -0 "$MEMZ" -q -S "$TREE" --json -t
	[[ $output == *'"sharing_pct":50.0}'* && $output == *'"measured":1,"denied":1,'* ]]
	run -0 "$MEMZ" -S "$TREE" -t -n 1 -H
	[[ $output == *'memz: 1 process: PSS not readable (not in what was saved); shown as -'* ]]
}

@test "many nodes and zones are all shown" {
	for ((i = 0; i < 300; i++)); do
		echo "Node $i, zone   Normal      1      2      3      4      5      6      7      8      9     10     11"
	done >"$TREE/proc/buddyinfo"
	[[ $("$MEMZ" -S "$TREE" -w --csv | grep -c unusable_pct) == 300 ]]
}

@test "an older kernel's names for reclaimed pages are known" {
	echo 'pgsteal_kswapd_normal 100' >"$TREE/proc/vmstat"
	ARGUMENTS=(-w --csv)
	run -0 while_changing sh -c "echo 'pgsteal_kswapd_normal 900' >'$TREE/proc/vmstat'"
	[[ $output =~ 'rates,reclaimed,'[0-9]+ ]]
}

@test "a key that stands twice in smaps_rollup counts once" {
	add_process 5 a 0 100
	echo 'Pss: 100 kB' >>"$TREE/proc/5/smaps_rollup"
	[[ $("$MEMZ" -S "$TREE" -H -k -c pss) == 100 ]]
}

@test "a title behind the program's path does not become part of the name" {
	add_process 5 gnome-session-b 0 100
	printf '/usr/libexec/gnome-session-binary --foo bar\0' >"$TREE/proc/5/cmdline"
	[[ $("$MEMZ" -S "$TREE" -H -c name) == gnome-session-binary ]]
}

@test "a container is known by its control group" {
	id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
	add_process 5 a 0 100
	while read -r path container; do
		echo "0::$path" >"$TREE/proc/5/cgroup"
		echo "$path"
		[[ $("$MEMZ" -S "$TREE" --csv -H -c pid,container) == "5,$container" ]]
	done <<END
/docker/$id 0123456789ab
/system.slice/docker-$id.scope 0123456789ab
/system.slice/docker-0123456789ab.scope 0123456789ab
/machine.slice/libpod-$id.scope/container 0123456789ab
/machine.slice/libpod-conmon-$id.scope
/kubepods.slice/kubepods-pod1.slice/cri-containerd-$id.scope 0123456789ab
/kubepods.slice/kubepods-pod1.slice/crio-$id.scope 0123456789ab
/kubepods/burstable/pod12-34/$id 0123456789ab
/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:$id 0123456789ab
/lxc/web1 web1
/lxc.payload.web2/system.slice/ssh.service web2
/lxc.payload/web3/init.scope web3
/lxc.monitor.web4
/system.slice/cron.service
END
}

@test "a command line of two megabytes is shown whole" {
	add_process 5 a 0 100
	head -c 2000000 /dev/zero | tr '\0' x >"$TREE/proc/5/cmdline"
	[[ $("$MEMZ" -S "$TREE" --csv -H -c command | wc -c) == 2000001 ]]
}

@test "-m -v and --list-columns say where mappings come from" {
	run "$MEMZ" -m -v -S "$CURRENT"
	[[ $output == *'plan: then, of those left: smaps'* && $output == *' smaps 1'* ]]
	run -0 "$MEMZ" --list-columns --csv -H
	[[ $output == *$'\nmapping,text,smaps,yes,'* && $output == *$'\ncount,number,the group,yes,'* ]]
}

@test "over an interval, -m -P compares the mappings of the same processes" {
	for pid in 5 6; do
		add_process $pid "p$pid" 0 100
		printf '1000-2000 rw-p 00000000 00:00 0  [heap]\nRss: 100 kB\nPss: 100 kB\n' >"$TREE/proc/$pid/smaps"
	done
	ARGUMENTS=(-m -P p5 -H -c mapping,procs,pss,pss_delta)
	run -0 while_changing true
	[[ $output == '[heap] 1 100K 0' ]]
}

@test "--max-rss holds where PSS is only shown" {
	add_process 5 big 0 100000
	add_process 6 small 0 100
	[[ $("$MEMZ" -q -S "$TREE" --max-rss 1M -s name -n 2 --csv -H -c name,pss,rss) == $'big,,100000\nsmall,100,100' ]]
	run -0 "$MEMZ" -S "$TREE" --max-rss 1K -s rss -c pid,rss,oom_score -t --json
	[[ $output == *'"measured":2,'* && $output != *memz:* ]]
}

@test "a row shows the values that it was sorted and selected by" {
	start -k threads 64 4 2>/dev/null || start private 64 4
	list=$(join "${PIDS[@]}")
	run -0 "$MEMZ" --csv -H -s minflt -n 4 -c minflt,command -p "$list"
	[[ $(cut -d, -f1 <<<"$output") == "$(cut -d, -f1 <<<"$output" | sort -rn)" ]]
}

@test "when one of two processes in one address space ends, the totals lose nothing" {
	need_root
	need python3
	start twins 32768 2
	"$MEMZ" -q --timeout 0.3 -i 1.5 -P "$BATS_TEST_TMPDIR" -t --json -c pid,pss,pss_delta,change >"$BATS_TEST_TMPDIR/json" 3>&- &
	wait_for_first_scan $!
	kill -KILL "${PIDS[0]}"
	wait $!
	output=$(<"$BATS_TEST_TMPDIR/json")
	[[ $output == *'"change":"gone"'* ]]
	python3 -c 'import json,sys; assert abs(json.loads(sys.argv[1])["totals"]["pss_delta"]) < 1000' "$output"
}

@test "zones of one name are all shown, and their names do not reach the terminal as they are" {
	for ((i = 0; i < 40; i++)); do
		printf 'Node 0, zone   \033[31mX      1      2      3      4      5      6      7      8      9     10     11\n'
	done >"$TREE/proc/buddyinfo"
	[[ $("$MEMZ" -S "$TREE" -w -A | grep -c '?\[31mX') == 40 ]]
	run ! grep -q $'\033' <("$MEMZ" -S "$TREE" -w -A)
	need jq
	[[ $("$MEMZ" -S "$TREE" -w --json | jq '.system.fragmentation | length') == 40 ]]
}

@test "the sum of sharing leaves out what the sum of PSS leaves out" {
	add_process 5 a 0 100
	add_process 6 b 0 100000
	mv "$TREE/proc/6/smaps_rollup" "$BATS_TEST_TMPDIR/kept"
	ARGUMENTS=(-q -t --json)
	run -0 while_changing cp "$BATS_TEST_TMPDIR/kept" "$TREE/proc/6/smaps_rollup"
	[[ $output == *'"sharing_pct":0.0}'* ]]
}

@test "a process that is gone with its parent keeps its ancestry" {
	add_process 4 par 0 100
	add_process 5 kid 0 100
	sed -i 's/ S 1 / S 4 /' "$TREE/proc/5/stat"
	ARGUMENTS=(-H -c pid,ancestry,change)
	run -0 while_changing rm -r "$TREE/proc/4" "$TREE/proc/5"
	[[ $output == *'  5 par;kid  gone' || $output == *'5 par;kid gone'* ]]
}

@test "a version 1 hierarchy called memoryless is not taken for the memory controller" {
	add_process 5 a 0 100
	mkdir -p "$TREE/sys/fs/cgroup/a" "$TREE/proc/self"
	echo 1048576 >"$TREE/sys/fs/cgroup/a/memory.current"
	printf '1:name=memoryless:/\n0::/my group/a\n' >"$TREE/proc/5/cgroup"
	printf '%s\n' '29 20 0:25 / /sys/fs/cgroup/x rw - cgroup cgroup rw,name=memoryless' \
		'30 20 0:26 /my\040group /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	[[ $("$MEMZ" -S "$TREE" --by cgroup --csv -H -c cgroup,cg_usage) == '/my group/a,1024' ]]
}

# add_commands LINE...: adds processes 1, 2, ... with these command lines to TREE.
add_commands() {
	local pid=0 line

	for line; do
		pid=$((pid + 1))
		mkdir -p "$TREE/proc/$pid"
		echo '9 8 7 1 0 1 0' >"$TREE/proc/$pid/statm"
		printf '%s' "$line" >"$TREE/proc/$pid/cmdline"
	done
}

@test "an expression finds the processes that grep -E finds" {
	local -a names=(java 'java -jar x.jar' /usr/bin/python3.11 nginx: 'nginx: worker process' kube-proxy a ab abb abbb aab 'a b' a_b a-b a.b
		'{a}' 'a{2' '(a)' 'a|b' '[a]' ']' '^a$' '\\' 'a\b' é 'café' 'naïve' '日本' 1 12 123 12345 '0x1f' 'Z9_' ' lead' 'trail ' 'foo bar' foobar 'bar foo' $'tab\there')
	local -a patterns=(java ^java$ '^(java|nginx)' 'a|b' 'ab*' 'ab+' 'ab?$' '^a{2}' 'ab{2}$' 'ab{2,}' 'a(b{1,2})$' '^.$' '^..$' '^.{4}$' '[0-9]+' '^[0-9]{2,3}$' '[^a-z]'
		'^[^[:alpha:]]+$' '[[:digit:]][[:upper:]]' '[[:space:]]' '^[[:blank:]]' '[[:punct:]]$' '[[:xdigit:]]{5}' '[]]' '[^]]' '[a-]b' '[]a]$' '\.' 'a.b' 'a\.b' '\{' '\(a\)' 'a\|b' '\\'
		'\bfoo\b' '\<foo' 'bar\>' 'o\B' '\Bb' '^\w+$' '\W' 'a\sb' '\S\s\S' '^$' '$' '^' '()' '(a|)b' '(^a|b$)' '((a)(b))' '(a*)*' '(a|ab)(c|bcd)?$' '^(.*b)?$' 'caf[é]' '^[^é]$' '日.$' 'n.n'
		'^(a|b|c|_|-|\.)+$' 'x{0}y{0}' '(ab?)+b$' '[[.a.]]b' '[[=a=]]b' '^\^' '\$$' 'n{0,1}g' 'e{,2}r')
	local pattern found

	TREE=$BATS_TEST_TMPDIR/commands
	add_commands "${names[@]}"
	printf '%s\n' "${names[@]}" >"$BATS_TEST_TMPDIR/names"
	for pattern in "${patterns[@]}"; do
		found=$(LC_ALL=C.UTF-8 grep -nE -- "$pattern" "$BATS_TEST_TMPDIR/names" | cut -d: -f1) || true
		diff <(echo "$pattern: $found") <(echo "$pattern: $("$MEMZ" -qHS "$TREE" -c pid -s +pid -f "command~$pattern" --csv)")
	done
}

@test "an expression takes bounded time and memory" {
	TREE=$BATS_TEST_TMPDIR/commands
	add_commands "$(printf '%050000d' 0 | tr 0 a)"
	run -0 "$MEMZ" -qHS "$TREE" -c pid --csv -f 'command~((((a*)*)*)*|(a|a)*|(a?){300}a{300})*b'
	[[ ! $output ]]
	run -0 bash -c '[[ $MEMZ == *memz-?san ]] || ulimit -v 100000; "$@"' - "$MEMZ" -qHS "$TREE" -c pid --csv -f 'command~^(((a{1,9}){1,9}){1,9})*$'
	[[ $output == 1 ]]
}

# Starts a stopped process, PID, whose parent does not wait for it: killed, it stays a zombie.
start_victim() {
	need python3
	start_program python3 -c 'import os, time
child = os.fork()
if child:
    print(child, flush=True)
os.close(1)
if child:
    time.sleep(60)
kept = b"x" * (1 << 25)
os.kill(os.getpid(), 19)'
	until [[ $(cut -d ' ' -f 3 "/proc/$PID/stat" || echo T) == T ]]; do sleep 0.1; done
}

# dies_before FILE ARGUMENT...: memz ARGUMENT..., while PID ends just before memz opens FILE for the last time. FILE is the
# name of a file in its directory, or the pid for the directory itself.
dies_before() {
	local alone=(-f -qq -e trace=openat,clone3,clone -e inject=clone3,clone:error=EAGAIN) trace=$BATS_TEST_TMPDIR/trace nth

	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer cannot run under strace
	strace "${alone[@]}" -o "$trace" "$MEMZ" "${@:2}" >"$BATS_TEST_TMPDIR/alive"
	rm -f "$BATS_TEST_TMPDIR/saved"
	nth=$(grep -a openat "$trace" | grep -an "\"$1\"" | tail -n 1)
	{ sleep 0.3; kill -KILL "$PID"; } 3>&- &
	strace "${alone[@]}" -e inject=openat:delay_enter=700000:when="${nth%%:*}" -o "$trace" "$MEMZ" "${@:2}"
	wait $!
}

@test "a process that ends before its row is complete is left out, or shown as what is left of it" {
	local small

	need strace
	start private 64
	small=$PID
	start_victim
	run -0 --separate-stderr dies_before "$PID" -q --csv -H -s rss -n 1 -c pid,state,pss,rss,vsz,vm_peak,maps,command -p "$PID,$small"
	[[ $(<"$BATS_TEST_TMPDIR/alive") == "$PID,T,"* && $output == "$small,T,"* ]]
	start_victim
	run -0 --separate-stderr dies_before stat -q --csv -H -c pid,state,vsz,rss_anon -p "$PID"
	[[ $(<"$BATS_TEST_TMPDIR/alive") == "$PID",T,*,* && $output == "$PID,Z,0," ]]
}

# dies_within FILE ARGUMENT...: memz ARGUMENT..., while PID ends between the first and the second read of FILE.
dies_within() {
	local trace=$BATS_TEST_TMPDIR/trace

	export ASAN_OPTIONS=detect_leaks=0
	rm -f "$BATS_TEST_TMPDIR/saved" "$trace"
	{ wait_for test -s "$trace"; kill -KILL "$PID"; } 3>&- &
	strace -f -qq -P "/proc/$PID/$1" -e trace=read -e inject=read:delay_enter=700000:when=2 -o "$trace" "$MEMZ" "${@:2}" || [[ $? == 1 ]]	# if it is gone
	wait $!
	grep -q DELAYED "$trace"
}

@test "of a process that ends while its mappings are read none is shown" {
	local other save shown='.mappings | any(.mapping | endswith("/bash"))'

	need strace jq
	start_program bash -c 'echo $$; exec >&-; kill -STOP $$'
	other=$PID
	for save in '' "--save $BATS_TEST_TMPDIR/saved"; do
		start_victim
		"$MEMZ" -q -m --json -p "$other,$PID" | jq -e "$shown and any(.mapping | contains(\"/python\"))"
		# shellcheck disable=SC2086
		dies_within smaps -q -m --json -p "$other,$PID" $save >"$BATS_TEST_TMPDIR/dead"
		jq -e "$shown and all(.mapping | contains(\"/python\") | not)" "$BATS_TEST_TMPDIR/dead"
	done
	"$MEMZ" -q -S "$BATS_TEST_TMPDIR/saved" -m --json | jq -e "$shown and all(.mapping | contains(\"/python\") | not)"
}

@test "a process that ends while its mappings are saved is the same when they are read" {
	local list

	need strace jq
	start private 65536		# larger than the victim, and so read before it
	list=$PID
	start_victim
	dies_before smaps -q -m --json -p "$list,$PID" | jq -e '.scan | .processes == 1 and .measured == 1 and .zombies == 1'
	start_victim
	run -0 --separate-stderr dies_before smaps -q -m --json -p "$list,$PID" --save "$BATS_TEST_TMPDIR/saved"
	jq -e '.scan | .processes == 2 and .measured == 1 and .vanished == 1 and .zombies == 0' <<<"$output"
	diff <(jq 'del(.scan.seconds)' <<<"$output") <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/saved" -m --json | jq 'del(.scan.seconds)')
}
