"""Compares what memz printed in a guest with the kernel's own files, which the script `guest` has copied beside it."""
import glob
import json
import os
import re
import shlex
import subprocess
import tarfile

import expected
import expected_system

MEMZ = os.environ.get('MEMZ', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'memz'))
FROM_STATUS = dict(zip(expected.STATUS_KEYS, expected.STATUS))
FROM_ROLLUP = dict(zip(expected.ROLLUP_KEYS, expected.ROLLUP), Rss='rss')
UNSTEADY = {'Referenced', 'LazyFree'}       # change while a process is stopped


def load(path):
    with open(path, 'rb') as f:
        return expected.parse(f.read())


def first(differences):
    return '\n'.join(f'{path}: expected {str(due)[:200]}, got {str(got)[:200]}' for path, due, got in differences[:5])


class Record:
    """A report of the guest: its arguments, what it printed, and the archive of what it read."""
    def __init__(self, out, name):
        self.out, self.name, self.archive = out, name, f'{out}/{name}.tar'
        with open(f'{out}/{name}.args') as f:
            self.args = shlex.split(f.read())
        self.got = load(f'{out}/{name}.json')
        self.tree = f'{out}/{name}.tree'
        with tarfile.open(self.archive) as tar:
            tar.extractall(self.tree)

    def by_reader(self):
        """Against the independent reader of the tree."""
        due = expected.Report(['-S', self.tree, *self.args]).json(self.got)
        expected.load.cache_clear()
        return first(expected.differences(due, self.got))

    def by_archive(self):
        """Against the report of the archive, by memz of this architecture."""
        done = subprocess.run([MEMZ, '-q', '--json', '-S', self.archive, *self.args], capture_output=True)
        if done.returncode:
            return done.stderr.decode()
        here, got = expected.parse(done.stdout), dict(self.got)
        for report in here, got:
            report['scan'] = {**report['scan'], 'seconds': 0}
        return first(expected.differences(got, here))


def fields(directory, pid, file, keys):
    text = expected.slurp(directory, str(pid), file)
    return expected.keyed(text, keys) if text else {}


def numa(text):
    """{node: KiB} of numa_maps, as JSON has it."""
    out = {}
    for line in text.splitlines():
        kib = re.search(r' kernelpagesize_kB=(\d+)', line)
        for node, pages in re.findall(r' N(\d+)=(\d+)', line):
            out[node] = out.get(node, 0) + int(pages) * int(kib[1])
    return out


def kernel_says(directory, pid):
    """{column: value}, as the guest's copies of the files of a process have it."""
    rollup = {k: v for k, v in fields(directory, pid, 'smaps_rollup', set(FROM_ROLLUP) - UNSTEADY).items()}
    out = {**rollup, **fields(directory, pid, 'status', set(FROM_STATUS))}
    maps = expected.slurp(directory, str(pid), 'maps')
    if maps:
        out['maps'] = maps.count(b'\n')
        page = min(int(n) for n in re.findall(rb'^KernelPageSize: +(\d+)', expected.slurp(directory, str(pid), 'smaps'), re.M))
        out['vsz'] = int(expected.slurp(directory, str(pid), 'statm').split()[0]) * page
    pages = expected.slurp(directory, str(pid), 'numa_maps')
    if pages:
        out['numa'] = numa(pages.decode(errors='replace'))
    if b'[vdso]' in (maps or b''):          # a page that memz maps, too; 7.2 counts it
        for column in ('pss', 'pss_file', 'shared_clean', 'private_clean'):
            out.pop(column, None)
    return out


