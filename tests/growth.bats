# Work that grows with the machine takes about as much longer as there is more of it, not the square of that.
# shellcheck disable=SC2034	# helper.bash has python
load helper

# What the tests share: machines of N processes, and the CPU seconds of a run of memz.
PRELUDE='
import os, resource, subprocess, sys
MEMZ, DIR = os.environ["MEMZ"], os.environ["BATS_TEST_TMPDIR"]
SANE = MEMZ.endswith("san")             # the sanitizers take long
MOST = 20 if SANE else 4                # seconds of CPU; quadratic code takes many times as long

def machine(n, uid=lambda i: 0, parent=lambda i: 1):
    tree = f"{DIR}/{n}"
    for i in range(1, n + 1):
        os.makedirs(f"{tree}/proc/{i}")
        for file, text in {"statm": "9 5 4 1 0 1 0\n", "comm": "p\n", "stat": f"{i} (p) S {parent(i)} 1 1 0 -1 0 1 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0\n",
                           "status": f"Tgid:\t{i}\nPid:\t{i}\nUid:\t{uid(i)}\t{uid(i)}\t0\t0\n"}.items():
            with open(f"{tree}/proc/{i}/{file}", "w") as f:
                f.write(text)
    os.makedirs(f"{tree}/etc")
    return tree

def users(tree, n):
    with open(f"{tree}/etc/passwd", "w") as f:
        f.writelines(f"user{i}:x:{100000 + i}:100:User {i}:/home/user{i}:/bin/bash\n" for i in range(n, 0, -1))

def cpu(args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([MEMZ, "--jobs", "1", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-300:]
    return after.ru_utime - before.ru_utime, done.stdout

def grows(small, large):
    """The second run, of four times as much, takes less than six times as long. Returns what it printed."""
    a, (b, out) = cpu(small)[0], cpu(large)
    if b >= .3:                         # again, as other programs run beside it
        a, b = min(a, cpu(small)[0]), min(b, cpu(large)[0])
    print(f"{a:.2f} s, {b:.2f} s for four times as much")
    assert b < .3 or b < MOST and b < 6 * a, f"{b:.2f} s after {a:.2f} s"
    return out
'

@test "the names of 20,000 users in etc/passwd take no square of that" {
	python <<'EOF'
runs = []
for n in 5000, 20000:
    tree = machine(n, uid=lambda i: 100000 + i)
    users(tree, n)
    runs.append(["-S", tree, "-c", "pid,user,rss", "-s", "pid", "--csv"])
out = grows(*runs).splitlines()
assert out[1] == b"1,user1,20" and out[20000] == b"20000,user20000,20"
EOF
}

@test "-U of 10,000 names takes no square of that" {
	python <<'EOF'
runs = []
for n in 2500, 10000:
    tree = machine(n, uid=lambda i: 100000 + i)
    users(tree, n)
    lists = [",".join(f"user{i}" for i in range(at + 1, at + 2501)) for at in range(0, n, 2500)]
    runs.append(["-S", tree, "-c", "pid,rss", "-s", "pid", "--csv", *(word for names in lists for word in ("-U", names))])
assert grows(*runs).count(b"\n") == 10001
EOF
}

@test "the ancestry of a chain of 40,000 processes ends with the last 256 and takes no square of that" {
	python <<'EOF'
runs = []
for n in 10000, 40000:
    tree = machine(n, parent=lambda i: i - 1)
    runs.append(["-S", tree, "-c", "pid,ancestry", "-f", f"pid={n}", "-s", "pid", "--csv"])
assert grows(*runs) == b"pid,ancestry\n40000,...;" + b";".join([b"p"] * 256) + b"\n"
EOF
}

@test "the ancestry of 40,000 children of a process takes no square of that" {
	python <<'EOF'
runs = []
for n in 10000, 40000:
    tree = machine(n, parent=lambda i: min(i - 1, 50))
    runs.append(["-S", tree, "-c", "pid,ancestry", "-s", "pid", "--csv"])
assert grows(*runs).splitlines()[-1] == b"40000," + b";".join([b"p"] * 51)
EOF
}

# --pid reads those alone, and their parents on demand
@test "the ancestry of 10,000 processes named by -p takes no square of that" {
	python <<'EOF'
runs = []
for n in 2500, 10000:
    tree = machine(2 * n, parent=lambda i: i - 1 if i % 2 == 0 else 0)
    lists = [",".join(str(2 * i) for i in range(at + 1, at + 2501)) for at in range(0, n, 2500)]
    runs.append(["-S", tree, "-c", "pid,ancestry", "-s", "pid", "--csv", *(word for pids in lists for word in ("-p", pids))])
assert grows(*runs).splitlines()[-1] == b"20000,p;p"
EOF
}

@test "parents that go round in a circle end" {
	python <<'EOF'
tree = machine(3, parent=lambda i: i % 3 + 1)
assert cpu(["-S", tree, "-c", "ancestry", "--csv", "-s", "pid"])[1].splitlines()[1].endswith(b"p")
EOF
}

@test "callers in vmallocinfo and sites in allocinfo take no square of their number" {
	python <<'EOF'
runs = []
for n in 10000, 40000:
    tree = f"{DIR}/{n}"
    os.makedirs(f"{tree}/proc/1")
    with open(f"{tree}/proc/allocinfo", "w") as f:
        f.writelines(f"{1048576 * (1 + (i == 7))} 1 net/{i % (n - 1)}.c:1 func:f\n" for i in range(n))
    with open(f"{tree}/proc/vmallocinfo", "w") as f:
        f.writelines(f"0x0-0x1 4096 f{i % (n - 1)}+0x1/0x2 pages=1 vmalloc N0=1\n" for i in range(n))
    runs.append(["-S", tree, "-w", "-A", "--csv"])
out = grows(*runs)
assert b"\nholders,kernel_other:net/0.c:1,2048,KiB\n" in out and b"\nholders,vmalloc:f0,8,KiB\n" in out, out
EOF
}
