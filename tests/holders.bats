#!/usr/bin/env bats
# Who holds memory (-w): of this machine, with memory made for the test, and of small trees.
# shellcheck disable=SC2154	# run sets stderr

load helper

SIZE=262144	# KiB

# Areas and holders, with -A: all of them are searched.
state() {
	"$MEMZ" -q -w -A --json
}

# held AREA KIND HOLDER COMMAND...: the command makes 256 MiB of that area, and the holder that matches has it. PID, if set, is
# the holder's. No other area grows by more than 40 MiB.
held() {
	need jq python3
	need_root
	(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) > 2 << 20)) || skip 'needs 2 GiB of memory'
	measure held_once "$@"
}

held_once() {
	local before after

	${PREPARE-}
	before=$(state)
	PID=
	"${@:4}" || return
	after=$(state)
	clean_up
	python "$before" "$after" "$1" "$2" "$3" "${PID:-0}" "$SIZE" "${TOLERANCE:-0.06}" "${ALSO-}" <<'PY'
before, after = (json.loads(text)["system"] for text in sys.argv[1:3])
area, kind, name, pid, size = *sys.argv[3:6], int(sys.argv[6]), int(sys.argv[7])
totals = [{row["area"]: row["total"] or 0 for row in state["areas"]} for state in (before, after)]
growth = {key: totals[1][key] - totals[0][key] for key in totals[0]}
def has(state):
    return sum(h["size"] for h in state["holders"] if h["area"] == area and h["kind"] == kind and re.fullmatch(name, h["holder"])
        and h["pid"] in (None, pid))
held = has(after) - has(before)
print(growth, held, [h for h in after["holders"] if h["area"] == area])
assert abs(growth.pop(area) - size) <= size * float(sys.argv[8])
assert kind == "none" or abs(held - size) <= size * 0.06, held
growth.pop(sys.argv[9], None)
growth["free"] += growth.pop("free_pcp")		# pages move between them
assert all(n <= 40960 for n in growth.values())
PY
}

@test "a memfd that nobody maps is shmem of the process that has it open" {
	held shmem memfd memfd:memz-memfd start memfd $SIZE
}

@test "a file of a tmpfs without a name is shmem of the process that has it open" {
	[[ $(stat -f -c %T /dev/shm) == tmpfs ]] || skip 'needs a tmpfs at /dev/shm'
	held shmem deleted '/dev/shm/memz-unlinked-.*' start unlinked $SIZE
}

tmpfs_file() {
	local directory=$BATS_TEST_TMPDIR/mount

	mkdir -p "$directory"
	mount -t tmpfs memz-test "$directory" || skip 'needs mount'
	at_end umount "$directory"
	head -c "${SIZE}K" /dev/zero >"$directory/file"
}

@test "a file in a tmpfs is shmem of its mount" {
	held shmem tmpfs '.*/mount' tmpfs_file
}

sysv_segment() {
	need ipcrm
	start sysv $SIZE
	SEGMENT=$(awk -v pid="$PID" '$5 == pid { print $2 }' /proc/sysvipc/shm)
	at_end ipcrm -m "$SEGMENT"
}

@test "a SysV segment that nobody has attached is shmem of its own" {
	held shmem sysv 'shmid [0-9]+' sysv_segment
}

@test "huge pages that were given back but for a page are anonymous memory that nobody maps" {
	[[ -e /sys/kernel/mm/transparent_hugepage/enabled && $(</sys/kernel/mm/transparent_hugepage/enabled) != *'[never]'* ]] || skip 'needs transparent huge pages'
	TOLERANCE=0.12 held anon_unmapped cgroup '.*' start split $SIZE	# the area is a lower bound: locked memory is on another list
}

ramfs_file() {
	local directory=$BATS_TEST_TMPDIR/ramfs

	mkdir -p "$directory"
	mount -t ramfs memz-test "$directory" || skip 'needs mount'
	at_end umount "$directory"
	head -c "${SIZE}K" /dev/zero >"$directory/file"
}

# pinned COMMAND...: it makes 256 MiB of page cache that cannot be reclaimed
pinned() {
	need jq
	need_root
	measure pinned_once "$@"
}

pinned_once() {
	local query='[.system.areas[] | select(.area == "file_cache" or .area == "buffers") | .total - .reclaimable] | add' before after

	before=$(state | jq "$query")
	"$@" || return
	after=$(state | jq "$query")
	clean_up
	echo "$before $after"
	((after - before > SIZE * 94 / 100 && after - before < SIZE * 106 / 100))
}

