#!/usr/bin/env bats
# What -w finds: is memory short, and why. Small trees of 1,000,000 KiB, each with one thing wrong.
# shellcheck disable=SC2154	# run sets stderr

load helper

setup() {
	need jq
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc/net" "$TREE/proc/pressure" "$TREE/proc/sys/kernel"
	echo 6.18.0 >"$TREE/proc/sys/kernel/osrelease"
	memory
	psi 0.00
	process 10 5000 'Pss_Anon: 5000'
}

# memory [KEY KIB]...: a healthy machine's meminfo, but for these
memory() {
	declare -A figures=([MemFree]=500000 [MemAvailable]=600000 [Buffers]=10000 [Cached]=200000 [Shmem]=1000 [AnonPages]=100000
		["Active(anon)"]=50000 ["Inactive(anon)"]=51000 ["Active(file)"]=100000 ["Inactive(file)"]=109000 [SReclaimable]=50000
		[SUnreclaim]=90000 [KernelStack]=5000 [PageTables]=15000 [VmallocUsed]=20000 [Percpu]=5000 [SwapTotal]=100000 [SwapFree]=100000
		[HugePages_Total]=0 [HugePages_Free]=0 [Hugepagesize]=2048 [Hugetlb]=0)
	local key

	while (($# > 1)); do
		figures[$1]=$2
		shift 2
	done
	{
		echo 'MemTotal: 1000000 kB'
		for key in "${!figures[@]}"; do
			[[ $key == HugePages_* ]] && echo "$key: ${figures[$key]}" || echo "$key: ${figures[$key]} kB"
		done
	} >"$TREE/proc/meminfo"
}

psi() {
	printf 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=%s avg300=0.00 total=0\n' "$1" >"$TREE/proc/pressure/memory"
}

# process PID PSS [LINE]...: of the tree
process() {
	local key

	mkdir -p "$TREE/proc/$1"
	printf '%s kB\n' "Rss: $2" "Pss: $2" "${@:3}" >"$TREE/proc/$1/smaps_rollup"
	for key in Pss_Anon Pss_File Pss_Shmem Swap; do
		grep -q "^$key:" "$TREE/proc/$1/smaps_rollup" || echo "$key: 0 kB" >>"$TREE/proc/$1/smaps_rollup"
	done
	echo "$((2 * $2)) $(($2 / 4)) 1 1 0 1 0" >"$TREE/proc/$1/statm"
	echo "$1 (proc$1) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 4096000 100 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0" \
		>"$TREE/proc/$1/stat"
	printf 'Name:\tproc%s\nUid:\t0\t0\t0\t0\nVmPTE:\t100 kB\n' "$1" >"$TREE/proc/$1/status"
	echo "proc$1" >"$TREE/proc/$1/comm"
}

# finds NAME SIZE PCT HOLDER: that alone, in JSON, CSV and text
finds() {
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	[[ $(jq -r '.system.findings | map("\(.finding) \(.size) \(.pct) \(.holder)") | join(";")' <<<"$output") == "$1 $2 $3 $4" ]] ||
		{ jq -c .system.findings <<<"$output"; return 1; }
	[[ $(jq -r '.system.findings[0].next' <<<"$output") == ?* ]]
	run -0 "$MEMZ" -q -w --csv -S "$TREE"
	[[ $output == *$'\n'"findings,${1}"[,:]* ]]
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ ${lines[1]} == '! '*'; see: '* || ${lines[1]} == '! '*'see: '* ]]
	[[ ${lines[2]} != '!'* && $output != *'Memory is not short'* ]]
}

finds_nothing() {
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	[[ $(jq -c .system.findings <<<"$output") == '[]' ]] || { jq -c .system.findings <<<"$output"; return 1; }
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ ${lines[1]} == 'Memory is not short.' ]]
}

@test "a healthy machine yields no finding" {
	finds_nothing
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ ${lines[0]} == '976.6M total, 585.9M available (60 %), 390.6M used; swap 0 of 97.7M used; pressure 0.0 %' ]]
}

@test "memory is short where less than 10 % is available" {
	memory MemAvailable 100000
	finds_nothing
	memory MemAvailable 99999
	finds short 99999 10 proc10
}

