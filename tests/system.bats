#!/usr/bin/env bats
# The whole machine (-w): saved machines compared with their files, and this one with memory that the test makes.
# shellcheck disable=SC2154,SC2153	# run sets stderr, helper MEMZ
# shellcheck disable=SC2016	# what miller and sh -c expand

load helper

# What the Python programs below share.
PRELUDE='
import glob
AREAS = ("anonymous anon_unmapped shmem file_cache buffers slab_reclaimable slab_unreclaimable kernel_stacks page_tables "
    "per_cpu vmalloc huge_pages gpu gpu_reclaim zswap zram free free_pcp kernel_other").split()
def system(*args):
    return report("-w", *args)
def machines():
    for path in sorted(glob.glob(MACHINES + "*/")):
        proc = path + "proc/" if os.path.isdir(path + "proc") else path
        if os.path.exists(proc + "meminfo"):
            yield path.split("/")[-2], path, proc, kernel_sizes(read(proc + "meminfo"))
'

# Saved machines

@test "the areas and kernel_other add up to MemTotal, to the KiB" {
	python <<'PY'
seen = 0
for name, path, proc, meminfo in machines():
    seen_here = system("-S", path)
    areas = seen_here["system"]["areas"]
    assert [area["area"] for area in areas] == AREAS, name
    assert sum(area["total"] or 0 for area in areas) == meminfo["MemTotal"] == seen_here["memory"]["mem_total"], name
    seen += 1
assert seen >= 18, seen
PY
}