@test "a file in a ramfs is page cache that cannot be reclaimed" {
	held file_cache none none ramfs_file
	pinned ramfs_file
}

@test "secret memory is page cache that cannot be reclaimed" {
	start secret 4 || skip 'needs memfd_secret'
	held file_cache process load start secret $SIZE
	pinned start secret $SIZE
}

@test "a locked file is page cache that cannot be reclaimed" {
	[[ $(stat -f -c %T /var/tmp) != tmpfs ]] || skip 'needs a disk at /var/tmp'
	export TMPDIR=/var/tmp
	held file_cache process load start lockedfile $SIZE
	pinned start lockedfile $SIZE
}

@test "bytes in TCP buffers are kernel memory that sockets hold" {
	held kernel_other sockets 'TCP buffers' start tcp $SIZE
}

@test "bytes in pipes are kernel memory" {
	held kernel_other none none start pipes $SIZE
}

@test "page tables are those of the process" {
	held page_tables process load start tables $SIZE
}

@test "open files are a slab cache" {
	need_root
	local object

	object=$(awk '$1 == "filp" { print $4 }' /proc/slabinfo)
	[[ $object ]] || skip 'needs slabinfo'
	SIZE=$((object << 10))		# 16,384 files in each of 64 processes; security modules add to the area
	# whoever lists /proc/PID/fd makes an inode for each descriptor
	ALSO=slab_reclaimable TOLERANCE=0.5 held slab_unreclaimable slab filp start files 4096 64
}

pool() {
	local huge pages

	huge=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
	[[ $huge ]] || skip 'needs a kernel with hugetlb'
	pages=$(($(</proc/sys/vm/nr_hugepages) + SIZE / huge))
	set_kernel /proc/sys/vm/nr_hugepages "$pages"
	(($(</proc/sys/vm/nr_hugepages) == pages)) || skip 'needs 256 MiB in huge pages'
}

@test "huge pages that nobody uses are unused" {
	held huge_pages pool unused pool
}

@test "a BPF map is what its allocator holds of vmalloc" {
	start bpf 4 || skip 'needs bpf'
	held vmalloc caller 'array_map_alloc.*|bpf_.*|__bpf_.*' start bpf $SIZE
}

kernel_other_stays_small() {
	local i

	for ((i = 0; i < 20; i++)); do
		"$MEMZ" -q -w --json
	done | jq -se '[.[].system.areas[] | select(.area == "kernel_other")] |
		(map(.total) | max - min < 24 * 1024) and (map(.pct) | all(. < 0.25))'
}

@test "on an idle machine hardly any kernel memory is unexplained, and always the same" {
	need jq
	measure kernel_other_stays_small
}

@test "the links of 10,000 descriptors are read" {
	need_root
	start files 2560
	start memfd 4
	run -0 --separate-stderr "$MEMZ" -w -A -v
	[[ $stderr =~ ' '([0-9]+)' descriptors, '[0-9]+' control groups; seconds '([0-9.]+) && ${BASH_REMATCH[1]} -ge 10000 ]] || { echo "$stderr"; false; }
	[[ ! ${LONG-} ]] || echo "# ${BASH_REMATCH[1]} descriptors: ${BASH_REMATCH[2]} s" >&3
}

# Small trees

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc/net" "$TREE/proc/sysvipc"
}

# meminfo KEY KIB...: the tree's /proc/meminfo, of 1,000,000 KiB
meminfo() {
	printf '%s: %s kB\n' MemTotal 1000000 MemFree 500000 MemAvailable 600000 "$@" >"$TREE/proc/meminfo"
}

# holders AREA [ARG...]: "NAME KIND SIZE PID", one a line
holders() {
	"$MEMZ" -q -w --json -S "$TREE" "${@:2}" | jq -r --arg area "$1" '.system.holders[] | select(.area == $area) | "\(.holder) \(.kind) \(.size) \(.pid)"'
}

