# What control groups are charged with: the cg_ columns of --by cgroup, on version 1 and 2, saved and live.
# shellcheck disable=SC2154
load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
}

# process PID CGROUP_LINE...
process() {
	mkdir -p "$TREE/proc/$1"
	echo "p$1" >"$TREE/proc/$1/comm"
	echo "$1 (p$1) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 1000000 10" >"$TREE/proc/$1/stat"
	echo '100 10 5 1 0 20 0' >"$TREE/proc/$1/statm"
	printf 'Rss: 40 kB\nPss: 40 kB\n' >"$TREE/proc/$1/smaps_rollup"
	printf '%s\n' "${@:2}" >"$TREE/proc/$1/cgroup"
}

# file GROUP NAME LINE...: a file of a group, below the mount of version 2
file() {
	mkdir -p "$TREE/sys/fs/cgroup/$1"
	printf '%s\n' "${@:3}" >"$TREE/sys/fs/cgroup/$1/$2"
}

mib() {
	echo $(($1 << 20))
}

# A machine of version 2: web.service of 100 MiB and db.service of 300 MiB in app.slice of 410 MiB, which is near its limit;
# old.service without a process.
version2() {
	mkdir -p "$TREE/proc/self"
	echo 'MemTotal: 4000000 kB' >"$TREE/proc/meminfo"
	echo 'cpu 1 1 1 1' >"$TREE/proc/stat"
	echo '30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	process 10 0::/app.slice/web.service
	process 11 0::/app.slice/db.service
	file app.slice memory.current "$(mib 410)"
	file app.slice memory.max "$(mib 420)"
	file app.slice/web.service memory.current "$(mib 100)"
	file app.slice/web.service memory.max "$(mib 1000)"
	file app.slice/web.service memory.peak "$(mib 150)"
	file app.slice/web.service memory.swap.current 4096
	file app.slice/web.service memory.stat "anon $(mib 40)" "file $(mib 30)" "kernel $(mib 9)" "slab $(mib 4)" "sock $(mib 1)" \
		"shmem $(mib 10)" "inactive_anon $(mib 50)" "active_anon $(mib 2)"
	file app.slice/web.service memory.events 'low 0' 'high 7' 'max 3' 'oom 2' 'oom_kill 1' 'oom_group_kill 0'
	file app.slice/web.service memory.pressure 'some avg10=1.50 avg60=0.00 avg300=0.00 total=1' 'full avg10=9.00 avg60=0.00 avg300=0.00 total=1'
	file app.slice/db.service memory.current "$(mib 300)"
	file app.slice/db.service memory.max max
	file old.service memory.current "$(mib 5)"
}

# cgroups COLUMNS ARGUMENT...
cgroups() {
	"$MEMZ" -q -S "$TREE" --by cgroup --csv -H -s cgroup -c "$@"
}

web=/app.slice/web.service db=/app.slice/db.service

@test "version 2: the parts are those of memory.stat and add up to the usage" {
	version2
	[[ $(cgroups cgroup,cg_usage,cg_peak,cg_swap,cg_anon,cg_anon_unmapped,cg_file,cg_shmem,cg_slab,cg_kernel,cg_sock,cg_rest --unit M |
		tail -1) == $web,100,150,0,40,2,20,10,4,9,1,18 ]]
	[[ $(cgroups cgroup,cg_high,cg_oom_kills,cg_psi | tail -1) == $web,7,1,1.5 ]]
	file app.slice/web.service memory.pressure 'some avg10=1.50x avg60=0.00 avg300=0.00 total=1'
	[[ $(cgroups cg_psi | tail -1) == '""' ]]
	file app.slice/web.service memory.pressure 'some avg10=1.50'
	[[ $(cgroups cg_psi | tail -1) == 1.5 ]]
	[[ $(cgroups cgroup,cg_anon,cg_rest,cg_high,cg_psi,cg_peak | head -1) == $db,,,,, ]]
}

