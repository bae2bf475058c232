#!/usr/bin/env bats
# strace makes each system call from main on fail, one in each run. Then the report is whole, or its counts or a note say
# what is missing, or memz ends with status 1 and one line ("is an error"). LONG: every call with every error.
# shellcheck disable=SC2016	# bash -c expands
# shellcheck disable=SC2034	# PRELUDE is for python()
# shellcheck disable=SC2154	# run sets stderr
load helper

# strace counts the calls of each thread separately. ALONE makes clone fail, so that there is one thread and one count.
PRELUDE=$(cat <<'EOF'
import collections, concurrent.futures, resource, tempfile
BASE = os.environ["BATS_TEST_TMPDIR"]
ASAN = b"__asan_init" in open(MEMZ, "rb").read()
MEMORY = "mmap brk mremap mprotect clone3".split()	# the sanitizers do not survive a failure of these
ERRORS = {name: errors.split() for names, errors in [
    ("openat", "EMFILE ENFILE ENOMEM EACCES EIO EINTR"), ("read pread64", "EIO EINTR ENOMEM EAGAIN EACCES"),
    ("getdents64", "ENOMEM EIO"), ("newfstatat fstat statx fstatfs readlinkat faccessat faccessat2", "ENOMEM EIO EACCES"),
    ("mmap", "ENOMEM EAGAIN"), ("mremap mprotect", "ENOMEM"), ("brk", "0"), ("clone3", "EAGAIN ENOMEM EPERM"), ("close", "EIO EINTR"),
    ("write writev pwrite64", "ENOSPC EIO EPIPE EINTR EAGAIN"), ("kcmp capget capset prctl fchmod", "EPERM"),
    ("link linkat rename renameat renameat2 fsync fdatasync ftruncate", "EIO ENOSPC"), ("unshare", "ENOMEM EPERM"),
    ("sched_getaffinity", "ENOSYS")] for name in names.split()}
OF_PROCESS = re.compile(r'/proc/[0-9]+|/proc>, "[0-9]')
ALONE = ["-e", "inject=clone3,clone:error=EAGAIN"]
Run = collections.namedtuple("Run", "status out err")

def run_under(args, strace=(), limit=None):
    command = (["strace", "-f", "-qq", *strace] if strace else []) + [MEMZ, *args]
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            preexec_fn=limit and (lambda: resource.setrlimit(*limit)), timeout=60)
    except subprocess.TimeoutExpired:
        return Run("hang", b"", [])
    return Run(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").splitlines())

def calls(args, strace):
    """A run without faults, and its calls: name, number among the calls of that name in its thread, arguments."""
    with tempfile.NamedTemporaryFile("r", errors="replace", dir=BASE) as trace:
        base = run_under(args, ["-y", "-o", trace.name, *strace])
        assert base.status == 0, (args, base)
        lines = [re.match(r"(\d+) +(\w+)\((.*)", line) for line in trace]
    seen, before_main, found, main = collections.Counter(), {}, [], None
    for task, name, about in (line.groups() for line in lines if line):
        seen[task, name] += 1
        if not main and name == "fcntl" and about.startswith("0"):
            main, before_main = task, dict(seen)
        if main and seen[task, name] > before_main.get((main, name), 0):
            found.append((name, seen[task, name], about))
    assert main, "main no longer begins by looking at descriptor 0: say here how it does"
    return base, sorted(set(found))

def cases(found, most):
    for name in sorted({name for name, _, _ in found if name in ERRORS} - set(MEMORY if ASAN else [])):
        ours = [call for call in found if call[0] == name]
        if not LONG and len(ours) > most:
            ours = [ours[i * (len(ours) - 1) // (most - 1)] for i in range(most)]
        for i, (_, nth, about) in enumerate(ours):
            fit = ERRORS[name] + ["ESRCH"] * bool(name in ("openat", "read") and re.search("</proc/[0-9]", about))
            for error in fit if LONG else [fit[i % len(fit)]]:
                yield name, nth, error, about

def lost(report):
    return report["scan"]["denied"] + report["scan"]["vanished"] + report["scan"]["stalled"]

def everyone(report):
    return report["scan"]["processes"] + report["scan"]["kernel_threads"] + report["scan"]["zombies"]

def flat(value, at=""):
    """Every value of a report by its place."""
    if isinstance(value, list):
        value = {next((str(item[key]) for key in ("pid", "area", "mapping", "user") if key in item), str(i))
            + ("gone" if item.get("change") == "gone" else "") if isinstance(item, dict) else i: item for i, item in enumerate(value)}
    if not isinstance(value, dict):
        return {at: value}
    return {place: found for key, item in value.items() for place, found in flat(item, f"{at}/{key}").items()}

def differences(base, now, live):
    """What BASE has and NOW lacks or has otherwise. LIVE: the machine changes, and libc does not say why a name is unknown."""
    moves = re.compile("/(time|interval|scan/.*" + ("|memory/.*|processes/[0-9]+/user" if live else "") + ")$")
    before, after = flat(base), flat(now)
    return {place: (value, after.get(place)) for place, value in before.items()
        if (after.get(place) is None and value is not None if moves.match(place) else value != after.get(place))}

def wrong_json(base, r, news, live, error, about):
    base, now = json.loads(base.out.decode()), json.loads(r.out.decode())
    scan, count = now["scan"], lost(now) - lost(base)
    if scan["processes"] != scan["measured"] + lost(now) + scan["skipped"]:
        return f"the scan does not add up: {scan}"
    if everyone(now) != everyone(base):
        return f"{everyone(now)} of {everyone(base)} processes are counted"
    less = {place: values for place, values in differences(base, now, live).items()
        if not (error == "ESRCH" and isinstance(values[0], str) and values[1] is None)}	# the process ended after it was measured
    rows = {place: values for place, values in less.items() if place.startswith("/processes/")}
    made_up = {place: values for place, values in rows.items() if values[1] is not None and not place.endswith(("/change", "/user"))}
    if made_up:
        return f"a number is another one: {made_up}"
    if "interval" not in now and OF_PROCESS.search(about) and len({place.split("/")[2] for place in rows}) > count:
        return f"rows lack something, {count} are counted: {rows}"
    if not news and (any(place.startswith("/memory") for place in less) or less and not count):
        return f"lost in silence: {less}"

def wrong_csv(base, r, news, live, error, about):
    before, now = (list(csv.DictReader(io.StringIO(out.decode()))) for out in (base.out, r.out))
    if any(None in record or None in record.values() for record in now):
        return f"no CSV: {r.out[:200]}"
    if not news and error != "ESRCH" and now != before:
        return "lost in silence"

def same(base, r):
    try:
        return not differences(json.loads(base.out.decode()), json.loads(r.out.decode()), True)
    except ValueError:
        return r.out == base.out

def wrong(base, r, live=False, name="", error="", about=""):
    """What is wrong with R, a run with a fault; None: nothing."""
    news = [line for line in r.err if line not in base.err]
    if r.status not in (0, 1) or any(not line.startswith("memz: ") for line in r.err):
        return f"status {r.status}: {r.err[-5:]}"
    if name in ("write", "writev"):		# it may be that of a message
        return None if r.status == 1 and len(news) <= 1 or error == "EPIPE" or same(base, r) else f"status {r.status}, {len(r.out)} bytes written"
    if r.status == 1:
        return None if len(news) == 1 else f"status 1, {len(news)} lines: {news}"
    try:
        return (wrong_json if base.out.startswith(b"{") else wrong_csv)(base, r, news, live, error, about)
    except ValueError as e:
        return f"{e}: {r.out[:200]}"

def saved_wrong(file, r, base):
    """What is wrong with the files that --save left: a whole archive or nothing is right."""
    left = os.listdir(os.path.dirname(file))
    if r.status != 0 and not left:
        return None
    if left != [os.path.basename(file)]:
        return f"status {r.status}, saved: {left}"
    back = run_under(["--json", "-S", file])
    return wrong(base, back) and f"status {r.status}, read back: {wrong(base, back)}"

def conclude(what, args, bad, n):
    if LONG:
        os.write(3, f"# memz {' '.join(args)}: {n} {what}\n".encode())
    assert not bad, f"{len(bad)} of {n} {what} in memz {args}:\n" + "\n".join(bad[:40])

def fail_each(args, most, alone=True, live=False, save=False):
    strace = ALONE if alone else []
    plain = run_under(["--json", *args]) if save else None
    def saving(file):
        return ["--json", "--save", file, *args] if save else args
    def one(case):
        name, nth, error, about = case
        with tempfile.TemporaryDirectory(dir=BASE) as to:
            fault = "retval=0" if error == "0" else f"error={error}"	# brk returns the old end, not an errno
            r = run_under(saving(f"{to}/a"), ["--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={name},clone3,clone", *(strace if name != "clone3" else []),
                "-e", f"inject={name}:{fault}:when={nth}"])
            bad = wrong(base, r, live, name, error, about) or save and saved_wrong(f"{to}/a", r, plain)
        return bad and f"{name} {nth} {error}, {about[:90]}: {bad[:600]}"
    with tempfile.TemporaryDirectory(dir=BASE) as to:
        base, found = calls(saving(f"{to}/a"), strace)
    todo = list(cases(found, most))
    assert len(todo) > 10, f"only {len(todo)} calls to fail"
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        conclude("faults", args, list(filter(None, pool.map(one, todo))), len(todo))

def limit_each(args, what, limits, reached=lambda r: True):
    base, live, bad, n = run_under(args), "-S" not in args, [], 0
    for limit in limits:
        r = run_under(args, limit=(what, (limit, limit)))
        if reached(r):
            n += 1
            bad += [f"{limit}: {wrong(base, r, live)}"] if wrong(base, r, live) else []
    assert n > 2, f"main was reached {n} times"
    conclude("limits", args, bad, n)
EOF
)

# SMALL: a saved machine of six processes: small and large ones, a kernel thread, a zombie.
setup() {
	local machine=$CURRENT

	need python3
	SMALL=$BATS_TEST_TMPDIR/small
	mkdir -p "$SMALL/proc"
	cp -R "$machine/etc" "$machine/sys" "$SMALL"
	cp -R "$machine"/proc/{[a-z]*,1,2,812,1433,1802,2300} "$SMALL/proc"
}

# fails ARG...: each call of memz ARG... fails in turn. MOST: how many calls of one name, unless LONG.
fails() {
	need strace
	python "${MOST:-5}" "$@" <<<'fail_each(sys.argv[2:], int(sys.argv[1]))'
}

@test "where a system call fails, the default report in JSON is whole, says what is missing, or is an error" {
	MOST=200 fails --json -S "$SMALL"
}

@test "where a system call fails, the default report in CSV is whole, says what is missing, or is an error" {
	fails --csv -S "$SMALL"
}

@test "where a system call fails, the system view is whole, says what is missing, or is an error" {
	MOST=16 fails --json -w -S "$SMALL"
}

@test "where a system call fails, a report of mappings is whole, says what is missing, or is an error" {
	MOST=10 fails --json -m -S "$SMALL"
}

@test "where a system call fails, a report of groups and totals is whole, says what is missing, or is an error" {
	fails --json -t --by user -S "$SMALL"
}

@test "where a system call fails, a report of a change is whole, says what is missing, or is an error" {
	MOST=10 fails --json -i 0.01 -S "$SMALL"
}

@test "where a system call fails, a report of all columns is whole, says what is missing, or is an error" {
	MOST=10 fails --json -c all,exe,maps,numa,vm_hwm -S "$SMALL"
}

@test "where a system call fails, --list-columns is whole, says what is missing, or is an error" {
	fails --list-columns --csv
}

@test "where a system call fails, a report of a live process is whole, says what is missing, or is an error" {
	need strace
	start private
	python "$PID" <<<'fail_each(["--json", "-c", "+exe,start", "-p", sys.argv[1]], 60, live=True)'
}

@test "where a system call fails, processes of one address space count once, or a note says so" {
	need strace
	need_root
	start twins
	python "$(join "${PIDS[@]}")" <<<'fail_each(["--json", "-t", "-p", sys.argv[1]], 8, live=True)'
}

@test "where a system call of one of several readers fails, the report is whole, says what is missing, or is an error" {
	need strace
	python "$SMALL" <<<'fail_each(["--json", "--jobs", "2", "-S", sys.argv[1]], 15, alone=False)'
	python "$SMALL" <<<'fail_each(["--json", "-m", "--jobs", "2", "-S", sys.argv[1]], 5, alone=False)'
}

@test "where a system call fails, --save leaves a whole archive or none, and says what is missing" {
	need strace
	python "$SMALL" <<<'fail_each(["-S", sys.argv[1]], 12, save=True)'
}

@test "where a system call fails, -S of an archive is whole, says what is missing, or is an error" {
	"$MEMZ" -q -n 0 -S "$SMALL" --save "$BATS_TEST_TMPDIR/archive"
	fails --json -S "$BATS_TEST_TMPDIR/archive"
}

@test "where a system call fails, --since is whole, says what is missing, or is an error" {
	"$MEMZ" -q -n 0 -S "$MACHINES/before" --save "$BATS_TEST_TMPDIR/archive"
	MOST=8 fails --json --since "$BATS_TEST_TMPDIR/archive" -S "$MACHINES/after"
}

# Limits.

@test "with few descriptors every report is whole, says what is missing, or is an error" {
	start private
	for view in "-S $SMALL" "-w -S $SMALL" "-m -S $SMALL" "-i 0.01 -S $SMALL" "--jobs 8 -S $SMALL" "-p $PID"; do
		# shellcheck disable=SC2086
		python --json $view <<<'limit_each(sys.argv[1:], resource.RLIMIT_NOFILE, range(4, 10))'
	done
}

# With too little memory for the loader, main is not reached.
@test "with little memory every report is whole, says what is missing, or is an error" {
	local steps=40

	grep -q __asan_init "$MEMZ" && return	# it reserves terabytes
	[[ ${LONG-} ]] && steps=1500
	for view in "-S $SMALL" "-w -S $SMALL" "-m -S $SMALL" "-i 0.01 -S $MACHINES/before" "--jobs 8 -S $CURRENT"; do
		# shellcheck disable=SC2086
		python "$steps" --json $view <<'EOF'
steps = int(sys.argv[1])
limit_each(sys.argv[2:], resource.RLIMIT_AS, [(2048 + 8192 * i // steps) << 10 for i in range(steps)], lambda r: r.status != 127)
EOF
	done
}

@test "without threads memz works, and says that it cannot abandon a stuck process" {
	need_root
	need setpriv jq
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"
	chmod -R go+rX "$BATS_RUN_TMPDIR"
	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer needs a thread
	run -0 --separate-stderr timeout 60 "${NOBODY[@]}" bash -c 'ulimit -u 1 && exec "$@"' - "$BATS_TEST_TMPDIR/memz" --json -S "$SMALL"
	jq -e '.scan.processes == 4 and .scan.measured == 4 and (.processes | length) == 4' <<<"$output"
	[[ $stderr =~ ^memz:\ .*(stuck|stalled) && $stderr != *$'\n'* ]]
}

@test "a full disk is an error in every view" {
	for view in '' --csv --json -w '-w --csv' -m '-i 0.01' '--by user -t'; do
		# shellcheck disable=SC2086
		run -1 --separate-stderr bash -c '"$@" >/dev/full' - "$MEMZ" $view -S "$SMALL"
		[[ $stderr == 'memz: standard output: No space left on device' ]]
	done
}

# full_disk COMMAND...: runs it in a tmpfs of eight pages. Prints the status, then the files in it.
full_disk() {
	mkdir -p "$BATS_TEST_TMPDIR/full"
	run --separate-stderr unshare --mount bash -c 'mount -t tmpfs -o size=32k tmpfs "$1" && cd "$1" && shift && "$@"; echo "status $?"; ls -A' \
		- "$BATS_TEST_TMPDIR/full" "$@"
}

@test "a disk that fills up while the report is written is an error" {
	need_root
	need unshare
	full_disk bash -c '"$@" >out' - "$MEMZ" --json -c all -S "$MACHINES/hostile"
	[[ $output == $'status 0\nout' ]]	# without the padding the report fits
	full_disk bash -c 'head -c 32000 /dev/zero >pad; "$@" >out' - "$MEMZ" --json -c all -S "$MACHINES/hostile"
	[[ $output == $'status 1\nout\npad' && $stderr == 'memz: standard output: No space left on device' ]]
}

@test "a disk that fills up leaves no piece of an archive, and is an error" {
	need_root
	need unshare
	full_disk "$MEMZ" -n 0 -S "$CURRENT" --save archive
	[[ $output == 'status 1' && $stderr == memz:*archive*'No space left on device' && $stderr != *$'\n'* ]]
}
