#!/usr/bin/env bats
# Groups (--by, -u), control groups and mappings (-m, -M), compared with their members and with the kernel's files.
# shellcheck disable=SC2154,SC2153	# run sets stderr, helper MEMZ

load helper

# What the Python programs below share.
PRELUDE='
import collections
SIZES = ("pss pss_dirty pss_anon pss_file pss_shmem shared_clean shared_dirty private_clean private_dirty referenced "
    "anonymous ksm lazy_free anon_huge_pages shmem_pmd_mapped file_pmd_mapped shared_hugetlb private_hugetlb swap "
    "swap_pss locked uss shared thp hugetlb pss_swap rss").split()
def added(numbers):
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None
# Every mapping of smaps: its name as maps has it, and its sizes.
def mappings(smaps):
    found = []
    for line in smaps.split("\n"):
        if head := re.match("[0-9a-f]+-[0-9a-f]+ (?:\S+ +){3}\d+ *(.*)$", line):
            found.append((head[1], {}))
        elif found:
            found[-1][1].update(sizes(line))
    return found
'

# Groups

@test "a group's count and sums are those of its processes, for every key" {
	python <<'PY'
keys = [c["name"] for c in report("--list-columns")["columns"] if c["type"] == "text" and c["name"] not in ("mapping", "kind", "change")]
assert len(keys) > 8, keys
sums = [*SIZES, "minflt", "majflt", "vm_pte", "vm_swap"]
for machine in "current", "v5.4", "v4.14", "no-rollup", "hostile", "cgroup2", "neither":
    for key in keys:
        if (machine, key) == ("v4.14", "unit"):
            continue        # has two units of one name
        source = "-S", MACHINES + machine
        members = collections.defaultdict(list)
        for row in report(*source, "-c", ",".join(["pid", key, *sums]))["processes"]:
            members[row[key]].append(row)
        seen = report(*source, "--by", key, "-c", ",".join([key, "count", *sums]))
        assert (seen["view"], seen["by"]) == ("groups", key)
        groups = {row[key]: row for row in seen["groups"]}
        assert len(groups) == len(seen["groups"]) and set(groups) == set(members), (machine, key)
        for name, group in groups.items():
            expected = {key: name, "count": len(members[name]), **{s: added(row[s] for row in members[name]) for s in sums}}
            assert group == expected, (machine, key, group, expected)
PY
}