@test "before 5.18 the kernel's part is the sum of what memory.stat lists" {
	version2
	file app.slice/web.service memory.stat "anon $(mib 40)" "file $(mib 30)" "kernel_stack $(mib 1)" "slab $(mib 4)" \
		"slab_reclaimable $(mib 3)" "slab_unreclaimable $(mib 1)" "percpu $(mib 2)" "sock 0" "shmem 0" "inactive_anon $(mib 40)" 'active_anon 0'
	[[ $(cgroups cg_kernel,cg_slab,cg_rest --unit M | tail -1) == 7,4,23 ]]
}

@test "the root of the mount may have a path of 300 bytes, as in a pod of a cluster in a container" {
	version2
	local root=/docker/${web//?/0123456789}/kubelet-kubepods-burstable.slice/cri-containerd-0123456789abcdef.scope

	((${#root} > 290))
	echo "30 20 0:26 $root /sys/fs/cgroup rw - cgroup2 cgroup2 rw" >"$TREE/proc/self/mountinfo"
	process 10 "0::$root$web"
	[[ $(cgroups cgroup,cg_usage --unit M | grep ,) == *"$root$web,100"* ]]
}

@test "figures that contradict each other are unknown, and extreme ones do no harm" {
	version2
	file app.slice/web.service memory.stat 'anon 9223372036854775807' 'file 0' "shmem $(mib 1)" 'kernel 18446744073709551615' 'sock x' \
		'inactive_anon 9223372036854775807' 'active_anon 9223372036854775807'
	file app.slice/web.service memory.current 4000000000000000000
	file app.slice/web.service memory.max 1024
	file app.slice/web.service memory.pressure 'some avg10=nan'
	run -0 cgroups cgroup,cg_file,cg_kernel,cg_sock,cg_psi
	[[ ${lines[1]} == $web,,,, ]]
	cgroups cg_rest,cg_pct,cg_usage,cg_limit
}

@test "the percentage is the highest on the way up, the limit the lowest" {
	version2
	[[ $(cgroups cgroup,cg_limit,cg_pct --unit M) == "$db,420,97.6"$'\n'"$web,420,97.6" ]]
	file app.slice/web.service memory.max "$(mib 101)"
	[[ $(cgroups cgroup,cg_limit,cg_pct --unit M | tail -1) == "$web,101,99.0" ]]
	file app.slice/web.service memory.max 0
	[[ $(cgroups cgroup,cg_limit,cg_pct --unit M | tail -1) == "$web,0,97.6" ]]
}

@test "-A shows groups without processes, and what each is charged with alone" {
	version2
	[[ $(cgroups cgroup,count,pss,cg_usage,cg_pct -A --unit M) == "/app.slice,0,0,10,97.6
$db,1,0,300,97.6
$web,1,0,100,97.6
/old.service,0,0,5," ]]
	[[ $(cgroups cgroup,count -A) == "/app.slice,0"$'\n'"$db,1"$'\n'"$web,1"$'\n'/old.service,0 ]]
	[[ $("$MEMZ" -q -S "$TREE" --by cgroup -A -t -b -c cgroup,cg_usage | tail -1) =~ ^\ *$((415 << 20))\  ]]
	# not where processes are selected: other groups may have some
	[[ $(cgroups cgroup,cg_usage -A -p 10) == "$web,102400" ]]
}

@test "the group that has no memory controller does not hide what is charged above it" {
	version2
	rm "$TREE/sys/fs/cgroup/app.slice/"memory.*
	file . memory.current "$(mib 1000)"
	[[ $(cgroups cgroup,cg_usage -A --unit M) == "/,595"$'\n'"$db,300"$'\n'"$web,100"$'\n'/old.service,5 ]]
}

# version1: web of 100 MiB in app of 410 MiB, and by memory.stat's total_ keys
version1() {
	local group

	mkdir -p "$TREE/proc/self" "$TREE/memory/app/web"
	echo 'MemTotal: 4000000 kB' >"$TREE/proc/meminfo"
	echo 'cpu 1 1 1 1' >"$TREE/proc/stat"
	echo '30 20 0:26 / /memory rw - cgroup cgroup rw,memory' >"$TREE/proc/self/mountinfo"
	process 10 4:memory:/app/web 0::/elsewhere
	for group in . app app/web; do
		echo "${1:-1}" >"$TREE/memory/$group/memory.use_hierarchy"
		echo 9223372036854771712 >"$TREE/memory/$group/memory.limit_in_bytes"
	done
	mib 500 >"$TREE/memory/memory.usage_in_bytes"
	mib 410 >"$TREE/memory/app/memory.usage_in_bytes"
	cd "$TREE/memory/app/web" || return
	mib 100 >memory.usage_in_bytes
	mib 150 >memory.max_usage_in_bytes
	mib 200 >memory.limit_in_bytes
	mib 102 >memory.memsw.usage_in_bytes
	mib 9 >memory.kmem.usage_in_bytes
	mib 1 >memory.kmem.tcp.usage_in_bytes
	printf 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n' >memory.oom_control
	printf '%s\n' 'cache 4096' 'rss 4096' 'shmem 4096' "total_cache $(mib 30)" "total_rss $(mib 40)" "total_shmem $(mib 10)" \
		"total_inactive_anon $(mib 50)" "total_active_anon $(mib 2)" >memory.stat
}

@test "version 1: the parts are those of memory.stat and the kernel's files, and add up" {
	version1
	[[ $(cgroups cg_usage,cg_peak,cg_swap,cg_anon,cg_anon_unmapped,cg_file,cg_shmem,cg_slab,cg_kernel,cg_sock,cg_rest --unit M) == \
		100,150,2,40,2,20,10,,9,1,18 ]]
	[[ $(cgroups cg_high,cg_oom_kills,cg_psi,cg_pct) == ,3,,50.0 ]]
}

@test "version 1: the rows of -A add up to the root's charge, with use_hierarchy or without" {
	version1
	[[ $(cgroups cgroup,cg_usage -A --unit M) == '/,90
/app,310
/app/web,100' ]]
	version1 0
	[[ $(cgroups cgroup,cg_usage -A --unit M) == '/,500
/app,410
/app/web,100' ]]
}

@test "only the files that the columns need are read, and each once" {
	need strace
	version2
	process 12 0::/app.slice/web.service
	file app.slice/db.service memory.stat 'anon 0'
	file app.slice/db.service memory.events 'oom_kill 0'
	file . memory.max max
	opened() {
		strace -f -qq -e trace=%file -o "$BATS_TEST_TMPDIR/strace" "$MEMZ" -q -S "$TREE" --by cgroup -c "$1" >/dev/null
		grep -v O_PATH "$BATS_TEST_TMPDIR/strace" | grep -o 'fs/cgroup/[^"]*memory[^"]*' | sed 's|.*fs/cgroup/||' | sort
	}
	[[ $(opened cgroup) == '' ]]
	[[ $(opened cgroup,cg_usage) == $'app.slice/db.service/memory.current\napp.slice/web.service/memory.current' ]]
	[[ $(opened cgroup,cg_anon,cg_sock,cg_file) == $'app.slice/db.service/memory.stat\napp.slice/web.service/memory.stat' ]]
	[[ $(opened cgroup,cg_oom_kills) == $'app.slice/db.service/memory.events\napp.slice/web.service/memory.events' ]]
	[[ $(opened cgroup,cg_limit) == 'app.slice/db.service/memory.max
app.slice/memory.max
app.slice/web.service/memory.max
memory.max' ]]
	[[ $(opened cgroup,cg_usage,cg_limit,cg_pct | uniq -d) == '' ]]
}

@test "an alert on a control group names the group, and -f says what to do instead" {
	version2
	run -3 --separate-stderr "$MEMZ" -q -S "$TREE" --by cgroup --alert 'cg_oom_kills>0'
	[[ $stderr == "memz: alert: cg_oom_kills>0: 1 row, the largest: 1 ($web)" ]]
	run -0 "$MEMZ" -q -S "$TREE" --by cgroup --alert 'cg_oom_kills>1'
	run -2 --separate-stderr "$MEMZ" -S "$TREE" --by cgroup -f 'cg_pct>90'
	[[ $stderr == 'memz: condition on '*'cg_pct'*'-s cg_pct'*--alert* ]]
}

@test "-w names the group that lost the most processes to the OOM killer" {
	need jq
	version2
	file app.slice/db.service memory.events 'oom_kill 4'
	echo 'oom_kill 5' >"$TREE/proc/vmstat"
	"$MEMZ" -q -S "$TREE" -w --json | jq -e --arg db "$db" '.system.findings[] | select(.finding == "oom_kills") | .holder == $db'
}

@test "the delta of a control group is that of its files; a new one counts from zero, a gone one to zero" {
	version2
	cp -r "$TREE" "$BATS_TEST_TMPDIR/before"
	echo 'cpu 1 1 1 1' >"$BATS_TEST_TMPDIR/before/proc/stat"
	for tree in "$BATS_TEST_TMPDIR/before:1000" "$TREE:1010"; do
		printf 'memz 1.0.0\npage_size 4096\ntime %s\n' "${tree##*:}" >"${tree%:*}/memz"
	done
	file app.slice/web.service memory.current "$(mib 90)"
	file app.slice/web.service memory.events 'high 7' 'oom_kill 3'
	file new.service memory.current "$(mib 3)"
	process 13 0::/new.service
	rm -r "$TREE/proc/11" "$TREE/sys/fs/cgroup/app.slice/db.service"
	[[ $(cgroups cgroup,count,cg_usage_delta,cg_oom_kills_delta,cg_oom_kills_rate,cg_usage --since "$BATS_TEST_TMPDIR/before" --unit M) == \
"$db,0,-300,,,0
$web,1,-10,2,0.2,90
/new.service,1,3,,,3" ]]
	[[ $(cgroups cgroup,cg_usage_delta -A --since "$BATS_TEST_TMPDIR/before" --unit M) == "/app.slice,310
$db,-300
$web,-10
/new.service,3
/old.service,0" ]]
}

@test "--save keeps the files of all groups, with processes and without" {
	version2
	file app.slice memory.events 'oom_kill 5'
	"$MEMZ" -q -S "$TREE" -n 1 --save "$BATS_TEST_TMPDIR/x.tar" >/dev/null
	run -0 tar -tf "$BATS_TEST_TMPDIR/x.tar"
	for file in web.service/memory.{current,max,peak,swap.current,stat,events,pressure} db.service/memory.{current,max} memory.{current,max,events}; do
		[[ $output == *"sys/fs/cgroup/app.slice/$file"* ]] || { echo "$file"; return 1; }
	done
	[[ $output == *sys/fs/cgroup/old.service/memory.current* ]]
	all=cgroup,count,cg_usage,cg_peak,cg_limit,cg_pct,cg_swap,cg_anon,cg_anon_unmapped,cg_file,cg_shmem,cg_slab,cg_kernel,cg_sock,cg_rest,cg_high,cg_oom_kills,cg_psi
	diff <(cgroups "$all") <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/x.tar" --by cgroup --csv -H -s cgroup -c "$all")
	diff <(cgroups "$all" -A) <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/x.tar" --by cgroup -A --csv -H -s cgroup -c "$all")
}

@test "units of one name in different groups are told apart by their paths" {
	version2
	process 1 0::/init.scope
	process 2 0::/user.slice/user-1000.slice/user@1000.service/init.scope
	process 3 0::/user.slice/user-1001.slice/user@1001.service/init.scope
	process 4 0::/system.slice/ssh.service
	process 5 0::/lxc/web1/system.slice/ssh.service/sub
	process 6 0::/lxc/web2/system.slice/ssh.service
	process 7 0::/system.slice/ssh.service/other
	units() {
		"$MEMZ" -q -S "$TREE" --by unit --csv -H -s unit -c unit,count "$@"
	}
	run -0 units
	diff <(echo "$output") - <<'END'
db.service,1
init.scope,1
system.slice/ssh.service,2
user@1000.service/init.scope,1
user@1001.service/init.scope,1
web.service,1
web1/system.slice/ssh.service,1
web2/system.slice/ssh.service,1
END
	# the same whatever is selected; a process has its unit's name
	[[ $(units -f unit=init.scope -p 2) == user@1000.service/init.scope,1 || $(units -f unit=init.scope -p 1,2) == $'init.scope,1\nuser@1000.service/init.scope,1' ]]
	[[ $("$MEMZ" -q -S "$TREE" -p 2 -H --csv -c unit) == init.scope ]]
}

# Live

# live_group: a new group of version 1 at the top of the hierarchy: GROUP, DIRECTORY
live_group() {
	local mount

	need_root
	mount=$(awk '/ - cgroup .*[, ]memory/ && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	[[ $mount ]] || skip 'needs version 1 of the memory controller'
	GROUP=/memz-test-$$-$BATS_TEST_NUMBER
	DIRECTORY=$mount$GROUP
	mkdir "$DIRECTORY" || skip 'needs to make a control group'
	at_end rmdir "$DIRECTORY"
}

@test "live: the parts of a group are those of its files, and add up" {
	need python3
	live_group
	mkdir "$DIRECTORY/sub"
	at_end rmdir "$DIRECTORY/sub"
	# shellcheck disable=SC2016	# sh expands
	start_program sh -c 'echo $$ >"$0/cgroup.procs" && exec python3 -uc "
import mmap, os, signal
os.setpgid(0, 0)
fd = os.memfd_create(\"x\")
os.write(fd, bytes(32 << 20))
kept = bytearray(os.urandom(16 << 20))
print(os.getpid())
os.close(1)
signal.pause()"' "$DIRECTORY/sub"
	at_end wait_for eval "! grep -q . $DIRECTORY/sub/cgroup.procs"
	at_end kill -KILL "$PID"
	python3 - "$MEMZ" "$PID" "$DIRECTORY/sub" <<'PY'
import json, subprocess, sys
parts = "anon anon_unmapped file shmem kernel sock rest".split()
def kib(name):
    return int(open(f"{sys.argv[3]}/memory.{name}").read()) // 1024
def files():
    stat = dict(line.split() for line in open(sys.argv[3] + "/memory.stat"))
    rss, cache, shmem = [int(stat["total_" + key]) // 1024 for key in ("rss", "cache", "shmem")]
    return {"usage": kib("usage_in_bytes"), "anon": rss, "file": cache - shmem, "shmem": shmem, "kernel": kib("kmem.usage_in_bytes")}
for attempt in range(20):       # the charge moves by what processors have in stock
    expected = files()
    out = subprocess.run([sys.argv[1], "-q", "--by", "cgroup", "--json", "-p", sys.argv[2], "-c", ",".join("cg_" + part for part in ["usage", *parts])],
        stdout=subprocess.PIPE).stdout
    group = {key[3:]: value for key, value in json.loads(out)["groups"][0].items()}
    assert group["usage"] == sum(group[part] for part in parts), group
    if expected == files():
        break
assert expected == {key: group[key] for key in expected}, (expected, group)
assert group["anon"] > 16000 and group["shmem"] >= 32768 and abs(group["rest"]) < 2048, group
PY
}

@test "live: a group that kills one of its own shows it, also in an alert" {
	live_group
	need python3
	echo $((40 << 20)) >"$DIRECTORY/memory.limit_in_bytes"
	[[ ! -e $DIRECTORY/memory.memsw.limit_in_bytes ]] || echo $((40 << 20)) >"$DIRECTORY/memory.memsw.limit_in_bytes"
	sh -c 'echo $$ >"$0/cgroup.procs" && exec sleep 60' "$DIRECTORY" 3>&- &
	LOADERS+=("$!")
	at_end wait_for eval "! grep -q . $DIRECTORY/cgroup.procs"
	at_end kill -KILL "$!"
	run sh -c 'echo $$ >"$0/cgroup.procs" && echo 1000 >/proc/self/oom_score_adj && exec python3 -c "bytearray(100 << 20)"' "$DIRECTORY"
	grep -q 'oom_kill 1' "$DIRECTORY/memory.oom_control"
	run -3 --separate-stderr "$MEMZ" --by cgroup --csv -H -c cgroup,cg_oom_kills --alert 'cg_oom_kills>0'
	[[ $output == *"$GROUP,1"* && $stderr == *'alert: cg_oom_kills>0'* ]]
}

@test "live: the rows of -A add up to the root's charge" {
	live_group
	need python3
	python3 - "$MEMZ" "${DIRECTORY%/*}" <<'PY'
import json, subprocess, sys
for attempt in range(20):
    usage = [int(open(sys.argv[2] + "/memory.usage_in_bytes").read()) // 1024]
    out = subprocess.run([sys.argv[1], "-q", "--by", "cgroup", "-A", "--json", "-c", "cgroup,cg_usage"], stdout=subprocess.PIPE).stdout
    usage.append(int(open(sys.argv[2] + "/memory.usage_in_bytes").read()) // 1024)
    total = sum(row["cg_usage"] or 0 for row in json.loads(out)["groups"])
    if min(usage) - 32768 <= total <= max(usage) + 32768:       # memz itself is charged meanwhile, more so with sanitizers
        sys.exit(0)
sys.exit(f"{usage} {total}")
PY
}

@test "live: a thousand groups each show their figures" {
	live_group
	need python3
	mkdir "$DIRECTORY"/{1..1000}
	at_end rmdir "$DIRECTORY"/{1..1000}
	start_program python3 -uc 'import os, signal, sys
os.setpgid(0, 0)
for i in range(1, 1001):
    if os.fork() == 0:
        open(f"{sys.argv[1]}/{i}/cgroup.procs", "w").write(str(os.getpid()))
        os.close(1)
        signal.pause()
print(os.getpid())
os.close(1)
signal.pause()' "$DIRECTORY"
	at_end wait_for eval "! cat $DIRECTORY/*/cgroup.procs | grep -q ."
	at_end kill -KILL -- "-$PID"
	# shellcheck disable=SC2016	# eval expands
	wait_for eval '(($(cat "$DIRECTORY"/*/cgroup.procs | wc -l) == 1000))'
	python3 - "$MEMZ" "$DIRECTORY" <<'PY' >"$BATS_TEST_TMPDIR/cost"
import csv, os, resource, subprocess, sys
def report(columns):
    return subprocess.run([sys.argv[1], "-q", "--timeout", "1", "--by", "cgroup", "--csv", "-c", columns], stdout=subprocess.PIPE, text=True).stdout
def spent(columns):
    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        report(columns)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return min(once() for i in range(5))
parts = "usage peak limit pct swap anon anon_unmapped file shmem slab kernel sock rest high oom_kills psi".split()
every = "cgroup,count,pss," + ",".join("cg_" + part for part in parts)
ours = "/" + os.path.basename(sys.argv[2]) + "/"
rows = [row for row in csv.DictReader(report(every).splitlines()) if ours in row["cgroup"]]
assert len(rows) == 1000, len(rows)
assert all(row["cg_usage"] and row["cg_anon"] and row["count"] == "1" for row in rows), rows
if os.environ.get("LONG"):
    print(f"# the columns of a thousand groups cost {spent(every) - spent('cgroup,count,pss'):.3f} s of CPU")
PY
	cat "$BATS_TEST_TMPDIR/cost" >&3
}
