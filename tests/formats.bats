# CSV, JSON and JSON lines, read by python3's csv and json modules: the same rows in each, whatever the values are.
# shellcheck disable=SC2016	# bash -c expands
# shellcheck disable=SC2154	# status and stderr, of run
load helper

MACHINES=$ROOT/tests/machines

# python CODE [ARG]...: with run(ARG...), which is what memz prints, and rows(ARG...), which are its rows in JSON
python() {
	need python3
	python3 - "${@:2}" <<-END
		import csv, decimal, io, json, os, re, subprocess, sys
		def run(*args):
		    return subprocess.run([os.environ["MEMZ"], "-q", *args], stdout=subprocess.PIPE, check=True).stdout
		def load(text):
		    def pairs(list):
		        assert len({key for key, _ in list}) == len(list), list
		        return dict(list)
		    return json.loads(text, object_pairs_hook=pairs, parse_float=decimal.Decimal)
		def report(*args):
		    return load(run("--json", *args).decode())
		def rows(*args):
		    object = report(*args)
		    return object[object["view"]]
		def lines(*args):
		    text = run("--jsonl", *args).decode()
		    assert text == "" or text.endswith("\n")
		    return [load(line) for line in text.splitlines()]
		def table(*args):
		    text = run("--csv", *args).decode()
		    records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
		    assert len(text.splitlines()) == len(records), "a record of several lines"
		    assert all(len(record) == len(records[0]) for record in records)
		    return records
		$1
	END
}

VIEWS='
views = ["", "-c all", "-c oom_score_adj,exe,ancestry,maps,numa,bar,host,time", "-m", "-m --by kind", "-u", "--by cgroup -c +cg_pct,bar",
    "-A -s pid -c pid,oom_score_adj,vm_peak,pss_delta,pss_rate,start,numa", "-b -c pid,vsz,rss,rss_pct"]
def reports():
    for machine in sorted(os.listdir(sys.argv[1])):
        if os.path.isdir(os.path.join(sys.argv[1], machine)):
            for view in views:
                yield ["-S", os.path.join(sys.argv[1], machine)] + view.split()
    for view in ["", "-u", "-c pid,pss_delta,pss_rate,uss_pct_delta,change,command", "--unit M"]:
        yield ["--since", sys.argv[1] + "/before", "-S", sys.argv[1] + "/after"] + view.split()
'

@test "JSON lines are the rows of JSON, with time and host first, and once" {
	python "$VIEWS"'
for args in reports():
    object = report(*args)
    for line, row in zip(lines(*args), object[object["view"]], strict=True):
        assert list(line)[:2] == ["time", "host"], line
        assert line["time"] == object["time"] and line["host"] == object["host"]
        row = {key: value for key, value in row.items() if key not in ("time", "host")}
        assert list(line)[2:] == list(row), (args, line, row)
        assert {key: line[key] for key in row} == row, (args, line, row)
' "$MACHINES"
	diff <("$MEMZ" -S "$MACHINES/current" --jsonl -c host,pid,time -n 1) - <<<'{"time":"2026-01-31T12:00:00Z","host":"db1","pid":1433}'
}

@test "the whole machine is one JSON line, with time and host first and all else as in JSON" {
	python '
for machine in "current", "hostile", "empty", "numa2":
    args = ["-w", "-S", sys.argv[1] + "/" + machine]
    object, [line] = report(*args), lines(*args)
    assert list(line)[:2] == ["time", "host"]
    assert list(line)[2:] == [key for key in object if key not in ("time", "host")]
    object["scan"]["seconds"] = line["scan"]["seconds"] = 0
    assert line == object
' "$MACHINES"
}

@test "--jsonl refuses -t, other formats and --unit auto; -n 0 prints nothing" {
	run -2 --separate-stderr "$MEMZ" --jsonl -t
	[[ -z $output && $stderr == *'--jsonl exclude each other'* ]]
	for other in --csv --json; do
		run -2 --separate-stderr "$MEMZ" --jsonl "$other"
		[[ -z $output && $stderr == *--jsonl*'exclude each other'* ]]
	done
	run -2 --separate-stderr "$MEMZ" --jsonl --unit auto
	[[ -z $output ]]
	run -0 --separate-stderr "$MEMZ" -S "$MACHINES/current" --jsonl -n 0
	[[ -z $output ]]
}

@test "--list-columns has the same rows in CSV, JSON and JSON lines" {
	python '
listed = json.loads(run("--list-columns", "--json"))["columns"]
assert lines("--list-columns") == listed
assert [line[0] for line in table("--list-columns", "-H")] == [row["name"] for row in listed]
'
}