def judge_kinds(out):
    """Processes of every kind: what stands in both copies of a file, memz must say."""
    record, bad, n = Record(out, 'kinds'), [], 0
    rows = {row['pid']: row for row in record.got['processes']}
    with open(f'{out}/pids') as f:
        pids = [int(pid) for pid in f.read().split()]
    for pid in pids:
        before, after = (kernel_says(f'{out}/{when}', pid) for when in ('before', 'after'))
        for column, due in before.items():
            n += 1
            if after.get(column) == due and rows.get(pid, {}).get(column) != due:
                bad.append((f'{pid}.{column}', due, rows.get(pid, {}).get(column)))
    yield f'{len(pids)} processes of every kind: {n} fields are those of the kernel', first(bad) or ('' if n > 500 else f'{n} fields')
    kernel = [row for row in rows.values() if row['command'] and row['command'].startswith('[') and row['pss'] is None]
    yield 'kernel threads have a row and no memory', '' if len(kernel) > 10 and not any(row['rss'] for row in kernel) else str(kernel[:3])


def judge_system(out, name):
    areas = {a['area']: a for a in Record(out, name).got['system']['areas']}
    got, total = load(f'{out}/{name}.json'), sum(a['total'] or 0 for a in areas.values())
    yield f'{name}: the areas add up to MemTotal', '' if total == got['memory']['mem_total'] else f'{total}, {got["memory"]["mem_total"]}'