@test "processes without a unit or container form one group, shown last" {
	for order in -pss pss count +count container; do
		run -0 "$MEMZ" -S "$CURRENT" -g container -s "$order" -H -c container,count
		[[ ${lines[2]} =~ ^-\ +13$ && ${#lines[@]} == 3 ]]
	done
	run -0 "$MEMZ" -S "$CURRENT" -g container -r -H -c container,count
	[[ ${lines[2]} =~ ^-\ +13$ ]]
	run -0 "$MEMZ" -S "$CURRENT" -g container --csv -c container,count
	[[ ${lines[3]} == ,13 ]]
	need jq
	"$MEMZ" -S "$CURRENT" -g container --json | jq -e '.groups[2] | .container == null and .count == 13'
}

@test "-u is --by user, and -g is --by" {
	by_user=$("$MEMZ" -S "$CURRENT" --by user)
	[[ $("$MEMZ" -S "$CURRENT" -u) == "$by_user" ]]
	[[ $("$MEMZ" -S "$CURRENT" -g user) == "$by_user" ]]
	[[ ${by_user%%$'\n'*} =~ ^USER\ +COUNT\ +PSS\ +USS\ +SWAP_PSS$ ]]
}

@test "groups are sorted by pss, or by the key that was asked for" {
	first() { "$MEMZ" -S "$CURRENT" -u -H -c user "$@" | tr '\n' ' '; }
	[[ $(first) == 'alice postgres 12345 root www-data systemd-timesync ' ]]
	[[ $(first -s count) == 'alice root postgres www-data 12345 systemd-timesync ' ]]
	[[ $(first -s +count) == '12345 systemd-timesync www-data postgres alice root ' ]]
	[[ $(first -s user) == '12345 alice postgres root systemd-timesync www-data ' ]]
	[[ $(first -s user -r) == 'www-data systemd-timesync root postgres alice 12345 ' ]]
	[[ $(first -n 2) == 'alice postgres ' ]]
	[[ $(first -s swap -n 1) == 'alice ' ]]
}

# With -n, small processes cannot be skipped: they belong to groups.
@test "the first groups are those of the full report: small processes are read too" {
	all=$("$MEMZ" -S "$CURRENT" --csv -u)
	for n in 1 2 3; do
		[[ $("$MEMZ" -S "$CURRENT" --csv -u -n $n --jobs 1) == "$(head -$((n + 1)) <<<"$all")" ]]
	done
}

@test "a filter selects processes, not groups" {
	run -0 "$MEMZ" -S "$CURRENT" -u -f 'pss>100M' -H -c user,count
	[[ ${lines[0]} =~ ^alice\ +2$ && ${lines[1]} =~ ^postgres\ +3$ && ${lines[2]} =~ ^12345\ +1$ && ${#lines[@]} == 3 ]]
	refuses 2 "*count*" -u -f 'count>2'
}

@test "-P, -U, -p and -A select the processes of a group" {
	[[ $("$MEMZ" -S "$CURRENT" -u -P postgres -H -c user,count | tr -s ' ') == 'postgres 3' ]]
	[[ $("$MEMZ" -S "$CURRENT" -g name -U www-data -H -c name,count | tr -s ' ') == 'nginx 2' ]]
	[[ $("$MEMZ" -S "$CURRENT" -u -p 1,812 -H -c user,count -s user | tr -s ' ' | tr '\n' ' ') == 'postgres 1 root 1 ' ]]
	[[ $("$MEMZ" -S "$CURRENT" -g state -A -H -c state,count -s state | tr -s ' ' | tr '\n' ' ') == 'R 1 S 16 Z 1 ' ]]
}

@test "peaks, ids and scores of a group are unknown" {
	need jq
	"$MEMZ" -S "$CURRENT" -u --json -c user,vm_hwm,vm_peak,oom_score,pid,start,state |
		jq -e '.groups[] | select(.user == "alice") | del(.user) | length == 6 and all(. == null)'
}

@test "rss, swap, shared and vsz are added up in groups" {
	need jq
	"$MEMZ" -S "$MACHINES/cgroup2" -g unit --json -c unit,rss,swap,shared,vsz |
		jq -e '.groups[] | select(.unit == "web.service") | .rss == 252696 and .swap == 20480 and .shared == 6824 and .vsz == 273464'
}

@test "the totals of groups are the sum of all rows, shown or not" {
	run -0 "$MEMZ" -S "$CURRENT" -u -t -k -n 2
	[[ ${#lines[@]} == 4 && ${lines[3]} =~ ^\ +15\ +3525241\ +2463552\ +250608(\ |$) && ${lines[3]} =~ 6.*2\ shown ]]
	need jq
	"$MEMZ" -S "$CURRENT" -u -t --json | jq -e '([.groups[].pss] | add) == .totals.pss and ([.groups[].count] | add) == .totals.count'
}

@test "sqlite3 and miller add up the same pss of the groups" {
	need sqlite3 mlr
	"$MEMZ" -S "$CURRENT" --csv -g cgroup -c +uss >"$BATS_TEST_TMPDIR/csv"
	run -0 sqlite3 :memory: '.mode csv' ".import $BATS_TEST_TMPDIR/csv t" 'select count(*), sum("count"), sum(pss), sum(uss) from t'
	[[ $output == 9,15,3525241,2463552 ]]
	run -0 mlr --icsv --onidx --ofs , stats1 -a count,sum -f pss,uss "$BATS_TEST_TMPDIR/csv"
	[[ $output == 9,3525241,9,2463552 ]]
}

@test "a group's percentage is that of its sum" {
	need jq
	"$MEMZ" -S "$CURRENT" -u --json -c user,pss,pss_pct,swap,swap_pct -n 1 |
		jq -e '.groups[0] | .pss_pct == 9.2 and .swap_pct == 4.9 and .pss == 2272657 and .swap == 206720'
}

@test "units apply to groups" {
	[[ $("$MEMZ" -S "$CURRENT" -u -b -H -n 1 -c pss) == $((1024 * $("$MEMZ" -S "$CURRENT" -u -k -H -n 1 -c pss))) ]]
	[[ $("$MEMZ" -S "$CURRENT" -u --csv --unit M -H -n 1 -c pss) == 2219 ]]
}

@test "groups with hostile names are valid JSON, CSV and text" {
	need python3
	python <<'PY'
seen = report("-S", MACHINES + "hostile", "--by", "command")
assert len(seen["groups"]) > 20
PY
	"$MEMZ" -S "$MACHINES/hostile" --csv -g command >"$BATS_TEST_TMPDIR/csv"
	[[ $(python3 -c 'import csv,sys; print(len(list(csv.reader(open(sys.argv[1])))))' "$BATS_TEST_TMPDIR/csv") == "$(wc -l <"$BATS_TEST_TMPDIR/csv")" ]]
	run ! grep -P '[\x00-\x09\x0b-\x1f\x7f]' <("$MEMZ" -S "$MACHINES/hostile" -g name)
}

@test "an unknown, numeric or second key is refused" {
	refuses 2 "unknown column 'usr': did you mean 'user'? see --list-columns" --by usr
	refuses 2 "--by*'pss'*" --by pss
	refuses 2 "--by*'pid'*" --by pid
	refuses 2 "--by*'user'*'name'*" -u -g name
	refuses 2 "*count*--by*" -c pid,count
	refuses 2 "*cg_usage*--by cgroup*" -c pid,cg_usage
	refuses 2 "*cg_limit*--by cgroup*" -u -c user,cg_limit
}

@test "live: groups of stopped processes add up to the processes (user, name, cgroup, unit, state)" {
	need jq
	start mixed 256 20
	list=$(join "${PIDS[@]}")
	sum=$("$MEMZ" -q --json -p "$list" -c pid,pss | jq '[.processes[].pss] | add')
	((sum > 5000))
	for key in user name cgroup unit state command; do
		[[ $("$MEMZ" -q --json -p "$list" --by "$key" | jq '[.groups[].pss] | add') == "$sum" ]]
		[[ $("$MEMZ" -q --json -p "$list" --by "$key" | jq '[.groups[].count] | add') == "${#PIDS[@]}" ]]
	done
}

@test "processes that share one address space count once in a group and in totals" {
	need_root
	need jq
	start twins 32768 4
	((${#PIDS[@]} == 4))
	list=$(join "${PIDS[@]}")
	[[ $("$MEMZ" -q --json -p "$list" -c pid,rss | jq '.processes | map(select(.rss >= 32768)) | length') == 4 ]]
	"$MEMZ" -q --json -p "$list" -g name -c name,count,pss,uss,rss -t >"$BATS_TEST_TMPDIR/json"
	jq -e '.groups | length == 1' "$BATS_TEST_TMPDIR/json"
	jq -e '.groups[0] | .count == 4 and .rss >= 32768 and .rss < 40000 and .pss < 40000 and .uss < 40000' "$BATS_TEST_TMPDIR/json"
	jq -e '.totals | .rss >= 32768 and .rss < 40000 and .pss < 40000' "$BATS_TEST_TMPDIR/json"
}

@test "a group shows over an interval that members grew, came and went" {
	need jq
	start grow 16384
	grower=$PID
	start private 8192
	leaver=$PID
	"$MEMZ" -q --timeout 0.3 -i 3 -g name -P "^$BATS_TEST_TMPDIR/load" --json -c name,count,pss_anon,pss_anon_delta,uss_delta \
		>"$BATS_TEST_TMPDIR/json" 3>&- &
	memz=$!
	wait_for_first_scan "$memz"
	kill -USR1 "$grower"
	kill -KILL "$leaver"
	start private 2048
	wait "$memz"
	# the grower, the new process, and the load that waits for each; the load of the one that ended has ended too
	jq -e '.view == "groups" and (.groups | length) == 1 and .interval >= 3' "$BATS_TEST_TMPDIR/json"
	jq -e '.groups[0] | .name == "load" and .count == 4' "$BATS_TEST_TMPDIR/json"
	jq -e '.groups[0].pss_anon_delta | . > 16384 - 8192 + 2048 - 600 and . < 16384 - 8192 + 2048 + 600' "$BATS_TEST_TMPDIR/json"
}

# Control groups

# cgroups MACHINE: --by cgroup with the figures of the memory controller, in MiB.
cgroups() {
	"$MEMZ" -S "$MACHINES/$1" -g cgroup --csv --unit M -H -s cgroup -c cgroup,count,cg_usage,cg_limit,cg_pct,cg_swap |
		sed 's/-*[0-9a-f]\{64\}[^,]*//'
}

@test "version 2: usage, swap and the lowest limit of the group and its ancestors are shown" {
	diff <(cgroups cgroup2) - <<'END'
/init.scope,1,14,,,0
/system.slice/docker,1,128,256,50.0,0
/system.slice/shop.slice/mail.service,1,60,512,62.5,4
/system.slice/shop.slice/web.service,2,260,512,62.5,20
/system.slice/ssh.service,1,6,,,0
/user.slice/user-1000.slice/session-2.scope,1,,,,
END
}

@test "a hybrid machine: usage, swap and limit are those of the version 1 controller" {
	diff <(cgroups cgroup-hybrid) - <<'END'
/,1,2000,,,24
/docker/,1,128,256,50.0,0
/system.slice/shop.slice/mail.service,1,60,512,62.5,4
/system.slice/shop.slice/web.service,2,260,512,62.5,20
/system.slice/ssh.service,1,6,,,0
END
}

@test "a container of 100 MiB below a limit of 256 MiB shows the pss of its processes" {
	for machine in cgroup2 cgroup-hybrid; do
		run -0 "$MEMZ" -S "$MACHINES/$machine" -g container -H -k -c container,count,pss,uss -n 1 -f 'container~.'
		[[ $output =~ ^3f9a1c7be2d0\ +1\ +105864\ +10 ]]
	done
}

@test "the limits are in the default columns of --by cgroup, and of no other key" {
	[[ $("$MEMZ" -S "$MACHINES/cgroup2" -g cgroup | head -1 | tr -s ' ') == 'CGROUP COUNT PSS CG_USAGE CG_LIMIT CG_PCT' ]]
	[[ $("$MEMZ" -S "$MACHINES/cgroup2" -g unit | head -1) != *CG_* ]]
}

@test "groups can be sorted by their share of the limit" {
	run -0 "$MEMZ" -S "$MACHINES/cgroup2" -g cgroup -s cg_pct -H -c cgroup
	[[ ${lines[0]} == *mail.service && ${lines[1]} == *web.service && ${lines[2]} == *docker* ]]
}

@test "without the memory controller its figures are unknown, and the groups are shown" {
	need jq
	"$MEMZ" -q -S "$MACHINES/neither" -g cgroup --json | jq -e '.groups | length == 1 and .[0].cg_usage == null and .[0].cg_limit == null'
	"$MEMZ" -q -S "$MACHINES/v4.14" -g cgroup --json | jq -e '.groups | length > 3 and all(.cg_usage == null)'
}

# group_in PATH ROOT: the report in a container whose cgroup file has PATH and whose cgroup2 mount has ROOT as its root.
group_in() {
	rm -rf "$BATS_TEST_TMPDIR/tree"
	cp -r "$MACHINES/lxcfs" "$BATS_TEST_TMPDIR/tree"
	rm -r "$BATS_TEST_TMPDIR/tree/proc/"[0-9]??
	sed -i "s| / /sys/fs/cgroup | $2 /sys/fs/cgroup |" "$BATS_TEST_TMPDIR/tree/proc/self/mountinfo"
	echo "0::$1" >"$BATS_TEST_TMPDIR/tree/proc/1/cgroup"
	mkdir -p "$BATS_TEST_TMPDIR/tree/sys/fs/cgroup/app"
	echo 104857600 | tee "$BATS_TEST_TMPDIR/tree/sys/fs/cgroup/memory.current" >"$BATS_TEST_TMPDIR/tree/sys/fs/cgroup/app/memory.current"
	echo 268435456 >"$BATS_TEST_TMPDIR/tree/sys/fs/cgroup/memory.max"
	echo max >"$BATS_TEST_TMPDIR/tree/sys/fs/cgroup/app/memory.max"
	"$MEMZ" -S "$BATS_TEST_TMPDIR/tree" -g cgroup --csv --unit M -H -c cgroup,cg_usage,cg_limit
}

@test "in a container the limit shown is that of its own group" {
	[[ $(group_in /docker/ab/app /docker/ab) == /docker/ab/app,100,256 ]]
	[[ $(group_in /docker/ab /docker/ab) == /docker/ab,100,256 ]]
	[[ $(group_in /app /) == /app,100,256 ]]
	[[ $(group_in / /) == /,100,256 ]]
	# the path begins like the root of the mount, and is not below it
	[[ $(group_in /docker/ab-app /docker/ab-) == /docker/ab-app,, ]]
	[[ $(group_in /docker/abapp /docker/ab) == /docker/abapp,, ]]
	[[ $(group_in /../../etc /) == /../../etc,, ]]
}

@test "units and containers are named by their cgroup" {
	[[ $("$MEMZ" -S "$MACHINES/cgroup2" -g unit -H -c unit,count -s unit | tr -s ' ' | cut -c1-19 | tr '\n' ';') == \
		'docker-3f9a1c7be2d0;init.scope 1;mail.service 1;session-2.scope 1;ssh.service 1;web.service 2;' ]]
	[[ $("$MEMZ" -S "$MACHINES/v5.4" -g container --csv -H -c container,count -s container -f 'container~.' | wc -l) -ge 2 ]]
}

# memory_group LIMIT: makes a GROUP of the memory controller, in DIRECTORY. VERSION is 1 or 2.
memory_group() {
	local path

	need_root
	path=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
	DIRECTORY=$(awk '/ - cgroup .*[, ]memory/ { print $5; exit }' /proc/self/mountinfo)
	VERSION=1
	if [[ ! $DIRECTORY ]]; then
		path=$(sed -n 's/^0:://p' /proc/self/cgroup)
		DIRECTORY=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
		VERSION=2
		[[ -e $DIRECTORY$path/memory.current ]] || path=/
	fi
	GROUP=${path%/}/memz-test-$$-$BATS_TEST_NUMBER
	DIRECTORY+=$GROUP
	mkdir "$DIRECTORY" || skip 'needs to make a control group'
	at_end rmdir "$DIRECTORY"
	at_end wait_for is_empty "$DIRECTORY"
	if [[ $VERSION == 1 ]]; then echo "$1" >"$DIRECTORY/memory.limit_in_bytes"; else echo "$1" >"$DIRECTORY/memory.max"; fi ||
		skip 'needs the memory controller'
}

is_empty() {
	[[ ! $(<"$1/cgroup.procs") ]]
}

# It is in the group before it touches memory: pages are charged to the group of the first touch.
start_in_group() {
	# shellcheck disable=SC2034,SC2016	# start reads it, sh expands
	START_AS=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$1")
	start "${@:2}"
}

@test "live: a group of 100 MiB limited to 256 MiB shows its count, pss, usage, limit and percent" {
	need jq
	memory_group $((256 << 20))
	start_in_group "$DIRECTORY" private 102400
	"$MEMZ" -q --json -g cgroup -c cgroup,count,pss,uss,cg_usage,cg_limit,cg_pct,cg_swap |
		jq --arg group "$GROUP" '.groups[] | select(.cgroup == $group)' >"$BATS_TEST_TMPDIR/group"
	cat "$BATS_TEST_TMPDIR/group"
	# the process, and the load that waits for it
	jq -e '.count == 2 and .cg_limit == 262144' "$BATS_TEST_TMPDIR/group"
	jq -e '.pss >= 102400 and .pss < 106000 and .cg_usage >= 102400 and .cg_usage < 110000' "$BATS_TEST_TMPDIR/group"
	jq -e '.cg_pct * 10 == (.cg_pct * 10 | round)' "$BATS_TEST_TMPDIR/group"
	jq -e '.cg_pct - 100 * .cg_usage / .cg_limit | . > -0.051 and . < 0.051' "$BATS_TEST_TMPDIR/group"
	jq -e '.cg_swap == null or .cg_swap == 0' "$BATS_TEST_TMPDIR/group"
}

@test "live: the limit of the group above counts" {
	need jq
	memory_group $((128 << 20))
	mkdir "$DIRECTORY/inner"
	at_end rmdir "$DIRECTORY/inner"
	at_end wait_for is_empty "$DIRECTORY/inner"
	[[ $VERSION == 1 ]] || skip 'needs version 1 of the memory controller'
	echo $((512 << 20)) >"$DIRECTORY/inner/memory.limit_in_bytes"
	start_in_group "$DIRECTORY/inner" private 10240
	"$MEMZ" -q --json -g cgroup -p "$PID" | jq -e --arg group "$GROUP/inner" '.groups[0] | .cgroup == $group and .cg_limit == 131072'
}

# Mappings

# Starts a process with a mapping of every kind. It writes (kind, KiB, name) of each to the file "made".
map_all_kinds() {
	need python3
	need_root
	DISK=/var/tmp/memz-test-$$-$BATS_TEST_NUMBER
	mkdir "$DISK"
	at_end rm -rf "$DISK"
	[[ $(stat -f -c %T "$DISK") != tmpfs && $(stat -f -c %T /dev/shm) == tmpfs ]] || skip 'needs a disk at /var/tmp and a tmpfs at /dev/shm'
	SHM=/dev/shm/memz-test-$$-$BATS_TEST_NUMBER
	at_end rm -f "$SHM"
	set_kernel /proc/sys/vm/nr_hugepages $(($(</proc/sys/vm/nr_hugepages) + 2))
	cat >"$BATS_TEST_TMPDIR/kinds.py" <<'PY'
import ctypes, mmap, os, signal, sys
disk, shm, out = sys.argv[1:4]
os.setpgid(0, 0)
made, keep = [], []
def mapped(kind, name, size, fd=-1, flags=mmap.MAP_SHARED):
    m = mmap.mmap(fd, size << 10, flags)
    for at in range(0, size << 10, 4096):
        m[at] = 7
    keep.append(m)
    made.append((kind, size, name))
def file(name, size):
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(size << 10))
    return fd
mapped("shm", "/dev/zero (deleted)", 300, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
mapped("anon", "/dev/zero", 296, os.open("/dev/zero", os.O_RDWR), mmap.MAP_PRIVATE)
for name, size in ("plain", 304), ("a b", 308), ("new\nline", 312), ("[heap]", 316), ("(deleted)", 320), ("tab\there", 324):
    fd = os.memfd_create(name); os.ftruncate(fd, size << 10)
    mapped("shm", f"/memfd:{name} (deleted)", size, fd)
for name, size in ("plain", 328), ("a b  c ", 332), ("new\nline", 336), ("[stack]", 340), ("looks (deleted)", 344), ("\377\200".encode("latin1").decode("latin1"), 348), ("back\\slash", 352):
    mapped("file", f"{disk}/{name}", size, file(f"{disk}/{name}", size))
fd = file(f"{disk}/gone", 356); os.unlink(f"{disk}/gone")
mapped("file", f"{disk}/gone (deleted)", 356, fd)
mapped("file", f"{disk}/private", 360, file(f"{disk}/private", 360), mmap.MAP_PRIVATE)
mapped("shm", shm, 364, file(shm, 364))
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 368 << 10, 0o1600)
at = libc.shmat(segment, None, 0)
ctypes.memset(at, 7, 368 << 10)
libc.shmctl(segment, 0, None)
made.append(("shm", 368, "/SYSV00000000 (deleted)"))
mapped("hugetlb", "/anon_hugepage (deleted)", 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
open(out, "w", errors="surrogateescape").write(repr(made))
print(os.getpid(), flush=True)
os.close(1)
while True:
    os.kill(os.getpid(), signal.SIGSTOP)
PY
	start_program python3 "$BATS_TEST_TMPDIR/kinds.py" "$DISK" "$SHM" "$BATS_TEST_TMPDIR/made"
	grep -q "State:.*stopped" "/proc/$PID/status" || wait_for grep -q "State:.*stopped" "/proc/$PID/status"
}

@test "each mapping has the kind, size and name that it was made with (memfd, SysV, tmpfs, deleted, newline)" {
	map_all_kinds
	python "$PID" "$BATS_TEST_TMPDIR/made" <<'PY'
seen = report("-p", selected, "-m", "-c", "mapping,kind,procs,rss,private_hugetlb")
assert seen["view"] == "mappings" and "by" not in seen
rows = {(row["mapping"], row["kind"]): row for row in seen["mappings"]}
assert len(rows) == len(seen["mappings"])
for kind, size, name in eval(open(sys.argv[-1]).read()):
    row = rows.get((name, kind))
    assert row, (kind, name, [key for key in rows if key[0][:8] == name[:8]])
    assert row["procs"] == 1 and (row["private_hugetlb"] if kind == "hugetlb" else row["rss"]) == size, (row, size)
kinds = {name: kind for name, kind in rows}
assert kinds["[heap]"] == "heap" and kinds["[stack]"] == "stack" and kinds["[vdso]"] == "vdso", kinds
assert any(kind == "anon" for kind in kinds.values())
assert all(kind == "file" for name, kind in kinds.items() if "/lib" in name), kinds
PY
}

@test "a newline in a file's name breaks neither the text nor the CSV of -m" {
	map_all_kinds
	"$MEMZ" -q -m -p "$PID" --csv -c mapping,kind,rss >"$BATS_TEST_TMPDIR/csv"
	python "$BATS_TEST_TMPDIR/csv" <<'PY'
rows = list(csv.DictReader(open(sys.argv[-1], encoding="utf-8", newline="")))
assert len(rows) == len(open(sys.argv[-1]).read().split("\n")) - 2
assert any(row["mapping"].lower().endswith("/new\\x0aline") for row in rows), [row["mapping"] for row in rows]
assert any(row["mapping"].endswith("/back\\slash") for row in rows)
PY
	"$MEMZ" -q -m -p "$PID" >"$BATS_TEST_TMPDIR/text"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/text") == "$(wc -l <"$BATS_TEST_TMPDIR/csv")" ]]
	grep -q 'new?line' "$BATS_TEST_TMPDIR/text"
}

# unusual_machine: a process with a mapping of 100 KiB for each line on standard input.
odd_machine() {
	local n=0 line

	TREE=$BATS_TEST_TMPDIR/odd
	mkdir -p "$TREE/proc/10" "$TREE/proc/self"
	echo 'MemTotal: 1000000 kB' >"$TREE/proc/meminfo"
	echo odd >"$TREE/proc/10/comm"
	echo '100 50 25 1 0 1 0' >"$TREE/proc/10/statm"
	echo "36 30 0:26 / /dev/shm rw - tmpfs tmpfs rw" >"$TREE/proc/self/mountinfo"
	while IFS= read -r line; do
		line=${line//'\377'/$'\377'}
		printf '%08x000-%08x000 rw-p 00000000 %s\n' $((n * 100 + 1)) $((n * 100 + 26)) "$line"
		printf 'Size: 100 kB\nRss: %s kB\nPss: %s kB\nPrivate_Dirty: 0 kB\nPrivate_Clean: 0 kB\nVmFlags: rd wr \n' $((++n)) $n
	done >"$TREE/proc/10/smaps"
}

@test "unusual mappings have the right kind: [anon:name], vvar, devices, sockets, aio" {
	odd_machine <<'END'
00:00 0 
00:00 0                          [anon:glibc: malloc]
00:00 0                          [anon:Runtime] x]
00:01 77                         [anon_shmem:cache]
00:00 0                          [stack]
00:00 0                          [vdso]
00:00 0                          [uprobes]
00:01 4096                       anon_inode:[io_uring]
00:1a 12                         /dev/shm/a b
fe:00 13                         /srv/[heap]
fe:00 14                         /memfd
fe:00 15                         /dev/zero.c
fe:00 16                         /SYSVOL/db
fe:00 17                         /srv/bad\377 (deleted)
END
	need jq
	run -0 jq -r '.mappings[] | "\(.kind) \(.rss) \(.mapping)"' <("$MEMZ" -S "$TREE" -m --json -s rss -r)
	diff <(echo "$output") - <<'END'
anon 1 [anon]
anon 2 [anon:glibc: malloc]
anon 3 [anon:Runtime] x]
shm 4 [anon_shmem:cache]
stack 5 [stack]
vdso 6 [vdso]
other 7 [uprobes]
other 8 anon_inode:[io_uring]
shm 9 /dev/shm/a b
file 10 /srv/[heap]
file 11 /memfd
file 12 /dev/zero.c
file 13 /SYSVOL/db
file 14 /srv/bad� (deleted)
END
}

@test "mappings of stopped processes are what their smaps say: every field, and in how many processes" {
	need_root	# load locks memory
	start mixed 256 20
	python "${PIDS[@]}" <<'PY'
expected, users = collections.defaultdict(collections.Counter), collections.defaultdict(set)
def read():
    expected.clear()
    for pid in pids:
        for name, sizes in mappings(proc(pid, "smaps")):
            expected[name or "[anon]"].update(sizes)
            users[name or "[anon]"].add(pid)
    return {name: dict(sizes) for name, sizes in expected.items()}
before, seen, after = read(), report("-p", selected, "-m", "-c", "all"), read()
rows = {row["mapping"]: row for row in seen["mappings"]}
assert set(rows) == set(after) and len(rows) == len(seen["mappings"])
fields = [field for field in SIZES if field in after["[anon]"]]
assert len(fields) >= 18, fields
for name, sizes in after.items():
    row = rows[name]
    assert row["procs"] == len(users[name]), (row, users[name])
    for field in fields:
        low, high = sorted((before[name][field], sizes[field]))
        assert low <= row[field] <= high, (name, field, row[field], low, high)
    assert row["uss"] == row["private_clean"] + row["private_dirty"] and row["shared"] == row["shared_clean"] + row["shared_dirty"]
PY
}

# smaps rounds down the Pss of each mapping, smaps_rollup only the sum.
@test "mappings of stopped processes add up to the processes" {
	start mixed 256 20
	python "${PIDS[@]}" <<'PY'
rows = report("-p", selected, "-c", "pid,pss,rss,uss,swap,maps")["processes"]
total = {field: sum(row[field] for row in rows) for field in rows[0]}
for by in [], ["--by", "kind"]:
    seen = report("-p", selected, "-m", *by, "-c", "kind,pss,rss,uss,swap")
    sums = {field: sum(row[field] for row in seen[seen["view"]]) for field in ("pss", "rss", "uss", "swap")}
    assert all(sums[field] == total[field] for field in ("rss", "uss", "swap")), (sums, total)
    assert 0 <= total["pss"] - sums["pss"] <= total["maps"], (sums, total)
PY
}

@test "smem -m shows the same pss, count and number of processes" {
	need_answer smem
	need python3
	start mixed 256 20
	smem -m -H -P "^$BATS_TEST_TMPDIR/load" -c 'pss uss rss swap count pids map' >"$BATS_TEST_TMPDIR/smem" 2>/dev/null
	python "$BATS_TEST_TMPDIR" <<'PY'
here = sys.argv[-1]
theirs = {}
for line in open(here + "/smem", errors="surrogateescape"):
    *numbers, name = line.split(None, 6)
    theirs[name.strip().replace("<anonymous>", "[anon]")] = [int(n) for n in numbers]
assert len(theirs) >= 5, theirs
seen = report("-P", f"^{here}/load", "-m", "-c", "mapping,pss,uss,rss,swap,maps,procs")
ours = {row["mapping"]: [row[c] for c in ("pss", "uss", "rss", "swap", "maps", "procs")] for row in seen["mappings"]}
# of a name of several words smem keeps the first or the last
ours = {name.split()[0] if name.startswith("/dev/zero") or name.startswith("/memfd") or name.startswith("/tmp/load") else name: row for name, row in ours.items()}
theirs = {name.split()[0] if "(deleted)" in name else name: row for name, row in theirs.items()}
common = set(ours) & set(theirs)
assert len(common) >= 5, (ours, theirs)
wrong = {name: (ours[name], theirs[name]) for name in common if ours[name] != theirs[name]}
assert not wrong, wrong
PY
}

@test "-M selects mappings by expression, and takes neither a kind nor a process for one" {
	[[ $("$MEMZ" -S "$CURRENT" -m -M '^/usr/lib/jvm/.*so$' -H -c mapping) == /usr/lib/jvm/java-21-openjdk-amd64/lib/server/libjvm.so ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -M '^\[(heap|stack)\]$' -H -c mapping,procs -s mapping | tr -s ' ' | tr '\n' ' ') == '[heap] 15 [stack] 15 ' ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -M nowhere -H | wc -l) == 0 ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -g kind -M '^/dev/zero' -H -c kind) == shm ]]
	refuses 2 "*--mapping*-m*" -M heap
	refuses 2 "--mapping: '(': *" -m -M '('
	refuses 2 "*--mapping: given twice*" -m -M a -M b
}

@test "sort, limit, filter, totals, units, CSV and JSON work for mappings" {
	need jq mlr
	[[ $("$MEMZ" -S "$CURRENT" -m | head -1 | tr -s ' ') == 'MAPPING KIND PROCS PSS RSS SWAP' ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -H -c mapping -n 3 | tr '\n' ' ') == '[anon] /dev/zero (deleted) [heap] ' ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -H -c kind,procs -s procs,mapping -n 2 | tr -s ' ' | tr '\n' ' ') == 'heap 15 stack 15 ' ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -H -c kind -f kind=heap) == heap ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -H -c mapping -f 'pss>1G' | tr '\n' ' ') == '[anon] /dev/zero (deleted) ' ]]
	[[ $("$MEMZ" -S "$CURRENT" -m -H -b -c pss -n 1) == $((1024 * $("$MEMZ" -S "$CURRENT" -m -H -k -c pss -n 1))) ]]
	"$MEMZ" -S "$CURRENT" -m -t --json -n 2 | jq -e '.totals.pss > 3000000 and (.mappings | length == 2)'
	all=$("$MEMZ" -S "$CURRENT" -m --json | jq '[.mappings[].pss] | add')
	[[ $("$MEMZ" -S "$CURRENT" -m --csv | mlr --icsv --onidx stats1 -a sum -f pss) == "$all" ]]
	[[ $("$MEMZ" -S "$CURRENT" -m --csv -g kind | mlr --icsv --onidx stats1 -a sum -f pss) == "$all" ]]
}

@test "-m shows only mappings of the processes that -p, -P and -U select" {
	need jq
	for selection in '-p 1433' '-P java' '-p 1433 -U alice'; do
		# shellcheck disable=SC2086
		"$MEMZ" -S "$CURRENT" -m --json $selection | jq -e '(.mappings | length == 9) and all(.mappings[]; .procs == 1)'
	done
	"$MEMZ" -S "$CURRENT" -m --json -U postgres | jq -e '.mappings[] | select(.mapping == "/usr/lib/postgresql/17/bin/postgres") | .procs == 3'
}

@test "a column of processes is refused for mappings, and one of mappings for processes" {
	refuses 2 "*mapping*-m*" -c pid,mapping
	refuses 2 "*kind*-m*" -f kind=heap
	refuses 2 "*'pid'*" -m -c pid
	refuses 2 "*'user'*" -m --by user
	refuses 2 "*'command'*" -m -s command
}

@test "huge pages of two sizes are of kind hugetlb, and counted by it" {
	need jq
	"$MEMZ" -S "$MACHINES/huge-two-sizes" -m -g kind --json -c kind,rss,private_hugetlb,hugetlb | jq -e '
		.groups[] | select(.kind == "hugetlb") | .rss == 0 and .hugetlb == 4194304 + 614400 and .private_hugetlb == .hugetlb'
	"$MEMZ" -S "$MACHINES/huge-two-sizes" -m --json -c mapping,kind,hugetlb -f 'hugetlb>0' | jq -e '
		.mappings | length == 2 and all(.kind == "hugetlb") and any(.mapping | startswith("/dev/hugepages1G/"))'
}

@test "over an interval -m shows which mapping grew" {
	need jq
	start grow 16384
	"$MEMZ" -q -i 3 -m -p "$PID" --json -c mapping,pss,pss_delta -f 'pss_delta>10M' >"$BATS_TEST_TMPDIR/json" 3>&- &
	memz=$!
	wait_for_first_scan "$memz"
	kill -USR1 "$PID"
	wait "$memz"
	jq -e '.mappings | length == 1 and (.[0] | .mapping == "[anon]" and .pss_delta == 16384)' "$BATS_TEST_TMPDIR/json"
}

# peak ARG...: the peak RSS of memz, in KiB.
peak() {
	python3 -c '
import os, resource, subprocess, sys
subprocess.run([os.environ["MEMZ"], "-q", *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}

@test "a process with 65,500 mappings does not make memz large" {
	need python3
	(($(</proc/sys/vm/max_map_count) >= 65530)) || skip 'needs vm.max_map_count of 65530'
	start private 1024
	small=$(peak -m -p "$PID")
	start maps $((65500 * 4))
	(($(wc -l <"/proc/$PID/maps") >= 65500))
	large=$(peak -m -p "$PID")
	echo "$small KiB for a small process, $large KiB for that of 65,500 mappings"
	((large < small + 3072))
	[[ $("$MEMZ" -q -m -p "$PID" --csv -H -c maps -M '^\[anon\]$') -ge 65490 ]]
}

@test "a user without rights is told that mappings are missing" {
	need_root
	need setpriv
	start private 1024
	run -0 --separate-stderr as_user "$MEMZ" -m -p "$PID" -H
	[[ ! $output && $stderr == 'memz: 1 process: PSS not readable (needs root or CAP_'*'); left out' ]]
	run -0 --separate-stderr as_user "$MEMZ" -g name -p "$PID" -H
	[[ $output =~ ^load\ +1\ +- && $stderr == 'memz: 1 process: PSS not readable (needs root or CAP_'*'); shown as -' ]]
}

# NUMA and pages of other sizes

@test "resident memory by node is what numa_maps says: two nodes, sparse nodes, huge pages, pages of 64 KiB" {
	python <<'PY'
seen = 0
for machine in "numa2", "numa-sparse", "huge-two-sizes", "pages-64k", "terabyte", "current":
    for row in report("-S", MACHINES + machine, "-c", "pid,numa")["processes"]:
        path = f"{MACHINES}{machine}/proc/{row['pid']}/numa_maps"
        if not os.path.exists(path):
            assert row["numa"] is None, row
            continue
        nodes = collections.Counter()
        for line in open(path):
            for node, pages in re.findall(r" N(\d+)=(\d+)", line):
                nodes[node] += int(pages) * int(re.search(r"kernelpagesize_kB=(\d+)", line)[1])
        assert row["numa"] == dict(nodes), (machine, row, nodes)
        seen += 1
assert seen >= 12, seen
PY
}

@test "resident memory in pages of 64 KiB is counted as such" {
	python <<'PY'
for machine, pid in ("pages-64k", 1700), ("numa-sparse", 2100):
    files = f"{MACHINES}{machine}/proc/{pid}/"
    size, resident = [int(n) * 64 for n in open(files + "statm").read().split()[:2]]
    for columns in "pid,vsz,rss", "pid,vsz,rss,pss":
        row = report("-S", MACHINES + machine, "-p", str(pid), "-c", columns)["processes"][0]
        assert (row["vsz"], row["rss"]) == (size, resident), (machine, row, size, resident)
PY
}