@test "--csv -n 0 prints the header line alone, in every view" {
	local view

	for view in '' -m -u '--by cgroup' '-c pid,pss_delta' "--since $MACHINES/before" '-s rss -f rss>1M'; do
		# shellcheck disable=SC2086	# several words
		"$MEMZ" -q -S "$MACHINES/after" --csv $view >"$BATS_TEST_TMPDIR/all"
		# shellcheck disable=SC2086
		"$MEMZ" -q -S "$MACHINES/after" --csv -n 0 $view | diff <(head -1 "$BATS_TEST_TMPDIR/all") -
		# shellcheck disable=SC2086
		[[ -z $("$MEMZ" -q -S "$MACHINES/after" --csv -H -n 0 $view) ]]
	done
}

@test "CSV has the values of JSON: negative, unknown, fractions, percentages, texts, flags, nodes" {
	python "$VIEWS"'
def cell(value):
    if value is None:
        return ""
    if isinstance(value, dict):
        return " ".join(f"{key}={n}" for key, n in value.items())
    return str(value)
def plain(text):                # the undoing of the escapes, where there are any
    if not re.search(r"\\x([01][0-9A-F]|7F|[89A-F][0-9A-F])", text):
        return text
    undone = re.sub(rb"\\\\|\\x([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]) if m[1] else b"\\", text.encode())
    return undone.decode(errors="surrogateescape")
def known(text):                # json has U+FFFD for each byte
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in text)
kinds = set()
for args in reports():
    header, *records = table(*args)
    for record, row in zip(records, rows(*args), strict=True):
        assert header == list(row), (args, header, list(row))
        for text, value in zip(record, row.values()):
            kinds.add(type(value) if not isinstance(value, (int, decimal.Decimal)) else (type(value), value < 0))
            assert known(plain(text)) == cell(value), (args, text, value)
for kind in str, dict, type(None), (int, True), (int, False), (decimal.Decimal, True), (decimal.Decimal, False):
    assert kind in kinds, kind
' "$MACHINES"
}

# a process of which every size is SIZE kB
sized() {
	mkdir -p "$1/proc/1"
	cp "$MACHINES/current/proc/1/statm" "$MACHINES/current/proc/1/stat" "$1/proc/1"
	cp "$MACHINES/current/proc/meminfo" "$1/proc"
	sed "s/ [0-9][0-9]* kB/ $2 kB/" "$MACHINES/current/proc/1/smaps_rollup" >"$1/proc/1/smaps_rollup"
}

