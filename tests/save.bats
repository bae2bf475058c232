#!/usr/bin/env bats
# --save FILE and -S FILE: what is saved reads as it did, and neither a crash nor a damaged archive does harm.
# shellcheck disable=SC2016	# sh -c expands
# shellcheck disable=SC2154	# run sets stderr_lines

load helper

# Not on a disk: thousands of small files are written, and memz calls fsync.
setup() {
	DIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
	export DIR
	at_end rm -rf "$DIR"
	chmod 755 "$DIR"
	KEPT=$DIR/state.tar
}

# What the Python programs below share.
PRELUDE='
import itertools, random, shutil, signal
DIR = os.environ["DIR"]
STATE, TREE = DIR + "/state.tar", DIR + "/tree"
FORMATS = {"text": [], "csv": ["--csv"], "json": ["--json"]}
def same(report, shown, *what):
    if report != shown:
        at = len(os.path.commonprefix([report, shown]))
        sys.exit("%s\nsaved: %s\nread:  %s" % (" ".join(what), *(text[max(0, at - 200):at + 200] for text in (report, shown))))
def unpack(archive, tree):
    shutil.rmtree(tree, ignore_errors=True)
    for command in ["mkdir", tree], ["tar", "-C", tree, "-xf", archive]:
        subprocess.run(command, check=True, **USER)
def saved(*args):
    """A report, which is saved in STATE and unpacked in TREE as well."""
    if os.path.exists(STATE):
        os.remove(STATE)
    report = memz(*args, "--save", STATE)
    unpack(STATE, TREE)
    return report
def kept(*args):
    """The same, and both read as the report did."""
    report = saved(*args)
    same(report, memz(*args, "-S", STATE), "archive:", *args)
    same(report, memz(*args, "-S", TREE), "tree:", *args)
    return report
