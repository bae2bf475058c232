# Processes and name services that never answer: memz ends, shows everything else, and names those processes. What looks
# like one and is none: very large processes, exited thread group leaders, files of saved trees that are no regular files.
# shellcheck disable=SC2016	# sh -c expands
# shellcheck disable=SC2030,SC2031	# bats runs each test in a subshell
# shellcheck disable=SC2034,SC2154	# for helper.bash, and of run
load helper

# file_text(FILE), file_report(NAME): what a memz that ran in the background wrote to FILE and to NAME.out.
PRELUDE='
here = os.environ["BATS_TEST_TMPDIR"]
def file_text(name):
    with open(f"{here}/{name}", encoding="utf-8") as f:
        return f.read()
def file_report(name):
    return json.loads(file_text(name + ".out"))
'

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

# Saved machines: nothing in them is waited for.

# Replaces every file of the process 812 of the machine "current" in turn, and looks at every view.
@test "a FIFO, a socket, a device or a directory in place of a file of a saved process is not read, and not waited for" {
	need python3
	cp -r "$CURRENT" "$BATS_TEST_TMPDIR/tree"
	python <<'END'
import socket, stat
tree, where = here + "/tree", here + "/tree/proc/812/"
def make_socket(path):
    os.chdir(os.path.dirname(path))     # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.basename(path))
def make_device(path):
    os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
kinds = {"not a regular file": [os.mkfifo, make_socket] + [make_device] * (os.getuid() == 0), "Is a directory": [os.mkdir]}
columns = "all,maps,numa,oom_score,oom_score_adj"
views = {"": ["-c", columns], "top": ["-n", "20", "-s", "pss", "-c", columns], "delta": ["-i", "0.01", "-c", columns + ",pss_delta"],
         "-m": ["-m"], "kind": ["-m", "--by", "kind"], "-u": ["-u", "-t"], "cgroup": ["--by", "cgroup"], "-w": ["-w"]}
files = {"statm": "vsz", "status": "vm_hwm vm_pte rss_anon", "comm": "", "cgroup": "cgroup", "oom_score": "oom_score",
         "oom_score_adj": "oom_score_adj", "stat": "minflt majflt", "cmdline": "command", "smaps_rollup": "pss uss swap",
         "maps": "maps", "numa_maps": "numa", "smaps": ""}
used = {"-m": {"smaps"}, "kind": {"smaps"}, "-u": {"status", "smaps_rollup"}}
def look(view):
    began = time.monotonic()
    done = run("-S", tree, "--timeout", "50", "--json", *views[view])
    assert done.returncode == 0, (view, done)
    assert time.monotonic() - began < 20, (view, "waits")
    return json.loads(done.stdout), done.stderr.decode()
base = {view: look(view)[0] for view in views}
for name, unknown in files.items():
    if os.path.exists(where + name):
        os.rename(where + name, tree + "/kept")
    for why, makers in kinds.items():
        for make in makers:
            make(where + name)
            for view in views:
                seen, told = look(view)
                scan, before = seen["scan"], base[view]["scan"]
                assert adds_up(scan) and scan["stalled"] == 0, (name, make, view, scan)
                assert scan["measured"] == before["measured"] - scan["denied"], (name, make, view, scan)
                assert scan["denied"] in ((1,) if name in used.get(view, ()) else (0, 1)), (name, make, view, scan)
                left = "left out" if views[view][0] == "-m" else "shown as -"
                assert told == scan["denied"] * f"memz: 1 process: not readable: {why}; {left}\n", (name, make, view, told)
            for view in "", "top":
                seen, told = look(view)
                rows, want = by_pid(seen), by_pid(base[view])
                assert rows.keys() == want.keys() and seen["scan"]["denied"] == (name != "smaps"), (name, view, seen["scan"])
                assert all(rows[pid] == want[pid] for pid in want if pid != 812), (name, view)
                assert all(rows[812][column] is None for column in unknown.split()), (name, view, rows[812])
            os.rmdir(where + name) if make is os.mkdir else os.remove(where + name)
    if os.path.exists(tree + "/kept"):
        os.rename(tree + "/kept", where + name)
END
}

@test "a FIFO in place of a file of the whole machine is named in a note, and not waited for" {
	cp -r "$CURRENT" "$BATS_TEST_TMPDIR/tree"
	for file in meminfo vmstat pressure/memory buddyinfo; do
		mv "$BATS_TEST_TMPDIR/tree/proc/$file" "$BATS_TEST_TMPDIR/kept"
		mkfifo "$BATS_TEST_TMPDIR/tree/proc/$file"
		run -0 --separate-stderr timeout -s KILL 20 "$MEMZ" --timeout 50 -S "$BATS_TEST_TMPDIR/tree" -w
		echo "$file: $stderr"
		[[ $stderr == "memz: "*"$file could not be read: not a regular file; its values are unknown"* ]]
		mv "$BATS_TEST_TMPDIR/kept" "$BATS_TEST_TMPDIR/tree/proc/$file"
	done
}

