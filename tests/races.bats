#!/usr/bin/env bats
# Processes start and end during the scan. Each has a number that shows in its name, command line, sizes and memory, and
# some pids are reused at once by another number: a row that mixes two processes has two numbers. LONG: 200 runs, and a
# fork bomb of 5,000 processes.
# shellcheck disable=SC2016	# bash -c expands
# shellcheck disable=SC2034	# PRELUDE is for python()
load helper

# Pid 1 of a pid namespace: runs memz RUNS times while churn (see churn.c) makes processes.
export RUN_DURING_CHURN='
cd "$OUT"
rm -f started
"$CHURN" $CHURN_ARGS >started 3>&- &
churn=$!
until read -r parent steady 2>/dev/null <started; do
	kill -0 "$churn" || exit
	sleep 0.02
done
cat "/proc/$steady/statm" "/proc/$steady/smaps_rollup" >steady
for ((i = 0; i < RUNS; i++)); do
	timeout 60 "$MEMZ" "${@//PARENT/$parent}" ${SAVE:+--save $i.tar} >$i.out 2>$i.err 3>&-
	echo $? >$i.status
done
kill "$churn"
wait "$churn"'

PRELUDE=$(cat <<'EOF'
import collections
OUT, RUNS = os.environ["OUT"], int(os.environ["RUNS"])
os.chdir(OUT)
def output(name):
    with open(name, "rb") as f:
        return f.read().decode("utf-8")
numbers = output("started").split()
parent, steady, made = map(int, numbers)
page = os.sysconf("SC_PAGESIZE") // 1024
VSZ = int(output("steady").split()[0]) * page
ANONYMOUS = int(re.search(r"^Anonymous: +(\d+)", output("steady"), re.M)[1])
def reports():
    """What every run printed. Each must succeed without a message, and its counts must add up."""
    for i in range(RUNS):
        err = re.sub("memz: no process matches .*\n", "", output(f"{i}.err"))	# none may have matched at that moment
        assert output(f"{i}.status") == "0\n" and not err, (i, output(f"{i}.status"), err)
        report = json.loads(output(f"{i}.out"))
        scan = report["scan"]
        assert adds_up(scan), scan
        assert scan["denied"] == scan["stalled"] == 0, scan
        yield report
def marked(row):
    return re.fullmatch(r"c\d{5}", row["name"] or "") and row["pid"] != parent
def is_brief(row):
    return row["name"] not in ("c00000", "c00007")		# the child that stays, and the 300 that stay
def check(row, sizes=True):
    """All values of the row are of the process that its name tells."""
    number = int(row["name"][1:])
    if row.get("command") is not None:
        assert row["command"].endswith((f"n={number:05}", f"[{row['name']}]")), row
    if not sizes:
        return
    for key in "vsz", "vm_peak":
        assert row.get(key) in (None, VSZ + number * page), (key, row, VSZ + number * page)
    for key in "rss", "maps":
        assert row.get(key) != 0, row		# 0: it has ended meanwhile
    for key in "anonymous", "rss_anon":
        if row.get(key) is not None:
            assert abs(row[key] - ANONYMOUS - number % 8 * 32 * page) <= 12 * page, (key, row, ANONYMOUS)
def lacking(row, *keys):
    return [key for key in keys if row[key] is None]
def say(*what):
    if LONG:
        os.write(3, ("# " + " ".join(map(str, what)) + "\n").encode())
EOF
)

setup() {
	need_root
	need unshare
	need "${CC:-cc}"
	CHURN=$BATS_FILE_TMPDIR/churn OUT=$BATS_TEST_TMPDIR RUNS=8
	[[ ! ${LONG-} ]] || RUNS=200
	export CHURN OUT RUNS MEMZ
	[[ -e $CHURN ]] || "${CC:-cc}" -std=gnu11 -O2 -static -o "$CHURN" "$ROOT/tests/churn.c"
}

# run_during_churn ARG...: runs memz ARG... RUNS times while churn with CHURN_ARGS, 500 processes a second, runs.
run_during_churn() {
	CHURN_ARGS=${CHURN_ARGS:-marked 500 n=00000} unshare --pid --fork --kill-child --mount-proc bash -c "$RUN_DURING_CHURN" - "$@"
}

WANTED=pid,name,command,start,pss,uss,rss,anonymous,rss_anon,vsz,vm_peak,threads,maps

