# Work that grows with the machine takes about as much longer as there is more of it, not the square of that.
# shellcheck disable=SC2034	# helper.bash has python
load helper

# What the tests share: machines of N processes, and the instructions that memz executes for them, which valgrind counts.
PRELUDE='
import os, subprocess
MEMZ, DIR = os.environ["MEMZ"], os.environ["BATS_TEST_TMPDIR"]

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

def run(args):
    """The number of instructions that memz executes, and what it prints."""
    done = subprocess.run(["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
        MEMZ, "--jobs", "1", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr[-300:]
    return int(done.stderr.split(b"I   refs:")[1].split()[0].replace(b",", b"")), done.stdout

def grows(small, large):
    """The second run, of four times as much, executes less than six times as many instructions. Returns what it printed."""
    (few, _), (many, out) = run(small), run(large)
    print(f"{few} instructions, {many} for four times as much")
    assert many < 6 * few
    return out
'

@test "the names of 4,000 users in etc/passwd take no square of that" {
	python <<'EOF'
runs = []
for n in 1000, 4000:
    tree = machine(n, uid=lambda i: 100000 + i)
    users(tree, n)
    runs.append(["-S", tree, "-c", "pid,user,rss", "-s", "pid", "--csv"])
out = grows(*runs).splitlines()
assert out[1] == b"1,user1,20" and out[4000] == b"4000,user4000,20"
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

@test "the ancestry of a chain of 4,000 processes ends with the last 256 and takes no square of that" {
	python <<'EOF'
runs = []
for n in 1000, 4000:
    tree = machine(n, parent=lambda i: i - 1)
    runs.append(["-S", tree, "-c", "pid,ancestry", "-f", f"pid={n}", "-s", "pid", "--csv"])
assert grows(*runs) == b"pid,ancestry\n4000,...;" + b";".join([b"p"] * 256) + b"\n"
EOF
}

@test "the ancestry of 4,000 children of a process takes no square of that" {
	python <<'EOF'
runs = []
for n in 1000, 4000:
    tree = machine(n, parent=lambda i: min(i - 1, 50))
    runs.append(["-S", tree, "-c", "pid,ancestry", "-s", "pid", "--csv"])
assert grows(*runs).splitlines()[-1] == b"4000," + b";".join([b"p"] * 51)
EOF
}

# --pid reads those alone, and their parents on demand
@test "the ancestry of 4,000 processes named by -p takes no square of that" {
	python <<'EOF'
runs = []
for n in 1000, 4000:
    tree = machine(2 * n, parent=lambda i: i - 1 if i % 2 == 0 else 0)
    lists = [",".join(str(2 * i) for i in range(at + 1, at + 1001)) for at in range(0, n, 1000)]
    runs.append(["-S", tree, "-c", "pid,ancestry", "-s", "pid", "--csv", *(word for pids in lists for word in ("-p", pids))])
assert grows(*runs).splitlines()[-1] == b"8000,p;p"
EOF
}

@test "parents that go round in a circle end" {
	python <<'EOF'
tree = machine(3, parent=lambda i: i % 3 + 1)
assert run(["-S", tree, "-c", "ancestry", "--csv", "-s", "pid"])[1].splitlines()[1].endswith(b"p")
EOF
}

@test "callers in vmallocinfo and sites in allocinfo take no square of their number" {
	python <<'EOF'
runs = []
for n in 1000, 4000:
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
