#!/usr/bin/env python3
"""Time memz against the floor (the fewest system calls that could make its report) and against other tools.

Makes its own loads with bench.c, runs all commands in turn, and prints the medians of the ratios within each
round, lowest and highest in brackets. Goals are shown, hit or missed; only what cannot run makes it fail.
"""
import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CPUS = len(os.sched_getaffinity(0))
JOBS = min(CPUS, 16)                    # what memz takes by default
SECTIONS = ["private", "tenth", "worst", "scale", "idle"]
MIB = {"private": 0.8, "tenth": 0.8, "worst": 0.3, "small": 0.3}    # per process, with what the kernel needs for it
QUIET = 1.7                             # gain of the floor's second thread from which wall times are judged

FLOOR1, FLOOR2, FLOOR = "floor, 1 thread", "floor, 2 threads", f"floor, {JOBS} thread{'s' * (JOBS > 1)}"
MEMZ1, MEMZ2, MEMZ = "memz --jobs 1", "memz --jobs 2", "memz"
TOP, BY_RSS = "memz -s pss -n 20", "memz -c pid,rss,name -s rss"
PS, PS_RSS = "ps -eo pid,pss,uss,rss,comm", "ps -eo pid,rss,comm --sort -rss"
OTHERS = [PS, PS_RSS, "smemstat", "smem", "ps_mem", "top -b -n1"]

# Left, right, goals of wall and CPU. Against other tools the wall time counts on a quiet machine only.
PAIRS = [
    (MEMZ1, FLOOR1, 1.15, 1.15),
    (MEMZ, FLOOR, 1.15, 1.15),
    (MEMZ, PS, 1 / 2, 0.85),
    (MEMZ, "smemstat", 1 / 6, 0.30),
    (MEMZ, "smem", 1 / 12, 0.12),
    (MEMZ, "ps_mem", None, None),
    (MEMZ, "top -b -n1", None, None),
    (FLOOR, PS, None, None),            # nothing that reads all can do better than these three
    (FLOOR, "smemstat", None, None),
    (FLOOR, "smem", None, None),
    (BY_RSS, PS_RSS, 0.25, None),
]
TOP_GOALS = {"private": (0.30, 0.25, 3), "tenth": (0.50, 0.45, 15), "worst": (1.10, 1.10, None)}  # wall, CPU, % walked

failures = []


def failed(what):
    print(f"bench: {what}", file=sys.stderr)
    failures.append(what)


class Bench:
    def __init__(self, options):
        self.memz = os.path.abspath(options.memz)
        self.rounds = options.rounds
        self.program = os.path.join(HERE, "bench")
        subprocess.run(["make", "-s", "-C", os.path.dirname(HERE), "tests/bench"], check=True)

    def argv(self, command):
        first, *rest = command.split()
        if first == "floor,":
            return [self.program, "floor", rest[0]]
        return [self.memz if first == "memz" else first, *rest]

    def run(self, command):
        """Wall ms, CPU ms and peak RSS in KiB, or None."""
        done = subprocess.run([self.program, "run", *self.argv(command)], capture_output=True, text=True)
        if done.returncode:
            failed(f"{command}: {done.stderr.strip()[-300:]}")
            return None
        wall, cpu, rss = map(int, done.stdout.split())
        return wall / 1e6, cpu / 1e3, rss

    def run_all(self, commands, rounds=None):
        """{command: one (wall, CPU, RSS) per round}, each round in another order, after a warm-up."""
        times = {c: [] for c in commands if self.run(c)}
        for number in range(rounds or self.rounds):
            for command in random.Random(number).sample(list(times), len(times)):
                result = self.run(command)
                if result:
                    times[command].append(result)
                else:
                    del times[command]
        return times

    def scan(self, *arguments):
        """What memz says that it did."""
        done = subprocess.run([self.memz, "--json", *arguments], capture_output=True)
        try:
            return json.loads(done.stdout)["scan"]
        except (ValueError, KeyError) as error:
            failed(f"memz --json {' '.join(arguments)}: {error!r}")
            return None

    @contextlib.contextmanager
    def load(self, count, kind):
        """That many processes; True when they are there."""
        if count * MIB[kind] > mib_available() / 2:
            failed(f"{count} processes of kind {kind} would take more than half of the available memory")
            yield False
            return
        with subprocess.Popen([self.program, "load", str(count), kind], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            ready = process.stdout.readline() == "ready\n"
            if not ready:
                failed(f"could not make {count} processes of kind {kind}")
            yield ready
            process.stdin.close()
            process.wait()


def mib_available():
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))


