#!/usr/bin/env bats
# Figures of the machine that were wrong on machines of others: small trees with the lines that were reported.
# shellcheck disable=SC2154	# run sets stderr

load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc/sys/kernel"
}

# meminfo KEY KIB...: the tree's /proc/meminfo
meminfo() {
	printf '%s: %s kB\n' "$@" >"$TREE/proc/meminfo"
}

# process PID STAT_START ROLLUP_LINE...: a process of the tree
process() {
	mkdir -p "$TREE/proc/$1"
	printf '%s (sleep) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 %s 4096000 1000 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n' \
		"$1" "$2" >"$TREE/proc/$1/stat"
	echo '1000 500 100 1 0 200 0' >"$TREE/proc/$1/statm"
	printf 'Name:\tsleep\nUid:\t0\t0\t0\t0\nVmRSS:\t2000 kB\nRssAnon:\t1600 kB\nRssFile:\t400 kB\nRssShmem:\t0 kB\n' >"$TREE/proc/$1/status"
	((${#@} < 3)) || printf '%s\n' "${@:3}" >"$TREE/proc/$1/smaps_rollup"
}

# value SECTION,NAME [ARG...]: of -w, in CSV
value() {
	"$MEMZ" -q -w --csv -S "$TREE" "${@:2}" | sed -n "s/^$1,\([^,]*\),.*/\1/p"
}

# unknown FIGURE PART WHOLE: an alert on the figure is an error, and -w and JSON name the two that contradict each other
unknown() {
	run -1 --separate-stderr "$MEMZ" -n 0 -S "$TREE" --alert "$1>=0"
	[[ $stderr == "memz: --alert '$1>=0'"* ]]
	run -0 --separate-stderr "$MEMZ" -w -S "$TREE"
	[[ $stderr == *"memz: $2 is above $3"*"$1 is unknown"* ]]
	run -0 --separate-stderr "$MEMZ" --json -S "$TREE"
	[[ $output == *"\"$1\":null"* && $stderr == *"$2 is above $3"* ]]
	run -0 --separate-stderr "$MEMZ" -q -w -S "$TREE"
	[[ -z $stderr ]]
}

@test "memory in use is unknown where MemAvailable is above MemTotal" {
	meminfo MemTotal 1552884 MemFree 130000 MemAvailable 23600748 SwapTotal 8 SwapFree 4
	unknown mem_used mem_available mem_total
	[[ -z $(value pressure,level) && -z $(value pressure,used_pct) && $(value swap,used) == 4 ]]
	meminfo MemTotal 1000 MemFree 100 MemAvailable 1000 SwapTotal 4 SwapFree 4
	[[ $(value pressure,level) == low && $(value pressure,used_pct) == 0.0 && $(value swap,used) == 0 ]]
}

@test "swap in use is unknown where SwapFree is above SwapTotal" {
	meminfo MemTotal 16647124 MemFree 5969580 MemAvailable 6000000 SwapTotal 0 SwapFree 18014396678257232
	unknown swap_used swap_free swap_total
	[[ -z $(value swap,used) && $(value pressure,used_pct) == 64.0 ]]
}

@test "page cache is unknown where Shmem is above Cached, and the areas still add up" {
	meminfo MemTotal 8388608 MemFree 7000000 MemAvailable 7012000 Cached 14336 Shmem 978944 Buffers 0
	run -0 --separate-stderr "$MEMZ" -w --csv -S "$TREE"
	[[ $stderr == 'memz: shmem is above cached'*'file_cache is unknown' ]]
	[[ -z $(value areas,file_cache) && $(value areas,kernel_other) == $((8388608 - 7000000 - 978944)) ]]
	run -0 --separate-stderr "$MEMZ" -S "$TREE"
	[[ -z $stderr ]]		# nothing of it is printed
}

@test "a node's used memory is unknown where its MemFree is above its MemTotal" {
	meminfo MemTotal 1000 MemFree 100 MemAvailable 200
	mkdir -p "$TREE/sys/devices/system/node/node0"
	printf 'Node 0 %s kB\n' 'MemTotal: 1000' 'MemFree: 1001' >"$TREE/sys/devices/system/node/node0/meminfo"
	[[ -z $(value nodes,node0_used) ]]
	run -0 --separate-stderr "$MEMZ" -w -S "$TREE"
	[[ $stderr == *'node 0: mem_free is above mem_total'* ]]
}

@test "sharing is unknown where the sum of PSS is above that of RSS" {
	meminfo MemTotal 100000 MemFree 100
	process 5 100 'Rss: 1000 kB' 'Pss: 1001 kB'
	[[ -z $(value sharing,sharing_pct) ]]
	process 5 100 'Rss: 1000 kB' 'Pss: 900 kB'
	[[ $(value sharing,sharing_pct) == 10.0 ]]
}

# reclaim SECONDS LINE...: the tree SECONDS after boot, with that vmstat
reclaim() {
	TREE=$BATS_TEST_TMPDIR/tree$1
	mkdir -p "$TREE/proc"
	meminfo MemTotal 1000 MemFree 100
	printf 'cpu 1\nbtime 1700000000\n' >"$TREE/proc/stat"
	echo "$1 5.00" >"$TREE/proc/uptime"
	printf '%s\n' "${@:2}" >"$TREE/proc/vmstat"
}

# rate NAME: between the tree of 100.25 s and that of 102.75 s
rate() {
	TREE=$BATS_TEST_TMPDIR/tree102.75 value "rates,$1" --since "$BATS_TEST_TMPDIR/tree100.25"
}

@test "reclaim counts that at cgroup limits, and before 5.8 what each reclaimer took" {
	reclaim 100.25 'pgsteal_kswapd 5' 'pgsteal_direct 0' 'pgsteal_anon 100' 'pgsteal_file 1000' 'pgfault 100' 'pgmajfault 50'
	reclaim 102.75 'pgsteal_kswapd 5' 'pgsteal_direct 0' 'pgsteal_anon 200' 'pgsteal_file 3400' 'pgfault 350' 'pgmajfault 49'
	[[ $(rate reclaimed) == 1000.0 ]]
	[[ $(rate faults) == 100.0 ]]		# the fraction of uptime counts
	[[ -z $(rate major_faults) ]]		# a counter since boot does not fall
	reclaim 100.25 'pgsteal_kswapd 5' 'pgsteal_direct 10' 'pgsteal_khugepaged 20' 'pgsteal_proactive 30'
	reclaim 102.75 'pgsteal_kswapd 15' 'pgsteal_direct 35' 'pgsteal_khugepaged 70' 'pgsteal_proactive 70'
	[[ $(rate reclaimed) == 50.0 ]]
	reclaim 100.25 'pgsteal_kswapd_dma 1' 'pgsteal_kswapd_normal 10' 'pgsteal_direct_normal 2'
	reclaim 102.75 'pgsteal_kswapd_dma 2' 'pgsteal_kswapd_normal 30' 'pgsteal_direct_normal 6'
	[[ $(rate reclaimed) == 10.0 ]]
	reclaim 100.25 'pgsteal_dma 1' 'pgsteal_dma32 1' 'pgsteal_normal 10' 'pgsteal_movable 0'
	reclaim 102.75 'pgsteal_dma 2' 'pgsteal_dma32 5' 'pgsteal_normal 30' 'pgsteal_movable 0'
	[[ $(rate reclaimed) == 10.0 ]]
}

# zram N [FILE CONTENT]...: that device of the tree
zram() {
	local directory=$TREE/sys/block/zram$1

	mkdir -p "$directory"
	shift
	while (($# > 1)); do
		echo "$2" >"$directory/$1"
		shift 2
	done
}

@test "zram before 4.1 is read from files of its own" {
	meminfo MemTotal 100000 MemFree 100
	zram 0 orig_data_size 8192000 compr_data_size 1024000 mem_used_total 2048000
	zram 1 mm_stat '4096000 100 1024000 0 0 0 0'
	zram 2
	: >"$TREE/sys/block/zram2/mm_stat"		# not set up
	[[ $(value areas,zram) == 3000 && $(value swap,zram_data) == 12000 ]]
}

@test "a zram device that cannot be read is unknown, in a report and in its archive" {
	meminfo MemTotal 100000 MemFree 100
	process 5 100 'Rss: 1000 kB' 'Pss: 900 kB'
	zram 0 mm_stat '4096000 100 1024000 0 0 0 0'
	[[ $(value areas,zram) == 1000 ]]
	zram 1
	for what in missing refused; do
		[[ $what == missing ]] || { zram 1 mm_stat 1; : >"$TREE/sys/block/zram1/mm_stat"; chmod 0 "$TREE/sys/block/zram1/mm_stat"; }
		[[ -z $(value areas,zram) && -z $(value swap,zram_data) ]]
		"$MEMZ" -q -w --csv -S "$TREE" --save "$BATS_TEST_TMPDIR/$what.tar" >"$BATS_TEST_TMPDIR/csv"
		"$MEMZ" -q -w --csv -S "$BATS_TEST_TMPDIR/$what.tar" | diff "$BATS_TEST_TMPDIR/csv" -
	done
}

# fragmentation HUGEPAGESIZE [HPAGE_PMD_SIZE]: unusable_pct of a zone of 4 MiB in pages and 4 MiB in blocks of 2 MiB
fragmentation() {
	meminfo MemTotal 100000 MemFree 8192 Hugepagesize "$1"
	echo 'Node 0, zone Normal 1024 0 0 0 0 0 0 0 0 2 0' >"$TREE/proc/buddyinfo"
	rm -rf "$TREE/sys"
	mkdir -p "$TREE/sys/kernel/mm/transparent_hugepage"
	[[ ! ${2-} ]] || echo "$2" >"$TREE/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
	value fragmentation,node0_Normal_unusable_pct
}

@test "unusable_pct is about transparent huge pages, not about the default of hugetlb" {
	[[ $(fragmentation 2048) == 50.0 ]]
	[[ $(fragmentation 1048576) == 50.0 ]]
	[[ $(fragmentation 1048576 2097152) == 50.0 ]]
	[[ $(fragmentation 2048 4194304) == 100.0 ]]
}

@test "free blocks beyond 64 bits are unknown" {
	meminfo MemTotal 100000 MemFree 8192 Hugepagesize 2048
	for n in 9223372036854775807 2305843009213693952 18446744073709551615; do
		echo "Node 0, zone Normal $n 0 0 0 0 0 0 0 0 1 $n" >"$TREE/proc/buddyinfo"
		[[ -z $(value fragmentation,node0_Normal_order10) && -z $(value fragmentation,node0_Normal_free) ]]
	done
}

@test "a start after the time of the scan is unknown, as under lxcfs" {
	meminfo MemTotal 100000 MemFree 100
	printf 'cpu 1\nbtime 1700000000\n' >"$TREE/proc/stat"
	echo '1000.25 5.00' >"$TREE/proc/uptime"
	process 5 99000
	process 6 900000
	run -0 "$MEMZ" -q -H -c pid,start -s pid -S "$TREE"
	[[ $output == $'  5 2023-11-14T22:29:50Z\n  6 -' || $output == $'5 2023-11-14T22:29:50Z\n6 -' ]]
	for btime in 9223372036854775800 9223372036854775807 18446744073709551615 253402300800; do
		printf 'cpu 1\nbtime %s\n' "$btime" >"$TREE/proc/stat"
		[[ $("$MEMZ" -q -H --csv -c pid,start -s pid -S "$TREE" | head -1) == 5, ]]
	done
}

@test "unmeasured is not more than what is left of the area" {
	meminfo MemTotal 100000 MemFree 100 AnonPages 2000 Cached 1000 Shmem 0
	process 5 100 'Rss: 1500 kB' 'Pss: 1500 kB' 'Pss_Anon: 1500 kB' 'Pss_File: 0 kB' 'Pss_Shmem: 0 kB'
	process 6 100
	[[ $(value areas,anonymous_processes) == 1500 && $(value areas,anonymous_unmeasured) == 500 && $(value areas,anonymous_elsewhere) == 0 ]]
	[[ $(value areas,file_cache_unmeasured) == 400 && $(value areas,file_cache_elsewhere) == 600 ]]
}

@test "below 6.16 the bound of statm allows for both ways in which it may fall short" {
	meminfo MemTotal 100000000 MemFree 100
	printf 'cpu 1\ncpu0 1\nbtime 1700000000\n' >"$TREE/proc/stat"
	process 5 100 'Rss: 5500 kB' 'Pss: 5500 kB'	# statm says 2000: less than it by 3500, one thread's 1040 pages and 96 of a CPU
	for release in 5.14.0-vendor 6.6.1; do
		echo "$release" >"$TREE/proc/sys/kernel/osrelease"
		[[ $("$MEMZ" -q -H -c pss -f 'pss>5400' -S "$TREE" -k | tr -d ' ') == 5500 ]]
	done
	echo 'unheard-of' >"$TREE/proc/sys/kernel/osrelease"
	[[ $("$MEMZ" -q -H -c pss -f 'pss>5400' -S "$TREE" -k | tr -d ' ') == 5500 ]]
	echo 6.16.0 >"$TREE/proc/sys/kernel/osrelease"
	[[ -z $("$MEMZ" -q -H -c pss -f 'pss>5400' -S "$TREE" -k) ]]
}

@test "a figure that no kernel has is a usage error" {
	for figure in direct_map2_m direct_map4_m direct_map1_g mem_avail; do
		run -2 "$MEMZ" --alert "$figure>1"
	done
}