def whole(archive, pids):
    """The archive is sound and has these processes."""
    listing = subprocess.run(["tar", "-tf", archive], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert listing.returncode == 0 and not listing.stderr, listing
    missing = set(pids) - set(rows("-A", "-S", archive, "-c", "pid,pss,command"))
    assert not missing, missing
def survives(*args):
    """memz neither crashes nor hangs, and its messages are lines of its own."""
    done = run(*args)
    what = shlex.join(args), done.returncode, done.stderr[-2000:]
    assert done.returncode in (0, 1, 3), what
    assert all(line.startswith(b"memz: ") for line in done.stderr.splitlines()), what
    assert not re.search(rb"[\0-\x09\x0b-\x1f\x7f]", done.stderr), what
    assert done.returncode != 1 or done.stderr, what
    if "--json" in args and done.returncode != 1:
        shown = json.loads(done.stdout.decode("utf-8")).get("processes", [])
        assert len({row["pid"] for row in shown}) == len(shown), what
    return done
'

# Starts processes of every kind, also ones that are hard to save. PIDS: all but zombies and those with random names.
populate() {
	local all=() deep

	start private 512 3
	all+=("${PIDS[@]}")
	start shared 1024 3
	all+=("${PIDS[@]}")
	start twins 2048
	all+=("${PIDS[@]}")
	start threads
	all+=("$PID")
	start zombie
	start names 0 10 7
	deep=$BATS_TEST_TMPDIR/$(printf 'x%.0s' {1..120})/$'new\nline \xff'
	mkdir -p "$deep"
	cp "$LOAD" "$deep/load"
	start_program "$deep/load" private 64
	ODD_EXE=$PID
	cp "$LOAD" "$BATS_TEST_TMPDIR/gone"
	start_program "$BATS_TEST_TMPDIR/gone" private 64
	rm "$BATS_TEST_TMPDIR/gone"
	GONE_EXE=$PID
	# a command line with an argument of 100 KiB
	start_program bash -c 'exec -a "$(printf "%0102400d" 0)" "$@"' - "$BATS_TEST_TMPDIR/load" private 64
	all+=("$ODD_EXE" "$GONE_EXE" "$PID")
	if ((EUID == 0)) && command -v setpriv >/dev/null; then
		START_AS=("${NOBODY[@]}")
		start private 256 2
		all+=("${PIDS[@]}")
		START_AS=()
	fi
	PIDS=("${all[@]}")
}

# python_as_user: python, where memz and tar run as a user without rights, who owns DIR.
python_as_user() {
	chmod go+x "$BATS_RUN_TMPDIR"
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"
	chown 65534:65534 "$DIR"
	MEMZ=$BATS_TEST_TMPDIR/memz AS_NOBODY=1 python
}

# alone FILE: it is the only file in its directory.
alone() {
	[[ $(ls -A "${1%/*}") == "${1##*/}" ]] || { ls -la "${1%/*}"; return 1; }
}

nothing_kept() {
	[[ -z $(ls -A "${KEPT%/*}") ]] || { ls -la "${KEPT%/*}"; return 1; }
}

# save ARG...: memz ARG... --save, unpacked in TREE.
save() {
	rm -f "$KEPT"
	"$MEMZ" -q "$@" --save "$KEPT" >/dev/null
	TREE=$(mktemp -d -p "$DIR")
	tar -C "$TREE" -xf "$KEPT"
}

# same_files PID FILE...: the saved files are those of the kernel. Referenced and SigQ may differ: the kernel ages the
# first, and the second counts all signals of the user.
same_files() {
	local file

	for file in "${@:2}"; do
		cmp <(sed '/^Referenced\|^SigQ/d' "$TREE/proc/$1/$file") <(sed '/^Referenced\|^SigQ/d' "/proc/$1/$file") || { echo "$1/$file"; return 1; }
	done
}

# The file that is written

@test "only the owner may read what was saved, and nothing is left beside it" {
	for mask in 0 077 022; do
		rm -f "$KEPT"
		run -0 --separate-stderr bash -c 'umask "$1"; "$MEMZ" -q --save "$2"' - "$mask" "$KEPT"
		[[ $output == *PID*COMMAND* && -z $stderr ]]
		[[ $(stat -c '%a %F' "$KEPT") == '600 regular file' ]]
		alone "$KEPT"
	done
}

# refuses_to_save FILE PATTERN: status 1, and one line that names FILE and matches.
refuses_to_save() {
	run -1 --separate-stderr timeout 60 "$MEMZ" -q --save "$1"
	echo "$stderr"
	# shellcheck disable=SC2053
	[[ ${#stderr_lines[@]} == 1 && $stderr == "memz: "*"$1: "$2 ]]
}

@test "a file that is there is not overwritten, and no link is followed" {
	echo precious >"$KEPT"
	refuses_to_save "$KEPT" '*already*'
	[[ $(<"$KEPT") == precious ]]
	alone "$KEPT"
	mkdir "$BATS_TEST_TMPDIR/links" "$BATS_TEST_TMPDIR/links/directory"
	cd "$BATS_TEST_TMPDIR/links"
	ln -s ../nowhere dangling
	ln -s "$KEPT" link
	mkfifo fifo
	for name in dangling link directory fifo; do
		refuses_to_save "$PWD/$name" '*already*'
	done
	[[ $(readlink dangling) == ../nowhere && ! -e ../nowhere && -p fifo && -d directory ]]
	[[ $(readlink link) == "$KEPT" && $(<"$KEPT") == precious ]]
	[[ $(find . -mindepth 1 | wc -l) == 4 ]]
}

@test "a file that appears during the scan is not overwritten" {
	"$MEMZ" -q -i 1 --save "$KEPT" >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	sleep 0.4
	[[ ! -e $KEPT ]]	# the name appears when the file is whole
	echo precious >"$KEPT"
	status=0
	wait $! || status=$?
	[[ $status == 1 && $(<"$BATS_TEST_TMPDIR/err") == *"$KEPT: "*@(already|exist)* && $(<"$KEPT") == precious ]]
	alone "$KEPT"
}

@test "a place where nothing can be saved is an error" {
	refuses_to_save "$BATS_TEST_TMPDIR/nowhere/state.tar" '*No such file or directory'
	refuses_to_save "$BATS_TEST_TMPDIR/nowhere/" '*'
	need_root
	need setpriv
	run -1 as_user "$MEMZ" -q --save "$KEPT"
	[[ $output == *"$KEPT: Permission denied" ]]
	nothing_kept
}

@test "--save is refused where there is nothing to save" {
	cd "$DIR"
	run -2 "$MEMZ" --list-columns --save "$KEPT"
	[[ $output == 'memz: --save has no effect with --list-columns' ]]
	run -2 "$MEMZ" --save
	[[ $output == 'memz: option --save needs '* ]]
	run -2 "$MEMZ" --save "$KEPT" --save "$KEPT.2"
	[[ $output == 'memz: --save: given twice'* ]]
	run ! "$MEMZ" --save ''
	[[ $output == 'memz: --save: '* ]]
	nothing_kept
}

# What is saved

@test "every member is there, and holds the same as the kernel's file" {
	populate
	save
	for pid in "${PIDS[@]}"; do
		same_files "$pid" statm stat status smaps_rollup cmdline comm cgroup oom_score oom_score_adj
		[[ $(readlink "$TREE/proc/$pid/exe") == "$(readlink "/proc/$pid/exe")" ]]
	done
	for file in sys/kernel/osrelease sys/kernel/hostname sys/kernel/random/boot_id; do
		cmp "$TREE/proc/$file" "/proc/$file"
	done
	[[ $(head -1 "$TREE/proc/meminfo") == "$(head -1 /proc/meminfo)" ]]
	[[ $(grep ^btime "$TREE/proc/stat") == "$(grep ^btime /proc/stat)" ]]
	grep -q ' - proc ' "$TREE/proc/self/mountinfo"
	for file in /proc/{vmstat,buddyinfo,pressure/memory,uptime} /sys/devices/system/node/node*/meminfo /sys/block/zram*/mm_stat; do
		if [[ -r $file ]]; then
			[[ $(tr -d '0-9.\n ' <"$TREE$file") == "$(tr -d '0-9.\n ' <"$file")" ]]
		fi
	done
	grep '^root:[^:]*:0:' "$TREE/etc/passwd"
	((EUID)) || grep "^$(id -nu 65534):[^:]*:65534:" "$TREE/etc/passwd"
}

@test "page size, time and version of memz are kept, and which processes share memory" {
	need_root
	start twins 64
	before=$(date +%s)
	"$MEMZ" -q -t --save "$KEPT" >/dev/null
	after=$(date +%s)
	tar -xOf "$KEPT" memz | tee "$BATS_TEST_TMPDIR/memz.txt"
	grep -xE "(memz|version) $("$MEMZ" -V | cut -d' ' -f2)" "$BATS_TEST_TMPDIR/memz.txt"
	grep -x "page_size $(getconf PAGESIZE)" "$BATS_TEST_TMPDIR/memz.txt"
	time=$(sed -n 's/^time //p' "$BATS_TEST_TMPDIR/memz.txt")
	[[ $time =~ ^[0-9]+\.[0-9]+$ ]]
	((before <= ${time%.*} && ${time%.*} <= after))
	grep -E "^twin (${PIDS[0]} ${PIDS[1]}|${PIDS[1]} ${PIDS[0]})\$" "$BATS_TEST_TMPDIR/memz.txt"
}

@test "tar accepts an archive, and no name in it leads elsewhere" {
	"$MEMZ" -q -m --save "$KEPT" >/dev/null
	run -0 --separate-stderr tar -tvf "$KEPT"
	[[ -z $stderr ]]
	[[ $(grep -cE '^-r.* proc/[0-9]+/statm$' <<<"$output") -ge 3 ]]
	[[ $(grep -cE '^l.* proc/[0-9]+/exe -> /' <<<"$output") -ge 1 ]]
	names=$(tar -tf "$KEPT")
	run ! grep -vE '^(proc|sys|etc)/|^memz$' <<<"$names"
	run ! grep -E '(^|/)\.\.?(/|$)|//' <<<"$names"
	[[ -z $(sort <<<"$names" | uniq -d) ]]
}

@test "smaps, maps and numa_maps are saved if the report asks for them, and else not" {
	start private
	for file in smaps:-m maps:-c+maps numa_maps:-c+numa; do
		[[ -r /proc/self/${file%:*} ]] || continue
		save "${file#*:}"
		same_files "$PID" "${file%:*}"
	done
	save
	run ! grep -E "^proc/[0-9]+/(smaps|maps|numa_maps)\$" <(tar -tf "$KEPT")
}

@test "what is not shown, filtered out or beyond the limit is kept" {
	start private
	for view in '-n 1 -c pid -s rss -f rss>1G -U root -P nobody-here' '-n 0' '-c pid' -u -m -w '-t -s name' '-A --jobs 1'; do
		# shellcheck disable=SC2086
		save $view
		echo "$view"
		same_files "$PID" statm stat status smaps_rollup cmdline comm cgroup oom_score_adj
		grep -q "^$(id -nu):[^:]*:$EUID:" "$TREE/etc/passwd"
		grep -q ^btime "$TREE/proc/stat"
		grep -q ^pgfault "$TREE/proc/vmstat"
		[[ $(tar -tf "$KEPT" | grep -c '^proc/[0-9]*/stat$') -gt 3 ]]
	done
}

@test "the path of a program is kept: a long one, an odd one, a deleted one" {
	populate
	save
	for pid in "$ODD_EXE" "$GONE_EXE" "${PIDS[0]}"; do
		[[ $(readlink "$TREE/proc/$pid/exe") == "$(readlink "/proc/$pid/exe")" ]]
		[[ $("$MEMZ" -q -S "$KEPT" --csv -H -c pid,exe | grep "^$pid,") == "$("$MEMZ" -q -p "$pid" --csv -H -c pid,exe)" ]]
	done
	[[ $(readlink "$TREE/proc/$GONE_EXE/exe") == *'/gone (deleted)' ]]
}

@test "what was denied is kept as denied, not as empty" {
	need_root
	need setpriv jq
	start private
	chmod 777 "$DIR"
	as_user "$MEMZ" -q --save "$KEPT" >/dev/null
	[[ $(tar -tvf "$KEPT" "proc/$PID/smaps_rollup") =~ ^----------\ .*\ 0\  ]]
	mkdir "$DIR/tree"
	tar -C "$DIR/tree" -xf "$KEPT"
	for source in "$KEPT" "$DIR/tree"; do
		run -0 --separate-stderr "$MEMZ" -S "$source" --json
		jq -e --argjson pid "$PID" '.scan.denied > 0 and (.processes[] | select(.pid == $pid) | .pss == null and .rss > 1024)' <<<"$output"
		[[ $stderr == memz:*'PSS not readable (not in what was saved); shown as -'* ]]
	done
}

@test "a file that could be opened and not read is not saved as an empty one" {
	local file error args

	need strace jq
	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer cannot run under strace
	start private 64
	for file in maps numa_maps smaps; do
		args=(-q --json -p "$PID" -c pid,maps,numa,pss)
		[[ $file == smaps ]] && args=(-q --json -p "$PID" -m)
		for error in ESRCH EACCES EIO; do
			strace -f -qq -P "/proc/$PID/$file" -e trace=read -e inject=read:error=$error -o "$BATS_TEST_TMPDIR/trace" \
				"$MEMZ" "${args[@]}" --save "$KEPT" >"$BATS_TEST_TMPDIR/shown"
			grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
			jq -e '.scan.denied == 1 and (.mappings == [] or .processes[0].maps == null or .processes[0].numa == null)' "$BATS_TEST_TMPDIR/shown"
			diff <(jq 'del(.scan.seconds)' "$BATS_TEST_TMPDIR/shown") <("$MEMZ" -S "$KEPT" "${args[@]}" | jq 'del(.scan.seconds)')
			rm "$KEPT"
		done
	done
}

@test "of an interval the second scan is saved" {
	need python3
	start_growing
	python "$PID" <<'EOF'
shown = rows("-i", "0.5", "-c", "pid,rss,pss,vm_hwm,minflt,rss_delta", "--save", STATE)
assert shown[pids[0]]["rss_delta"] > 0, shown[pids[0]]
again = rows("-S", STATE, "-c", "pid,rss,pss,vm_hwm,minflt")
for column in "rss", "pss", "vm_hwm", "minflt":
    assert again[pids[0]][column] == shown[pids[0]][column], (again[pids[0]], shown[pids[0]])
EOF
}

@test "a report that nobody reads, or that cannot be written, leaves a whole archive or none" {
	for where in '| true' '>/dev/full' '>&-' '| cat >/dev/null'; do
		run bash -c '"$MEMZ" -q --save "$1" '"$where" - "$KEPT"
		[[ $output == '' || $output == memz:* ]]
		[[ -e $KEPT || $where != *cat* ]]
		if [[ -e $KEPT ]]; then
			tar -tf "$KEPT" >/dev/null
			alone "$KEPT"
			rm "$KEPT"
		fi
		nothing_kept
	done
}

# Reading it back

# rounds QUICK LONG: reports of every view in every format with random columns, so many.
ROUNDS='
listed = report("--list-columns")["columns"]
names = [c["name"] for c in listed]
mapped, grouped = ["mapping", "kind", "procs"], ["count"] + [n for n in names if n.startswith("cg_")]
columns = [n for n in names if n not in mapped + grouped + ["bar"]]    # which needs a number as sort key
sizes = [c["name"] for c in listed if "smaps_rollup" in c["source"] and not c["name"].endswith("pct")]
keys = [c["name"] for c in listed if c["type"] == "text" and c["name"] not in mapped + ["change"]]
def some(rng, of, *first):
    return ",".join([*first, *rng.sample([n for n in of if n not in first], rng.randint(2, 9))])
def by(rng):
    key = rng.choice(keys)
    return ["--by", key, "-c", some(rng, columns + ["count"], key)]
views = {
    "processes": lambda rng: ["-c", some(rng, columns, "pid")],
    "all": lambda rng: ["-A", "-c", some(rng, columns, "pid")],
    "sorted": lambda rng: ["-c", some(rng, columns), "-s", rng.choice(columns), "-r"],
    "limit": lambda rng: ["-n", "3", "-c", some(rng, columns, "pid"), "-s", rng.choice(columns)],
    "filter": lambda rng: ["-c", some(rng, columns, "pid"), "-f", rng.choice(["rss>1M", "pss>1M", "uss<200K", "threads>1", "name~o", "state=T", "pss>=0"])],
    "process": lambda rng: ["-c", some(rng, columns, "pid"), "-P", rng.choice(["load", "memz", os.environ["BATS_TEST_TMPDIR"], "save", "^[a-z]"])],
    "user": lambda rng: ["-c", some(rng, columns, "pid"), "-U", rng.choice(["root", "nobody", "0,65534"])],
    "totals": lambda rng: ["-t", "-c", some(rng, columns, "pid")],
    "by": by,
    "cgroup": lambda rng: ["--by", "cgroup", "-c", some(rng, columns + grouped, "cgroup", "cg_usage", "cg_limit")],
    "users": lambda rng: ["-u"],
    "mappings": lambda rng: ["-m", "-c", some(rng, mapped + sizes, "mapping")],
    "kinds": lambda rng: ["-m", "--by", "kind", "-c", some(rng, ["procs"] + sizes, "kind")],
    "defaults": lambda rng: rng.choice([[], ["-c", "+bar"]]),
    "system": lambda rng: ["-w"]}
pairs = [(view, form) for view in views for form in FORMATS if (view, form) != ("totals", "csv")]
def rounds(quick, many):
    for i in range(many if LONG else quick // 2 if SANITIZED else quick):
        view, form = pairs[i * 7 % len(pairs)]
        kept(*views[view](random.Random(i)), *FORMATS[form])
'

@test "a report from an archive or its tree is the one that was made when it was saved" {
	populate
	python <<<"$ROUNDS"$'\n''rounds(44, 1200)'
}

@test "the same for a user without rights" {
	need_root
	populate
	python_as_user <<<"$ROUNDS"$'\n''rounds(22, 600)'
	# root reads back only what the user could save
	python <<'EOF'
unpack(STATE, TREE)
for args in ["-A"], ["-t", "-s", "rss"], ["-u", "--json"], ["-w"]:
    same(memz(*args, "-S", STATE), memz(*args, "-S", TREE), *args)
assert any(row["pss"] is None for row in rows("-S", STATE).values())
EOF
}

@test "a saved tree is what an independent reader makes of it" {
	populate
	python <<'EOF'
import random_machine, random_reports
available = random_reports.columns()
saved("-A", "-c", "all,maps,numa,exe,oom_score,oom_score_adj")
for seed in range(300 if LONG else 20):
    line = random_machine.report(f"saved {seed}", [TREE], available)
    bad = random_reports.check(line)
    assert not bad, (shlex.join(line), bad[:5])
EOF
}

@test "an archive of a saved machine reads as the machine does" {
	python <<'EOF'
for name in sorted(os.listdir(MACHINES)):
    tree = MACHINES + name
    if not os.path.isdir(tree):
        continue
    formats = {"current": ["ustar", "pax", "gnu"], "before": ["ustar", "v7"]}.get(name, ["ustar"])
    for form in formats:
        subprocess.run(["tar", "--format=" + form, "-C", tree, "-cf", STATE, *sorted(os.listdir(tree))], check=True)
        for args in ["-A", "-c", "+exe,start,cgroup,ancestry,numa"], ["-m"], ["-w", "--json"], ["--by", "cgroup", "--json"]:
            same(memz(*args, "-S", tree), memz(*args, "-S", STATE), name, form, *args)
EOF
}

@test "an archive that tar has made of the tree reads the same" {
	populate
	python <<'EOF'
for view in ["-m"], ["-c", "all"], ["-w", "--json"], ["--by", "cgroup"]:
    report = kept(*view)
    for flags, names in itertools.product((["--format=pax"], ["--format=gnu", "--sort=name", "-b", "1"]), (["."], sorted(os.listdir(TREE)))):
        subprocess.run(["tar", *flags, "-C", TREE, "-cf", STATE + ".2", *names], check=True)
        same(report, memz(*view, "-S", STATE + ".2"), *flags, *names, *view)
EOF
}

@test "a hard link in an archive has the content of its target" {
	local pids form

	cp -r "$CURRENT" "$DIR/tree"
	pids=("$DIR"/tree/proc/[1-9]*/smaps_rollup)
	ln -f "${pids[0]}" "${pids[-1]}"
	for form in ustar pax gnu; do
		tar --format=$form -C "$DIR/tree" -cf "$KEPT" .
		tar -tvf "$KEPT" | grep ' link to '
		diff <("$MEMZ" -q -A -c all --jsonl -S "$DIR/tree") <("$MEMZ" -q -A -c all --jsonl -S "$KEPT")
	done
}

@test "of two names in a pax header the last one is that of the member" {
	need python3
	python <<'EOF'
import io, tarfile
def record(key, value):
    for n in range(len(key) + len(value) + 3, 9999):
        if len(line := f"{n} {key}={value}\n".encode()) == n:
            return line
head = tarfile.TarInfo("head")
head.type, data = tarfile.XHDTYPE, record("path", "proc/7/statm") + record("mtime", "1") + record("path", "proc/8/statm")
head.size = len(data)
with open(STATE, "wb") as archive:
    for info, content in (head, data), (tarfile.TarInfo("x"), b"100 50 10 0 0 0 0\n"):
        info.size = len(content)
        archive.write(info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    archive.write(bytes(1024))
assert list(rows("-A", "-S", STATE, "-c", "pid,vsz")) == [8], rows("-A", "-S", STATE, "-c", "pid,vsz")
EOF
}

@test "a user who has no process when his are saved is still known afterwards" {
	name=$(getent passwd | cut -d: -f1 | while read -r name; do
		"$MEMZ" -q -U "$name" -H -c pid | grep -q . || { echo "$name"; break; }
	done)
	[[ $name ]] || skip 'every user has processes'
	run -0 --separate-stderr "$MEMZ" -q -U "$name" --save "$KEPT"
	first=$output
	run -0 --separate-stderr "$MEMZ" -q -U "$name" -S "$KEPT"
	[[ $output == "$first" ]]
}

@test "names of users are those of the machine that was saved" {
	need_root
	need setpriv
	START_AS=("${NOBODY[@]}")
	start private
	"$MEMZ" -q --save "$KEPT" >/dev/null
	mkdir "$DIR/tree"
	tar -C "$DIR/tree" -xf "$KEPT"
	sed -i 's/^[^:]*\(:[^:]*:65534:\)/somebody\1/' "$DIR/tree/etc/passwd"
	tar -C "$DIR/tree" -cf "$KEPT.2" .
	for source in "$DIR/tree" "$KEPT.2"; do
		[[ $("$MEMZ" -q -S "$source" -U somebody -H --csv -c user,pid) == *"somebody,$PID"* ]]
		run -1 "$MEMZ" -q -S "$source" -U "$(id -nu 65534)"
	done
	[[ $("$MEMZ" -q -S "$KEPT" -U "$(id -nu 65534)" -H -c pid) == *"$PID"* ]]
	rm "$DIR/tree/etc/passwd"
	tar -C "$DIR/tree" -cf "$KEPT.3" .
	[[ $("$MEMZ" -q -S "$KEPT.3" -U 65534 -H --csv -c user,pid) == *"65534,$PID"* ]]
}

# smemcap writes a tar without end and without magic, with fields of other lengths.
@test "what smemcap has captured reads as its tree does" {
	need smemcap
	start private 2048
	smemcap >"$KEPT"
	python "$PID" <<'EOF'
unpack(STATE, TREE)
for args in [], ["-A"], ["-m"], ["-m", "--by", "kind"], ["-t", "--json"], ["--csv", "-c", "pid,pss,uss,rss,vsz,start,state,name,command"], ["-w"], ["--by", "name"]:
    same(memz(*args, "-S", TREE), memz(*args, "-S", STATE), *args)
seen = rows("-S", STATE, "-c", "pid,rss,uss,command,state")[pids[0]]
smaps = open(f"/proc/{pids[0]}/smaps").read()
total = lambda key: sum(map(int, re.findall(rf"^{key}: +(\d+) kB", smaps, re.M)))
assert seen["rss"] == total("Rss") and seen["uss"] == total("Private_Clean") + total("Private_Dirty") and seen["rss"] > 2048, seen
assert seen["command"].endswith("load private 2048") and seen["state"] == "T", seen
EOF
	tar -C "$MACHINES/smemcap" -cf "$KEPT.2" .
	[[ $("$MEMZ" -q -S "$KEPT.2" -A -t) == "$("$MEMZ" -q -S "$MACHINES/smemcap" -A -t)" ]]
	[[ $("$MEMZ" -q -S "$KEPT.2" -H | wc -l) -gt 3 ]]
}

# no_source PATH [WORD]: memz -S PATH fails with one line, which ends in WORD.
no_source() {
	run -1 --separate-stderr timeout 60 "${AS[@]}" "$MEMZ" -S "$1"
	echo "$1: $stderr"
	# shellcheck disable=SC2053
	[[ -z $output && ${#stderr_lines[@]} == 1 && $stderr == "memz: $1: "*${2-} ]]
}

@test "what is no archive gets one clear message, no report and no endless wait" {
	AS=()
	need python3
	cd "$DIR"
	"$MEMZ" -q --save whole.tar >/dev/null
	gzip -k whole.tar
	xz -k whole.tar || true
	: >empty
	mkfifo fifo
	mkdir directory
	head -c 5000 /dev/urandom >noise
	head -c 5000 /dev/zero >zeros
	"$ROOT/tests/bad_archives.py" not-one >sources.tar
	for name in whole.tar.?z empty fifo directory noise zeros sources.tar "$ROOT/README.md" "$MEMZ" /dev/null /dev/zero /dev/stdin; do
		no_source "$name" </dev/zero
	done
	need_root
	need setpriv
	chmod go+x "$BATS_RUN_TMPDIR"
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"
	AS=("${NOBODY[@]}")
	MEMZ=$BATS_TEST_TMPDIR/memz no_source "$PWD/whole.tar" 'Permission denied'
}

@test "an archive takes at most 12 KiB for each process" {
	need jq
	start private 64 1000
	((${#PIDS[@]} == 1000))
	"$MEMZ" -q --save "$KEPT" --json >"$BATS_TEST_TMPDIR/json"
	processes=$(jq '.scan | .processes + .kernel_threads + .zombies' "$BATS_TEST_TMPDIR/json")
	size=$(stat -c %s "$KEPT")
	echo "$size bytes for $processes processes"
	((size <= 12288 * processes))
	[[ ${LONG-} ]] || return 0
	rm "$KEPT"
	run -0 python <<'EOF'
def seconds(*args):
    began = time.monotonic()
    memz(*args)
    return time.monotonic() - began
shm = "/dev/shm/memz-test-%d" % os.getpid()
plain, saving, reading = [], [], []
for i in range(15):
    plain.append(seconds())
    saving.append(seconds("--save", shm))
    reading.append(seconds("-S", shm))
    os.remove(shm)
print(f"of 1,000 processes: report {min(plain):.3f} s, with --save {min(saving):.3f} s ({min(saving) / min(plain):.1f} times), from the archive {min(reading):.3f} s")
EOF
	echo "# $output; $((size / processes)) bytes for each" >&3
}

# Interrupted saves

# For the next two tests: memz --save is killed at random moments.
ENDS='
def duration():
    began = time.monotonic()
    memz("--save", STATE)
    took = time.monotonic() - began
    os.remove(STATE)
    return took
def end(how, times, *args, most=None, check=lambda: None):
    rng, most, found = random.Random(how), most or 1.1 * min(duration() for _ in range(5)), 0
    for _ in range(times):
        child = subprocess.Popen([MEMZ, "-q", "--save", STATE, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        time.sleep(rng.random() * most)
        child.send_signal(how)
        told = child.communicate(timeout=60)[1]
        assert child.returncode in (0, -how, 128 + how), (child.returncode, told)
        if os.path.exists(STATE):
            whole(STATE, pids)
            os.remove(STATE)
            found += 1
        check()
    return found
'

@test "kill -9 leaves a whole file or none" {
	start private 64 150
	run -0 python "${PIDS[@]}" <<<"$ENDS"$'\n''
times = 200 if LONG else 20
found = end(signal.SIGKILL, times)
memz("--save", STATE)	# what the killed ones left does not matter
whole(STATE, pids)
print(f"killed {times} times: {found} whole files, {times - found} times none")'
	[[ ! ${LONG-} ]] || echo "# $output" >&3
}

@test "Ctrl-C, SIGTERM and SIGHUP leave nothing behind" {
	start private 64 150
	python "${PIDS[@]}" <<<"$ENDS"$'\n''
def check():
    assert os.listdir(DIR) == [], os.listdir(DIR)
for how in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    end(how, 50 if LONG else 4, check=check)
end(signal.SIGINT, 1, "-i", "60", most=.5, check=check)'
}

# on_small SIZE: saves to a file system of that size. Prints the status, then the files in it.
on_small() {
	unshare -m bash -c 'mount -t tmpfs -o size="$1" none "$2" && { timeout 60 "$MEMZ" -q --save "$2/state.tar" >/dev/null; echo $?; ls -A "$2"; }' - \
		"$1" "$DIR"
}

@test "a full disk leaves no file, and is an error" {
	need_root
	need unshare
	unshare -m true || skip 'needs a mount namespace'
	start private 64 150
	for size in 4k 12k 200k 1m; do
		run -0 --separate-stderr on_small $size
		[[ $output == 1 && ${#stderr_lines[@]} == 1 && $stderr == "memz: "*"$KEPT: No space left on device" ]]
	done
	run -0 on_small 100m
	[[ $output == $'0\nstate.tar' ]]
}

@test "a limit of file sizes leaves no file, and is an error" {
	start private 64 150
	for limit in 0 1 500 1200; do
		run -0 bash -c '{ (ulimit -f "$1"; exec "$MEMZ" -q --save "$2") 2>&1 >/dev/null; echo "status $?"; } | cat' - $limit "$KEPT"
		[[ ${#lines[@]} == 2 && ${lines[0]} == "memz: "*"$KEPT: File too large" && ${lines[1]} == 'status 1' ]]
		nothing_kept
	done
}

# Damaged archives

# Sound archives, one by tar and one by memz, and broken(): memz on a damaged one.
SOUND='
import bad_archives
memz("-m", "--save", STATE)
subprocess.run(["tar", "--format=ustar", "-C", MACHINES + "current", "-cf", DIR + "/current.tar", "proc", "sys", "etc"], check=True)
sound = [open(name, "rb").read() for name in (DIR + "/current.tar", DIR + "/current.tar", STATE)]
VIEWS = [["--json", "-A"], ["--json", "-c", "all"], ["-m"], ["-w", "--json"], ["-c", "+exe,ancestry,maps,numa", "-A"], ["--by", "cgroup", "--json"], ["-t", "-n", "3"]]
def broken(seed, data):
    with open(DIR + "/broken.tar", "wb") as f:
        f.write(data)
    return survives(*VIEWS[seed % len(VIEWS)], "-S", DIR + "/broken.tar")
'

@test "an archive cut short gets a message, and does not crash memz" {
	python <<<"$SOUND"$'\n''
for seed in range(1000 if LONG else 39):
    for data in sound[1:]:
        done = broken(seed, bad_archives.cut(data, seed))
        assert done.stderr, (seed, done.stdout[:300])'
}

@test "an archive with changed bytes does not crash memz" {
	python <<<"$SOUND"$'\n''
for seed in range(2000 if LONG else 60):
    broken(seed, bad_archives.flip(sound[seed % 3], seed))
    broken(seed, bad_archives.forge(sound[seed % 3], seed))'
}

@test "a hostile archive does no harm" {
	echo 'MemTotal: 7 kB' >"$BATS_TEST_TMPDIR/secret"
	python "$BATS_TEST_TMPDIR/secret" <<'EOF'
import bad_archives
views = ["--json", "-A", "-c", "all"], ["-m"], ["-w", "--json"], ["-c", "+exe,ancestry,maps,numa"], ["--by", "cgroup", "--json"]
def make(data):
    with open(STATE, "wb") as f:
        f.writelines([data] if isinstance(data, bytes) else data)
for kind, made in bad_archives.KINDS.items():
    whole = made(b"20000" if kind == "many" else sys.argv[1].encode())
    make(whole)
    for args in views:
        done = survives(*args, "-S", STATE)
        assert b"MemTotal: 7" not in done.stdout + done.stderr
        if "--json" in args and done.returncode == 0:
            memory = json.loads(done.stdout)["memory"]
            assert memory["mem_total"] in (1000000, 2000000, None), (kind, memory)
    if kind in ("dotdot", "absolute", "huge", "huge-last", "octal", "negative"):
        assert done.stderr, kind
    if kind == "many":
        continue
    for args in ["-q", "--since", STATE, "-S", STATE], ["-q", "--since", STATE]:
        survives(*args)
    # more damage to the damaged
    for seed in range(100 if LONG else 2):
        for change in bad_archives.flip, bad_archives.forge, bad_archives.cut:
            make(change(whole, seed))
            survives(*views[seed % 5], "-S", STATE)
EOF
}

@test "a process of a sound part is shown where another part is damaged" {
	need jq
	for kind in dotdot absolute links cycles huge-last specials names duplicates pids no-terminator; do
		"$ROOT/tests/bad_archives.py" $kind "$BATS_TEST_TMPDIR/secret" >"$KEPT"
		run -0 "$MEMZ" -q -S "$KEPT" --json -A -c pid,pss,name
		echo "$kind: $output"
		[[ $(jq -c '.processes[] | select(.pid == 5)' <<<"$output") == '{"pid":5,"pss":400,"name":"p5"}' ]]
	done
}

# opened FILE: the names that memz passes to system calls when it reports on FILE, in several views.
opened() {
	local args

	for args in '-A -c all' -m -w '--by cgroup'; do
		# shellcheck disable=SC2086
		strace -f -qq -e trace=%file,readlinkat -o "$BATS_TEST_TMPDIR/trace" timeout 60 "$MEMZ" -q $args -S "$1" >/dev/null 2>&1 || true
		sed -n 's/^[0-9]* *[a-z0-9_]*(\(\(AT_FDCWD\|[0-9]*\), \)\?"\([^"]*\)".*/\3/p' "$BATS_TEST_TMPDIR/trace"
	done | sort -u
}

@test "an archive makes memz open no file that it names" {
	need strace
	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer cannot run under strace
	echo 'MemTotal: 7 kB' >"$BATS_TEST_TMPDIR/secret"
	"$ROOT/tests/bad_archives.py" specials >"$KEPT"
	[[ $("$MEMZ" -q -S "$KEPT" -H -c pid,pss -p 5) == '5 400K' ]]
	plain=$(opened "$KEPT")
	[[ $plain == *state.tar* ]]
	run ! grep -E '^(/etc/passwd|/proc/[0-9]+|/sys/(fs|block)|[0-9]+$)' <<<"$plain"
	for kind in dotdot absolute links cycles names directories pax-rubbish gnu-rubbish; do
		"$ROOT/tests/bad_archives.py" $kind "$BATS_TEST_TMPDIR/secret" >"$KEPT"
		more=$(comm -13 <(echo "$plain") <(opened "$KEPT"))
		[[ -z $more ]] || { echo "$kind: $more"; return 1; }
	done
}

@test "a million members take bounded time and memory" {
	need python3
	members=20000
	[[ ! ${LONG-} ]] || members=1000000 KEPT=$BATS_TEST_TMPDIR/state.tar
	"$ROOT/tests/bad_archives.py" many $members >"$KEPT"
	for args in -n3 -w '-u --json' '-m' '--by cgroup'; do
		# shellcheck disable=SC2086
		run -0 timeout 300 "$MEMZ" -q $args -S "$KEPT"
	done
	[[ $("$MEMZ" -q -S "$KEPT" -H -c pid | wc -l) == $((members / 2 + 1)) ]]
	rm "$KEPT"
}