def ratios(left, right, which):
    """One per round, of wall (0) or CPU times (1)."""
    return [a[which] / b[which] for a, b in zip(left, right)]


def spread(values, form="{:.2f}"):
    return " ".join([form.format(statistics.median(values)),
                     f"({form.format(min(values))}-{form.format(max(values))})"])


def verdict(value, goal, at_least=False):
    if goal is None:
        return ""
    hit = value >= goal if at_least else value <= goal
    return f"{'>=' if at_least else '<='} {goal:.3g} {'hit' if hit else 'MISS'}"


def row(left="", right="", *cells):
    """Left, right, then wall ms, CPU ms, wall ratio, goal, CPU ratio, goal."""
    widths = (-28, -32, 7, 7, 16, -14, 16, -12)
    cells = (left, right, *cells)
    print("  ".join(f"{c:<{-w}}" if w < 0 else f"{c:>{w}}" for c, w in zip(cells, widths)).rstrip())


def header(title):
    print(f"\n{title}")
    row("command", "against", "wall ms", "CPU ms", "wall", "goal", "CPU", "goal")


def medians(times):
    return [f"{statistics.median(t[i] for t in times):.1f}" for i in (0, 1)]


def print_pair(times, left, right, wall_goal, cpu_goal, quiet=True):
    if left not in times or right not in times:
        return
    wall, cpu = (ratios(times[left], times[right], i) for i in (0, 1))
    wall_verdict = verdict(statistics.median(wall), wall_goal)
    if wall_goal and not quiet:
        wall_verdict = f"<= {wall_goal:.3g} busy"
    row(left, right, *medians(times[left]), spread(wall), wall_verdict,
        spread(cpu), verdict(statistics.median(cpu), cpu_goal))


def print_gains(times):
    """What a second thread gains; returns whether the machine had a second processor to give."""
    if CPUS < 2 or FLOOR1 not in times or FLOOR2 not in times:
        return False
    floor = ratios(times[FLOOR1], times[FLOOR2], 0)
    row("second thread: floor", "floor, 1 thread / 2 threads", "", "", spread(floor))
    if MEMZ1 in times and MEMZ2 in times:
        memz = ratios(times[MEMZ1], times[MEMZ2], 0)
        row("second thread: memz", "memz --jobs 1 / --jobs 2", "", "", spread(memz))
        share = [m / f for m, f in zip(memz, floor)]
        row("", "share of the floor's gain", "", "", spread(share), verdict(statistics.median(share), 0.9, True))
    return statistics.median(floor) >= QUIET


def print_walked(bench, goal):
    scan = bench.scan("-s", "pss", "-n", "20")
    if not scan:
        return
    walked = 100 * scan["measured"] / scan["processes"]
    row(TOP, f"{scan['measured']} of {scan['processes']} walked", "", "", f"{walked:.1f} %", verdict(walked, goal))


def section_load(bench, kind, count):
    ours = dict.fromkeys([FLOOR1, FLOOR, MEMZ1, MEMZ, TOP, BY_RSS])
    if CPUS > 1:
        ours |= dict.fromkeys([FLOOR2, MEMZ2])
    others = [c for c in OTHERS if shutil.which(c.split()[0])]
    with bench.load(count, kind) as ready:
        if not ready:
            return
        times = bench.run_all([*ours, *others])
        header(f"{kind}: {count} processes, {bench.rounds} rounds")
        for floor in sorted({FLOOR1, FLOOR} & times.keys()):
            row(floor, "", *medians(times[floor]))
        quiet = print_gains(times)
        for left, right, wall, cpu in PAIRS:
            if right in (PS, "smemstat", "smem") and kind == "worst":
                wall = cpu = None       # nearly all is the kernel's walk, the same for every tool
            print_pair(times, left, right, wall, cpu, quiet or right in (FLOOR1, FLOOR))
        print_pair(times, TOP, MEMZ, *TOP_GOALS[kind][:2])
        print_walked(bench, TOP_GOALS[kind][2])