@test "a large process is named while memory is short, and only then" {
	process 11 250001 'Pss_Anon: 250001'
	memory AnonPages 300000 'Active(anon)' 300000 'Inactive(anon)' 0 MemFree 300000
	finds_nothing
	memory AnonPages 300000 'Active(anon)' 300000 'Inactive(anon)' 0 MemFree 300000 MemAvailable 50000
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	[[ $(jq -r '.system.findings | map("\(.finding) \(.size) \(.pid)") | join(";")' <<<"$output") == 'short 50000 11;process 250001 11' ]]
}

@test "processes that wait for memory are found by PSI" {
	psi 5.00
	finds_nothing
	psi 5.01
	finds pressure null 5 null
}

@test "swap is nearly full above 80 %" {
	memory SwapFree 20000
	finds_nothing
	memory SwapFree 19999
	process 10 5000 'Swap: 700'
	finds swap 80001 80 proc10
}

@test "OOM kills since boot are found" {
	echo 'oom_kill 0' >"$TREE/proc/vmstat"
	finds_nothing
	echo 'oom_kill 3' >"$TREE/proc/vmstat"
	finds oom_kills null null null
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ ${lines[1]} == *'3 processes killed'* ]]
}

@test "shared memory in no process is found above 5 %" {
	process 10 90000 'Pss_Shmem: 40000' 'Pss_Anon: 50000'
	memory Shmem 90000 'Active(anon)' 100000 'Inactive(anon)' 90000 Cached 289000
	finds_nothing
	memory Shmem 90001 'Active(anon)' 100000 'Inactive(anon)' 90001 Cached 289001
	mkdir -p "$TREE/proc/sysvipc"
	printf 'key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n 0 7 1600 1 812 9 0 0 0 0 0 0 0 0 20480000 0\n' >"$TREE/proc/sysvipc/shm"
	finds shmem 50001 5 'shmid 7'
}

@test "unreclaimable slab is found above 10 %, with its cache" {
	memory SUnreclaim 100000 MemFree 470000
	finds_nothing
	memory SUnreclaim 120000 MemFree 470000
	printf 'kmalloc-64 1 1 64 64 1 : tunables 0 0 0 : slabdata 20000 20000 0\n' >"$TREE/proc/slabinfo"
	finds slab_unreclaimable 120000 12 kmalloc-64
}

@test "page tables are found above 2 %, with their process" {
	memory PageTables 20000
	finds_nothing
	memory PageTables 25000
	finds page_tables 25000 2.5 proc10
}

@test "huge pages that nobody uses are found above 5 %" {
	memory HugePages_Total 40 HugePages_Free 24 Hugetlb 81920 MemFree 420000
	finds_nothing
	memory HugePages_Total 40 HugePages_Free 25 Hugetlb 81920 MemFree 420000
	finds huge_pages_unused 51200 5.1 null
}

@test "anonymous memory that nobody maps is found above 5 %" {
	memory 'Active(anon)' 100001 'Inactive(anon)' 51000 MemFree 450000
	finds anon_unmapped 50001 5 null
}

@test "page cache that cannot be reclaimed is found above 5 %" {
	memory 'Active(file)' 50000 'Inactive(file)' 109000
	finds_nothing
	memory 'Active(file)' 49999 'Inactive(file)' 109000
	finds pinned_cache 50001 5 null
}

@test "vmalloc and kernel memory without a counter are found above 5 %" {
	memory VmallocUsed 60001 MemFree 450000
	finds vmalloc 55001 5.5 null
	memory MemFree 450000
	printf 'TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 10000\n' >"$TREE/proc/net/sockstat"
	finds kernel_other 60000 6 'TCP buffers'
}

@test "a control group near its limit is found above 90 %" {
	mkdir -p "$TREE/proc/self" "$TREE/sys/fs/cgroup/web.service"
	echo '35 31 0:32 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	echo '0::/web.service' >"$TREE/proc/10/cgroup"
	echo 92160000 >"$TREE/sys/fs/cgroup/web.service/memory.current"
	echo 102400000 >"$TREE/sys/fs/cgroup/web.service/memory.max"
	finds_nothing
	echo 93184000 >"$TREE/sys/fs/cgroup/web.service/memory.current"
	finds cgroup_limit 91000 91 /web.service
	echo max >"$TREE/sys/fs/cgroup/web.service/memory.max"
	finds_nothing
}