@test "slab caches are told apart by reclaim_account, else by their names" {
	need jq
	meminfo SReclaimable 100000 SUnreclaim 100000
	cat >"$TREE/proc/slabinfo" <<-'END'
	slabinfo - version: 2.1
	# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
	kmalloc-64         640000 640000     64   64    1 : tunables    0    0    0 : slabdata   9000  10000      0
	dentry             210000 210000    192   21    1 : tunables    0    0    0 : slabdata  10000   8000      0
	ext4_inode_cache   1 1   1000   30    8 : tunables    0    0    0 : slabdata   1000   1000      0
	my_inode_cache     1 1   1000   30    8 : tunables    0    0    0 : slabdata   500   500      0
	filp               1 1    256   16    1 : tunables    0    0    0 : slabdata    3      3      0
	tiny               1 1    256   16    1 : tunables    0    0    0 : slabdata    1      1      0
	END
	mkdir -p "$TREE/sys/kernel/slab/my_inode_cache"
	echo 0 >"$TREE/sys/kernel/slab/my_inode_cache/reclaim_account"
	[[ $(holders slab_unreclaimable) == $'kmalloc-64 slab 40000 null\nmy_inode_cache slab 16000 null\nfilp slab 12 null' ]]
	[[ $(holders slab_reclaimable) == $'dentry slab 32000 null\next4_inode_cache slab 32000 null' ]]
}

@test "files are read only for areas of at least 1 % of the memory, with -A and --save for all" {
	need jq
	printf 'kmalloc-64 1 1 64 64 1 : tunables 0 0 0 : slabdata 10 10 0\n' >"$TREE/proc/slabinfo"
	meminfo SUnreclaim 9999 SReclaimable 0
	[[ -z $(holders slab_unreclaimable) ]]
	[[ $(holders slab_unreclaimable -A) == 'kmalloc-64 slab 40 null' ]]
	run -0 --separate-stderr "$MEMZ" -w -v -S "$TREE"
	[[ $stderr != *slabinfo* ]]
	"$MEMZ" -q -w -S "$TREE" --save "$BATS_TEST_TMPDIR/a.tar" >/dev/null
	tar -tf "$BATS_TEST_TMPDIR/a.tar" | grep -qx 'proc/slabinfo'
	meminfo SUnreclaim 10000 SReclaimable 0
	[[ $(holders slab_unreclaimable) == 'kmalloc-64 slab 40 null' ]]
	run -0 --separate-stderr "$MEMZ" -w -v -S "$TREE"
	[[ $stderr == *slabinfo* ]]
}

@test "vmalloc is held by those who called it, without kernel stacks and mappings of devices" {
	need jq
	meminfo VmallocUsed 100000 KernelStack 20000
	cat >"$TREE/proc/vmallocinfo" <<-'END'
	0x1-0x2   20480 kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4
	0x1-0x2   40964096 array_map_alloc+0x1/0x2 pages=10000 vmalloc vpages N0=10000
	0x1-0x2   4100000 array_map_alloc+0x9/0x2 [mod] pages=1000 vmalloc N0=1000
	0x1-0x2   4100000 load_module+0x9/0x2 pages=500 vmalloc N0=1000
	0x1-0x2   8192 acpi_os_map_iomem+0x1bc/0x1e0 phys=0x00000000000a0000 ioremap
	0x1-0x2   400000000 fb+0xca/0x100 pages=100000 vmap
	END
	[[ $(holders vmalloc) == $'array_map_alloc caller 44000 null\nload_module caller 2000 null' ]]
	[[ $("$MEMZ" -q -w --csv -S "$TREE" | sed -n 's/^areas,vmalloc,\(.*\),KiB/\1/p') == 80000 ]]
	meminfo VmallocUsed 0 KernelStack 20000		# 4.4 to 5.2 do not count
	[[ -z $("$MEMZ" -q -w --csv -S "$TREE" | sed -n 's/^areas,vmalloc,\(.*\),KiB/\1/p') ]]
	meminfo VmallocUsed 100 KernelStack 20000
	[[ $("$MEMZ" -q -w --csv -S "$TREE" | sed -n 's/^areas,vmalloc,\(.*\),KiB/\1/p') == 0 ]]
}

