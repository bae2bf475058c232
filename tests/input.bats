# Files that no kernel writes: impossible numbers, damage, the wrong kind of file, very large files. memz shows what it
# cannot know as unknown, and everything else as before; its counts add up.
# shellcheck disable=SC2017,SC2034	# helper.bash has python
load helper

# TREE is a part of the machine `current'. 1433 (VICTIM) is a java on two nodes, whose files are damaged.
PRELUDE='
import atexit, contextlib
TREE, JSON, VICTIM = os.environ["TREE"], os.environ["BATS_TEST_TMPDIR"] + "/json", 1433
MALFORMED = [2**64 - 1, 2**63, 2**64 + 5, -5, "x", ".5", ""]
if LONG:
    MALFORMED += [2**64, 2**64 + 2**31, 2**128 + 5, -2**63, -2**64, "-", "+", "e9", "kB", "\xff", "nan", "inf", "--1", "9" * 5000]
PROCESS = ["-A", "-c", "all,maps,numa,exe,ancestry,oom_score,oom_score_adj"]
NUMBERS = {     # where each file has its numbers
    "statm": rb"()\d+", "oom_score": rb"()\d+", "oom_score_adj": rb"()-?\d+", "numa_maps": rb"( N\d+=)\d+", "stat": rb"( )-?\d+(?=[ \n])",
    "status": rb"(?m)^((?:Vm|Rss)\w+:\s+|Uid:\t\d+\t)\d+", "smaps_rollup": rb"(?m)^(\w+: +)\d+", "smaps": rb"(?m)^(\w+: +)\d+",
    "meminfo": rb"(?m)^(\S+: +)\d+", "vmstat": rb"(?m)( )\d+$", "buddyinfo": rb"( )\d+(?= )", "memory": rb"(avg\d+=)[\d.]+",
    "mm_stat": rb"()\d+", "uptime": rb"()[\d.]+", "memory.current": rb"()\d+", "memory.max": rb"()\d+", "passwd": rb"(:x:)\d+"}
def path(name):
    for at in f"proc/{VICTIM}/{name}", name, f"proc/{name}", f"sys/{name}", f"etc/{name}":
        if os.path.lexists(f"{TREE}/{at}"):
            return f"{TREE}/{at}"
    raise FileNotFoundError(name)
def text(name):
    with open(path(name), "rb") as f:
        return f.read()
@contextlib.contextmanager
def replaced(name, data):
    """Meanwhile the file is replaced by DATA, or by what DATA makes if it is a function."""
    at = path(name)
    os.rename(at, at + ".kept")
    if callable(data):
        data(at)
    else:
        with open(at, "wb") as f:
            f.write(data)
    yield
    if os.path.isdir(at) and not os.path.islink(at):
        os.rmdir(at)
    else:
        os.remove(at)
    os.rename(at + ".kept", at)
def with_numbers(name, value, pattern=None):
    value = str(value).encode("latin-1")
    return re.sub(pattern or NUMBERS[os.path.basename(name)], lambda m: m[1] + value, text(name))
csv.field_size_limit(1 << 30)
# memz -S TREE as text, as JSON and as CSV.
def of_tree(*args):
    done = run("-S", TREE, *args)
    strange = [line for line in done.stderr.splitlines() if not line.startswith(b"memz: ")]
    assert done.returncode == 0 and not strange, (args, done.returncode, done.stderr[-2000:])
    return done.stdout
def no_constant(constant):
    raise ValueError(constant)
def report_of_tree(*args):
    out = of_tree("--json", *args)
    with open(JSON, "ab") as f:
        f.write(out)
    r = json.loads(out.decode("utf-8"), parse_constant=no_constant)
    assert adds_up(r["scan"]), r["scan"]
    return r
def records_of_tree(*args):
    rows = list(csv.reader(io.StringIO(of_tree("--csv", *args).decode("utf-8"), newline="")))
    assert len({len(row) for row in rows}) < 2, {len(row) for row in rows}
    return rows