@test "a huge size is exact in KiB, saturates in bytes, and is valid everywhere" {
	local size tree

	for size in 0 1 9007199254740993 9223372036854775807; do
		sized "$BATS_TEST_TMPDIR/$size" "$size"
	done
	sized "$BATS_TEST_TMPDIR/over" 18446744073709551615
	python '
for size in 0, 1, 9007199254740993, 9223372036854775807:
    for unit, wanted in ("K", size), ("B", min(1024 * size, 2**63 - 1)), ("M", (size + 512) // 1024), ("G", (size + 2**19) // 2**20):
        args = ["-S", f"{sys.argv[1]}/{size}", "--unit", unit, "-c", "pss"]
        assert rows(*args) == [{"pss": wanted}], (size, unit, rows(*args))
        assert table(*args) == [["pss"], [str(wanted)]]
        assert lines(*args)[0]["pss"] == wanted
for view in "-c all", "-t -c all", "-w", "-u", "-c pid,pss_pct,bar,uss,pss_swap":
    for size in "9223372036854775807", "over":
        args = ["-S", f"{sys.argv[1]}/{size}"] + view.split()
        report(*args), run(*args), run("-b", *args)
        if "-t" not in args:
            table(*args), lines(*args)
assert rows("-S", sys.argv[1] + "/over", "-c", "pss") in ([{"pss": None}], [{"pss": 2**63 - 1}])
' "$BATS_TEST_TMPDIR"
}

@test "an unknown value is an empty field and null; alone in a CSV row it is quoted, so that the row is not lost" {
	mkdir -p "$BATS_TEST_TMPDIR/tree/proc/7"
	echo '100 50 0 0 0 0 0' >"$BATS_TEST_TMPDIR/tree/proc/7/statm"
	diff <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/tree" --csv -c pid,pss,start,command,swap) - <<<$'pid,pss,start,command,swap\n7,,,,'
	diff <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/tree" --csv -c pss) - <<<$'pss\n""'
	diff <("$MEMZ" -q -S "$BATS_TEST_TMPDIR/tree" --jsonl -c pid,pss,start,command,swap) - <<-'END'
		{"time":null,"host":null,"pid":7,"pss":null,"start":null,"command":null,"swap":null}
	END
}

@test "U+2028 and U+2029 are escaped in CSV and JSON, so that no reader takes them for line ends" {
	local tree=$BATS_TEST_TMPDIR/tree

	mkdir -p "$tree/proc/7"
	cp -r "$MACHINES/current/proc/1/." "$tree/proc/7"
	printf 'a\u2028b\u2029c\\d\u2027\u202a\0' >"$tree/proc/7/cmdline"
	diff <("$MEMZ" -q -S "$tree" --csv -H -c command) - <<<$'a\\xE2\\x80\\xA8b\\xE2\\x80\\xA9c\\\\d\u2027\u202a'
	diff <("$MEMZ" -q -S "$tree" --jsonl -c command | cut -d, -f3) - <<<$'"command":"a\\u2028b\\u2029c\\\\d\u2027\u202a"}'
	[[ $("$MEMZ" -q -S "$tree" --json -c command) == *$'"command":"a\\u2028b\\u2029c\\\\d\u2027\u202a"'* ]]
	"$MEMZ" -q -S "$tree" -H -c command | grep -qx 'a?b?c.d.?'
	python '
for args in ["-c", "command"], ["--by", "command"]:
    args += ["-S", sys.argv[1]]
    for format in "--csv", "--json", "--jsonl":
        text = run("-H", format, *args).decode()
        assert len(text.splitlines()) == 1, (format, text)
    assert rows(*args)[0]["command"] == lines(*args)[0]["command"] == "a\u2028b\u2029c\\d\u2027\u202a"
' "$tree"
}

@test "no control character reaches CSV or JSON, and every record is one line" {
	local tree=$BATS_TEST_TMPDIR/tree

	mkdir -p "$tree/proc/7"
	printf '%b' "$(printf '\\x%02x' {1..255})"'\0\u0085\u00a0\0' >"$tree/proc/7/cmdline"
	python '
text = run("-S", sys.argv[1], "--csv", "-H", "-c", "command")
assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", text) and text.count(b"\n") == 1
for format in "--json", "--jsonl":
    text = run("-S", sys.argv[1], format, "-c", "command")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", text) and text.count(b"\n") == 1
    assert "".join(map(chr, range(1, 128))) in text.decode() or load(text.decode())
' "$tree"
}

# started BTIME UPTIME TICKS: a machine that booted at BTIME, UPTIME seconds ago, with a process that started after TICKS
started() {
	local tree=$BATS_TEST_TMPDIR/$1-$2-$3

	mkdir -p "$tree/proc/7"
	echo "btime $1" >"$tree/proc/stat"
	echo "$2.00 0.00" >"$tree/proc/uptime"
	echo '100 50 0 0 0 0 0' >"$tree/proc/7/statm"
	echo "7 (x) S 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 $3 409600 50 18446744073709551615" >"$tree/proc/7/stat"
	"$MEMZ" -q -S "$tree" --csv -H -c start,pid
}

@test "a start time is unknown where it is after the scan, before the epoch, after the year 9999 or beyond 64 bits" {
	[[ $(started 1769860800 3600 180000) == 2026-01-31T12:30:00Z,7 ]]
	[[ $(started 1769860800 3600 360000) == 2026-01-31T13:00:00Z,7 ]]
	[[ $(started 1769860800 3600 99000000) == ,7 ]]			# lxcfs
	[[ $(started 1769860800 3600 9223372036854775807) == ,7 ]]
	[[ $(started 1769860800 3600 18446744073709551615) == ,7 ]]
	[[ $(started 9223372036854775800 3600 180000) == ,7 ]]
	[[ $(started 9223372036854775807 0 9223372036854775807) == ,7 ]]
	[[ $(started 253402300790 100 500) == 9999-12-31T23:59:55Z,7 ]]
	[[ $(started 253402300790 100 1000) == ,7 ]]
	[[ $(started -100 100 500) == ,7 ]]
	local tree=$BATS_TEST_TMPDIR/1769860800-3600-99000000

	[[ -z $("$MEMZ" -q -S "$tree" -H -f 'start>2000-01-01') ]]
	cp -r "$BATS_TEST_TMPDIR/1769860800-3600-180000/proc/7" "$tree/proc/8"
	[[ $("$MEMZ" -q -S "$tree" --csv -H -s start -c pid | tr '\n' ' ') == '8 7 ' ]]
	[[ $("$MEMZ" -q -S "$tree" --csv -H -s -start -c pid | tr '\n' ' ') == '8 7 ' ]]
}