@test "sockets, ZFS, the balloon, pinned pages and allocation sites hold kernel memory" {
	need jq
	meminfo Balloon 3000
	printf 'sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1000\nUDP: inuse 3 mem 250\nFRAG: inuse 0 memory 0\n' >"$TREE/proc/net/sockstat"
	[[ $(holders kernel_other) == $'TCP buffers sockets 4000 null\nballoon of the hypervisor balloon 3000 null\nUDP buffers sockets 1000 null' ]]
	mkdir -p "$TREE/proc/spl/kstat/zfs"
	printf '13 1 0x01 123 33456 1 2\nname                            type data\nhits                            4    5\nsize                            4    204800000\n' \
		>"$TREE/proc/spl/kstat/zfs/arcstats"
	printf 'nr_foll_pin_acquired 5000\nnr_foll_pin_released 3000\n' >"$TREE/proc/vmstat"
	[[ $(holders kernel_other) == $'ZFS ARC zfs 200000 null\npinned pages pinned 8000 null\nTCP buffers sockets 4000 null' ]]
	printf 'allocinfo - version: 1.0\n 90000000 10 drivers/gpu/x.c:10 func:a\n 900000000 9 mm/memory.c:5 func:b\n 20000000 3 fs/pipe.c:3 [mod] func:c\n' >"$TREE/proc/allocinfo"
	[[ $(holders kernel_other) == $'ZFS ARC zfs 200000 null\ndrivers/gpu/x.c:10 allocation 87890 null\nfs/pipe.c:3 allocation 19531 null' ]]
	[[ $("$MEMZ" -q -w -S "$TREE") == *'ZFS ARC '*'(overlaps slab)'* ]]
}

@test "what is free of the pools of huge pages of any size is unused" {
	need jq
	meminfo HugePages_Total 100 HugePages_Free 60 Hugepagesize 2048 Hugetlb 700000
	sed -i 's/\(HugePages_[A-Za-z]*: [0-9]*\) kB/\1/' "$TREE/proc/meminfo"
	[[ $(holders huge_pages) == "unused pool $((60 * 2048)) null" ]]
	mkdir -p "$TREE/sys/kernel/mm/hugepages/hugepages-2048kB" "$TREE/sys/kernel/mm/hugepages/hugepages-1048576kB"
	echo 50 >"$TREE/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
	echo 1 >"$TREE/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"
	[[ $(holders huge_pages) == "unused pool $((50 * 2048 + 1048576)) null" ]]
}

@test "SysV segments without attachment hold shmem" {
	need jq
	meminfo Shmem 100000 Cached 200000
	cat >"$TREE/proc/sysvipc/shm" <<-'END'
	       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
	         0          7  1600             268435456   812   900      0     0     0     0     0          0          0          0              20480000                     0
	 286331153         12  1600             268435456   813   900      2     0     0     0     0          0          0          0              40960000                     0
	END
	[[ $(holders shmem) == 'shmid 7 sysv 20000 812' ]]
}

@test "the GPU's memory and pages on per-CPU lists are areas of their own" {
	meminfo GPUActive 20000 GPUReclaim 3000
	printf 'Node 0, zone Normal\n  pages free 1\n  pagesets\n    cpu: 0\n              count:    100\n              high:     500\n    cpu: 1\n              count:    150\n' >"$TREE/proc/zoneinfo"
	"$MEMZ" -q -w --csv -S "$TREE" >"$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,gpu,20000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,gpu_reclaim,3000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,gpu_reclaim_reclaimable,3000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,free_pcp,1000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx "areas,kernel_other,$((500000 - 24000)),KiB" "$BATS_TEST_TMPDIR/csv"
	[[ $("$MEMZ" --json -n 0 -S "$TREE" | grep -o '"gpu_active":[0-9]*') == '"gpu_active":20000' ]]
}

@test "page cache that is on no list of files is not reclaimable" {
	meminfo Cached 300000 Shmem 20000 Buffers 10000 'Active(file)' 50000 'Inactive(file)' 60000
	"$MEMZ" -q -w --csv -S "$TREE" >"$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,buffers_reclaimable,10000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx 'areas,file_cache_reclaimable,100000,KiB' "$BATS_TEST_TMPDIR/csv"
	grep -qx 'findings,pinned_cache,180000,KiB' "$BATS_TEST_TMPDIR/csv"
	meminfo Cached 300000 Shmem 20000 Buffers 10000 'Active(file)' 50000 'Inactive(file)' 600000	# MADV_FREE is there, too
	"$MEMZ" -q -w --csv -S "$TREE" | grep -qx 'areas,file_cache_reclaimable,280000,KiB'
}