def leaves(x, at=()):
    """{path: value}; a row is known by what it is about, not by its place."""
    if isinstance(x, dict):
        return {p: v for k, y in x.items() if k not in ("seconds", "interval") for p, v in leaves(y, at + (k,)).items()}
    if isinstance(x, list):
        keys = ("pid",) if x and "pid" in x[0] else ("area", "node", "zone", "mapping", "kind", "cgroup")
        rows = [(tuple(y[k] for k in keys if k in y), y) for y in x]
        return {p: v for k, y in rows for p, v in leaves(y, at + (k,)).items()}
    return {at: x}
def columns_of(source):
    return [c["name"] for c in report("--list-columns")["columns"] if c["source"] == source and not c["name"].endswith("_pct")]
faults = []
def expect(right, *what):
    if not right:
        faults.append(what)
@atexit.register
def verdict():
    print(len(faults), *faults[:20], sep="\n", flush=True)
    if faults:
        os._exit(1)
def check(what, before, after, unknown=(), may=()):
    """All is as before or unknown, the same processes are there, and what UNKNOWN names is unknown. What lies below a
    key of MAY may differ: so may what is left over when a part is unknown."""
    may = {"kernel_other", "elsewhere", "scan", *may}
    wrong = {p: (before.get(p, "not there"), v) for p, v in after.items() if v is not None and v != before.get(p, "")
        and not may & {y for x in p for y in (x if isinstance(x, tuple) else (x,))}}
    expect(not wrong, what, "wrong", len(wrong), list(wrong.items())[:4])
    rows = [{p[1] for p in x if p[0] == "processes"} for x in (before, after)]
    expect(rows[0] == rows[1], what, "rows", rows[0] ^ rows[1])
    known = {p: v for p, v in after.items() if v is not None and any(all(k in p for k in u) for u in unknown)}
    expect(not known, what, "is known", len(known), list(known.items())[:4])
def only_one_zram():
    devices = sorted(d for d in os.listdir(f"{TREE}/sys/block") if os.path.exists(f"{TREE}/sys/block/{d}/mm_stat"))
    for device in devices[1:]:
        os.remove(f"{TREE}/sys/block/{device}/mm_stat")
    return f"block/{devices[0]}/mm_stat"
'

setup() {
	need jq
	export TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc"
	cp -r "$ROOT"/tests/machines/current/{etc,sys} "$TREE"
	cp -r "$ROOT"/tests/machines/current/proc/{[a-z]*,1,2,812,1433,1501,1710} "$TREE/proc"
}

# jq reads every JSON report that the Python program has read.
jq_reads_all() {
	(($(jq -n '[inputs] | length' "$BATS_TEST_TMPDIR/json") == $(wc -l <"$BATS_TEST_TMPDIR/json")))
}

# limited KIB COMMAND...: with so much address space. The sanitizers need more and are not limited.
limited() (
	[[ $MEMZ == *memz-?san ]] || ulimit -v "$1"
	timeout 300 "${@:2}"
)

@test "a malformed number is unknown: files of a process" {
	python <<'EOF'
rollup, victim = columns_of("smaps_rollup"), (VICTIM,)
for name, columns in {"statm": [], "stat": "ppid threads minflt majflt start".split(), "status": ["uid", "user"] + columns_of("status"),
        "smaps_rollup": rollup, "oom_score": ["oom_score"], "oom_score_adj": ["oom_score_adj"], "numa_maps": [], "smaps": rollup}.items():
    if name == "smaps":
        os.remove(path("smaps_rollup"))
    before = leaves(report_of_tree(*PROCESS))
    assert not columns or [c for c in columns if before["processes", victim, c] is not None], name
    for value in MALFORMED:
        if name.startswith("oom") and value in (-5, -2**63):
            continue
        with replaced(name, with_numbers(name, value)):
            gone = [c for c in columns if value != "" or c not in ("uid", "user")]	# the next number of the line is read instead
            check((name, value), before, leaves(report_of_tree(*PROCESS)), [("processes", victim, c) for c in gone], ["ancestry"] if name == "stat" else [])
            if name == "numa_maps":
                expect(records_of_tree("-p", str(VICTIM), "-c", "numa")[1:] == [[""]], name, value)
EOF
	jq_reads_all
}

