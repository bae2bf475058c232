#!/usr/bin/env bats
# memz on live processes whose memory is known, compared with the kernel's files, ps, smem and smemstat.
# shellcheck disable=SC2016	# sh -c expands
# shellcheck disable=SC2154	# run sets stderr_lines

load helper

# agree: memz shows what the kernel's files say. They are read before and after memz, since the kernel ages Referenced and
# writes dirty pages back meanwhile: each value lies between the two readings.
PRELUDE='
def sizes_of(pid, file):
    return sizes(proc(pid, file))
def agree(kernel, shown):
    before = {pid: kernel(pid) for pid in pids}
    seen = shown("-p", selected, "-c", ",".join(["pid", *before[pids[0]]]))
    after = {pid: kernel(pid) for pid in pids}
    assert sorted(seen) == sorted(pids), f"{len(seen)} rows for {len(pids)} pids"
    wrong = [f"{pid} {key}: {seen[pid][key]!r}, kernel {low!r} .. {after[pid][key]!r}"
        for pid in pids for key, low in before[pid].items()
        if not min(low, after[pid][key]) <= type(low)(seen[pid][key]) <= max(low, after[pid][key])]
    assert not wrong, "\n".join(wrong)
'

# agree_with_rollup PID...: memz shows every line of their smaps_rollup.
agree_with_rollup() {
	python "$@" <<<'agree(lambda pid: sizes_of(pid, "smaps_rollup"), rows)'
}

