# Processes and name services that never answer: memz ends, shows everything else, and names those processes.
# shellcheck disable=SC2016	# sh -c expands
# shellcheck disable=SC2030,SC2031	# bats runs each test in a subshell
# shellcheck disable=SC2034,SC2154	# for helper.bash, and of run
load helper

# How many of the workers never answer. WORKERS: how many workers there are.
COUNTS=(1 5 200)
[[ ! ${LONG-} ]] || COUNTS+=(1000)
WORKERS=${COUNTS[-1]}

# file_text(FILE), file_report(NAME): what a memz that ran in the background wrote to FILE and to NAME.out.
PRELUDE='
here = os.environ["BATS_TEST_TMPDIR"]
def file_text(name):
    with open(f"{here}/{name}", encoding="utf-8") as f:
        return f.read()
def file_report(name):
    return json.loads(file_text(name + ".out"))
'

# The machine "current" with WORKERS more processes: pids from 5001, the largest first; the first five are of user 4000,
# the others of 4001.
setup_file() {
	local pid rss uid dir lines

	cp -r "$CURRENT" "$BATS_FILE_TMPDIR/machine"
	for ((pid = 5001; pid <= 5000 + WORKERS; pid++)); do
		rss=$((150000 / (pid - 5000) * 4)) uid=$((pid < 5006 ? 4000 : 4001)) dir=$BATS_FILE_TMPDIR/machine/proc/$pid
		mkdir "$dir"
		echo worker >"$dir/comm"
		printf 'worker\0--number\0%s\0' "$pid" >"$dir/cmdline"
		echo "$((rss / 2)) $((rss / 4)) 50 10 0 200 0" >"$dir/statm"
		echo "$pid (worker) S 1 1 1 0 -1 4194304 $((pid * 2)) 0 3 0 0 0 0 0 20 0 1 0 100 $((rss * 2048)) 10" >"$dir/stat"
		printf '%s\t%s\n' Name: worker Tgid: "$pid" Pid: "$pid" PPid: 1 Uid: "$uid	$uid	$uid	$uid" Threads: 1 \
			VmRSS: "$rss kB" RssAnon: "$((rss - 200)) kB" RssFile: '200 kB' RssShmem: '0 kB' >"$dir/status"
		printf -v lines '%s kB\n' "Rss: $rss" "Pss: $((rss - 100))" "Pss_Anon: $((rss - 200))" 'Pss_File: 100' \
			'Pss_Shmem: 0' 'Shared_Clean: 200' 'Shared_Dirty: 0' 'Private_Clean: 0' "Private_Dirty: $((rss - 200))" \
			'Swap: 0' 'SwapPss: 0'
		printf '55550000-55560000 rw-p 00000000 00:00 0    [rollup]\n%s' "$lines" >"$dir/smaps_rollup"
		printf '55550000-55560000 rw-p 00000000 00:00 0    [heap]\n%s' "$lines" >"$dir/smaps"
	done
}

STUCK=()

teardown() {
	clean_up
	for pid in "${STUCK[@]}"; do
		wait_for is_gone "$pid"
	done
}

# compile NAME SOURCE FLAG...: builds a program of this directory once, in BATS_FILE_TMPDIR.
compile() {
	need "${CC:-cc}"
	[[ -e $BATS_FILE_TMPDIR/$1 ]] || "${CC:-cc}" -std=gnu11 -O2 "${@:3}" -o "$BATS_FILE_TMPDIR/$1" "$ROOT/tests/$2"
}

BACKGROUND=()

# in_background NAME COMMAND...: starts it, with output to NAME.out and NAME.err. wait_for_all waits for all of them, and
# fails unless each has status 0.
in_background() {
	local name=$BATS_TEST_TMPDIR/$1 begin=${EPOCHREALTIME/./}

	shift
	{
		timeout -s KILL 60 "$@" >"$name.out" 2>"$name.err" || echo "$?" >"$name.failed"
		[[ ! ${LONG-} ]] || echo "# ${name##*/}: $(((${EPOCHREALTIME/./} - begin) / 1000)) ms" >&3
	} &
	BACKGROUND+=($!)
}