def judge_counters(out):
    """The counters lie between the guest's two copies, give or take what changes meanwhile."""
    got, bad = load(f'{out}/system.json')['memory'], []
    before, after = ({k: v[0] for k, v in expected.Machine.counters(expected.slurp(out, f'machine-{when}', 'meminfo')).items()} for when in ('before', 'after'))
    for name, n in before.items():
        slack = max(n // 8, 32768)
        if got.get(name) is None or not min(n, after[name]) - slack <= got[name] <= max(n, after[name]) + slack:
            bad.append((name, f'{n} to {after[name]}', got.get(name)))
    yield f'{len(before)} counters are those of /proc/meminfo', first(bad)


def stat_columns(directory):
    """What memory.stat and the files beside it say of a group, as columns."""
    def value(file):
        return expected.number(expected.slurp(directory, file))
    stat = {line.split()[0].decode(): int(line.split()[1]) for line in expected.lines(expected.slurp(directory, 'stat')) if line}
    kib = {k: v // 1024 for k, v in stat.items()}
    events = {line.split()[0]: int(line.split()[1]) for line in expected.lines(expected.slurp(directory, 'events')) if line}
    out = {'cg_usage': value('current') // 1024, 'cg_anon': kib['anon'], 'cg_shmem': kib['shmem'], 'cg_file': kib['file'] - kib['shmem'], 'cg_slab': kib['slab'],
           'cg_anon_unmapped': max(0, kib['active_anon'] + kib['inactive_anon'] - kib['anon'] - kib['shmem']), 'cg_sock': kib['sock'], 'cg_kernel': kib.get('kernel'),
           'cg_high': events[b'high'], 'cg_oom_kills': events[b'oom_kill'], 'cg_limit': value('max') and value('max') // 1024, 'cg_peak': value('peak') and value('peak') // 1024}
    return out


PARTS = 'cg_anon cg_anon_unmapped cg_file cg_shmem cg_kernel cg_sock cg_rest'.split()
HOLDS = {'memfd': ('cg_shmem', 262144), 'pipes': ('cg_kernel', 200000), 'split': ('cg_anon_unmapped', 30000), 'cache': ('cg_file', 100000), 'tcp': ('cg_sock', 8000),
         'killed': ('cg_oom_kills', 1)}


def judge_groups(out, arch):
    record = Record(out, 'groups')
    rows = {row['cgroup'].lstrip('/'): row for row in record.got['groups'] if row['cgroup']}
    for group, (column, least) in HOLDS.items():
        row, bad = rows.get(group), []
        if not row:
            yield f'control group {group}', 'no row'
            continue
        before, after = (stat_columns(f'{out}/groups-{when}/{group}') for when in ('before', 'after'))
        for name, n in before.items():
            if n == after[name] and row[name] != n:
                bad.append((name, n, row[name]))
        parts = sum(row[part] or 0 for part in PARTS)
        if parts != row['cg_usage']:
            bad.append(('the sum of the parts', row['cg_usage'], parts))
        if (row[column] or 0) < least and (arch, group) != ('s390x', 'split'):      # its huge pages have 1 MiB, those of load 2
            bad.append((column, f'{least} or more', row[column]))
        steady = sum(n == after[name] for name, n in before.items())
        yield f'control group {group}: {column}, and {steady} figures are those of its files and add up', first(bad)


def judge_rights(out):
    with open(f'{out}/rights-pids') as f:
        pids = [int(pid) for pid in f.read().split()]
    pss = {pid: fields(f'{out}/rights', pid, 'smaps_rollup', {'Pss'}).get('pss') for pid in pids}

    def rows(name):
        return {row['pid']: row for row in load(f'{out}/{name}.json')['processes']}
    got = rows('nobody')
    yield 'an unprivileged user sees the rss of others, and no pss', '' if all(got[p]['pss'] is None and got[p]['rss'] for p in pids) else str([got.get(p) for p in pids])
    got = rows('filecaps')
    yield 'file capabilities: the pss of others is that of the kernel', '' if all(got[p]['pss'] == pss[p] for p in pids) else str([(got.get(p), pss[p]) for p in pids])
    for mode in 1, 2, 4:
        if not os.path.exists(f'{out}/hidepid{mode}.json'):
            continue
        got = rows(f'hidepid{mode}')
        if mode == 1:
            yield 'hidepid=1: the rows of others have no memory', '' if all(p in got and got[p]['pss'] is None for p in pids) else str([got.get(p) for p in pids])
        else:
            yield f'hidepid={mode}: only own processes have a row', '' if got and not set(pids) & set(got) else str(list(got)[:9])
    if os.path.exists(f'{out}/subset.json'):
        report = load(f'{out}/subset.json')
        yield 'subset=pid: processes, and no total', '' if report['processes'] and report['memory']['mem_total'] is None else str(report)[:300]


def judge_stuck(out):
    with open(f'{out}/stuck-pids') as f:
        pids = [int(pid) for pid in f.read().split()]
    report = load(f'{out}/stuck.json')
    got = {row['pid']: row for row in report['processes']}
    good = report['scan']['stalled'] == len(pids) and all(got[p]['pss'] is None and got[p]['rss'] for p in pids)
    yield f'{len(pids)} stuck processes have a row without pss, with rss', '' if good else str((report['scan'], [got.get(p) for p in pids]))


def judge(out, arch):
    """[(test, why not)] for a directory that the guest has filled."""
    tests = []
    for path in sorted(glob.glob(f'{out}/*.args')):
        record = Record(out, os.path.basename(path)[:-5])
        tests.append((f'{record.name}: an independent reader says the same of what was saved', record.by_reader()))
        tests.append((f'{record.name}: memz here says the same of the archive', record.by_archive()))
        if record.args[0] == '-w':
            tests += judge_system(out, record.name)
    for name, test in ('kinds.json', judge_kinds), ('machine-after', judge_counters), ('rights-pids', judge_rights), ('stuck.json', judge_stuck):
        if os.path.exists(f'{out}/{name}'):
            tests += test(out)
    if os.path.exists(f'{out}/groups.json'):
        tests += judge_groups(out, arch)
    if os.path.exists(f'{out}/hotplug.json'):
        total = {k: v[0] for k, v in expected.Machine.counters(expected.slurp(out, 'hotplug-meminfo')).items()}['mem_total']
        got = load(f'{out}/hotplug.json')['memory']['mem_total']
        tests.append(('memory added while memz runs: the total is that of the second scan', '' if got == total else f'{got}, {total}'))
    if os.path.exists(f'{out}/many.json'):
        scan = load(f'{out}/many.json')['scan']
        tests.append(('4,096 processes are measured', '' if scan['measured'] >= 4096 else str(scan)))
    if os.path.exists(f'{out}/zswap.json'):
        areas = {a['area']: a['total'] for a in load(f'{out}/zswap.json')['system']['areas']}
        tests.append(('zswap is an area', '' if areas['zswap'] or areas['zswap'] is None and arch != 'amd64' else str(areas)))
    return tests