@test "a malformed number is unknown: rss of statm alone, and single keys of the rollup" {
	python <<'EOF'
before = leaves(report_of_tree(*PROCESS))
for value in MALFORMED:
    with replaced("statm", with_numbers("statm", value)):
        vsz, rss = {r[0]: r[1:] for r in records_of_tree("-c", "pid,vsz,rss")}[str(VICTIM)]
        expect(vsz == "" and rss in ("", str(before["processes", (VICTIM,), "rss"])), value, vsz, rss)
    for key, gone in {"Rss": [], "Pss": ["pss", "pss_swap"], "Private_Clean": ["private_clean", "uss"], "Shared_Dirty": ["shared_dirty", "shared"]}.items():
        with replaced("smaps_rollup", with_numbers("smaps_rollup", value, rb"(?m)^(%s: +)\d+" % key.encode())):
            check((key, value), before, leaves(report_of_tree(*PROCESS)), [("processes", (VICTIM,), c) for c in gone])
os.remove(path("smaps_rollup"))
before = leaves(report_of_tree(*PROCESS))
for value in MALFORMED:	# of one mapping: the sum is unknown
    with replaced("smaps", re.sub(rb"(?m)^(Pss: +)\d+", lambda m: m[1] + str(value).encode("latin-1"), text("smaps"), count=1)):
        check(("smaps", value), before, leaves(report_of_tree(*PROCESS)), [("processes", (VICTIM,), "pss")])
EOF
	jq_reads_all
}

@test "a malformed number is unknown: files of the machine" {
	python <<'EOF'
view, zram, node = ["-w", "-i", "0.01"], only_one_zram(), "devices/system/node/node1/meminfo"
before = leaves(report_of_tree(*view))
for name, gone in {"meminfo": [("memory",), ("huge_pages",), ("pressure", "used_pct"), ("areas", ("anonymous",), "total"), ("areas", ("kernel_other",), "total")],
        "vmstat": [("rates",)], "buddyinfo": [("fragmentation", k) for k in ("free", "order3", "unusable_pct")],
        "pressure/memory": [("pressure", k) for k in ("some_avg10", "some_avg60", "some_avg300", "full_avg10", "full_avg60", "full_avg300")],
        node: [("nodes", (1,), k) for k in ("total", "free", "used", "file", "anon", "slab")],
        zram: [("swap", "zram"), ("swap", "zram_data"), ("areas", ("zram",), "total")], "uptime": [("time",)]}.items():
    assert [p for p, v in before.items() if v is not None and any(all(k in p for k in u) for u in gone)], name
    for value in MALFORMED:
        with replaced(name, with_numbers(name, value, rb"(?m)^(Node \d+ \S+: +)\d+" if name == node else None)):
            check((name, value), before, leaves(report_of_tree(*view)), gone, ["delta", "rates"])
EOF
	jq_reads_all
}

@test "a malformed number of a node is unknown, not another node" {
	python <<'EOF'
for value in MALFORMED + [2**32, 2**32 + 1]:
    with replaced("buddyinfo", b"Node %s, zone   Normal      1      2      3      4      5      6      7      8      9     10     11 \n" % str(value).encode("latin-1")):
        zones = report_of_tree("-w")["system"]["fragmentation"]
        expect(not [z for z in zones if z["node"] is not None], value, zones)
EOF
	jq_reads_all
}

@test "a malformed user, limit or date is unknown" {
	python <<'EOF'
limits = [f"{d}/{f}"[len(TREE) + 1:] for d, _, files in os.walk(f"{TREE}/sys/fs/cgroup") for f in files if f in ("memory.current", "memory.max")]
assert [g for g in report_of_tree("--by", "cgroup")["groups"] if g["cg_usage"] is not None and g["cg_limit"] is not None]
for value in MALFORMED + [2**32, 2**32 + 1000]:	# they wrap to 0 and 1000 in 32 bits
    with replaced("passwd", with_numbers("passwd", value)):
        named = [r for r in report_of_tree("-c", "pid,uid,user")["processes"] if r["user"] != str(r["uid"])]
        expect(not named, "passwd", value, named[:3])
for value in MALFORMED:
    with contextlib.ExitStack() as stack:
        for name in limits:
            stack.enter_context(replaced(name, with_numbers(name, value)))
        known = [g for g in report_of_tree("--by", "cgroup")["groups"] if g["cg_usage"] is not None or g["cg_limit"] is not None]
        expect(not known, "cgroup", value, known[:3])
    with replaced("proc/stat", with_numbers("proc/stat", value, rb"(?m)^(btime )\d+")):
        r = report_of_tree("-c", "pid,start")
        expect(r["time"] is None and {p["start"] for p in r["processes"]} == {None}, "btime", value, r["time"])
EOF
	jq_reads_all
}

