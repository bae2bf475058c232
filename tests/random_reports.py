#!/usr/bin/env python3
"""Random reports of random machines, compared with what an independent reader makes of the machines (expected.py).

    random_reports.py FIRST COUNT       so many seeds from FIRST on, some reports of each machine, in JSON and CSV
    random_reports.py --values FIRST COUNT
                                        compares reports with each other: a value does not depend on the other columns,
                                        filters and limits, but for rss, which has two sources
    random_reports.py --plans FIRST COUNT
                                        machines and reports of which memz reads a part only
    random_reports.py [--values|--plans] --keep DIR SEED
                                        the machine of a seed stays in DIR; every difference is printed

MEMZ names the program. A difference prints the seed, the command and both values. Exits with 1 if there was one.
"""
import collections
import csv
import io
import os
import random
import shlex
import subprocess
import sys
import tempfile

import expected
import random_machine

MEMZ = os.environ.get('MEMZ', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'memz'))
REPORTS = 4                     # of each machine


def memz(args):
    return subprocess.run([MEMZ, *args], capture_output=True, timeout=60)


def check(args):
    """[(path, expected, got)] of one report, as JSON and as CSV."""
    done = memz(['--json', *args])
    report = expected.Report(args)
    if report.contradicts_statm():
        return []
    if done.returncode != report.status() or not done.returncode and not done.stdout:
        return [('status', report.status(), f'{done.returncode}: {done.stderr.decode("utf-8", "replace")[-300:].strip()}')]
    if not done.stdout or done.returncode:
        return []
    got = expected.parse(done.stdout)
    out = expected.differences(report.json(got), got)
    if '-w' in args or '-t' in args or '-i' in args:        # the interval of -i is another one each time
        return out
    records = list(csv.reader(io.StringIO(memz(['--csv', *args]).stdout.decode('utf-8'), newline=''), strict=True))
    return out + expected.differences(report.csv(), [[as_due(*cell) for cell in zip(*pair)] for pair in zip(report.csv(), records)] + records[len(report.csv()):])


def as_due(due, cell):
    """A cell of CSV as what it must be: an empty one is unknown, unless a text is due."""
    if not cell and not isinstance(due, str):
        return None
    try:
        return expected.parse(cell) if isinstance(due, (int, expected.Near)) else cell
    except ValueError:
        return cell


def run_seed(seed, directory, available):
    """[(command, path, expected, got)]"""
    trees = random_machine.machines(seed, directory, two=seed % 4 == 3)
    out = []
    for i in range(REPORTS):
        args = random_machine.report(f'{seed} {i}', trees, available)
        out += [(args, *d) for d in check(args)]
    expected.load.cache_clear()
    return out


def processes(args):
    """{pid: row} as printed; None after an error."""
    done = memz(['--json', '-q', *args])
    return {row['pid']: row for row in expected.parse(done.stdout)['processes']} if done.stdout else None


def values_of_seed(seed, directory, available):
    """[(command, path, expected, got)]: expected is what the report of all columns and rows says."""
    tree = random_machine.machines(seed, directory, two=False)[0]
    rng, out = random.Random(seed), []
    names = [c for c in random_machine.PROCESS if c in available and c not in ('rss', 'rss_pct')]
    whole = processes(['-S', tree, '-A', '-s', 'pid', '-c', ','.join([*names, 'rss'])])
    for _ in range(3 * REPORTS):
        some = ['pid', *rng.sample(names, rng.randint(1, 5))]
        if expected.FROM_ROLLUP & set(some):
            some.append('rss')              # and it is Rss of smaps_rollup then
        args = ['-S', tree, '-c', ','.join(dict.fromkeys(some)), '-s', rng.choice(['pss', 'pid', 'uss', 'rss', 'name', 'command', 'swap', 'vsz'])]
        args += rng.choice([[], ['-A'], ['-t']]) + rng.choice([[], ['-n', str(rng.randint(1, 9))]]) + rng.choice([[], ['-f', rng.choice(['rss>0', 'pss>=0', 'uss>1M', 'vsz>0', 'name~a', 'maps>1'])]])
        got = processes(args)
        if got is None or not set(got) <= set(whole):
            out.append((args, 'rows', 'some of ' + str(list(whole)), got and list(got)))
            continue
        out += [(args, f'{pid}.{name}', whole[pid][name], value) for pid, row in got.items() for name, value in row.items() if value != whole[pid][name]]
    return out


def plans_of_seed(seed, directory, available):
    """As run_seed, but machines and reports of which memz reads a part only."""
    rng, out = random.Random(seed), []
    trees = random_machine.machines(seed, directory, two=False, count=rng.choice([1, 7, 30, 60, 120]))
    for i in range(2 * REPORTS):
        args = random_machine.report(f'plan {seed} {i}', trees, available, view='processes')
        args += ['-n', str(rng.choice([1, 1, 2, 3, 10]))] * ('-n' not in args)
        out += [(args, *d) for d in check(args)]
    expected.load.cache_clear()
    return out


def columns():
    listed = expected.parse(memz(['--list-columns', '--json']).stdout)
    return {c['name'] for c in listed['columns']}


def main():
    available = columns()
    one = run_seed
    if sys.argv[1] in ('--values', '--plans'):
        one = values_of_seed if sys.argv[1] == '--values' else plans_of_seed
        del sys.argv[1]
    if sys.argv[1] == '--keep':
        found = {int(sys.argv[3]): one(int(sys.argv[3]), sys.argv[2], available)}
        most = 1000
    else:
        found, most = {}, 2
        for seed in range(int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])):
            with tempfile.TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None) as directory:
                found[seed] = one(seed, directory, available)
    bad = {seed: d for seed, d in found.items() if d}
    for seed, differences in bad.items():
        commands = collections.defaultdict(list)
        for args, *difference in differences:
            commands[shlex.join(args)].append(difference)
        for command, list_of in commands.items():
            print(f'seed {seed}: memz --json {command}')
            for path, due, got in list_of[:most]:
                print(f'    {path}: expected {str(due)[:150]}, got {str(got)[:150]}')
    print(f'{len(found)} machines: {len(bad)} with differences')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