@test "each area is what meminfo or zram says, and unknown where the kernel does not say" {
	python <<'PY'
def minus(a, b):
    return None if a is None or b is None else a - b
for name, path, proc, m in machines():
    tables = [m[key] for key in ("PageTables", "SecPageTables") if key in m]
    huge = m.get("Hugetlb", m["HugePages_Total"] * m["Hugepagesize"] if "HugePages_Total" in m else None)
    zram = [int(read(file).split()[2]) // 1024 for file in glob.glob(path + "sys/block/zram*/mm_stat")]
    lru = [m.get(key) for key in ("Active(anon)", "Inactive(anon)", "AnonPages", "Shmem")]
    pcp = [int(n) for n in re.findall(r"^ *count: *(\d+)$", read(proc + "zoneinfo"), re.M)]
    expected = dict(anonymous=m.get("AnonPages"), anon_unmapped=None if None in lru else max(0, lru[0] + lru[1] - lru[2] - lru[3]),
        vmalloc=max(0, m["VmallocUsed"] - m["KernelStack"]) if m.get("VmallocUsed") and "KernelStack" in m else None,
        gpu=m.get("GPUActive"), gpu_reclaim=m.get("GPUReclaim"), free_pcp=sum(pcp) * 4 if pcp else None, shmem=m.get("Shmem"), file_cache=minus(m.get("Cached"), m.get("Shmem")),
        buffers=m.get("Buffers"), slab_reclaimable=m.get("SReclaimable"), slab_unreclaimable=m.get("SUnreclaim"),
        kernel_stacks=m.get("KernelStack"), page_tables=sum(tables) if tables else None, per_cpu=m.get("Percpu"),
        huge_pages=huge, zswap=m.get("Zswap"), zram=sum(zram) if zram else None, free=m["MemFree"])
    for area in system("-S", path)["system"]["areas"]:
        if area["area"] != "kernel_other":
            assert area["total"] == expected[area["area"]], (name, area, expected[area["area"]])
        share = None if area["total"] is None else 100 * area["total"] / m["MemTotal"]
        assert share is area["pct"] is None or abs(area["pct"] - share) <= 0.0501, (name, area, share)
PY
}

@test "what processes have of anonymous memory, shmem and page cache is the sum of their pss" {
	python <<'PY'
parts = {"anonymous": "Anon", "shmem": "Shmem", "file_cache": "File"}
split = denied = 0
for name, path, proc, _ in machines():
    processes, unmeasured, known = dict.fromkeys(parts, 0), dict.fromkeys(parts, 0), True
    for pid in (d for d in os.listdir(proc) if d.isdigit()):
        rollup = kernel_sizes(read(f"{proc}{pid}/smaps_rollup") or read(f"{proc}{pid}/smaps"))
        status = kernel_sizes(read(f"{proc}{pid}/status"))
        known = known and not ("Pss" in rollup and "Pss_Anon" not in rollup) and ("Pss" in rollup or "RssAnon" in status or "VmRSS" not in status)
        for area, part in parts.items():
            processes[area] += rollup.get("Pss_" + part, 0)
            unmeasured[area] += status.get("Rss" + part, 0) if "Pss" not in rollup else 0
    for area in system("-S", path)["system"]["areas"]:
        seen = [area[part] for part in ("processes", "unmeasured", "elsewhere")]
        if area["area"] not in parts or not known:
            assert seen == [None] * 3, (name, area)
            continue
        p, u = processes[area["area"]], unmeasured[area["area"]]
        assert seen == [p, u, max(0, area["total"] - p - u)], (name, area, p, u)
        split += 1
        denied += u > 0
assert split > 30 and denied, (split, denied)
PY
}

@test "a process too large to be walked is unmeasured, not lost" {
	need jq
	"$MEMZ" -q -w --max-rss 1500M --json -S "$CURRENT" | jq -e '
		.scan.skipped == 1 and (.system.areas[0] | .unmeasured == 2095548 and .processes == 2386636 - 2095548 and .elsewhere == 1864)'
}

@test "huge pages are counted where the kernel has no Hugetlb line yet" {
	need jq
	cp -r "$MACHINES/v4.14" "$BATS_TEST_TMPDIR/tree"
	sed -i 's/^HugePages_Total: .*/HugePages_Total:      64/' "$BATS_TEST_TMPDIR/tree/proc/meminfo"
	run ! grep Hugetlb "$BATS_TEST_TMPDIR/tree/proc/meminfo"
	"$MEMZ" -w --json -S "$BATS_TEST_TMPDIR/tree" | jq -e '
		([.system.areas[].total // 0] | add) == .memory.mem_total and
		(.system.areas[] | select(.area == "huge_pages").total) == 131072'
}

@test "a container that sees its host's kernel gets a negative kernel_other, and a note" {
	need jq
	run -0 --separate-stderr "$MEMZ" -w --json -S "$MACHINES/lxcfs"
	jq -e '. as $r | .system.areas[] | select(.area == "kernel_other") | .total == 2097152 - ([$r.system.areas[] | select(.area != "kernel_other") | .total // 0] | add) and .total < -3000000' <<<"$output"
	[[ $stderr == 'memz: '*kernel_other*negative* && $stderr != *$'\n'* ]]
	run -0 --separate-stderr "$MEMZ" -q -w -S "$MACHINES/lxcfs"
	[[ ! $stderr && $output =~ kernel_other\ +-3.3G ]]
	run -0 --separate-stderr "$MEMZ" -w -S "$MACHINES/numa2"
	[[ ! $stderr ]]
}

@test "each node of memory is there, in order, with its numbers: two, sparse, without memory" {
	python <<'PY'
columns = {"total": "MemTotal", "free": "MemFree", "used": "MemUsed", "file": "FilePages", "anon": "AnonPages", "slab": "Slab"}
count = {}
for name, path, proc, _ in machines():
    files = glob.glob(path + "sys/devices/system/node/node*/meminfo")
    ids = sorted(int(re.search(r"node(\d+)/meminfo", file)[1]) for file in files)
    seen = system("-S", path)["system"]["nodes"]
    assert [row["node"] for row in seen] == ids, (name, seen)
    for row in seen:
        m = kernel_sizes(read(f"{path}sys/devices/system/node/node{row['node']}/meminfo"))
        assert {k: row[k] for k in columns} == {k: m.get(v) for k, v in columns.items()}, (name, row, m)
    count[name] = ids
assert count["numa2"] == [0, 1] and count["numa-sparse"] == [0, 8] and count["numa-memless"] == [0, 1], count
assert system("-S", MACHINES + "numa-memless")["system"]["nodes"][1]["total"] == 0
PY
}

@test "the level of pressure is right" {
	need jq
	for pair in cgroup2:low current:low numa2:low numa-memless:medium terabyte:medium no-psi:high zram-zswap:critical; do
		[[ $("$MEMZ" -q -w --json -S "$MACHINES/${pair%:*}" | jq -r .system.pressure.level) == "${pair#*:}" ]]
		[[ $("$MEMZ" -q -w -A -S "$MACHINES/${pair%:*}") == *"level ${pair#*:} "* ]]
	done
	# exactly 60, 80 and 95 % belong to the next level
	cp -r "$MACHINES/cgroup2" "$BATS_TEST_TMPDIR/tree"
	for pair in 400001:low 400000:medium 200001:medium 200000:high 50001:high 50000:critical 0:critical; do
		printf 'MemTotal: 1000000 kB\nMemFree: 0 kB\nMemAvailable: %s kB\n' "${pair%:*}" >"$BATS_TEST_TMPDIR/tree/proc/meminfo"
		[[ $("$MEMZ" -q -w --json -S "$BATS_TEST_TMPDIR/tree" | jq -r .system.pressure.level) == "${pair#*:}" ]]
	done
}

@test "PSI is what the kernel says, and unknown where it says nothing" {
	python <<'PY'
having = 0
for name, path, proc, _ in machines():
    seen = system("-S", path)["system"]["pressure"]
    psi = {f"{who}_{avg}": float(value) for who, rest in re.findall(r"^(some|full) (.*)$", read(proc + "pressure/memory"), re.M)
        for avg, value in re.findall(r"(avg\d+)=([\d.]+)", rest)}
    for key in "some_avg10 some_avg60 some_avg300 full_avg10 full_avg60 full_avg300".split():
        assert key in seen and seen[key] == psi.get(key), (name, seen, psi)
    having += bool(psi)
assert 8 <= having
PY
	[[ $("$MEMZ" -w --csv -S "$MACHINES/no-psi" | grep -c '^pressure,.*_avg[0-9]*,,%$') == 6 ]]
	[[ $("$MEMZ" -w -A -S "$MACHINES/no-psi") == *'some_avg10 -'* ]]
}

@test "huge pages of two sizes are all in the area, and the counts are those of the default size" {
	need jq
	"$MEMZ" -w --json -S "$MACHINES/huge-two-sizes" | jq -e '.system |
		(.areas[] | select(.area == "huge_pages").total) == 512 * 2048 + 8 * 1048576 and
		(.huge_pages | .total == 512 and .free == 212 and .reserved == 84 and .surplus == 0)'
	"$MEMZ" -w --json -S "$CURRENT" | jq -e '.system.huge_pages | [.[] | select(. == 1605632)] | length == 1'	# AnonHugePages
}

@test "swap, SwapCached, zswap and zram are right" {
	need jq
	"$MEMZ" -w --json -S "$MACHINES/zram-zswap" | jq -e '.system.swap |
		.total == 12582904 and .used == 4194304 and .cached == 20480 and .zswap == 262144 and .zram == 655360'
	"$MEMZ" -w --json -S "$MACHINES/no-psi" | jq -e '.system.swap | .used == 51200 and .zswap == null and .zram == null'
}

@test "fragmentation is what buddyinfo says, also with pages of 64 KiB" {
	python <<'PY'
for name, path, proc, m in machines():
    zones = [(int(node), zone, [int(n) for n in counts.split()])
        for node, zone, counts in re.findall(r"^Node (\d+), zone +(\S+) (.*)$", read(proc + "buddyinfo"), re.M)]
    seen = system("-S", path)["system"]["fragmentation"]
    assert [(row["node"], row["zone"]) for row in seen] == [(node, zone) for node, zone, _ in zones], (name, seen)
    page = 64 if name in ("pages-64k", "numa-sparse") else 4
    for row, (_, _, counts) in zip(seen, zones):
        blocks = [n * (page << order) for order, n in enumerate(counts)]
        assert row["free"] == sum(blocks) and [row[f"order{i}"] for i in range(len(blocks))] == blocks, (name, row, blocks)
        if "Hugepagesize" in m and row["free"]:
            small = sum(block for order, block in enumerate(blocks) if page << order < m["Hugepagesize"])
            assert abs(row["unusable_pct"] - 100 * small / row["free"]) <= 0.0501, (name, row, small)
PY
}

@test "sharing is that of the totals of all processes" {
	need jq
	for machine in current numa2 v5.4 v4.14; do
		[[ $("$MEMZ" -q -w --json -S "$MACHINES/$machine" | jq -c '.system.sharing | [.rss, .pss, .shared, .sharing_pct]') == \
			"$("$MEMZ" -q -t --json -S "$MACHINES/$machine" | jq -c '.totals | [.rss, .pss, .shared, .sharing_pct]')" ]]
	done
}

@test "a machine of a tebibyte does not overflow in bytes" {
	need jq
	"$MEMZ" -w --json -b -S "$MACHINES/terabyte" | jq -e '.unit == "B" and .memory.mem_total == 1585061000 * 1024 and
		([.system.areas[].total // 0] | add) == .memory.mem_total and (.system.areas[0].processes > 1209000000000)'
	[[ $("$MEMZ" -S "$MACHINES/terabyte" -H -n 1 -c pss -b) == $((1206700016 * 1024)) ]]
}

# Formats

@test "JSON nests as the manual says" {
	need jq
	"$MEMZ" -q -w --json -S "$CURRENT" >"$BATS_TEST_TMPDIR/json"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/json") == 1 ]]
	jq -e '.view == "system" and .host == "db1" and .unit == "KiB" and .memory.mem_total == 24684092 and .scan.processes == 15' "$BATS_TEST_TMPDIR/json"
	jq -e 'has("interval") or has("processes") or (.system | has("rates")) | not' "$BATS_TEST_TMPDIR/json"
	jq -e '.system | keys_unsorted == ["areas", "holders", "findings", "sharing", "swap", "pressure", "huge_pages", "nodes", "fragmentation"]' "$BATS_TEST_TMPDIR/json"
	jq -e '.system.areas[0] == {area: "anonymous", total: 2388500, reclaimable: 0, processes: 2386636, unmeasured: 0, elsewhere: 1864, pct: 9.7}' "$BATS_TEST_TMPDIR/json"
	jq -e '[.system.areas[], .system.nodes[], .system.fragmentation[] | del(.area, .zone)] | all(.[]; all(.[]; type == "number" or . == null))' "$BATS_TEST_TMPDIR/json"
}

@test "CSV is one record per figure, and its figures are those of JSON" {
	python <<'PY'
for name, path, proc, _ in machines():
    lines = memz("-w", "--csv", "-S", path)
    records = list(csv.DictReader(io.StringIO(lines)))
    assert lines.split("\n")[0] == "section,name,value,unit" and all(len(r) == 4 and None not in r for r in records)
    assert len({(r["section"], r["name"]) for r in records}) == len(records) == lines.count("\n") - 1, name
    value = {(r["section"], r["name"]): r["value"] for r in records}
    shown = system("-S", path)["system"]
    def same(section, key, number):
        text = value[section, key]
        assert text == "" if number is None else text == number if isinstance(number, str) else float(text) == number, (name, section, key, text, number)
    for area in shown["areas"]:
        same("areas", area["area"], area["total"])
        same("areas", area["area"] + "_processes", area["processes"])
    for section in "sharing", "swap", "pressure", "huge_pages":
        for key, number in shown[section].items():
            same(section, key, number)
    numbers = sum(len(row) - 1 for row in shown["nodes"]) + sum(len(row) - 2 for row in shown["fragmentation"])
    assert sum(r["section"] in ("nodes", "fragmentation") for r in records) == numbers, name
    assert {r["unit"] for r in records if r["section"] == "areas"} == {"KiB", "%"}, name
PY
}

@test "sqlite3 and miller find the same areas in the CSV" {
	need sqlite3 mlr
	"$MEMZ" -w --csv -S "$MACHINES/numa2" >"$BATS_TEST_TMPDIR/csv"
	run -0 sqlite3 :memory: '.mode csv' ".import $BATS_TEST_TMPDIR/csv t" "select value from t where section = 'areas' and name = 'shmem'"
	[[ $output == 12787712 ]]
	run -0 mlr --icsv --onidx filter '$section == "areas" && $name == "per_cpu"' 'then' cut -f value "$BATS_TEST_TMPDIR/csv"
	[[ $output == 36864 ]]
	[[ $("$MEMZ" -w --csv -H -S "$MACHINES/numa2") == "$(tail -n +2 "$BATS_TEST_TMPDIR/csv")" ]]
}

# The table of areas in a text report, as rows of words: area, total, processes, pct, bar or nothing, holder.
# shellcheck disable=SC2034
TABLE='
def table(text):
    return [line.split() for line in text.split("\n\n")[1].split("\n")[1:]]
'

@test "the text has the areas by size, with bars of the right length, and of # in a C locale" {
	PRELUDE+=$TABLE
	python <<'PY'
eighths = " ▏▎▍▌▋▊▉█"
for locale in "C.UTF-8", "C":
    os.environ["LC_ALL"] = locale
    for machine in "current", "numa2", "huge-two-sizes", "lxcfs":
        text = memz("-w", "-b", "-S", MACHINES + machine)
        rows = table(text)
        areas = {area["area"]: area for area in system("-b", "-S", MACHINES + machine)["system"]["areas"]}
        shown = [row for row in rows if row[0] != "others"]
        assert [int(row[1]) for row in shown] == sorted((areas[row[0]]["total"] for row in shown), reverse=True), text
        large = {name for name, area in areas.items() if abs(area["total"] or 0) * 1000 >= areas["free"]["total"] / areas["free"]["pct"] * 100}
        assert {row[0] for row in shown} == large, (machine, shown, large)
        lengths = {}
        for row in rows:
            pct, bar = float(row[3]), row[4] if len(row) > 4 and set(row[4]) <= set(eighths + "#") else ""
            lengths[row[0]] = sum(eighths.index(c) if c != "#" else 8 for c in bar), pct
        longest = max(lengths.values(), key=lambda pair: pair[1])
        assert longest[0] > 40, lengths
        for length, pct in lengths.values():
            step = 1 if locale != "C" else 8
            assert abs(length - longest[0] / longest[1] * max(0, pct)) <= 2 * step, (machine, locale, lengths)
        assert locale != "C" or text.isascii(), text
        assert not re.search(r"[ \t]$", text, re.M)
PY
}

@test "units apply to every size" {
	need jq
	"$MEMZ" -w -b --csv -S "$MACHINES/numa2" | grep -qx 'areas,shmem,13094617088,B'
	"$MEMZ" -w --unit M --csv -S "$MACHINES/numa2" | grep -qx 'areas,shmem,12488,MiB'
	"$MEMZ" -w -k -S "$MACHINES/numa2" | grep -qE '^shmem +12787712 '
	[[ $("$MEMZ" -w -b --json -S "$MACHINES/numa2" | jq '.system.nodes[1].total') == $((66051072 * 1024)) ]]
	# counts and percentages have no unit
	[[ $("$MEMZ" -w -b --json -S "$MACHINES/huge-two-sizes" | jq '.system.huge_pages.total') == 512 ]]
}

@test "-w refuses an option about rows" {
	for option in '-c pid' '-s pss' -r '-n 5' '-f pss>1' '-p 1' '-P x' '-U root' '-M x' '-g user' -u -t -m; do
		# shellcheck disable=SC2086
		refuses 2 '*' -w $option
		# shellcheck disable=SC2086
		refuses 2 '*' $option -w
		[[ $stderr == *-w* || $stderr == *--system* || $option == -M* ]] || { echo "$option: $stderr"; return 1; }
	done
	run -2 "$MEMZ" -w --json --csv
	run -2 "$MEMZ" -w 5
}

@test "a full disk is an error with -w" {
	for format in -H --csv --json; do
		run -1 bash -c '"$0" -q -w "$1" >/dev/full' "$MEMZ" "$format"
	done
}

@test "-w works on machines that give little" {
	for machine in empty smemcap neither; do
		for format in -A --csv --json; do
			run -0 "$MEMZ" -q -w "$format" -S "$MACHINES/$machine"
			[[ $output == *kernel_other* ]]
		done
	done
}

# This machine

# The totals of the areas, as a JSON object.
areas() {
	"$MEMZ" -q -w --timeout 0.3 --json | jq -c '[.system.areas[] | { (.area): (.total // 0) }] | add'
}

# grows AREA COMMAND [PREPARE]: COMMAND makes AREA larger by 512 MiB (or EXPECTED KiB, if it sets that), no other area by
# more than 64 MiB, and kernel_other by less than 200 MiB.
grows() {
	need jq python3
	need_root
	(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) > 2 << 20)) || skip 'needs 2 GiB of memory'
	measure grows_once "$@"
}

grows_once() {
	local before after

	${3:+"$3"}
	before=$(areas)
	EXPECTED=524288
	"$2"
	after=$(areas)
	clean_up
	python "$before" "$after" "$1" "$EXPECTED" <<'PY'
before, after, area, expected = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
growth = {name: after[name] - before[name] for name in before}
print(expected, growth)
growth["free"] += growth.pop("free_pcp")		# pages move between them
own, other = growth.pop(area), growth.pop("kernel_other")
assert abs(own - expected) <= expected * 0.05, own
assert all(n <= 65536 for n in growth.values()) and other < 204800
PY
}

anonymous_memory() {
	start private 524288
}

@test "512 MiB of anonymous memory show as such, and as nothing else" {
	grows anonymous anonymous_memory
}

# DISK_FILE: a file that is on disk and not in the page cache.
file_on_disk() {
	DISK_FILE=/var/tmp/memz-test-$$-$BATS_TEST_NUMBER
	[[ $(stat -f -c %T /var/tmp) != tmpfs ]] || skip 'needs a disk at /var/tmp'
	at_end rm -f "$DISK_FILE"
	dd if=/dev/zero of="$DISK_FILE" bs=1M count=512 conv=fdatasync status=none
	dd of="$DISK_FILE" oflag=nocache conv=notrunc,fdatasync count=0 status=none
}

page_cache() {
	cat "$DISK_FILE" >/dev/null
}

@test "512 MiB of page cache show as such, and as nothing else" {
	grows file_cache page_cache file_on_disk
}

tmpfs_file() {
	local file=/dev/shm/memz-test-$$-$BATS_TEST_NUMBER

	[[ $(stat -f -c %T /dev/shm) == tmpfs ]] || skip 'needs a tmpfs at /dev/shm'
	at_end rm -f "$file"
	head -c 512M /dev/zero >"$file"
}

@test "512 MiB in a tmpfs show as shmem, and as nothing else" {
	grows shmem tmpfs_file
}

pool_of_huge_pages() {
	local huge pages

	huge=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
	[[ $huge ]] || skip 'needs a kernel with hugetlb'
	pages=$(($(</proc/sys/vm/nr_hugepages) + 524288 / huge))
	set_kernel /proc/sys/vm/nr_hugepages "$pages"
	(($(</proc/sys/vm/nr_hugepages) == pages)) || skip 'needs 512 MiB in huge pages'
}

@test "512 MiB set aside for huge pages show as such, and as nothing else" {
	grows huge_pages pool_of_huge_pages
}

zram_swap() {
	local device

	need zramctl mkswap swapon
	device=$(zramctl --find --size 1G) || skip 'needs zram'
	ZRAM=/sys/block/${device##*/}
	at_end zramctl --reset "$device"
	mkswap "$device" >/dev/null
	at_end swapoff "$device"
	swapon -p 200 "$device" || skip 'needs swapon'
}

swapped_to_zram() {
	local before after

	before=$(awk '{ print int($3 / 1024) }' "$ZRAM/mm_stat")
	start noise 524288
	after=$(awk '{ print int($3 / 1024) }' "$ZRAM/mm_stat")
	EXPECTED=$((after - before))
	((EXPECTED > 500000))
}

@test "512 MiB swapped to zram show as zram, and as nothing else" {
	grows zram swapped_to_zram zram_swap
}

# anonymous_area CONDITION COMMAND...: the condition holds for the area that COMMAND -w shows. $low and $high: the least and
# the most anonymous memory during the scan, since other processes of the machine grow and shrink meanwhile.
anonymous_area() {
	local sampler

	cat /proc/sys/vm/stat_refresh
	while :; do awk '$1 == "AnonPages:" { print $2 }' /proc/meminfo; sleep 0.02; done >"$BATS_TEST_TMPDIR/sizes" 3>&- &
	sampler=$!
	at_end kill "$sampler"
	"${@:2}" -q -w --timeout 0.3 --json | jq -c '.system.areas[0]' | tee "$BATS_TEST_TMPDIR/area"
	sleep 0.05
	kill "$sampler"
	jq -e --argjson low "$(sort -n "$BATS_TEST_TMPDIR/sizes" | head -1)" --argjson high "$(sort -n "$BATS_TEST_TMPDIR/sizes" | tail -1)" \
		"$1" "$BATS_TEST_TMPDIR/area"
}

@test "as root, the processes have all of the anonymous memory" {
	need jq
	need_root
	start private 524288
	measure anonymous_area '.processes + .unmeasured | . >= $low * 0.98 and . <= $high * 1.02' "$MEMZ"
}

@test "processes of one address space make no more anonymous memory than there is" {
	need jq
	need_root
	start twins 262144 4
	measure anonymous_area '.processes >= 262144 and .processes <= $high * 1.02' "$MEMZ"
}

# unmeasured is an upper bound: memory that is shared after a fork counts twice
@test "what a user without rights cannot measure is unmeasured, not elsewhere" {
	need jq setpriv
	need_root
	start private 524288
	measure anonymous_area '.unmeasured >= 524288 and .processes < 20000 and .elsewhere / .total < 0.02 and
		.processes + .unmeasured >= $low * 0.98' as_user "$MEMZ"
}

@test "a user without rights is told by -w that something was not measured" {
	need setpriv
	need_root
	run -0 --separate-stderr as_user "$MEMZ" -w
	[[ $(grep -cE '^memz: [0-9]+ process(es)?: PSS not readable' <<<"$stderr") == 1 ]]
}

@test "live: the areas add up to MemTotal" {
	need jq
	"$MEMZ" -q -w --json | jq -e '([.system.areas[].total // 0] | add) == .memory.mem_total'
}

interval_shows_growth() {
	local faults memz

	faults=$(awk '$1 == "pgfault" { print $2 }' /proc/vmstat)
	"$MEMZ" -q -w --timeout 0.3 -i 3 --json >"$BATS_TEST_TMPDIR/json" 3>&- &
	memz=$!
	wait_for_first_scan "$memz"
	start private 524288
	wait "$memz"
	faults=$(($(awk '$1 == "pgfault" { print $2 }' /proc/vmstat) - faults))
	clean_up
	jq -c '.interval, .system.rates, .system.areas[0]' "$BATS_TEST_TMPDIR/json"
	jq -e --argjson most "$faults" '.interval >= 3
		and (.system.areas[0].delta | . > 458752 and . < 589824)
		and ([.system.areas[].delta // 0] | add == 0)
		and (.interval * .system.rates.faults | . >= 131072 and . <= $most)
		and (.system.rates | keys_unsorted == ["faults", "major_faults", "swap_ins", "swap_outs", "reclaimed", "oom_kills"] and .oom_kills == 0)' \
		"$BATS_TEST_TMPDIR/json"
}

@test "an interval shows which area grew, and at what rate pages were faulted in" {
	need jq
	measure interval_shows_growth
}

@test "an interval shows how much was swapped out" {
	need jq
	need_root
	zram_swap
	before=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
	"$MEMZ" -q -w --timeout 0.3 -i 3 --json >"$BATS_TEST_TMPDIR/json" 3>&- &
	memz=$!
	wait_for_first_scan "$memz"
	start noise 32768
	wait "$memz"
	swapped=$(($(awk '$1 == "pswpout" { print $2 }' /proc/vmstat) - before))
	jq -c '.interval, .system.rates' "$BATS_TEST_TMPDIR/json"
	((swapped >= 8000))
	jq -e --argjson pages "$swapped" '.interval * .system.rates.swap_outs - $pages | . > -100 and . < 100' "$BATS_TEST_TMPDIR/json"
}

@test "an interval works on a saved machine, and on a kernel without vmstat" {
	need jq
	"$MEMZ" -q -w -i 0.1 --json -S "$MACHINES/numa2" | jq -e '[.system.areas[].delta // 0] | all(. == 0)'
	"$MEMZ" -q -w -i 0.1 --json -S "$MACHINES/cgroup2" | jq -e '.system.rates | length == 6 and all(. == null)'
	[[ $("$MEMZ" -q -w -i 0.1 -S "$MACHINES/numa2" | grep AREA) == *DELTA* ]]
	[[ $("$MEMZ" -q -w -i 0.1 --csv -S "$MACHINES/numa2" | grep -c '^rates,.*/s$') == 6 ]]
}

@test "-w -S counts the saved processes, and opens only what it needs" {
	need jq
	"$MEMZ" -q -w --json -S "$MACHINES/lxcfs" | jq -e '.host == "ct104" and .scan.processes == 3'
	[[ $("$MEMZ" -w -v -S "$MACHINES/numa2" 2>&1 >/dev/null) != *cmdline* ]]
}

@test "-w -A on a narrow terminal clips the names of holders before it drops their sizes" {
	mkdir -p "$BATS_TEST_TMPDIR/tree/proc/10"
	cp "$MACHINES/current/proc/meminfo" "$BATS_TEST_TMPDIR/tree/proc/"
	cp "$MACHINES"/current/proc/1433/{statm,stat,smaps_rollup} "$BATS_TEST_TMPDIR/tree/proc/10/"
	printf 'a-name-of-a-program-that-is-longer-than-any-program-has\n' >"$BATS_TEST_TMPDIR/tree/proc/10/comm"
	width() {
		run -0 env COLUMNS="$1" "$MEMZ" -q -w -A -S "$BATS_TEST_TMPDIR/tree"
		! awk -v most="$1" 'length($0) > most { exit 1 }' <<<"$output" && { echo "$output"; return 1; }
		grep -E "$2" <<<"$output"
	}
	width 60 '^AREA +HOLDER +KIND +SIZE +PID$'
	width 60 '^anonymous +a-name-of-a-prog[a-z-]* process +2\.0G 10 *$'
	width 40 '^AREA +HOLDER +KIND +SIZE$'
	width 36 '^AREA +HOLDER +SIZE$'
}

@test "-w without room for bars has none, and HOLDER stands above the holders" {
	run -0 env COLUMNS=48 "$MEMZ" -q -w -S "$MACHINES/current"
	heading=$(grep '^AREA' <<<"$output") line=$(grep '^anonymous' <<<"$output")
	[[ ${line:0:${#heading}} != *[▏▎▍▌▋▊▉█#]* ]]
	before=${heading%HOLDER*}
	[[ ${line:$((${#before} - 1)):1} == ' ' && ${line:${#before}:1} != ' ' ]]
}