def section_scale(bench, counts):
    form = "{:>9}  {:<16}  {:>18}  {:>18}  {:>16}  {:>16}  {:>8}"
    print(f"\nscale: equal processes of 64 KiB, {bench.rounds} rounds; growth of the time per process")
    print(form.format("processes", "command", "wall us/process", "CPU us/process",
                      "wall growth", "CPU growth", "peak MiB"))
    first, growth, peak = {}, {}, {}
    for count in counts:
        with bench.load(count, "small") as ready:
            scan = ready and bench.scan("-n", "0")
            if not scan:
                continue
            times = bench.run_all([FLOOR, MEMZ])
        for command, runs in times.items():
            each = [[1000 * run[i] / scan["processes"] for run in runs] for i in (0, 1)]
            base = first.setdefault(command, each)
            growth[command] = [[b / a for a, b in zip(base[i], each[i])] for i in (0, 1)]
            peak[command] = max(run[2] for run in runs) / 1024
            print(form.format(scan["processes"], command, *(spread(e, "{:.1f}") for e in each),
                              *map(spread, growth[command]), f"{peak[command]:.1f}"))
        if {MEMZ, FLOOR} <= times.keys():
            both = [spread(ratios(times[MEMZ], times[FLOOR], i)) for i in (0, 1)]
            print(form.format("", "memz / floor", *both, "", "", "").rstrip())
    if MEMZ in growth:
        wall, cpu = (verdict(statistics.median(g), 1.15) for g in growth[MEMZ])
        print(f"goals of memz: wall growth {wall}, CPU growth {cpu}, peak MiB {verdict(peak[MEMZ], 16)}")


def section_idle(bench):
    runs = bench.run_all([MEMZ], max(bench.rounds, 20)).get(MEMZ)
    scan = runs and bench.scan()
    if not scan:
        return
    wall, peak = [run[0] for run in runs], max(run[2] for run in runs) / 1024
    print(f"\nidle: {scan['processes']} processes, {scan['kernel_threads']} kernel threads, {len(runs)} rounds")
    print(f"memz: wall ms {spread(wall)} {verdict(statistics.median(wall), 10)}, "
          f"peak MiB {peak:.2f} {verdict(peak, 4)}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--procs", type=int, default=2000, metavar="N", help="processes of a load (default 2000)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default 7")
    parser.add_argument("--quick", action="store_true", help="300 processes, 3 rounds; the goals are for 2000")
    parser.add_argument("--memz", default=os.path.join(HERE, "..", "memz"), metavar="PATH")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION",
                        help=f"one of {', '.join(SECTIONS)}; may be repeated")
    options = parser.parse_args()
    if not os.access(options.memz, os.X_OK):
        sys.exit(f"bench: {options.memz}: cannot be run; make it first")
    options.scale = [1000, 5000, 20000]
    if options.quick:
        options.procs, options.rounds, options.scale = 300, 3, [300, 1000]
    return options


def main():
    options = arguments()
    sys.stdout.reconfigure(line_buffering=True)
    print(f"{platform.system()} {platform.release()} {platform.machine()}, {CPUS} processors; "
          "medians of the rounds (lowest-highest)")
    bench = Bench(options)
    for section in options.only or SECTIONS:
        if section == "scale":
            section_scale(bench, options.scale)
        elif section == "idle":
            section_idle(bench)
        else:
            section_load(bench, section, options.procs)
    missing = [c.split()[0] for c in OTHERS if not shutil.which(c.split()[0])]
    if missing:
        print(f"\nnot installed: {', '.join(missing)}")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