@test "no sum and no unit wraps round" {
	python <<'EOF'
big = 2**63 - 1
for name in os.listdir(f"{TREE}/proc"):
    if os.path.exists(f"{TREE}/proc/{name}/smaps_rollup"):
        with open(f"{TREE}/proc/{name}/smaps_rollup", "w") as f:
            f.write("".join(f"{k}: {big} kB\n" for k in "Rss Pss Pss_Anon Private_Clean Private_Dirty Shared_Clean Shared_Dirty Swap SwapPss".split()))
with open(f"{TREE}/proc/meminfo", "w") as f:
    f.write("".join(f"{k}: {big} kB\n" for k in "MemTotal MemFree MemAvailable SwapTotal SwapFree AnonPages Cached Shmem PageTables SecPageTables Hugetlb".split()))
for unit in "B", "K", "M", "G":
    for args in ["-t"], ["--by", "user"], ["-w"], ["-i", "0.01"], ["--by", "cgroup", "-i", "0.01"]:
        all = leaves(report_of_tree("--unit", unit, *args))
        sizes = [v for p, v in all.items() if p[-1] in ("pss", "uss", "rss", "swap_pss", "shared", "mem_total") and v is not None and v < big // 1024**3]
        other = all.get(("system", "areas", ("kernel_other",), "total"))
        expect(not sizes and (other is None or other < 0), unit, args, sizes, other)
of_tree("-t"), of_tree("-w"), of_tree("--by", "user", "-i", "0.01")
EOF
	jq_reads_all
}

# Ways to damage a whole file.
DAMAGE='
def loop(at):
    os.symlink(os.path.basename(at), at)
def cut(data):
    """A NUL inside the last number of two or more digits."""
    places = [m.start() + 1 for m in re.finditer(rb"[1-9]\d", data)]
    return data[:places[-1]] + b"\0" + data[places[-1]:] if places else data + b"\0"
LINE = b"x" * (1 << 20)
def damages(name):
    data = text(name)
    if not name.endswith("mm_stat"):	# empty, it is a device that is not set up
        yield "empty", b""
    yield "a NUL inside a number", cut(data)
    yield "NUL for newline", data.replace(b"\n", b"\0")
    yield "a line of 1 MiB first", LINE + b"\n" + data
    yield "a line of 1 MiB last", data + LINE
    yield "a number of 1 MiB first", b"1" * (1 << 20) + b"\n" + data
    yield "every byte there is", bytes(range(256)) * 16
    yield "a directory", os.mkdir
    yield "a symlink loop", loop
'

@test "a damaged file of a process leaves every row there, and all other numbers right" {
	python <<<"$DAMAGE"'
words = "name command ancestry cgroup unit container user state exe".split()
for name in "stat statm status smaps_rollup cmdline comm cgroup oom_score oom_score_adj maps numa_maps smaps".split():
    if name == "smaps":
        os.remove(path("smaps_rollup"))
    before = leaves(report_of_tree(*PROCESS))
    others = {p: v for p, v in before.items() if p[0] == "processes" and p[1] != (VICTIM,)}
    for what, data in damages(name):
        with replaced(name, data):
            after = leaves(report_of_tree(*PROCESS))
            check((name, what), before, after, may=words + (["maps"] if name == "maps" else []))
            changed = [p for p in others if after.get(p) != others[p]]
            expect(not changed or name in ("stat", "comm", "cmdline") and {p[2] for p in changed} == {"ancestry"}, name, what, changed[:4])
            if not SANITIZED and (name in ("comm", "cmdline", "cgroup", "stat") or LONG):
                of_tree("-A"), records_of_tree(*PROCESS)
            if name == "smaps":
                report_of_tree("-m"), records_of_tree("-m")
    with replaced(name, text(name).rstrip(b"\n")):
        expect(leaves(report_of_tree(*PROCESS)) == before, name, "no newline at the end")
'
	jq_reads_all
}

@test "a damaged file of the machine leaves every process there, and all other numbers right" {
	python <<<"$DAMAGE"'
w, groups, users, zram = ["-w"], ["--by", "cgroup"], ["-A", "-c", "pid,pss,rss,uid,user,start"], only_one_zram()
for name, views in {"meminfo": (w, groups, users), "vmstat": (["-w", "-i", "0.01"],), "buddyinfo": (w,), "devices/system/node/node0/meminfo": (w,), zram: (w,),
        "pressure/memory": (w,), "uptime": (users,), "proc/stat": (users,), "self/mountinfo": (groups,), "etc/passwd": (users,)}.items():
    for view in views:
        before = leaves(report_of_tree(*view))
        for what, data in damages(name):
            with replaced(name, data):
                names = ["memory", "fragmentation"] if what in ("every byte there is", "NUL for newline") else []	# a damaged line may be a new key
                check((name, what, view), before, leaves(report_of_tree(*view)), may=["rates", "delta", "user"] + names)
                if not SANITIZED:
                    of_tree(*view), records_of_tree(*view)
        with replaced(name, text(name).rstrip(b"\n")):
            check((name, "no newline at the end", view), leaves(report_of_tree(*view)), before, may=["rates"])
'
	jq_reads_all
}

@test "a number that a limit of memz cuts short is unknown" {
	python <<'EOF'
def pss():
    return {r["pid"]: r["pss"] for r in report_of_tree("-c", "pid,pss")["processes"]}[VICTIM]
truth, rollup = pss(), text("smaps_rollup")
at = re.search(rb"\nPss: +(\d+)", rollup).start(1)
for limit in 1 << 16, 1 << 17, 1 << 20:
    for inside in 1, 2, 3:
        with replaced("smaps_rollup", b"x" * (limit - at - inside - 1) + b"\n" + rollup):
            expect(pss() in (None, truth), limit, inside, pss(), truth)
os.remove(path("smaps_rollup"))
truth, smaps = pss(), text("smaps")
first = int(re.search(rb"(?m)^Pss: +(\d+)", smaps)[1])
for limit in 1 << 16, 1 << 17, 1 << 20:
    for inside in 1, 2, 3:
        with replaced("smaps", re.sub(rb"(?m)^Pss: +\d+", b"Pss:%*d" % (limit - 4 + inside, 123456), smaps, count=1)):
            expect(pss() in (None, truth - first + 123456), "smaps", limit, inside, pss(), truth - first + 123456)
EOF
	jq_reads_all
}

@test "only a directory with the exact name of a pid is taken for a process" {
	before=$("$MEMZ" -S "$TREE" -A --csv -c pid,pss)
	for name in 001433 1433x -5 +5 99999999999 4294968729 18446744073709553049; do
		cp -r "$TREE/proc/1433" "$TREE/proc/$name"
	done
	mkdir "$TREE/proc/0"
	touch "$TREE/proc/77"
	ln -s nowhere "$TREE/proc/78"
	diff <("$MEMZ" -S "$TREE" -A --csv -c pid,pss) - <<<"$before"
	[[ $("$MEMZ" -S "$TREE" --json | jq '.scan | .processes == .measured + .denied + .vanished + .stalled + .skipped') == true ]]
}

@test "a file of 1 GiB is read in bounded memory" {
	while read -r file arguments; do
		size=1G
		[[ ${LONG-} || $file != */*maps ]] || size=64M	# memz reads these to their end
		[[ ${LONG-} || $MEMZ != *memz-?san ]] || size=8M	# their memory is not limited
		echo "$file: memz $arguments"
		mv "$TREE/$file" "$BATS_TEST_TMPDIR/kept"
		truncate -s "$size" "$TREE/$file"
		# shellcheck disable=SC2086	# arguments are words
		limited 200000 "$MEMZ" -S "$TREE" --jobs 1 --json $arguments >>"$BATS_TEST_TMPDIR/json"
		mv "$BATS_TEST_TMPDIR/kept" "$TREE/$file"
	done <<-END
		proc/1433/smaps_rollup
		proc/1433/statm -c pid,rss
		proc/1433/stat -c pid,minflt
		proc/1433/status -c pid,vm_hwm
		proc/1433/comm -c pid,name
		proc/1433/cmdline
		proc/1433/cgroup --by cgroup
		proc/1433/oom_score -c pid,oom_score
		proc/1433/maps -c pid,maps
		proc/1433/numa_maps -c pid,numa
		proc/1433/smaps -m
		proc/meminfo
		proc/vmstat -w
		proc/buddyinfo -w
		proc/stat -c pid,start
		proc/uptime
		proc/pressure/memory -w
		proc/sys/kernel/osrelease
		proc/self/mountinfo --by cgroup
		sys/devices/system/node/node0/meminfo -w
		etc/passwd
	END
	jq_reads_all
}

@test "an smaps of very many mappings is summed right in bounded memory" {
	count=$([[ ${LONG-} ]] && echo 1500000 || echo 20000)	# 1 GiB, or 14 MiB
	smaps=$TREE/proc/1433/smaps
	rm "$TREE/proc/1433/smaps_rollup"
	awk -v n="$count" '/^[0-9a-f]+-/ && seen++ { exit } { one = one $0 "\n" } END { for (; i < n; i++) printf "%s", one }' "$smaps" >"$smaps.new"
	mv "$smaps.new" "$smaps"
	pss=$(($(awk '$1 == "Pss:" { print $2; exit }' "$smaps") * count))
	[[ $(limited 200000 "$MEMZ" -S "$TREE" --csv -H -p 1433 -c pss) == "$pss" ]]
	[[ $(limited 200000 "$MEMZ" -S "$TREE" -m --csv -H -p 1433 -c procs,pss) == "1,$pss" ]]
	[[ ! ${LONG-} ]] || echo "# smaps: $count mappings, $(stat -c %s "$smaps") bytes" >&3
}

@test "of very many processes each is there once, and the sums are right" {
	need python3
	count=$([[ ${LONG-} ]] && echo 100000 || echo 5000)
	rm -r "$TREE"/proc/[0-9]*
	python3 - "$TREE/proc" "$count" <<'EOF'
import os, sys
proc, count = sys.argv[1], int(sys.argv[2])
text = {"cmdline": "/usr/bin/worker\0-n\0", "status": "Uid:\t1000\t1000\t1000\t1000\n"}
for pid in range(1, count + 1):
    os.mkdir(f"{proc}/{pid}")
    for name, data in text.items():
        if pid % 1000 == 1:	# a file can have only so many links
            with open(f"{proc}/{pid}/{name}", "w") as f:
                f.write(data)
        else:
            os.link(f"{proc}/{pid - (pid - 1) % 1000}/{name}", f"{proc}/{pid}/{name}")
    with open(f"{proc}/{pid}/smaps_rollup", "w") as f:
        f.write(f"Rss: 4000 kB\nPss: {pid % 3000} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 1 kB\nShared_Clean: 0 kB\nShared_Dirty: 0 kB\nSwap: 0 kB\nSwapPss: 0 kB\n")
EOF
	sum=$((count / 3000 * 4498500 + (count % 3000) * (count % 3000 + 1) / 2)) begin=$SECONDS
	timeout 120 "$MEMZ" -S "$TREE" --json -t >"$BATS_TEST_TMPDIR/json"
	run -0 jq -c '[(.processes | map(.pid) | unique | length), .totals.pss, .totals.uss, .scan.processes, .scan.measured, .processes[0].pss]' "$BATS_TEST_TMPDIR/json"
	[[ $output == "[$count,$sum,$count,$count,$count,2999]" ]]
	[[ $(timeout 60 "$MEMZ" -S "$TREE" -n 1 -s +pss --csv -H -c pid,pss) == 3000,0 ]]
	[[ $(timeout 60 "$MEMZ" -S "$TREE" --by user --csv -H -c user,count,pss) == *",$count,$sum" ]]
	[[ $(timeout 60 "$MEMZ" -S "$TREE" -H | wc -l) == "$count" ]]
	[[ ! ${LONG-} ]] || echo "# $count processes: four reports in $((SECONDS - begin)) s" >&3
}