@test "what a live report says of holders, its archive says as well" {
	need jq
	start memfd 65536
	"$MEMZ" -q -w -A --json --save "$BATS_TEST_TMPDIR/a.tar" >"$BATS_TEST_TMPDIR/live"
	"$MEMZ" -q -w -A --json -S "$BATS_TEST_TMPDIR/a.tar" >"$BATS_TEST_TMPDIR/saved"
	jq -S '.system.holders' "$BATS_TEST_TMPDIR/live" >"$BATS_TEST_TMPDIR/one"
	jq -S '.system.holders' "$BATS_TEST_TMPDIR/saved" | diff "$BATS_TEST_TMPDIR/one" -
	grep -q memz-memfd "$BATS_TEST_TMPDIR/one"
	"$MEMZ" -q -w -S "$BATS_TEST_TMPDIR/a.tar" --save "$BATS_TEST_TMPDIR/b.tar" >/dev/null
	"$MEMZ" -q -w -A --json -S "$BATS_TEST_TMPDIR/b.tar" | jq -S '.system.holders' | diff "$BATS_TEST_TMPDIR/one" -
}

@test "--save looks for open files that hold shared memory if that has 1 % of the memory" {
	need_root
	percent=$(($(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) / 100))
	start memfd 4
	"$MEMZ" -q -n 1 --save "$BATS_TEST_TMPDIR/a.tar" >/dev/null
	start memfd $((percent + 4096))
	"$MEMZ" -q -n 1 --save "$BATS_TEST_TMPDIR/b.tar" >/dev/null
	tar -xOf "$BATS_TEST_TMPDIR/b.tar" memz | grep "^holder shmem memfd $((percent + 4096)) "
	(($(awk '/^Shmem:/ { print $2 }' <(tar -xOf "$BATS_TEST_TMPDIR/a.tar" proc/meminfo)) < percent)) || return 0
	! tar -xOf "$BATS_TEST_TMPDIR/a.tar" memz | grep '^holder shmem memfd'
}

@test "what has grown is named with its holder" {
	need jq
	local base=$TREE size

	for size in 10000 50000; do
		TREE=$base/$size
		mkdir -p "$TREE/proc"
		meminfo SUnreclaim $((4 * size + 4000))
		printf 'kmalloc-64 1 1 64 64 1 : tunables 0 0 0 : slabdata %s %s 0\nother 1 1 64 64 1 : tunables 0 0 0 : slabdata 1000 1000 0\n' $size $size >"$TREE/proc/slabinfo"
		printf 'cpu 1\nbtime 1700000000\n' >"$TREE/proc/stat"
		echo "$size.0 5" >"$TREE/proc/uptime"
	done
	run -0 "$MEMZ" -q -w --since "$base/10000" -S "$base/50000"
	[[ $output == *$'\nslab_unreclaimable +156.3M: kmalloc-64 +156.3M\n'* ]] || { echo "$output"; false; }
	run -0 "$MEMZ" -q -w --json --since "$base/10000" -S "$base/50000"
	jq -e '.system.holders[] | select(.holder == "kmalloc-64").delta == 160000' <<<"$output"
}

@test "the changes of holders of one name add up to what all of them have changed" {
	local base=$TREE time

	for time in 100 200; do
		TREE=$base/$time
		mkdir -p "$TREE/proc/1"
		meminfo Shmem 100000
		printf 'memz 1.0.0\npage_size 4096\ntime %s\n' $((1700000000 + time)) >"$TREE/memz"
	done
	printf 'holder shmem memfd %s 1 x\n' 30000 40000 >>"$base/100/memz"
	printf 'holder shmem memfd %s 1 x\n' 40000 30000 5 >>"$base/200/memz"
	run -0 "$MEMZ" -q -w -A --csv --since "$base/100" -S "$base/200"
	[[ $(grep -A1 '^holders,shmem:x (1),' <<<"$output" | tr '\n' ' ') == *'),5,KiB '*'_delta,5,KiB '*'_delta,0,KiB '*'_delta,0,KiB ' ]] ||
		{ echo "$output"; false; }
	printf 'holder shmem memfd %s 1 x\n' 9 7 >>"$base/100/memz"
	run -0 "$MEMZ" -q -w -A --csv --since "$base/100" -S "$base/200"
	[[ $(grep '^holders,shmem:x (1)_delta,' <<<"$output" | tr '\n' ' ') == *'_delta,-7,KiB '*'_delta,-4,KiB '*'_delta,0,KiB ' ]] ||
		{ echo "$output"; false; }
}