@test "while processes come and go no row mixes two of them, the counts add up, and those that stay are there" {
	run_during_churn --json -c "$WANTED"
	python <<'EOF'
rows = vanished = zombies = 0
for report in reports():
    scan, found = report["scan"], report["processes"]
    pids = [row["pid"] for row in found]
    assert len(set(pids)) == len(pids) and {1, parent, steady} < set(pids), pids
    assert len(found) == scan["processes"] - scan["vanished"], (len(found), scan)
    assert len([row for row in found if lacking(row, "pss", "rss", "vsz", "vm_peak", "name")]) == 0, found
    for row in filter(marked, found):
        check(row)
        rows += is_brief(row)
    vanished, zombies = vanished + scan["vanished"], zombies + scan["zombies"]
assert rows > RUNS, rows
say(f"{RUNS} runs, {made} processes made: {rows} rows of them, {vanished} vanished, {zombies} zombies")
EOF
}

@test "while processes come and go each of the largest has its own name, command and size" {
	run_during_churn --json -c "$WANTED" -s rss -n 310
	python <<'EOF'
rows = 0
for report in reports():
    for row in filter(marked, report["processes"]):
        check(row)
        rows += is_brief(row)
assert rows > RUNS, rows
say(f"{RUNS} runs, {made} processes made: {rows} rows of them")
EOF
}

@test "while processes come and go filters and patterns select each by its own name and size" {
	run_during_churn --json -c "$WANTED" -P 'n=0[0-4]' -f 'vsz>=8M' -f 'name~c0[0-4]' -f 'ppid=PARENT' -s vsz
	python <<'EOF'
rows = 0
for report in reports():
    for row in report["processes"]:
        check(row)
        assert row["name"] < "c05" and row["vsz"] >= 8192, row
        rows += 1
assert rows > RUNS, rows
say(f"{RUNS} runs, {made} processes made: {rows} rows of them")
EOF
}

@test "while processes come and go a report of mappings succeeds, and counts right" {
	run_during_churn --json -m -t
	python <<'EOF'
for report in reports():
    procs = {row["mapping"]: row["procs"] for row in report["mappings"]}
    assert 3 <= procs["[stack]"] <= report["scan"]["measured"], (procs, report["scan"])
EOF
}

@test "while processes come and go each group has its own size" {
	run_during_churn --json --by name -c name,count,vsz,anonymous -f 'ppid=PARENT'
	python <<'EOF'
groups = 0
for report in reports():
    for row in report["groups"]:
        number, count = int(row["name"][1:]), row["count"]
        assert count == (1 if number != 7 else 300) and row["vsz"] == count * (VSZ + number * page), (row, VSZ + number * page)
        assert not lacking(row, "anonymous"), (row, report["scan"])
        assert abs(row["anonymous"] / count - ANONYMOUS - number % 8 * 32 * page) <= 12 * page, row
        groups += number not in (0, 7)
assert groups > RUNS, groups
say(f"{RUNS} runs, {made} processes made: {groups} groups of them")
EOF
}

@test "while processes come and go a pid that is reused is gone and new, never changed" {
	RUNS=$((${LONG:+42} + 8))
	run_during_churn --json -i 0.2 -c pid,name,command,vsz,vsz_delta,anonymous,anonymous_delta,change
	python <<'EOF'
changes = collections.Counter()
for report in reports():
    found = report["processes"]
    now = [row["pid"] for row in found if row["change"] != "gone"]
    assert len(set(now)) == len(now), now
    for row in found:
        changes[row["change"]] += 1
    assert [row["change"] for row in found if row["pid"] == steady] == ["same"], found
    for row in filter(marked, found):
        size = VSZ + int(row["name"][1:]) * page
        check(row, row["change"] != "gone")
        assert row["vsz_delta"] in {"new": (size,), "gone": (-size,), "same": (0,)}[row["change"]], (row, size)
        assert row["change"] != "same" or abs(row["anonymous_delta"]) <= 12 * page, row
assert changes["new"] > RUNS and changes["gone"] > RUNS, changes
say(f"{RUNS} runs, {made} processes made: {dict(changes)}")
EOF
}