wait_for_all() {
	local failed=0

	wait "${BACKGROUND[@]}"
	for name in "$BATS_TEST_TMPDIR"/*.failed; do
		if [[ -e $name ]]; then
			echo "${name##*/}: status $(<"$name") $(<"${name%.failed}.err")"
			failed=1
		fi
	done
	return $failed
}

memz_in_background() {
	in_background "$1" "$MEMZ" --timeout "${TIMEOUT-1}" "${@:2}"
}

# Saved machines.

# never_answer FILE COUNT: TREE is a copy of the machine where FILE of the first COUNT workers is a FIFO that nobody writes.
never_answer() {
	local files=() pid

	TREE=$BATS_TEST_TMPDIR/$1.$2
	[[ ! -d $TREE ]] || return 0
	cp -al "$BATS_FILE_TMPDIR/machine" "$TREE"
	for ((pid = 5001; pid <= 5000 + $2; pid++)); do
		files+=("$TREE/proc/$pid/$1")
	done
	rm "${files[@]}"
	mkfifo "${files[@]}"
}

# All run at once, since each waits for a second.
@test "where smaps_rollup, cmdline or stat of a process never answers, the report ends and all other rows are right" {
	local columns=pid,user,name,pss,uss,rss,swap,command,minflt,start

	need python3
	"$MEMZ" -S "$BATS_FILE_TMPDIR/machine" -c $columns --json >"$BATS_TEST_TMPDIR/base.out"
	for file in smaps_rollup cmdline stat; do
		for count in "${COUNTS[@]}"; do
			for jobs in 1 2; do
				never_answer $file "$count"
				memz_in_background "$file.$count.$jobs" -S "$TREE" -c $columns --json --jobs $jobs
			done
		done
	done
	wait_for_all
	python "$WORKERS" "${COUNTS[@]}" <<'END'
def place(row):
    return row["pss"] is None, -(row["rss"] if row["pss"] is None else row["pss"]), row["pid"]
def check_reports(name, count, unknown):
    seen, want, stalled = file_report(name), by_pid(file_report("base")), range(5001, 5001 + count)
    for pid in stalled:
        want[pid].update(dict.fromkeys(unknown.split()))
    wrong = [(row, want[row["pid"]]) for row in seen["processes"] if row != want[row["pid"]]]
    assert not wrong, (name, wrong[:3])
    assert seen["processes"] == sorted(want.values(), key=place), (name, "order")
    scan, told = seen["scan"], file_text(name + ".err")
    assert adds_up(scan) and scan["processes"] == 15 + workers and scan["stalled"] == count, (name, scan)
    assert scan["measured"] == scan["processes"] - count, (name, scan)
    assert told.startswith("memz: ") and told.count("\n") == 1, (name, told)
    assert all(re.search(rf"\b{pid}\b", told) for pid in list(stalled)[:5]), (name, told)
workers, *counts = map(int, sys.argv[1:])
for count in counts:
    for jobs in 1, 2:
        check_reports(f"smaps_rollup.{count}.{jobs}", count, "pss uss swap")
        check_reports(f"cmdline.{count}.{jobs}", count, "command")
        check_reports(f"stat.{count}.{jobs}", count, "minflt start")
END
}