# was_stuck PID...: TREE is the machine "current", saved when these processes were stuck in mmap.
was_stuck() {
	TREE=$BATS_TEST_TMPDIR/stuck
	[[ ! -d $TREE ]] || return 0
	cp -r "$CURRENT" "$TREE"
	printf 'memz 1.0.0\npage_size 4096\n' >"$TREE/memz"
	for pid; do
		rm -f "$TREE/proc/$pid"/{cmdline,smaps_rollup,maps,numa_maps,smaps}
		echo "stalled $pid" >>"$TREE/memz"
	done
}

@test "of who was stuck when a machine was saved, what was read is shown, and the rest is unknown in every view" {
	local columns=pid,user,name,rss,vm_hwm,minflt,cgroup,pss,uss,swap,command

	need python3
	was_stuck 812 1433
	cp -r "$CURRENT" "$BATS_TEST_TMPDIR/others"
	rm -r "$BATS_TEST_TMPDIR"/others/proc/{812,1433}
	for tree in others "$CURRENT" stuck; do
		cd "$BATS_TEST_TMPDIR"
		name=${tree##*/}
		memz_in_background "$name" -S "$tree" -c $columns -t --json
		memz_in_background "$name-u" -S "$tree" -u -c user,count,pss,uss,rss -t --json
		memz_in_background "$name-m" -S "$tree" -m --json
		memz_in_background "$name-k" -S "$tree" -m --by kind --json
		memz_in_background "$name-w" -S "$tree" -w --json
		memz_in_background "$name-i" -S "$tree" -i 0.01 -c pid,pss,rss,pss_delta,rss_delta,change --json
		memz_in_background "$name-n" -S "$tree" -n 5 -s pss -c pid,pss --json
		memz_in_background "$name-rss" -S "$tree" -n 5 -s rss -c pid,rss --json
	done
	memz_in_background text -S stuck -k -c pid,user,pss,rss,command -p 812
	memz_in_background csv -S stuck -k -c pid,user,pss,rss,command -p 812 --csv
	memz_in_background quiet -S stuck -q
	memz_in_background groups -S stuck --by name -H -c name,pss -f name=postgres
	wait_for_all
	python <<'END'
stuck = 812, 1433
seen, want = by_pid(file_report("stuck")), by_pid(file_report("current"))
for pid in stuck:
    want[pid].update(pss=None, uss=None, swap=None, command=None)
assert seen == want, [(seen[pid], want[pid]) for pid in want if seen.get(pid) != want[pid]]
totals = {name: file_report(name)["totals"] for name in ("stuck", "others", "current")}
assert totals["stuck"]["rss"] == totals["current"]["rss"], totals
assert all(totals["stuck"][column] == totals["others"][column] for column in ("pss", "uss", "swap")), totals
groups = {name: {row["user"]: row for row in file_report(name + "-u")["groups"]} for name in ("stuck", "others", "current")}
for user, row in groups["stuck"].items():
    for column in row:
        of = "others" if column in ("pss", "uss") and user in groups["others"] else "current"
        assert row[column] == groups[of][user][column], (user, column, row)
assert file_report("stuck-u")["totals"]["pss"] == file_report("others-u")["totals"]["pss"]
assert file_report("stuck-m")["mappings"] == file_report("others-m")["mappings"]
assert file_report("stuck-k")["groups"] == file_report("others-k")["groups"]
areas = {name: {row["area"]: row for row in file_report(name + "-w")["system"]["areas"]} for name in ("stuck", "others")}
rss = {pid: sizes(read(f"{MACHINES}current/proc/{pid}/status")) for pid in stuck}
for area, column in ("anonymous", "rss_anon"), ("file_cache", "rss_file"), ("shmem", "rss_shmem"):
    row, other = areas["stuck"][area], areas["others"][area]
    due = (other["unmeasured"] or 0) + sum(rss[pid][column] for pid in stuck)
    assert row["processes"] == other["processes"], (row, other)
    assert row["unmeasured"] == min(due, row["total"] - row["processes"]), (row, due)
for pid, row in by_pid(file_report("stuck-i")).items():
    due = by_pid(file_report("current-i"))[pid]
    assert row == (dict(due, pss=None, pss_delta=None) if pid in stuck else due), row
assert file_report("stuck-n")["processes"] == file_report("others-n")["processes"]
assert file_report("stuck-rss")["processes"] == file_report("current-rss")["processes"]
for view in "", "-u", "-m", "-k", "-w", "-i":
    scan = file_report("stuck" + view)["scan"]
    assert adds_up(scan) and scan["stalled"] == 2, (view, scan)
    told = file_text(f"stuck{view}.err")
    how = "left out" if view in ("-m", "-k") else "shown with what could be read"
    assert told == f"memz: 2 processes: stuck in the kernel, given up after 1 s: pid 812, 1433; {how}\n", (view, told)
rss = want[812]["rss"]
assert file_text("text.out").splitlines()[1].split() == ["812", "postgres", "-", str(rss), "-"], file_text("text.out")
assert file_text("csv.out").splitlines()[1] == f"812,postgres,,{rss},", file_text("csv.out")
assert file_text("quiet.err") == ""
END
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

is_awake() {
	grep -q '^State:.S' "/proc/$1/status"
}

# release_stuck: those of the last mode are stuck no longer, and sleep.
release_stuck() {
	kill -USR1 "${LOADERS[-1]}"
	wait_for is_awake "${STUCK[-1]}"
}

# never_ends COMMAND...: shows that the command waits for ever there.
never_ends() {
	local seconds=${LONG:+3}

	run -137 timeout -s KILL "${seconds:-0.5}" "$@"
	[[ ! ${LONG-} ]] || echo "# hangs: $*" >&3
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

@test "live: what a stuck process answers stands in its row, in the same order with any number of threads" {
	need python3
	start_stuck 1 map exec
	for jobs in 1 2 8; do
		memz_in_background "rows$jobs" --jobs $jobs -p "$(join "${STUCK[@]}" "${LOADS[@]}")" --json \
			-c pid,uid,name,rss,vsz,vm_hwm,rss_anon,cgroup,oom_score_adj,state,minflt,exe,command,pss,uss,maps,numa
		memz_in_background "exe$jobs" --jobs $jobs -p "${STUCK[1]}" -H -c pid,exe,rss
	done
	wait_for_all
	python "${STUCK[@]}" "${LOADS[@]}" <<'END'
late = {"command", "pss", "uss", "maps", "numa"}
unknown = {pids[0]: late, pids[1]: late | {"exe", "minflt"}}
for jobs in "1", "2", "8":
    seen = by_pid(file_report("rows" + jobs))
    assert seen.keys() == set(pids), seen
    for pid in pids:
        row, status = seen[pid], proc(pid, "status")
        assert {column for column in row if row[column] is None} == unknown.get(pid, set()), row
        want = {column: sizes(status)[column] for column in ("vm_hwm", "rss_anon")}
        want.update(uid=int(re.search(r"^Uid:\s\d+\s(\d+)", status, re.M)[1]), name=proc(pid, "comm").strip(),
                    oom_score_adj=int(proc(pid, "oom_score_adj")))
        assert {column: row[column] for column in want} == want, (row, want)
        if pid in unknown:
            pages = proc(pid, "statm").split()
            assert (row["vsz"], row["rss"]) == tuple(int(n) * os.sysconf("SC_PAGESIZE") // 1024 for n in pages[:2]), (row, pages)
    assert file_text(f"exe{jobs}.out").split()[:2] == [str(pids[1]), "-"], file_text(f"exe{jobs}.out")
END
}

@test "live: 200 stuck processes delay the report by the timeout and a second" {
	need python3
	start_stuck 50 map map exec exec
	for jobs in 1 2 16; do
		memz_in_background "rows$jobs" --jobs $jobs -p "$(join "${STUCK[@]}" "${LOADS[@]}")" -c pid,pss,rss --json
	done
	wait_for_all
	python "${STUCK[@]}" "${LOADS[@]}" <<'END'
stuck, loads = pids[:-3], pids[-3:]
for jobs in "1", "2", "16":
    seen, told = file_report("rows" + jobs), file_text(f"rows{jobs}.err")
    rows, scan = by_pid(seen), seen["scan"]
    assert scan["seconds"] < 1 + 1 + 5, scan        # five more: the machine may be busy
    assert rows.keys() == set(pids) and scan["stalled"] == len(stuck) == 200 and scan["measured"] == 3, scan
    assert all(rows[pid]["pss"] is None and rows[pid]["rss"] > 0 for pid in stuck), rows
    assert all(rows[pid]["pss"] == sizes(proc(pid, "smaps_rollup"))["pss"] for pid in loads), rows
    assert told.startswith("memz: 200 processes: stuck in the kernel, given up after 1 s: pid ") and told.count("\n") == 1, told
    assert len(told) < 300 and "...; shown with what could be read" in told, told
END
}

@test "live: totals, groups, mappings, the largest five and deltas lack what a stuck process does not tell" {
	need python3
	start_stuck 2 map
	list=$(join "${STUCK[@]}" "${LOADS[@]}")
	memz_in_background rows -p "$list" -t -c pid,pss,uss,rss --json
	memz_in_background users -p "$list" -u -t -c user,count,pss,uss,rss --json
	memz_in_background mappings -p "$list" -m -c mapping,procs,rss --json
	memz_in_background others -p "$(join "${LOADS[@]}")" -m -c mapping,procs,rss --json
	memz_in_background top -p "$list" -n 2 -s pss -c pid,pss --json
	memz_in_background filter -p "$list" -f 'pss>1M' -c pid,pss --json
	TIMEOUT=0.5
	memz_in_background interval -p "$list" -i 0.1 -c pid,pss,rss,pss_delta,rss_delta,change --json
	wait_for_all
	python "${STUCK[@]}" "${LOADS[@]}" <<'END'
stuck, loads = pids[:2], pids[2:]
kernel = {pid: sizes(proc(pid, "smaps_rollup")) for pid in loads}
rss = sum(int(proc(pid, "statm").split()[1]) * os.sysconf("SC_PAGESIZE") // 1024 for pid in stuck) + sum(kernel[pid]["rss"] for pid in loads)
def near(a, b):
    return abs(a - b) <= 8      # all processes share the vdso
for name in "rows", "users":
    totals = file_report(name)["totals"]
    assert totals["rss"] == rss and near(totals["pss"], sum(kernel[pid]["pss"] for pid in loads)), (totals, kernel)
groups = {row["user"]: row for row in file_report("users")["groups"]}
assert (groups["nobody"]["count"], groups["nobody"]["pss"], groups["nobody"]["uss"]) == (2, None, None), groups
assert file_report("mappings")["mappings"] == file_report("others")["mappings"]
top = file_report("top")["processes"]
assert len(top) == 2 and {row["pid"] for row in top} <= set(loads), top
assert {row["pid"] for row in file_report("filter")["processes"]} == set(loads)
rows = file_report("interval")["processes"]
assert sorted(row["pid"] for row in rows) == sorted(pids), rows
for row in rows:
    known = row["pid"] in loads
    assert (row["pss_delta"], row["rss_delta"], row["change"]) == (0 if known else None, 0, "same"), row
for name in "rows", "users", "mappings", "top", "filter", "interval":
    scan, told = file_report(name)["scan"], file_text(name + ".err")
    assert adds_up(scan), (name, scan)
    assert scan["stalled"] == 2 and told.count("\n") == 1 and all(str(pid) in told for pid in stuck), (name, scan, told)
END
}

@test "live: a process that is stuck in the first scan only is measured in the second, and the change is unknown" {
	need python3
	start_stuck 1 map
	TIMEOUT=0.5 memz_in_background freed -i 4 -p "${STUCK[0]},${LOADS[0]}" -c pid,pss,rss,pss_delta,change --json
	sleep 2
	release_stuck
	wait_for_all
	python "${STUCK[0]}" "${LOADS[0]}" <<'END'
seen, told = file_report("freed"), file_text("freed.err")
rows = by_pid(seen)
assert seen["scan"]["stalled"] == 0 and seen["scan"]["measured"] == 2, seen["scan"]
assert rows[pids[0]]["pss"] > 0 and rows[pids[0]]["pss_delta"] is None and rows[pids[0]]["change"] == "same", rows
assert rows[pids[1]]["pss_delta"] == 0, rows
assert told == "memz: 1 process: not readable in the first scan; the change is unknown\n", told
END
}

@test "live: the second scan waits for a stuck process again, but for a fifth of a second" {
	need python3
	start_stuck 1 map
	TIMEOUT=3 memz_in_background twice -i 0.1 -p "${STUCK[0]},${LOADS[0]}" -c pid,pss,pss_delta --json
	wait_for_all
	python "${STUCK[0]}" "${LOADS[0]}" <<'END'
seen = file_report("twice")
assert seen["scan"]["stalled"] == 1 and by_pid(seen)[pids[0]]["pss"] is None, seen
assert 0.2 <= seen["scan"]["seconds"] < 2.5, seen["scan"]	# of the second scan
END
}

@test "live: a late answer is taken" {
	need python3
	start_stuck 1 map exec
	for i in 0 1; do
		TIMEOUT=50 memz_in_background "late$i" -p "${STUCK[i]}" -c pid,pss,uss,rss,command,start,maps,exe --json
	done
	sleep 1
	kill -USR1 "${LOADERS[@]:1}"
	wait_for_all
	python "${STUCK[@]}" <<'END'
for pid, name in zip(pids, ("late0", "late1")):
    seen = file_report(name)
    row = by_pid(seen)[pid]
    assert seen["scan"]["measured"] == 1 and None not in row.values(), seen
    assert file_text(name + ".err") == "", file_text(name + ".err")
    now = sizes(proc(pid, "smaps_rollup"))["rss"]
    assert row["rss"] == now if name == "late0" else 0 < row["rss"] <= now, row	# the other has just begun to run
END
}

@test "live: --save beside stuck processes keeps what was read, and the archive reads as the report does" {
	need python3
	start_stuck 1 map exec
	list=$(join "${STUCK[@]}" "${LOADS[@]}")
	columns=pid,uid,user,name,rss,vm_hwm,cgroup,state,pss,uss,command,maps
	memz_in_background live -p "$list" -c $columns --save "$BATS_TEST_TMPDIR/saved.tar" --json
	wait_for_all
	in_background read "$MEMZ" -S "$BATS_TEST_TMPDIR/saved.tar" -p "$list" -c $columns --json
	in_background since "$MEMZ" --timeout 1 --since "$BATS_TEST_TMPDIR/saved.tar" -p "$list" -c pid,rss_delta,pss_delta,change --json
	wait_for_all
	python "${STUCK[@]}" "${LOADS[@]}" <<'END'
live, saved, since = map(file_report, ("live", "read", "since"))
differ = [(by_pid(live)[pid], by_pid(saved).get(pid)) for pid in pids if by_pid(live)[pid] != by_pid(saved).get(pid)]
assert not differ, differ
assert live["scan"]["stalled"] == saved["scan"]["stalled"] == 2, (live["scan"], saved["scan"])
rows = by_pid(since)
assert {row["change"] for pid, row in rows.items() if pid != pids[1]} == {"same"}, since
assert all(rows[pid]["rss_delta"] == 0 for pid in pids) and all(rows[pid]["pss_delta"] is None for pid in pids[:2]), since
END
}

@test "live: an alert sees what a stuck process answers, and a note says that it was stuck" {
	start_stuck 1 map
	run -3 --separate-stderr timeout -s KILL 30 "$MEMZ" --timeout 1 -p "${STUCK[0]},${LOADS[0]}" -n 0 --alert 'rss>1M' --alert 'pss>1T'
	echo "$stderr"
	[[ ${#stderr_lines[@]} == 2 && $stderr == *"memz: alert: rss>1M: 2 rows, the largest: "* && $stderr == *"pid ${STUCK[0]};"* ]]
	run -0 --separate-stderr timeout -s KILL 30 "$MEMZ" --timeout 1 -p "${STUCK[0]}" -n 0 --alert 'pss>1K'
	[[ ${#stderr_lines[@]} == 1 && $stderr == *"pid ${STUCK[0]};"* ]]
}

@test "live: Ctrl-C ends a run that waits for a stuck process" {
	start_stuck 1 map
	run -124 timeout -k 50 -s INT 1 "$MEMZ" --timeout 40 -p "${STUCK[0]}"
	[[ -z $output ]]
}

# A user of its own, with five processes and threads at most.
@test "live: where no more threads can be created, all stuck processes are shown, and the report ends" {
	need python3
	start_stuck 8 map
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"	# a directory that every user may enter
	in_background few setpriv --reuid 64999 --regid 64999 --clear-groups bash -c 'ulimit -u 5 && exec "$@"' - \
		"$BATS_TEST_TMPDIR/memz" --timeout 1 --jobs 2 -p "$(join "${STUCK[@]}" "${LOADS[@]}")" -c pid,command --json
	wait_for_all
	python "${STUCK[@]}" "${LOADS[@]}" <<'END'
seen = file_report("few")
assert by_pid(seen).keys() == set(pids) and adds_up(seen["scan"]) and seen["scan"]["stalled"] >= 8, seen
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
kept = os.environ["BATS_TEST_TMPDIR"] + "/kept"
saved, again = report(*selected, "-m", "--save", kept), report(*selected, "-m", "-S", kept)
assert saved["mappings"] == again["mappings"] and len(saved["mappings"]) == len(mappings["mappings"]), (saved, again)
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