# cgroup_holders: AREA GROUP KIB of the control groups that hold memory of areas
cgroup_holders() {
	"$MEMZ" -q -w -A --json -S "$TREE" | jq -r '.system.holders[] | select(.kind == "cgroup") | "\(.area) \(.holder) \(.size)"'
}

@test "a control group that holds kernel memory and cache is named by memory.stat" {
	mkdir -p "$TREE/proc/self" "$TREE/sys/fs/cgroup/web.service" "$TREE/sys/fs/cgroup/memory/web.service/worker"
	memory MemFree 450000
	echo '0::/web.service' >"$TREE/proc/10/cgroup"
	echo '35 31 0:32 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	printf '%s\n' 'anon 1024000' 'file 20480000' 'kernel 81920000' 'kernel_stack 1024000' 'pagetables 2048000' 'sec_pagetables 0' 'percpu 0' 'sock 4096' \
		'vmalloc 0' 'shmem 10240000' 'inactive_anon 40960000' 'active_anon 20480000' 'slab 8192000' 'slab_unreclaimable 4096000' \
		>"$TREE/sys/fs/cgroup/web.service/memory.stat"
	[[ $(cgroup_holders) == \
		$'anon_unmapped /web.service 49000\nfile_cache /web.service 10000\nslab_unreclaimable /web.service 4000\nkernel_other /web.service 69000' ]]
	echo '5:memory:/web.service' >"$TREE/proc/10/cgroup"
	echo '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory' >"$TREE/proc/self/mountinfo"
	printf '%s\n' 'cache 20480000' 'rss 1024000' 'shmem 10240000' 'inactive_anon 40960000' 'active_anon 20480000' 'total_cache 30720000' \
		'total_shmem 10240000' >"$TREE/sys/fs/cgroup/memory/web.service/memory.stat"
	printf '%s\n' 'cache 10240000' 'shmem 0' >"$TREE/sys/fs/cgroup/memory/web.service/worker/memory.stat"
	[[ $(cgroup_holders) == \
		$'anon_unmapped /web.service 49000\nfile_cache /web.service 10000\nfile_cache /web.service/worker 10000' ]]
}

@test "a control group without processes holds memory, and one above others what is charged to no group below" {
	group() {
		mkdir -p "$TREE/sys/fs/cgroup/$1"
		echo $(($2 * 1024)) >"$TREE/sys/fs/cgroup/$1/memory.current"
		printf 'anon 0\nfile %s\nshmem 0\nkernel 0\nactive_anon 0\ninactive_anon 0\n' $(($2 * 1024)) >"$TREE/sys/fs/cgroup/$1/memory.stat"
		printf 'oom_kill %s\n' "${3:-0}" >"$TREE/sys/fs/cgroup/$1/memory.events"
	}
	mkdir -p "$TREE/proc/self"
	echo '35 31 0:32 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	memory MemFree 450000
	group . 9000
	rm "$TREE/sys/fs/cgroup/memory.current"		# as in the root of the machine, whose memory.stat is that of all
	group app.slice 8000 7
	group app.slice/left.service 5000 1
	group app.slice/web.service 2000 2
	[[ $(cgroup_holders) == $'file_cache /app.slice/left.service 5000\nfile_cache /app.slice/web.service 2000\nfile_cache /app.slice 1000' ]]
	echo 'oom_kill 7' >"$TREE/proc/vmstat"
	"$MEMZ" -q -w --json -S "$TREE" | jq -e '[.system.findings[] | select(.finding == "oom_kills").holder] == ["/app.slice"]'		# 4 in groups that are gone
	echo $((8000 * 1024)) >"$TREE/sys/fs/cgroup/app.slice/memory.max"
	"$MEMZ" -q -w --json -S "$TREE" | jq -e '[.system.findings[] | select(.finding == "cgroup_limit") | .holder, .size] == ["/app.slice", 8000]'
}

@test "counters that contradict each other are found" {
	memory MemAvailable 1000001
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	[[ $(jq -r '.system.findings | map(.finding) | join(" ")' <<<"$output") == contradiction ]]
}

@test "a machine that is short says so first, and text names three things at most" {
	memory MemAvailable 5000 SUnreclaim 200000 PageTables 60000 MemFree 300000 SwapFree 0
	psi 30.00
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	[[ $(jq -r '.system.findings | map(.finding) | join(" ")' <<<"$output") == 'short pressure slab_unreclaimable swap page_tables'* ]]
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ ${lines[1]} == '! memory is short, available: 4.9M (0.5 %); '* && ${lines[2]} == '! processes wait'* && ${lines[3]} == '! slab '* &&
		${lines[4]} == 'and '*' more: '* ]]
}