@test "what is saved while processes come and go mixes no two of them, and reads back the same" {
	SAVE=yes run_during_churn --json -c "$WANTED"
	python <<'EOF'
rows = 0
for i, report in enumerate(reports()):
    back = subprocess.run([MEMZ, "--json", "-S", f"{i}.tar", "-c", "pid,name,command,pss,anonymous,rss_anon,vsz,vm_peak"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert not back.stderr, back.stderr
    back = json.loads(back.stdout.decode("utf-8"))
    seen = {row["pid"]: row for row in report["processes"]}
    assert {row["pid"] for row in back["processes"]} == set(seen), (i, back["scan"], report["scan"])
    for key in "processes", "vanished", "zombies":
        assert back["scan"][key] == report["scan"][key], (i, key, back["scan"], report["scan"])
    for row in filter(marked, back["processes"]):
        check(row)
        assert all(row[key] == seen[row["pid"]][key] for key in row), (row, seen[row["pid"]])
        rows += is_brief(row)
assert rows > RUNS, rows
say(f"{RUNS} archives, {made} processes made: {rows} rows of them")
EOF
}

@test "during a fork bomb every report ends, and counts right" {
	CHURN_ARGS="bomb $((${LONG:+4700} + 300))"
	for args in '-c pid,name,pss,vsz' '-c pid,name,pss -n 20' '-m' '--by name -c name,count,pss' '-i 0.2 -c pid,name,pss_delta,change'; do
		RUNS=$((${LONG:+38} + 2))
		# shellcheck disable=SC2086
		CHURN_ARGS=$CHURN_ARGS run_during_churn --json $args
		python "$args" "${CHURN_ARGS#* }" <<'EOF'
seen = 0
for report in reports():
    seen = max(seen, report["scan"]["processes"])
    if report["view"] == "processes" and "interval" not in report and "-n" not in sys.argv[1]:
        pids = [row["pid"] for row in report["processes"]]
        assert len(set(pids)) == len(pids) == report["scan"]["processes"] - report["scan"]["vanished"], report["scan"]
        assert {1, parent, steady} < set(pids), pids
        assert not [row for row in report["processes"] if lacking(row, "pss", "vsz", "name")]
assert seen > int(sys.argv[2]) / 4, seen
say(f"memz {sys.argv[1]}: {RUNS} runs, {made} processes made, up to {seen} at a time")
EOF
	done
}

# A preloaded library replaces syscall(). At the second kcmp (the first is that of the sort) it ends both processes, and
# waits until a new process has the pid of one.
@test "two processes that end while they are compared, and a new one with a pid of theirs, count as two" {
	need python3
	need jq
	cd "$OUT"
	"${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -o meanwhile.so -x c - -ldl <<-'END'
		#include <dlfcn.h>
		#include <signal.h>
		#include <stdarg.h>
		#include <stdlib.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		long
		syscall(long n, ...)
		{
			long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"), args[6], result;
			static int compared;
			va_list list;

			va_start(list, n);
			for (int i = 0; i < 6; i++)
				args[i] = va_arg(list, long);
			va_end(list);
			if (n == SYS_kcmp && ++compared == 1) {
				kill((int)args[0], SIGKILL);
				kill((int)args[1], SIGKILL);
				usleep(100000);
			}
			result = next(n, args[0], args[1], args[2], args[3], args[4], args[5]);
			if (n == SYS_kcmp && compared == atoi(getenv("REUSE"))) {
				kill(atoi(getenv("PARENT")), SIGUSR1);
				usleep(300000);
			}
			return result;
		}
	END
	cat >parent.py <<-'END'
		import os, signal
		signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
		def child():
		    pid = os.fork()
		    if pid == 0:
		        signal.pause()
		        os._exit(0)
		    return pid
		kept = b"x" * (1 << 22)
		a, b = child(), child()
		print(os.getpid(), a, b, flush=True)
		signal.sigwait([signal.SIGUSR1])
		os.waitpid(a, 0)
		while True:
		    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
		        last.write(str(a - 1))
		    new = child()
		    if new == a:
		        break
		    os.kill(new, 9)
		    os.waitpid(new, 0)
		print("again", flush=True)
		signal.pause()
	END
	for reuse in 1 2; do		# the comparison after which a pid is used again; 2: if there is one more
		rm -f pids
		REUSE=$reuse unshare --pid --fork --kill-child --mount-proc bash -c 'python3 parent.py >pids 3>&- &
			until [[ -s pids ]]; do sleep 0.05; done
			read -r PARENT a b <pids
			PARENT=$PARENT LD_PRELOAD=$PWD/meanwhile.so "$MEMZ" -q -t --json -c pid,anonymous -p "$a,$b" >json 3>&-'
		cat pids json
		((reuse == 2)) || grep -q again pids
		jq -e '.totals.anonymous == ([.processes[].anonymous] | add)' json
	done
}