mixed() {
	need_root	# load locks memory
	start mixed
	((${#PIDS[@]} >= 50))
	run ! grep -F .so "/proc/$PID/maps"	# a shared library's PSS depends on other processes: load must be static
}

# value PID COLUMN: the value that memz shows.
value() {
	"$MEMZ" -q --csv -H -p "$1" -c "$2"
}

# between LOW NUMBER HIGH: the number lies between both.
between() {
	(($1 <= $2 && $2 <= $3)) || { echo "$2 is not in $1 .. $3"; return 1; }
}

scan_adds_up() {
	jq -e '.scan | .processes == .measured + .denied + .vanished + .stalled + .skipped'
}

swap_on() {
	local to=$BATS_TEST_TMPDIR/swap

	need_root
	need mkswap swapon
	dd if=/dev/zero of="$to" bs=1M count=64 status=none
	chmod 600 "$to"
	mkswap "$to" >/dev/null
	at_end swapoff "$to"
	if ! swapon -p 100 "$to"; then	# a file on tmpfs or overlayfs cannot be swap
		to=$(zramctl --find --size 64M) || skip 'needs swap, and neither a file nor zram serves'
		at_end zramctl --reset "$to"
		at_end swapoff "$to"
		mkswap "$to" >/dev/null
		swapon -p 100 "$to" || skip 'needs swap, and swapon is refused'
	fi
}

need_kernel_threads() {
	[[ $(cat /proc/2/comm 2>/dev/null) == kthreadd ]] || skip 'needs to see kernel threads'
}

# Numbers.

@test "a process's pss, swap and all other rollup numbers are the kernel's (JSON)" {
	mixed
	agree_with_rollup "${PIDS[@]}"
}

@test "a process's pss, swap and all other rollup numbers are the kernel's (CSV)" {
	mixed
	python "${PIDS[@]}" <<<'agree(lambda pid: sizes_of(pid, "smaps_rollup"), records)'
}

@test "-c all has every number of smaps_rollup, as the kernel shows it" {
	mixed
	python "${PIDS[@]}" <<<'agree(lambda pid: sizes_of(pid, "smaps_rollup"), lambda *_: rows("-p", selected, "-c", "all"))'
}

@test "uss, shared, thp, hugetlb and pss_swap are the sums that the manual says" {
	mixed
	python "${PIDS[@]}" <<'EOF'
sums = {"uss": "private_clean private_dirty", "shared": "shared_clean shared_dirty", "pss_swap": "pss swap_pss",
    "thp": "anon_huge_pages shmem_pmd_mapped file_pmd_mapped", "hugetlb": "shared_hugetlb private_hugetlb"}
seen = rows("-p", selected, "-c", ",".join(["pid", *sums, *" ".join(sums.values()).split()]))
assert len(seen) == len(pids)
for row in seen.values():
    for column, parts in sums.items():
        assert row[column] == sum(row[part] for part in parts.split()), (column, row)
EOF
}

@test "a percentage is the share of the memory there is" {
	mixed
	python "${PIDS[@]}" <<'EOF'
seen = report("-p", selected, "-c", "pid,pss,uss,rss,pss_pct,uss_pct,rss_pct")
for row in seen["processes"]:
    for column in "pss", "uss", "rss":
        exact = 100 * row[column] / seen["memory"]["mem_total"]
        assert abs(row[column + "_pct"] - exact) <= 0.0501, row
EOF
}

@test "vm_peak, rss_anon and the other numbers of status are the kernel's" {
	mixed
	python "${PIDS[@]}" <<'EOF'
columns = "vm_peak vm_hwm rss_anon rss_file rss_shmem vm_data vm_stk vm_exe vm_lib vm_pte vm_swap vm_lck vm_pin".split()
agree(lambda pid: {column: sizes_of(pid, "status")[column] for column in columns}, rows)
EOF
}

@test "rss and vsz read from statm alone are the kernel's" {
	mixed
	python "${PIDS[@]}" <<'EOF'
page = os.sysconf("SC_PAGESIZE") // 1024
agree(lambda pid: dict(zip(["vsz", "rss"], [int(n) * page for n in proc(pid, "statm").split()])), rows)
EOF
}

@test "faults, parent, threads and state are what stat says" {
	mixed
	python "${PIDS[@]}" <<'EOF'
def stat(pid):
    field = dict(enumerate(proc(pid, "stat").rpartition(")")[2].split(), 3))
    numbers = {"ppid": 4, "minflt": 10, "majflt": 12, "threads": 20}
    return {"state": field[3], **{column: int(field[n]) for column, n in numbers.items()}}
agree(stat, rows)
EOF
}

@test "maps and numa are what the kernel lists" {
	mixed
	python "${PIDS[@]}" <<'EOF'
agree(lambda pid: {"maps": len(proc(pid, "maps").splitlines())}, rows)
if not os.path.exists("/proc/self/numa_maps"):
    sys.exit()
for pid, row in rows("-p", selected, "-c", "pid,numa").items():
    nodes = {}
    for line in proc(pid, "numa_maps").splitlines():
        size = int((re.findall(r" kernelpagesize_kB=(\d+)", line) or [0])[0])
        for node, pages in re.findall(r" N(\d+)=(\d+)", line):
            nodes[node] = nodes.get(node, 0) + int(pages) * size
    assert row["numa"] == nodes, (pid, row, nodes)
EOF
}

@test "cgroup, exe, name, command, user and the oom numbers are what the kernel's files say" {
	mixed
	python "${PIDS[@]}" <<'EOF'
import pwd
def cgroup(pid):
    path = {names: path for _, names, path in (line.split(":", 2) for line in proc(pid, "cgroup").splitlines())}
    return path.get("memory", path.get(""))
def identity(pid):
    uid = os.stat(f"/proc/{pid}").st_uid
    found = {"uid": uid, "user": pwd.getpwuid(uid).pw_name,
        "cgroup": cgroup(pid), "exe": os.readlink(f"/proc/{pid}/exe"), "name": proc(pid, "comm")[:-1],
        "command": proc(pid, "cmdline")[:-1].replace("\0", " "),
        "oom_score": int(proc(pid, "oom_score")), "oom_score_adj": int(proc(pid, "oom_score_adj"))}
    return {k: re.sub("[\udc80-\udcff]", "\ufffd", v) if type(v) is str else v for k, v in found.items()}
agree(identity, rows)
EOF
}

@test "the start of a process is the time at which it started" {
	start private
	python "$PID" <<'EOF'
import datetime
start = int(proc(pids[0], "stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
start += int(re.search(r"^btime (\d+)", open("/proc/stat").read(), re.M)[1])
shown = rows("-p", selected, "-c", "pid,start")[pids[0]]["start"]
assert abs(datetime.datetime.strptime(shown + "+0000", "%Y-%m-%dT%H:%M:%SZ%z").timestamp() - start) <= 2, shown
EOF
}

@test "ps shows the same pss, uss and rss" {
	need_answer ps -e
	mixed
	python "${PIDS[@]}" <<'EOF'
def ps(pid):
    shown = subprocess.check_output(["ps", "-o", "pss=,uss=,rss=", "-p", str(pid)])
    return dict(zip(["pss", "uss", "rss"], map(int, shown.split())))
agree(ps, rows)
EOF
}

# smem and smemstat add up smaps, where the Pss of each mapping is rounded down.
agree_with_smem() {
	python "$@" <<'EOF'
theirs = json.load(open(sys.argv[-1], errors="replace"))
for pid, row in rows("-p", selected, "-c", "pid,pss,uss,rss,maps").items():
    pss, uss, rss = theirs[str(pid)]
    assert (uss, rss) == (row["uss"], row["rss"]) and 0 <= row["pss"] - pss <= row["maps"], (row, theirs[str(pid)])
EOF
}

@test "smem shows the same pss, uss and rss" {
	need_answer smem
	need jq
	mixed
	smem -H -c 'pid pss uss rss' | jq -nR '[inputs | [scan("\\d+") | tonumber] | { (.[0] | tostring): .[1:] }] | add' \
		>"$BATS_TEST_TMPDIR/smem"
	agree_with_smem "${PIDS[@]}" "$BATS_TEST_TMPDIR/smem"
}

@test "smemstat shows the same pss, uss and rss" {
	need smemstat jq
	mixed
	smemstat -q -c -p "$(join "${PIDS[@]}")" -o "$BATS_TEST_TMPDIR/smemstat"
	LC_ALL=C sed '/"command":/d' "$BATS_TEST_TMPDIR/smemstat" |	# which smemstat does not escape
		jq '[.smemstat."smem-per-process"[] | { (.pid | tostring): [.pss / 1024, .uss / 1024, .rss / 1024] }] | add' \
		>"$BATS_TEST_TMPDIR/smem"
	agree_with_smem "${PIDS[@]}" "$BATS_TEST_TMPDIR/smem"
}

# Kinds of memory.

@test "20 MiB of private memory show in uss" {
	start private 0
	idle=$(value "$PID" uss)
	start private 20480
	between 20480 "$(value "$PID" uss)" $((20480 + idle + 300))
}

@test "memory shared between four is a quarter of pss each" {
	start shared 16384 4
	((${#PIDS[@]} == 4))
	for pid in "${PIDS[@]}"; do
		between 4096 "$(value "$pid" pss_shmem)" 4096
		between 16384 "$(value "$pid" shared)" 17500
		between 0 "$(value "$pid" uss)" 300
	done
}

# Each process has written a quarter of the memory, and shares the rest with the other three.
@test "memory copied on write after a fork counts as private" {
	start cow 16384 3
	((${#PIDS[@]} == 4))
	for pid in "${PIDS[@]}"; do
		between 4096 "$(value "$pid" private_dirty)" 4396
		between $((4096 + 3072)) "$(value "$pid" pss_anon)" $((4096 + 3072 + 300))
	done
}

@test "mapped files show in pss_file" {
	start private 0
	idle=$(value "$PID" pss_file)
	TMPDIR=/var/tmp start file 16384
	between 16384 "$(value "$PID" pss_file)" $((16384 + idle + 300))
	between 16384 "$(value "$PID" uss)" $((16384 + 300))
	agree_with_rollup "${PIDS[@]}"
}

@test "tmpfs and memfd memory shows in pss_shmem" {
	start tmpfs 16384
	between 16384 "$(value "$PID" pss_shmem)" 16384
}

@test "swapped memory shows in swap, and by half in swap_pss of two" {
	swap_on
	start swapped 16384 2
	((${#PIDS[@]} == 2))
	for pid in "${PIDS[@]}"; do
		between 14000 "$(value "$pid" swap)" 16700
		between 7000 "$(value "$pid" swap_pss)" 8400
		between 0 "$(value "$pid" rss)" 4000
	done
	agree_with_rollup "${PIDS[@]}"
	python "${PIDS[@]}" <<'EOF'
seen = report("-p", selected, "-c", "pid,swap,swap_pct,swap_pss,pss,pss_swap,vm_swap")
for row in seen["processes"]:
    assert abs(row["swap_pct"] - 100 * row["swap"] / seen["memory"]["swap_total"]) <= 0.0501, row
    assert row["pss_swap"] == row["pss"] + row["swap_pss"], row
    assert row["vm_swap"] == row["swap"], row
EOF
}

@test "hugetlb pages show in hugetlb, and do not count as rss" {
	need_root
	huge=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
	[[ $huge ]] || skip 'needs a kernel with hugetlb'
	pages=$(($(</proc/sys/vm/nr_hugepages) + 2))
	set_kernel /proc/sys/vm/nr_hugepages "$pages"
	(($(</proc/sys/vm/nr_hugepages) == pages)) || skip 'needs memory for two huge pages'
	start hugetlb $((2 * huge))
	between $((2 * huge)) "$(value "$PID" hugetlb)" $((2 * huge))
	between 0 "$(value "$PID" rss)" 2000
	agree_with_rollup "${PIDS[@]}"
}

@test "transparent huge pages show in anon_huge_pages and thp" {
	setting=/sys/kernel/mm/transparent_hugepage/enabled
	[[ -e $setting ]] || skip 'needs a kernel with transparent huge pages'
	if [[ $(<"$setting") == *'[never]'* ]]; then
		need_root
		set_kernel "$setting" madvise
	fi
	start thp 8192
	between 8192 "$(value "$PID" anon_huge_pages)" 8192
	between 8192 "$(value "$PID" thp)" 8192
}

@test "locked memory shows in locked" {
	need_root
	start locked 4096
	between 4096 "$(value "$PID" locked)" 4096
}

# The kernel keeps the last pages in a list of the CPU for a while: they do not count yet.
@test "memory given up with MADV_FREE shows in lazy_free" {
	start lazyfree 4096
	between $((4096 - 256)) "$(value "$PID" lazy_free)" 4096
}

merged() {
	grep -q '^KSM: *[1-9]' "/proc/$PID/smaps_rollup"
}

@test "pages that KSM merged show in ksm" {
	need_root
	[[ -e /sys/kernel/mm/ksm/run ]] || skip 'needs a kernel with KSM'
	grep -q ^KSM: /proc/self/smaps_rollup || skip 'needs a kernel that counts KSM pages (6.6)'
	set_kernel /sys/kernel/mm/ksm/pages_to_scan 10000
	set_kernel /sys/kernel/mm/ksm/run 1
	start ksm 4096 2
	wait_for merged
	set_kernel /sys/kernel/mm/ksm/run 0
	between 1 "$(value "$PID" ksm)" 5000
	agree_with_rollup "${PIDS[@]}"
}

@test "many small mappings are all counted" {
	start maps 4096
	between 1024 "$(value "$PID" maps)" 1100
}

# Two scans.

# All processes of this test: those that start made and each load that waits for them.
sum_of_loads() {
	local pid files=()

	for pid in "${LOADERS[@]}"; do
		[[ -e /proc/$pid/exe ]] || continue
		files+=("/proc/$pid/smaps_rollup")
		for pid in $(<"/proc/$pid/task/$pid/children"); do
			files+=("/proc/$pid/smaps_rollup")
		done
	done
	cat "${files[@]}" | awk '{ sum[$1] += $2 } END { print sum["Pss:"], sum["Pss_Anon:"] }'
}

# During an interval one process grows by 64 MiB, one ends and one starts. Two memz run: one without and one with a filter.
an_eventful_interval() {
	local here=$BATS_TEST_TMPDIR all filtered
	local command=("$MEMZ" -q --timeout 0.3 -i 3 -P "^$here/load" --json -t
		-c 'pid user command change pss pss_delta pss_anon pss_anon_delta rss_delta')

	start grow 65536
	GROWER=$PID
	start private 8192
	LEAVER=$PID
	start private 4096
	STAYER=$PID
	sum_of_loads >"$here/before"
	"${command[@]}" >"$here/all" 3>&- &
	all=$!
	"${command[@]}" -f 'pss_delta>10M' >"$here/filtered" 3>&- &
	filtered=$!
	wait_for_first_scan "$all"
	wait_for_first_scan "$filtered"
	kill -USR1 "$GROWER"
	kill -KILL "$LEAVER"
	start private 2048
	NEWCOMER=$PID
	wait "$filtered"
	wait "$all"
	sum_of_loads >"$here/after"
}

@test "pss_delta over an interval adds up to the change of the total" {
	an_eventful_interval
	python "$BATS_TEST_TMPDIR" <<'EOF'
before, after = ([int(n) for n in open(f"{sys.argv[1]}/{when}").read().split()] for when in ("before", "after"))
seen = json.load(open(f"{sys.argv[1]}/all"))
def total(column):
    return sum(row[column] for row in seen["processes"])
assert total("pss_anon_delta") == after[1] - before[1], (total("pss_anon_delta"), before, after)
assert total("pss_delta") == after[0] - before[0], (total("pss_delta"), before, after)
assert total("pss") == after[0] == seen["totals"]["pss"], (total("pss"), after, seen["totals"])
assert seen["totals"]["pss_delta"] == total("pss_delta"), seen["totals"]
assert 3 <= seen["interval"] <= 60, seen["interval"]
EOF
}

@test "only the process that grew is found, and new and gone are told apart" {
	an_eventful_interval
	python "$GROWER" "$LEAVER" "$STAYER" "$NEWCOMER" "$BATS_TEST_TMPDIR" <<'EOF'
grower, leaver, stayer, newcomer = pids
seen = {row["pid"]: row for row in json.load(open(sys.argv[-1] + "/all"))["processes"]}
found = json.load(open(sys.argv[-1] + "/filtered"))["processes"]
assert [row["pid"] for row in found] == [grower], found
assert 65536 <= found[0]["pss_delta"] <= 66000, found
assert [seen[pid]["change"] for pid in pids] == ["same", "gone", "same", "new"], seen
gone, new = seen[leaver], seen[newcomer]
assert gone["pss"] == 0 and -8600 <= gone["pss_delta"] <= -8192, gone
assert gone["command"].endswith("load private 8192") and gone["user"] == seen[stayer]["user"], gone
assert new["pss"] == new["pss_delta"] and new["pss"] >= 2048, new
assert seen[stayer]["pss_anon_delta"] == 0, seen[stayer]
EOF
}

@test "an unknown pss has an unknown pss_delta" {
	need_root
	need setpriv jq
	start private 1024
	as_user "$MEMZ" -q -i 0.2 --json -p "$PID" -c pid,pss,pss_delta,rss_delta,change |
		jq -e '.processes[0] | .pss == null and .pss_delta == null and .rss_delta == 0 and .change == "same"'
}

@test "Ctrl-C during an interval ends it, and leaves no half report" {
	python <<'EOF'
import signal, time
def as_in_a_shell():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
for args in [], ["--json"], ["--csv"]:
    child = subprocess.Popen([os.environ["MEMZ"], "-i", "60", *args], stdout=subprocess.PIPE, preexec_fn=as_in_a_shell)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0] == b""
    assert child.returncode != 0
EOF
}

# Hostile names.

# names SEED: starts 200 processes with random names. LIST: their pids for -p.
names() {
	start names 0 200 "$1"
	((${#PIDS[@]} == 200))
	LIST=$(join "${PIDS[@]}")
}

names_in_json() {
	need jq
	names "$1"
	"$MEMZ" --json -p "$LIST" -c pid,name,command | jq -e '.processes | length == 200'
	python "${PIDS[@]}" <<'EOF'
def shown(raw):
    return re.sub("[\udc80-\udcff]", "\ufffd", raw)
for pid, row in rows("-p", selected, "-c", "pid,name,command").items():
    assert row["name"] == shown(proc(pid, "comm")[:-1]), (row, proc(pid, "comm"))
    assert row["command"] == shown(proc(pid, "cmdline")[:-1].replace("\0", " ")), (row, proc(pid, "cmdline"))
EOF
}

names_in_csv() {
	names "$1"
	python "${PIDS[@]}" <<'EOF'
def means(field, raw):
    escapes = rb"\\(\\|x[0-9a-fA-F]{2})"
    plain = re.sub(escapes, lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1][1:], 16)]), field.encode())
    return raw in (plain, field.encode())
args = "-p", selected, "-c", "pid,name,command"
lines = memz("--csv", *args).split("\n")
assert len(lines) == len(pids) + 2 and lines[-1] == "", len(lines)
assert not re.search("[\0-\x1f\x7f]", "".join(lines))
seen = records(*args)
assert sorted(seen) == sorted(pids)
for pid, row in seen.items():
    for column, file in ("name", "comm"), ("command", "cmdline"):
        raw = proc(pid, file)[:-1].replace("\0", " ").encode("utf-8", "surrogateescape")
        assert means(row[column], raw), (pid, row[column], raw)
EOF
}

names_in_text() {
	names "$1"
	"$MEMZ" -p "$LIST" -c pid,name,command >"$BATS_TEST_TMPDIR/text"
	python "$BATS_TEST_TMPDIR/text" <<'EOF'
shown = open(sys.argv[1], "rb").read().decode("utf-8")
assert shown.count("\n") == 201 and shown.endswith("\n"), shown.count("\n")
assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", shown)
assert not re.search(" $", shown, re.M)
EOF
}

@test "jq and Python read back each process's name from JSON (seed 1)" {
	names_in_json 1
}

@test "jq and Python read back each process's name from JSON (seed 2)" {
	names_in_json 2
}

@test "jq and Python read back each process's name from JSON (seed 3)" {
	names_in_json 3
}

@test "each process is one CSV record, and its name can be had back from it (seed 1)" {
	names_in_csv 1
}

@test "each process is one CSV record, and its name can be had back from it (seed 2)" {
	names_in_csv 2
}

@test "each process is one CSV record, and its name can be had back from it (seed 3)" {
	names_in_csv 3
}

@test "sqlite3 imports one record for each process" {
	need sqlite3
	for seed in 1 2 3; do
		names "$seed"
		"$MEMZ" --csv -p "$LIST" -c pid,name,command >"$BATS_TEST_TMPDIR/csv"
		run -0 --separate-stderr sqlite3 :memory: '.mode csv' ".import $BATS_TEST_TMPDIR/csv t" \
			'select count(*), count(distinct pid), count(command) from t'
		[[ $output == 200,200,200 && ! $stderr ]]
	done
}

@test "miller reads one record for each process" {
	need mlr
	for seed in 1 2 3; do
		names "$seed"
		"$MEMZ" --csv -p "$LIST" -c pid,name,command >"$BATS_TEST_TMPDIR/csv"
		run -0 mlr --icsv --ocsv --headerless-csv-output count-distinct -f pid 'then' count "$BATS_TEST_TMPDIR/csv"
		[[ $output == 200 ]]
	done
}

@test "a process's name sends no control byte to the terminal, and adds no line (seed 1)" {
	names_in_text 1
}

@test "a process's name sends no control byte to the terminal, and adds no line (seed 2)" {
	names_in_text 2
}

@test "a process's name sends no control byte to the terminal, and adds no line (seed 3)" {
	names_in_text 3
}

@test "a C locale gets ASCII only" {
	names 1
	LC_ALL=C "$MEMZ" -p "$LIST" -c pid,name,command >"$BATS_TEST_TMPDIR/text"
	run ! env LC_ALL=C grep -q '[^ -~]' "$BATS_TEST_TMPDIR/text"
	(($(wc -l <"$BATS_TEST_TMPDIR/text") == 201))
}

# Rights.

# OWN: processes of the user nobody. OTHER: a process of root.
processes_of_two_users() {
	need_root
	need setpriv jq
	start private 2048
	OTHER=$PID
	# shellcheck disable=SC2034	# start reads it
	START_AS=("${NOBODY[@]}")
	start private 1024
	OWN=("${PIDS[@]}")
	start shared 1024 2
	OWN+=("${PIDS[@]}")
}

@test "a user without rights sees the pss of own processes, and of no other" {
	processes_of_two_users
	as_user "$MEMZ" -q --json -c pid,user,uss,pss,rss,swap,command >"$BATS_TEST_TMPDIR/json"
	for pid in "${OWN[@]}"; do
		jq -e --argjson pid "$pid" --argjson pss "$(awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup")" \
			'.processes[] | select(.pid == $pid) | .pss == $pss and ([.uss, .rss, .swap] | all(. != null))' \
			"$BATS_TEST_TMPDIR/json"
	done
	jq -e --argjson pid "$OTHER" '.processes[] | select(.pid == $pid)
		| .pss == null and .uss == null and .swap == null and .rss > 2048 and .user == "root"
		and (.command | endswith("load private 2048"))' "$BATS_TEST_TMPDIR/json"
	scan_adds_up <"$BATS_TEST_TMPDIR/json"
	jq -e '.scan.denied + .scan.stalled == ([.processes[] | select(.pss == null)] | length)' "$BATS_TEST_TMPDIR/json"
}

@test "a user without rights sees - and an empty field for an unknown pss" {
	processes_of_two_users
	run -0 as_user "$MEMZ" -q -H -p "$OTHER" -c pid,pss,rss
	[[ $output =~ ^\ *$OTHER\ +-\ +[1-9] ]]
	run -0 as_user "$MEMZ" -q -H -p "$OTHER" -c pid,pss,user --csv
	[[ $output == "$OTHER,,root" ]]
}

@test "a user without rights is told so once" {
	processes_of_two_users
	run -0 --separate-stderr as_user "$MEMZ" --json
	denied=$(jq .scan.denied <<<"$output")
	[[ $(grep -v '^memz: [0-9]* process.* stuck in the kernel' <<<"$stderr") == \
		"memz: $denied processes: PSS not readable (needs root or CAP_PERFMON); shown as -" ]]
	run -0 --separate-stderr as_user "$MEMZ" -q
	[[ ! $stderr ]]
}

@test "a user without rights is told nothing where nothing is missing" {
	processes_of_two_users
	run -0 --separate-stderr as_user "$MEMZ" -p "${OWN[0]}"
	[[ ! $stderr ]]
	run -0 --separate-stderr as_user "$MEMZ" -c pid,rss,user -s rss
	[[ ! $stderr ]]
}

@test "the counts of the scan add up" {
	need jq
	"$MEMZ" -q --json >"$BATS_TEST_TMPDIR/json"
	scan_adds_up <"$BATS_TEST_TMPDIR/json"
	jq -e '(.processes | length) == .scan.processes - .scan.vanished' "$BATS_TEST_TMPDIR/json"
	"$MEMZ" -q --json -c pid,rss -f 'rss>1G' | scan_adds_up
	"$MEMZ" -q --json -p $$ | scan_adds_up
}

# Selection of processes.

@test "kernel threads and zombies are left out, and counted" {
	need_kernel_threads
	need jq
	start zombie
	"$MEMZ" -q --json -c pid >"$BATS_TEST_TMPDIR/json"
	jq -e --argjson zombie "$PID" '[.processes[].pid] | any(. == 2 or . == $zombie) | not' "$BATS_TEST_TMPDIR/json"
	jq -e '.scan.kernel_threads > 1 and .scan.zombies > 0' "$BATS_TEST_TMPDIR/json"
	scan_adds_up <"$BATS_TEST_TMPDIR/json"
}

@test "-A shows kernel threads and zombies" {
	need_kernel_threads
	need jq
	start zombie
	"$MEMZ" -q -A --json -c pid,state,pss,command >"$BATS_TEST_TMPDIR/json"
	jq -e '.processes[] | select(.pid == 2) | .pss == null and .command == "[kthreadd]"' "$BATS_TEST_TMPDIR/json"
	jq -e --argjson zombie "$PID" '.processes[] | select(.pid == $zombie)
		| .pss == null and .command == "[load]" and .state == "Z"' "$BATS_TEST_TMPDIR/json"
	scan_adds_up <"$BATS_TEST_TMPDIR/json"
}

@test "-p shows the kernel thread and the zombie that it names" {
	need_kernel_threads
	start zombie
	run -0 --separate-stderr "$MEMZ" -H -p "2,$PID" -c pid,pss,name
	[[ ${#lines[@]} == 2 && ! $stderr ]]
	[[ $output =~ (^|$'\n')\ *2\ +-\ +kthreadd($|$'\n') ]]
	[[ $output =~ (^|$'\n')\ *$PID\ +-\ +load($|$'\n') ]]
}

@test "a pid that does not exist is an error, and the others are still reported" {
	need jq
	missing=$(</proc/sys/kernel/pid_max)	# no process can have this pid
	start private
	run -1 --separate-stderr "$MEMZ" -H -p "$missing,$PID" -c pid,pss
	[[ $output =~ ^\ *$PID\ +[0-9] && ${#lines[@]} == 1 ]]
	[[ $stderr == memz:*"$missing"* && ${#stderr_lines[@]} == 1 ]]
	run -1 --separate-stderr "$MEMZ" --json -p "$missing,$PID"
	jq -e --argjson pid "$PID" '[.processes[].pid] == [$pid]' <<<"$output"
}

@test "a thread's id is refused, with the pid of its process" {
	start threads
	tid=$(find "/proc/$PID/task" -mindepth 1 -maxdepth 1 ! -name "$PID" -printf '%f\n' -quit)
	run -1 --separate-stderr "$MEMZ" -H -p "$tid,$PID" -c pid,threads
	[[ $output =~ ^\ *$PID\ +4$ ]]
	[[ $stderr == memz:*"$tid"*thread*"$PID"* && ${#stderr_lines[@]} == 1 ]]
}

@test "the report has every process that ps sees, and no other" {
	need_answer ps -e
	python <<'EOF'
def ps():
    lines = subprocess.check_output(["ps", "-e", "-o", "pid=,ppid=,stat="], text=True).splitlines()
    return {int(pid) for pid, ppid, state in map(str.split, lines) if "2" not in (pid, ppid) and state[0] != "Z"}
before, seen, after = ps(), rows("-c", "pid,rss"), ps()
assert len(seen) > 3
assert not (before & after) - set(seen), (before & after) - set(seen)
strangers = set(seen) - before - after
assert not any(os.path.exists(f"/proc/{pid}") for pid in strangers), strangers
EOF
}

# Output.

@test "a full disk is an error" {
	for format in -H --csv --json; do
		run -1 --separate-stderr bash -c '"$MEMZ" -q "$1" >/dev/full' - "$format"
		[[ $stderr == memz:*'No space left on device'* && ${#stderr_lines[@]} == 1 ]]
	done
}

@test "a closed standard output is an error" {
	for format in -H --csv --json; do
		run -1 --separate-stderr bash -c '"$MEMZ" -q "$1" >&-' - "$format"
		[[ $stderr == memz:* && ${#stderr_lines[@]} == 1 ]]
	done
}

@test "memz | head ends without a message" {
	for reader in 'head -1 >/dev/null' true 'sleep 0.5'; do
		run -0 bash -c "'$MEMZ' -q | $reader"
		[[ ! $output ]]
		run -0 bash -c "trap '' PIPE; '$MEMZ' -q --json | $reader"
		[[ ! $output ]]
	done
}

# on_terminal WIDTH ARG...: output and messages of memz, each written to a terminal of its own.
TERMINAL='
import fcntl, pty, select, signal, struct, termios, time
def on_terminal(width, *args, during=lambda: None, **environment):
    ends = [pty.openpty(), pty.openpty()]
    for _, slave in ends:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    child = subprocess.Popen([os.environ["MEMZ"], *args], stdout=ends[0][1], stderr=ends[1][1],
        env={**os.environ, **environment})
    for _, slave in ends:
        os.close(slave)
    during()
    seen = {master: b"" for master, _ in ends}
    waiting = set(seen)
    while waiting:
        for master in select.select(list(waiting), [], [])[0]:
            try:
                seen[master] += os.read(master, 65536)
            except OSError:
                waiting.remove(master)
    assert child.wait() == 0
    return [text.decode().replace("\r\n", "\n") for text in seen.values()]
def grow():
    time.sleep(1.5)
    os.kill(pids[0], signal.SIGUSR1)
def growing(**environment):
    return on_terminal(200, "-i", "3", "-p", selected, during=grow, **environment)
'

terminal() {
	python "$@" <<<"$TERMINAL"$'\n'"$(cat)"
}

@test "a long command line is clipped on a terminal, and whole in a pipe" {
	start private
	ln -s load "$BATS_TEST_TMPDIR/$(printf 'x%.0s' {1..200})"
	start_program "$BATS_TEST_TMPDIR"/xxx* private 64
	terminal "$PID" <<'EOF'
args = "-p", selected, "-c", "pid,rss,vsz,command"
whole = memz(*args).splitlines()
assert whole[1].endswith("x private 64"), whole
short = whole[1].replace(os.environ["BATS_TEST_TMPDIR"] + "/", "")     # the directory goes first
for width in 80, 40:
    header, row = on_terminal(width, *args)[0].splitlines()
    assert len(row) == width and short.startswith(row), (width, row)
    assert len(header) <= width
EOF
}

@test "growth is bold on a terminal, and nothing else is" {
	start grow 65536
	grower=$PID
	start private 65536
	terminal "$grower" "$PID" <<'EOF'
shown, _ = growing()
assert [str(pids[0]) in line for line in shown.splitlines() if "\x1b" in line] == [True], shown
assert "\x1b[1m" in shown, shown
EOF
}

@test "NO_COLOR is honoured" {
	start grow 65536
	terminal "$PID" <<'EOF'
shown, _ = growing(NO_COLOR="1")
assert "\x1b" not in shown and str(pids[0]) in shown, shown
EOF
}

@test "on a terminal memz says how long an interval still takes" {
	start grow 64
	terminal "$PID" <<'EOF'
shown, told = growing()
assert re.search("[0-9]", told), told
assert "\x1b" not in shown, shown
EOF
}

@test "a pipe gets neither bold type nor a countdown" {
	start grow 65536
	"$MEMZ" -i 2 -p "$PID" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	wait_for_first_scan $!
	kill -USR1 "$PID"
	wait $!
	[[ ! -s $BATS_TEST_TMPDIR/err ]]
	grep -q '+64' "$BATS_TEST_TMPDIR/out"
	run ! grep -q $'\033' "$BATS_TEST_TMPDIR/out"
}

# Files that are opened.

# files ARGUMENT...: the names of the files that memz opens.
files() {
	strace -f -qq -e trace=open,openat,openat2 -o "$BATS_TEST_TMPDIR/trace" "$MEMZ" -q "$@" >/dev/null
	sed -n 's/.*open[at2]*([^"]*"\([^"]*\)".*/\1/p' "$BATS_TEST_TMPDIR/trace"
}

@test "a report of rss walks no page tables" {
	need strace
	start private
	run -0 files -c pid,rss,vsz,name -s rss
	[[ $output == *statm* ]]
	run ! grep -E '(^|/[0-9]+/)(smaps_rollup|smaps|maps|numa_maps)$' <<<"$output"
}

@test "a report of pss opens only the files that it needs" {
	need strace
	start private
	run -0 files -c pid,pss
	[[ $output == *smaps_rollup* ]]
	run ! grep -E '(^|/[0-9]+/)(status|cmdline|cgroup|comm|oom_score|oom_score_adj|maps|smaps|numa_maps)$' <<<"$output"
}

@test "-p reads no other process" {
	need strace
	start private
	run -0 files -p "$PID" -c pid,pss,name,command
	[[ $output == *"$PID"*smaps_rollup* ]]
	run ! grep -E '^(/proc/)?[0-9]+(/|$)' <(grep -vE "^(/proc/)?$PID(/|$)" <<<"$output")
}