@test "in a container that sees the host's kernel, kernel memory is no finding" {
	memory SUnreclaim 900000
	finds_nothing
}

@test "alerts take areas by name, percentages of them, and OOM kills" {
	printf 'oom_kill 3\n' >"$TREE/proc/vmstat"
	memory SUnreclaim 120000 MemFree 410000
	for alert in 'slab_unreclaimable>10%' 'slab_unreclaimable=120000' 'oom_kill>0' 'oom_kill=3' 'kernel_other>5%' 'file_cache=199000' 'free>400M'; do
		for view in '-n 0' '-w --csv -H'; do
			# shellcheck disable=SC2086
			run -3 --separate-stderr "$MEMZ" -q $view -S "$TREE" --alert "$alert"
			[[ $stderr == "memz: alert: $alert: "* ]]
		done
	done
	[[ $stderr == *'(41.0 %)' ]]
	for alert in 'slab_unreclaimable>12%' 'oom_kill>3' 'page_tables>2%' 'vmalloc>5%'; do
		run -0 --separate-stderr "$MEMZ" -q -n 0 -S "$TREE" --alert "$alert"
		[[ -z $stderr ]]
	done
	for alert in 'gpu>1G' 'zram>1G' 'free_pcp>1G'; do
		run -1 --separate-stderr "$MEMZ" -q -n 0 -S "$TREE" --alert "$alert"
		[[ $stderr == "memz: --alert '$alert': "* ]]
	done
	run -2 "$MEMZ" -n 0 -S "$TREE" --alert 'oom_kill>5M'
	run -2 "$MEMZ" -n 0 -S "$TREE" --alert 'kernel_othre>5%'
	run -3 "$MEMZ" -q -w -H -S "$TREE" --alert 'anonymous=100000'		# of the machine
	run -3 "$MEMZ" -q -n 0 -S "$TREE" --alert 'anonymous>=0' -c pid	|| true	# of processes
}

@test "-w --csv takes time and host before each record, and no other column" {
	printf 'cpu 1\nbtime 1700000000\n' >"$TREE/proc/stat"
	echo '1000.00 5' >"$TREE/proc/uptime"
	echo 'a,b' >"$TREE/proc/sys/kernel/hostname"
	run -0 "$MEMZ" -q -w --csv -c time,host -S "$TREE"
	[[ ${lines[0]} == 'time,host,section,name,value,unit' && ${lines[1]} == '2023-11-14T22:30:00Z,"a,b",areas,anonymous,100000,KiB' ]]
	run -0 "$MEMZ" -q -w --csv -H -c host -S "$TREE"
	[[ ${lines[0]} == '"a,b",areas,anonymous,100000,KiB' ]]
	for refused in '--csv -c pid' '--csv -c time,pss' '-c time' '--json -c time' '--csv -c bar'; do
		# shellcheck disable=SC2086
		run -2 "$MEMZ" -w $refused -S "$TREE"
	done
}

@test "-w -A has every area and section, and the same figures" {
	mkdir -p "$TREE/proc/2"
	echo '2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 2 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0 0 0' >"$TREE/proc/2/stat"
	echo '0 0 0 0 0 0 0' >"$TREE/proc/2/statm"
	run -0 "$MEMZ" -q -w --json -S "$TREE"
	areas=$(jq -c '.system.areas' <<<"$output")
	[[ $(jq '.[0].processes' <<<"$areas") == 5000 ]]
	run -0 "$MEMZ" -q -w -A --json -S "$TREE"
	[[ $(jq -c '.system.areas' <<<"$output") == "$areas" && $(jq .scan.kernel_threads <<<"$output") == 1 ]]
	run -0 "$MEMZ" -q -w -A -S "$TREE"
	[[ $output == *$'\ngpu_reclaim '* && $output == *$'\npressure '* && $output == *$'\nsharing '* ]]
	run -0 "$MEMZ" -q -w -S "$TREE"
	[[ $output != *gpu_reclaim* && $output != *$'\npressure '* ]]
	((${#lines[@]} <= 22))
}