@test "where any other file of a process never answers, the report ends and all other rows are right" {
	local files=(statm status comm cgroup oom_score oom_score_adj maps numa_maps smaps_rollup)
	local columns=all,maps,numa,exe,start,oom_score,oom_score_adj

	need python3
	"$MEMZ" -S "$BATS_FILE_TMPDIR/machine" -c $columns --json >"$BATS_TEST_TMPDIR/base.out"
	never_answer cmdline 1
	for ((i = 0; i < ${#files[@]}; i++)); do
		rm -f "$TREE/proc/$((5002 + i))/${files[i]}"
		mkfifo "$TREE/proc/$((5002 + i))/${files[i]}"
	done
	memz_in_background all -S "$TREE" -c $columns --json
	for view in -m -w -u; do
		memz_in_background "all$view" -S "$TREE" $view --json
	done
	wait_for_all
	python <<'END'
base, seen = by_pid(file_report("base")), by_pid(file_report("all"))
assert base.keys() == seen.keys()
for pid in base:
    assert pid in range(5001, 5011) or seen[pid] == base[pid], (seen[pid], base[pid])
for name in "all", "all-m", "all-w", "all-u":
    scan = file_report(name)["scan"]
    assert adds_up(scan) and (scan["stalled"] > 0 or name == "all-m"), (name, scan)     # -m does not read these files
assert file_report("all")["scan"]["stalled"] == 10, file_report("all")["scan"]
END
}

@test "half an answer is unknown, and a late one is taken" {
	local pid

	need python3
	"$MEMZ" -S "$BATS_FILE_TMPDIR/machine" -c pid,pss,uss,rss --json >"$BATS_TEST_TMPDIR/base.out"
	never_answer smaps_rollup 5
	exec {half}<>"$TREE/proc/5001/smaps_rollup"
	head -c 100 "$BATS_FILE_TMPDIR/machine/proc/5001/smaps_rollup" >&"$half"
	memz_in_background half -S "$TREE" -c pid,pss,uss,rss --json -p 5001,5002
	never_answer smaps_rollup 4
	in_background late "$MEMZ" --timeout 50 -S "$TREE" -c pid,pss,uss,rss --json
	sleep 1
	for pid in {5004..5001}; do
		timeout 30 cat "$BATS_FILE_TMPDIR/machine/proc/$pid/smaps_rollup" >"$TREE/proc/$pid/smaps_rollup"
	done
	wait_for_all
	exec {half}>&-
	python <<'END'
base, half, late = map(file_report, ["base", "half", "late"])
assert late["processes"] == base["processes"] and late["scan"]["measured"] == base["scan"]["measured"], late["scan"]
assert [(row["pss"], row["uss"]) for row in half["processes"]] == [(None, None)] * 2 and half["scan"]["stalled"] == 2, half
END
}

@test "text and CSV show - and an empty field where a process never answered" {
	never_answer smaps_rollup 5
	for format in '' --csv; do
		memz_in_background "report$format" -S "$TREE" -k -c pid,user,pss,rss,command $format
	done
	memz_in_background quiet -S "$TREE" -q
	memz_in_background one -S "$TREE" -p 5003 -H -c pid,name,pss,rss -k
	wait_for_all
	cd "$BATS_TEST_TMPDIR"
	grep -Ex '5001 +4000 +- +600000 +worker --number 5001' report.out
	grep -x '5001,4000,,600000,worker --number 5001' report--csv.out
	[[ $(grep -c '^50[0-9]*,40..,,' report--csv.out) == 5 && $(wc -l <report--csv.out) == $((16 + WORKERS)) ]]
	[[ ! -s quiet.err ]]
	[[ $(<one.out) == '5003 worker - 200000' && $(<one.err) == *5003* ]]
}

@test "groups and totals keep others' memory, and what never answered is unknown" {
	need python3
	"$MEMZ" -S "$BATS_FILE_TMPDIR/machine" --by user -c user,count,pss,uss,rss -t --json >"$BATS_TEST_TMPDIR/base.out"
	never_answer smaps_rollup 5
	memz_in_background groups -S "$TREE" --by user -c user,count,pss,uss,rss -t --json
	memz_in_background rows -S "$TREE" -c pid,pss,uss,rss -t --json
	memz_in_background mixed -S "$TREE" --by name -c name,count,pss,rss --json
	wait_for_all
	python <<'END'
base, groups, rows, mixed = map(file_report, ["base", "groups", "rows", "mixed"])
want = {row["user"]: row for row in base["groups"]}
missing = {column: want["4000"][column] for column in ("pss", "uss")}
want["4000"].update(pss=None, uss=None)
assert {row["user"]: row for row in groups["groups"]} == want, groups["groups"]
assert groups["groups"][-1]["user"] == "4000", groups["groups"]
for seen in groups, rows:
    assert seen["totals"]["rss"] == base["totals"]["rss"], (seen["totals"], base["totals"])
    for column in missing:
        assert seen["totals"][column] == base["totals"][column] - missing[column], (seen["totals"], base["totals"])
worker = next(row for row in mixed["groups"] if row["name"] == "worker")
assert worker["count"] == 5 + want["4001"]["count"] and worker["pss"] == want["4001"]["pss"], worker
assert worker["rss"] == want["4000"]["rss"] + want["4001"]["rss"], worker
for seen in groups, rows, mixed:
    assert adds_up(seen["scan"]) and seen["scan"]["stalled"] == 5, seen["scan"]
END
}

@test "mappings and the whole machine keep others' memory where a process never answers" {
	need python3
	TREE=$BATS_TEST_TMPDIR/base
	cp -al "$BATS_FILE_TMPDIR/machine" "$TREE"
	rm -r "$TREE"/proc/{5001..5005}
	"$MEMZ" -S "$TREE" -m --json >"$TREE-m.out"
	"$MEMZ" -S "$TREE" -m --by kind --json >"$TREE-k.out"
	"$MEMZ" -S "$TREE" -w --json >"$TREE-w.out"
	never_answer smaps 5
	memz_in_background m -S "$TREE" -m --json
	memz_in_background k -S "$TREE" -m --by kind --json
	never_answer smaps_rollup 5
	memz_in_background w -S "$TREE" -w --json
	wait_for_all
	python <<'END'
for view, key in ("m", "mappings"), ("k", "groups"):
    assert file_report(view)[key] == file_report("base-" + view)[key], file_report(view)[key]
seen, want = ({row["area"]: row for row in file_report(name)["system"]["areas"]} for name in ("w", "base-w"))
more = {"anonymous": sum(150000 // i * 4 - 200 for i in range(1, 6)), "file_cache": 5 * 200, "shmem": 0}
for area in more:
    assert seen[area]["processes"] == want[area]["processes"], seen[area]
    assert seen[area]["unmeasured"] == want[area]["unmeasured"] + more[area], (seen[area], want[area])
for scan in (file_report(view)["scan"] for view in "mkw"):
    assert adds_up(scan) and scan["stalled"] == 5, scan
END
}

@test "an interval and the largest five have every row where a process never answers" {
	need python3
	"$MEMZ" -S "$BATS_FILE_TMPDIR/machine" -c pid,pss,rss --json >"$BATS_TEST_TMPDIR/base.out"
	TIMEOUT=0.5	# there are two scans
	never_answer stat 5
	memz_in_background started -S "$TREE" -i 0.1 --json
	never_answer smaps_rollup 5
	memz_in_background interval -S "$TREE" -i 0.1 -c pid,pss,rss,pss_delta,rss_delta,change --json
	memz_in_background groups -S "$TREE" -i 0.1 -u -c user,pss,pss_delta --json
	memz_in_background top -S "$TREE" -n 5 -s pss -c pid,pss,rss --json
	memz_in_background largest -S "$TREE" -n 5 -s rss -c pid,pss,rss --json
	wait_for_all
	python <<'END'
base, started, seen = (by_pid(file_report(name)) for name in ("base", "started", "interval"))
stalled = range(5001, 5006)
assert base.keys() == started.keys() == seen.keys() and len(base) == len(file_report("started")["processes"])
for pid, row in seen.items():
    want = dict(base[pid], pss_delta=0, rss_delta=0, change="same")
    assert row == (dict(want, pss=None, pss_delta=None) if pid in stalled else want), row
assert all(started[pid]["pss"] == base[pid]["pss"] for pid in base), started
assert next(row for row in file_report("groups")["groups"] if row["user"] == "4000")["pss"] is None
top = sorted((row for pid, row in base.items() if pid not in stalled), key=lambda row: -row["pss"])[:5]
assert file_report("top")["processes"] == top, file_report("top")
largest = sorted(base.values(), key=lambda row: (-row["rss"], row["pid"]))[:5]
assert [row["pid"] for row in file_report("largest")["processes"]] == [row["pid"] for row in largest], file_report("largest")
for name in "started", "interval", "groups", "top", "largest":
    scan = file_report(name)["scan"]
    assert adds_up(scan) and scan["stalled"] > 0, (name, scan)
END
}

# opens FILE ARGUMENT...: how often memz opens FILE in two scans.
opens() {
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=openat -o "$BATS_TEST_TMPDIR/trace" "$MEMZ" -q --timeout 0.5 -i 0.1 -c pid,pss "${@:2}" >/dev/null
	grep -c "\"$1\"" "$BATS_TEST_TMPDIR/trace"
}

@test "a process that did not answer in one scan of a saved machine is not asked again in the next" {
	need strace
	never_answer smaps_rollup 5
	all=$(opens smaps_rollup -S "$BATS_FILE_TMPDIR/machine")
	[[ $(opens smaps_rollup -S "$TREE") == $((all - 5)) ]]
}

@test "Ctrl-C ends a run that waits for a process that never answers" {
	never_answer smaps_rollup 5
	run -124 timeout -k 50 -s INT 0.5 "$MEMZ" --timeout 40 -S "$TREE"
	[[ -z $output ]]
}

# Live processes that wedge.c makes.

# start_stuck COUNT MODE...: starts COUNT stuck processes of each mode of wedge.c (STUCK), and three that are not (LOADS).
start_stuck() {
	need_root
	need setpriv
	compile wedge wedge.c -static -pthread
	[[ -c /dev/fuse ]] || skip 'needs /dev/fuse'
	start private 4096 3
	LOADS=("${PIDS[@]}")
	for mode in "${@:2}"; do
		start_program "${WEDGE:-$BATS_FILE_TMPDIR/wedge}" "$mode" "$1"
		((${#PIDS[@]} == $1))
		STUCK+=("${PIDS[@]}")
	done
	for pid in "${STUCK[@]}"; do
		wait_for grep -q '^State:.D' "/proc/$pid/status" || skip 'needs a kernel that waits for a file system to unmap a page (6.16)'
	done
}

# never_ends COMMAND...: shows that the command waits for ever there.
never_ends() {
	local seconds=${LONG:+3}

	run -137 timeout -s KILL "${seconds:-0.5}" "$@"
	[[ ! ${LONG-} ]] || echo "# hangs: $*" >&3
}

@test "live: a process that is still stuck in the kernel is not asked again in the second scan" {
	need strace
	start_stuck 1 exec
	[[ $(opens stat -p "${LOADS[0]}") -gt 1 ]]
	[[ $(opens stat -p "${STUCK[0]}") == 1 ]]
}

@test "live: processes stuck in mmap and exec do not stop the report" {
	local list memz=$BATS_TEST_TMPDIR/memz count=${LONG:+3}2

	need python3
	start_stuck "$count" map exec
	install -m 755 "$MEMZ" "$memz"	# a directory that every user may enter
	list=$(join "${STUCK[@]}" "${LOADS[@]}")
	never_ends cat "/proc/${STUCK[0]}/cmdline"
	never_ends cat "/proc/${STUCK[-1]}/stat"
	for pid in "${LOADS[@]}"; do
		cp "/proc/$pid/smaps_rollup" "$BATS_TEST_TMPDIR/$pid"
	done
	memz_in_background text
	memz_in_background json -c pid,name,pss,rss,command --json
	memz_in_background some -c pid,name,pss,rss,command --json -p "$list"
	memz_in_background one-by-one -c pid,name,pss,rss,command --json -p "$list" --jobs 1
	memz_in_background all -c all,maps,numa,exe,ancestry,start --json -p "$list"
	memz_in_background groups -u -t --json
	memz_in_background cheap -c pid,name,rss,user -t --json
	memz_in_background mappings -m --json
	memz_in_background system -w --json
	memz_in_background interval -i 0.1 --json
	memz_in_background top -n 5 --json
	memz_in_background save --save "$BATS_TEST_TMPDIR/saved" --json
	in_background pipe bash -c '"$MEMZ" --timeout 1 | cat'
	in_background user "${NOBODY[@]}" "$memz" --timeout 1 --json
	in_background other setpriv --reuid 65533 --regid 65533 --clear-groups "$memz" --timeout 1 --json
	wait_for_all
	python ${#STUCK[@]} "${STUCK[@]}" "${LOADS[@]}" $$ <<'END'
n, *pids = map(int, sys.argv[1:])
stuck, loads, others = pids[:n], pids[n:-1], pids[n:]
for name in "text", "pipe":
    shown = [int(line.split()[0]) for line in file_text(name + ".out").splitlines()[1:]]
    assert set(pids) <= set(shown), (name, shown)
for name in "json", "user", "other", "interval", "cheap":
    assert set(pids) <= by_pid(file_report(name)).keys(), name
for name in "some", "one-by-one", "all":
    seen = file_report(name)
    assert set(stuck + loads) == by_pid(seen).keys(), (name, seen)
    assert seen["scan"]["stalled"] == n and seen["scan"]["measured"] == len(loads), (name, seen["scan"])
for name in "json", "some", "one-by-one", "all":
    seen = by_pid(file_report(name))
    for pid in stuck:
        assert seen[pid]["name"] == "wedge" and seen[pid]["pss"] is None and seen[pid]["rss"] > 0, seen[pid]
    for pid in loads:
        want = sizes(file_text(str(pid)))
        assert seen[pid]["pss"] == want["pss"] and seen[pid]["rss"] == want["rss"], (seen[pid], want)
for name in "json", "groups", "mappings", "system", "interval", "top", "save", "user", "other":
    scan = file_report(name)["scan"]
    assert adds_up(scan), (name, scan)
    assert scan["stalled"] >= n or name in ("top", "other"), (name, scan)
for name in "text", "pipe", "json", "some", "one-by-one", "all", "groups", "mappings", "system", "interval", "save", "user":
    told = [line for line in file_text(name + ".err").splitlines() if re.search(rf"\b{min(stuck)}\b", line)]
    assert len(told) == 1, (name, file_text(name + ".err"))
assert os.path.getsize(f"{here}/saved") > 0
END
	if [[ ${LONG-} ]]; then
		never_ends ps -o pss -p "${STUCK[0]}"
		never_ends ps -o pss -p "${STUCK[-1]}"
		never_ends ps -ef
		never_ends pgrep -f wedge
		never_ends top -b -n1
	fi
}

@test "live: the wait for a stuck process ends when the process does" {
	need python3
	compile wedge wedge.c -static -pthread
	ln -s "$BATS_FILE_TMPDIR/wedge" "$BATS_TEST_TMPDIR/freed"	# a name that no stuck process of others has
	WEDGE=$BATS_TEST_TMPDIR/freed start_stuck 1 map
	in_background freed "$MEMZ" --timeout 300 --json -f 'name~^(load|freed)$'
	sleep 1
	kill -KILL "${LOADERS[-1]}"
	wait_for_all
	python "${LOADS[@]}" <<'END'
seen = file_report("freed")
assert set(pids) <= by_pid(seen).keys() and adds_up(seen["scan"]) and seen["scan"]["stalled"] == 0, seen
END
}

# Very large processes are slow, not stuck.

has_used_cpu() {
	local fields

	read -ra fields 2>/dev/null <"/proc/$1/stat" && ((fields[13] + fields[14] >= 2))
}

@test "a very large process, or a pause of memz itself, is not taken for a process that never answers" {
	need python3
	compile wedge wedge.c -static -pthread
	start_program "$BATS_FILE_TMPDIR/wedge" giant $((LONG ? 30720 : 10240))	# times 2 MiB
	"$MEMZ" --timeout 0.3 -p "$PID" -H -c pss -k >"$BATS_TEST_TMPDIR/paused" 3>&- &
	paused=$!
	LOADERS+=("$paused")
	for ((i = 0; i < 100000; i++)); do
		! has_used_cpu $paused || break
	done
	kill -STOP $paused
	{ sleep 1; kill -CONT $paused; } 3>&- &
	python "$PID" <<'END'
for args in ["-c", "pid,pss,rss"], ["-c", "pid,pss,rss", "--jobs", "1"], ["-c", "pid,pss,rss,command,maps", "-i", "0.1"]:
    seen = report("--timeout", "0.05", "-p", str(pids[0]), *args)
    row = seen["processes"][0]
    assert row["rss"] >= 20 << 20 and row["pss"] > 2000, row
    assert seen["scan"]["stalled"] == 0 and seen["scan"]["measured"] == 1, seen["scan"]
assert sum(row["rss"] for row in report("--timeout", "0.05", "-p", str(pids[0]), "-m")["mappings"]) >= 20 << 20
END
	wait $paused
	(($(<"$BATS_TEST_TMPDIR/paused") > 2000))
}

# Thread group leaders that have exited, and shared address spaces.

@test "a process whose first thread has ended is measured, not taken for a zombie" {
	need python3
	compile wedge wedge.c -static -pthread
	start zombie
	ZOMBIE=$PID
	start_program "$BATS_FILE_TMPDIR/wedge" leader 2
	((${#PIDS[@]} == 2))
	run ! grep . "/proc/$PID/smaps_rollup"
	python "$ZOMBIE" "${PIDS[@]}" <<'END'
zombie, *leaders = pids
selected = ["-p", ",".join(map(str, leaders))]
def task(pid):
    return f"/proc/{pid}/task/{max(map(int, os.listdir(f'/proc/{pid}/task')))}"
def rollups():
    return {pid: sizes(read(task(pid) + "/smaps_rollup")) for pid in leaders}
def agree(seen):
    for pid in leaders:
        for column in set(seen[pid]) & set(before[pid]) - {"referenced"}:
            low, high = sorted((before[pid][column], after[pid][column]))
            slack = 4 if "pss" in column else 0     # all processes share the vdso
            assert low - slack <= seen[pid][column] <= high + slack, (column, seen[pid], before[pid], after[pid])
before = rollups()
plain, walked = report(*selected, "-c", "all,maps,exe"), report("-c", "pid,pss,uss,rss,private_dirty")
timed = report(*selected, "-i", "0.1", "-c", "pid,pss,rss,uss,rss_delta,uss_delta,change")
groups, mappings = report(*selected, "--by", "name", "-t"), report(*selected, "-m")
largest, by_rss = report("-p", f"{zombie},{leaders[0]}", "-s", "pss", "-n", "1"), report(*selected, "-c", "pid,rss,vsz,vm_hwm,rss_anon")
after = rollups()
for seen in plain, walked, timed:
    agree(by_pid(seen))
    assert set(leaders) <= by_pid(seen).keys()
for pid, row in by_pid(by_rss).items():
    status = sizes(read(task(pid) + "/status"))
    assert row["rss"] >= 20480 and (row["vm_hwm"], row["rss_anon"]) == (status["vm_hwm"], status["rss_anon"]), (row, status)
    assert row["vsz"] == status["vm_size"], (row, status)
for pid, row in by_pid(plain).items():
    assert row["name"] == "wedge" and row["command"].endswith("wedge leader 2") and row["threads"] in (1, 2), row
    assert row["exe"] == os.readlink(task(pid) + "/exe"), row
    assert row["maps"] == len(open(task(pid) + "/maps").readlines()), row
uss = sum(before[pid]["private_dirty"] + before[pid]["private_clean"] for pid in leaders)
assert [(row["name"], row["count"], row["uss"]) for row in groups["groups"]] == [("wedge", 2, uss)], groups
assert groups["totals"]["uss"] == uss, groups["totals"]
assert sum(row["rss"] for row in mappings["mappings"]) == sum(before[pid]["rss"] for pid in leaders), mappings
assert all(row["change"] == "same" and row["rss_delta"] == row["uss_delta"] == 0 for row in timed["processes"]), timed
for seen in plain, timed, groups, mappings, by_rss:
    scan = seen["scan"]
    assert scan["zombies"] == 0 and scan["processes"] == scan["measured"] == 2, scan
for args in "-n 500", "-n 500 -s rss", "-f pss>10M", "-f rss>10M", "-f uss>10M -n 500", "-P wedge", "--max-rss 1G":
    assert set(leaders) <= by_pid(report(*args.split())).keys(), args
assert largest["scan"]["zombies"] == 1 and [row["pid"] for row in largest["processes"]] == leaders[:1], largest
END
}

@test "a user without rights sees an own process whose first thread has ended" {
	need_root
	compile wedge wedge.c -static -pthread
	START_AS=("${NOBODY[@]}")
	chmod go+x "$BATS_RUN_TMPDIR"
	start_program "$BATS_FILE_TMPDIR/wedge" leader
	run -0 --separate-stderr as_user "$MEMZ" -p "$PID" -H -k -c name,user,uss
	[[ $output =~ ^wedge\ nobody\ 2[0-9]{4}$ && -z $stderr ]]
}

@test "two processes of one address space count once, and two that are merely alike count twice" {
	need_root
	need python3
	compile wedge wedge.c -static -pthread
	start private 20480 3
	LOADS=("${PIDS[@]}")
	start_program "$BATS_FILE_TMPDIR/wedge" vfork
	((${#PIDS[@]} == 2))
	python "${PIDS[@]}" "${LOADS[@]}" <<'END'
selected = ["-p", ",".join(map(str, pids))]
rows = by_pid(report(*selected, "-c", "pid,uss,rss,vsz"))
assert rows[pids[0]]["uss"] == rows[pids[1]]["uss"] > 20480, rows
wedge, loads = rows[pids[0]], [rows[pid] for pid in pids[2:]]
for view in ["-c", "pid,uss,rss"], ["-u", "-c", "user,uss,rss"], ["-i", "0.1", "-c", "pid,uss,rss,pss_delta"]:
    totals = report(*selected, *view, "-t")["totals"]
    for column in "uss", "rss":
        assert totals[column] == wedge[column] + sum(row[column] for row in loads), (view, totals, rows)
groups = {row["name"]: row for row in report(*selected, "--by", "name")["groups"]}
assert (groups["wedge"]["count"], groups["wedge"]["uss"]) == (2, wedge["uss"]), groups
assert (groups["load"]["count"], groups["load"]["uss"]) == (3, sum(row["uss"] for row in loads)), groups
mapped = sum(row["rss"] for row in report(*selected, "-m")["mappings"])
assert mapped == wedge["rss"] + sum(row["rss"] for row in loads), (mapped, rows)
END
}

# compared ARGUMENT...: how often memz calls kcmp.
compared() {
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=kcmp -e signal=none -o "$BATS_TEST_TMPDIR/trace" "$MEMZ" -q "$@" >/dev/null
	grep -c 'kcmp(' "$BATS_TEST_TMPDIR/trace"
}

# 128 processes are 8,128 pairs. Sorting them takes fewer than 128 * 7 comparisons.
@test "each process is compared with few others, and none where nothing is summed up" {
	need_root
	need strace
	start private 64 128
	list=$(join "${PIDS[@]}")
	run compared -p "$list" -t
	echo "$output comparisons"
	((output >= 127 && output <= 128 * 8))
	run compared -p "$list"
	((output == 0))
}

# Name services.

# ASLEEP: a prefix that runs a command with a name service that never answers.
name_service_sleeps() {
	local config=$BATS_TEST_TMPDIR/nsswitch.conf

	need_root
	need python3 unshare setpriv
	[[ -e /etc/nsswitch.conf ]] || skip 'needs a C library with name services'
	compile libnss_sleepy.so.2 nss.c -shared -fPIC
	echo 'passwd: sleepy' >"$config"
	ASLEEP=(unshare -m bash -c 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"' "$config"
		env LD_LIBRARY_PATH="$BATS_FILE_TMPDIR")
	run -137 "${ASLEEP[@]}" timeout -s KILL 0.5 id -un	# the service is in use
}

# There are 40 users: a timeout of two seconds for each would be too long.
@test "where the name service never answers, the report ends and shows numbers for users" {
	name_service_sleeps
	for uid in {60001..60040}; do
		START_AS=(setpriv --reuid "$uid" --clear-groups)
		start_program sh -c 'echo $$; exec >&-; exec sleep 60'
		pids+=("$PID")
	done
	in_background rows "${ASLEEP[@]}" "$MEMZ" --timeout 2 -c pid,uid,user,pss --json
	in_background groups "${ASLEEP[@]}" "$MEMZ" --timeout 2 -u -i 0.1 --json
	wait_for_all
	python "${pids[@]}" <<'END'
seen, groups = by_pid(file_report("rows")), {row["user"] for row in file_report("groups")["groups"]}
assert set(pids) <= seen.keys()
assert all(row["user"] == str(row["uid"]) for row in seen.values()), seen
assert {str(uid) for uid in range(60001, 60041)} <= groups and all(map(str.isdigit, groups)), groups
assert all(seen[pid]["pss"] is not None for pid in pids) and adds_up(file_report("rows")["scan"])
END
}

@test "-U says that the name service never answers, and still takes a number" {
	name_service_sleeps
	in_background number "${ASLEEP[@]}" "$MEMZ" --timeout 1 -U 0 -H -c uid
	run -1 --separate-stderr timeout -s KILL 60 "${ASLEEP[@]}" "$MEMZ" --timeout 1 -U nobody
	echo "$stderr"
	[[ -z $output && $stderr == 'memz: --user: '*'name service'* && ${#stderr_lines[@]} == 1 ]]
	wait_for_all
	[[ $(sort -u "$BATS_TEST_TMPDIR/number.out") == 0 ]]
}
