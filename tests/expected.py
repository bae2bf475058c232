#!/usr/bin/env python3
"""What any report of a saved tree must say: an independent reader, which shares no code with memz.

    expected.py -S TREE [--since TREE] [OPTIONS OF memz]...
        prints the JSON object that `memz --json` with the same arguments has to print

It reads every file of every process, then selects, groups, sorts and cuts: no plan, no bounds, no threads. It follows the
manual, memz(1). Where it and memz differ, one of them misreads that text.

None is an unknown value. A Near value is compared with a tolerance, because it is printed with few decimals. ANY accepts
everything: the manual does not say what is right there.
"""
import functools
import getopt
import json
import os
import re
import stat as st
import sys
from datetime import datetime, timezone
from fractions import Fraction

MOST = 2 ** 63 - 1              # a larger number in a file is unknown, a larger sum stays at this
PF_KTHREAD = 0x00200000
HZ = 100                        # clock ticks per second
YEAR_10000 = 253402300800
ANY = type('ANY', (), {'__repr__': lambda self: 'ANY'})()


class Near:
    """A number that is printed with DECIMALS decimals."""
    def __init__(self, value, decimals=1, relative=Fraction(1, 10 ** 9)):
        self.value, self.decimals, self.relative = Fraction(value), decimals, relative

    def accepts(self, got):
        if isinstance(got, bool) or not isinstance(got, (int, Fraction)):
            return False
        return abs(got - self.value) <= Fraction(501, 1000) / 10 ** self.decimals + abs(self.value) * self.relative

    def __repr__(self):
        return f'{float(self.value):.{self.decimals}f}'


# -- columns ----------------------------------------------------------------------------------------------------------

TEXTS = 'user name command exe state cgroup unit container ancestry numa change time host mapping kind'.split()
TIMES = ['start']
IDS = 'pid ppid uid'.split()
NO_SUM = 'oom_score oom_score_adj vm_peak vm_hwm procs cg_pct cg_psi'.split()
COUNTS = 'threads minflt majflt maps count cg_high cg_oom_kills'.split()
ROLLUP_KEYS = ('Pss Pss_Dirty Pss_Anon Pss_File Pss_Shmem Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced '
               'Anonymous KSM LazyFree AnonHugePages ShmemPmdMapped FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap '
               'SwapPss Locked').split()
STATUS_KEYS = 'VmPeak VmHWM RssAnon RssFile RssShmem VmData VmStk VmExe VmLib VmPTE VmSwap VmLck VmPin'.split()
DERIVED = 'uss shared thp hugetlb pss_swap'.split()
PERCENTS = {'pss_pct': 'pss', 'rss_pct': 'rss', 'uss_pct': 'uss', 'swap_pct': 'swap'}
OF_SWAP = 'swap swap_pss vm_swap cg_swap swap_pct'.split()     # their % is of SwapTotal
CG_PARTS = 'cg_anon cg_anon_unmapped cg_file cg_shmem cg_kernel cg_sock'.split()        # of cg_usage; the rest is cg_rest
CG_SUMS = ['cg_usage', 'cg_swap', 'cg_slab', 'cg_rest', 'cg_high', 'cg_oom_kills', *CG_PARTS]
CG_SIZES = ['cg_usage', 'cg_peak', 'cg_limit', 'cg_swap', 'cg_slab', 'cg_rest', *CG_PARTS]
CG_PERCENTS = 'cg_pct', 'cg_psi'


def snake(key):
    """SwapPss: swap_pss; Active(anon): active_anon; Committed_AS: committed_as; GPUActive: gpu_active."""
    key = re.sub(r'([A-Z]{2})([A-Z][a-z])', r'\1_\2', key)
    return re.sub(r'([a-z])([A-Z])', r'\1_\2', key.replace('(', '_').replace(')', '').replace('-', '_')).lower()


ROLLUP = [snake(key) for key in ROLLUP_KEYS]
STATUS = [snake(key) for key in STATUS_KEYS]
SIZES = ['vsz', 'rss'] + ROLLUP + DERIVED + STATUS + CG_SIZES
FROM_ROLLUP = set(ROLLUP + DERIVED + ['pss_pct', 'uss_pct', 'swap_pct'])
BELOW_ANON = set('pss_anon anonymous ksm lazy_free anon_huge_pages'.split())       # of statm: resident less shared
BELOW_RSS = set(ROLLUP + ['uss', 'shared', 'thp']) - set('shared_hugetlb private_hugetlb swap swap_pss'.split())
NUMBERS = IDS + COUNTS + SIZES + NO_SUM + list(PERCENTS)
COLUMNS = TEXTS + TIMES + [c for c in dict.fromkeys(NUMBERS)]
OF_MAPPINGS = ['mapping', 'kind', 'procs', 'vsz', 'maps', 'rss'] + ROLLUP + DERIVED + list(PERCENTS)


class Field:
    """A column, its change between two scans, or that change per second."""
    def __init__(self, name):
        self.name, self.how, self.column = name, '', name
        if name not in COLUMNS:
            self.column, _, self.how = name.rpartition('_')
        if self.column not in COLUMNS or self.how not in ('', 'delta', 'rate') or (self.how and self.column not in NUMBERS):
            raise Usage(f'unknown column {name}')

    def sums(self):
        return self.column in NUMBERS and self.column not in IDS + NO_SUM and not self.column.startswith('cg_')


class Usage(Exception):
    pass


# -- numbers ----------------------------------------------------------------------------------------------------------

def number(text):
    """The number at the start of TEXT: digits and then a blank or the end, up to 2^63 - 1; else unknown."""
    m = re.match(rb'[ \t]*([0-9]+)(?=[ \t\n:=,]|$)', text or b'')
    return int(m[1]) if m and int(m[1]) <= MOST else None


def signed(text):
    m = re.match(rb'[ \t]*-', text or b'')
    n = number(text[m.end():] if m else text)
    return -n if m and n is not None else n


def clamp(n):
    return max(-MOST, min(MOST, n))


def add_all(*parts):
    """A sum with an unknown part is unknown."""
    return None if any(p is None for p in parts) else clamp(sum(parts))


def add_known(*parts):
    known = [p for p in parts if p is not None]
    return clamp(sum(known)) if known else None


def less(a, b):
    return None if a is None or b is None else clamp(a - b)


def less_positive(a, b):
    """A difference that would be negative is unknown: the two figures contradict each other."""
    n = less(a, b)
    return None if n is None or n < 0 else n


def percent(part, whole):
    return None if part is None or not whole else Fraction(100 * part, whole)


def pages(n, size):
    return None if n is None or n * size > MOST else n * size // 1024


# -- files ------------------------------------------------------------------------------------------------------------

def slurp(*path):
    """A file's bytes, None where it cannot be read. An empty file of mode 0 could not be read when it was saved."""
    path = os.path.join(*path)
    try:
        with open(path, 'rb') as f:
            text = f.read()
        return None if not text and not st.S_IMODE(os.stat(path).st_mode) else text
    except OSError:
        return None


def exists(*path):
    return os.path.lexists(os.path.join(*path))


def lines(text):
    return (text or b'').split(b'\n')


def first_line(text):
    return None if text is None else text.split(b'\n')[0]


def keyed(text, keys, summed=False):
    """{column: number} of `Key:  123 kB` lines. A repeated key adds up in smaps; elsewhere the first one counts."""
    found = {}
    for line in lines(text):
        key, colon, rest = line.partition(b':')
        name = key.decode('latin-1')
        if not colon or name not in keys:
            continue
        name, n = snake(name), number(rest)
        if name not in found:
            found[name] = n
        elif summed:
            found[name] = add_all(found[name], n)
        elif found[name] is None:
            found[name] = n
    return found


def iso(seconds):
    if seconds is None or not 0 <= seconds < YEAR_10000:
        return None
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ').encode()


# -- the machine ------------------------------------------------------------------------------------------------------

class Machine:
    """A saved tree: what its files say, by memz(1)."""

    def __init__(self, tree):
        self.tree = tree
        self.proc = os.path.join(tree, 'proc')
        if not os.path.isdir(self.proc):
            self.proc = tree
        self.memory = self.counters(slurp(self.proc, 'meminfo'))
        self.describe()
        self.host, self.kernel = (first_line(slurp(self.proc, 'sys/kernel', f)) for f in ('hostname', 'osrelease'))
        version = re.match(rb'Linux version ([^ \n]*)', slurp(self.proc, 'version') or b'')
        self.kernel = self.kernel if self.kernel is not None else version and version[1]
        self.boot = next((number(line[6:]) for line in lines(slurp(self.proc, 'stat')) if line.startswith(b'btime ')), None)
        self.boot = self.boot if self.boot is not None and self.boot < YEAR_10000 else None
        self.find_time()
        self.users, self.uids = {}, {}
        for line in lines(slurp(tree, 'etc/passwd')):
            part = line.split(b':')
            if len(part) > 3 and number(part[2]) is not None:
                self.uids.setdefault(part[0], number(part[2]))
                if part[0]:
                    self.users.setdefault(number(part[2]), part[0])
        self.mounts = [line for line in lines(slurp(self.proc, 'self/mountinfo') or slurp(self.proc, '1/mountinfo')) if b' - ' in line]
        self.rows = {}
        pids = [int(n) for n in os.listdir(self.proc) if re.fullmatch('[0-9]{1,9}', n)]
        self.processes = {pid: Process(self, pid) for pid in sorted(pids)}
        self.name_ancestors()

    @staticmethod
    def counters(text):
        """{name: (number, is it KiB)} of meminfo, in its order."""
        found = {}
        for line in lines(text):
            m = re.match(rb'(?:Node [0-9]+ )?([A-Za-z0-9_()-]+)[: ]', line)
            if m:
                found.setdefault(snake(m[1].decode()), (number(line[m.end():]), b' kB' in line))
        return found

    def kib(self, name):
        return self.memory.get(name, (None, True))[0]

    def describe(self):
        """What the member `memz` says that no file of /proc does."""
        text = slurp(self.tree, 'memz') or b''
        said = [line.split(b' ') for line in lines(text)] if text.startswith(b'memz ') else []
        self.described = bool(said)
        self.said_time = next((Fraction(w[1].decode()) for w in said if w[0] == b'time' and re.fullmatch(rb'[0-9]{1,11}(\.[0-9]+)?', w[1])), None)
        sizes = [number(w[1]) for w in said if w[0] == b'page_size']
        self.page = next((n for n in sizes if n and n >= 1024 and n <= 1 << 24 and n & (n - 1) == 0), None) or self.guess_page()
        self.self_pid = next((number(w[1]) for w in said if w[0] == b'self'), None)
        self.twins = {number(w[1]): number(w[2]) for w in said if w[0] == b'twin' and len(w) > 2}

    def guess_page(self):
        """statm counts pages, smaps_rollup and status KiB."""
        votes = {4096: 0, 8192: 0, 16384: 0, 65536: 0}
        for name in os.listdir(self.proc):
            statm = (slurp(self.proc, name, 'statm') or b'').split() if name.isdigit() else []
            resident = number(statm[1]) if len(statm) > 1 else None
            rss = keyed(slurp(self.proc, name, 'smaps_rollup'), ['Rss']).get('rss')
            rss = keyed(slurp(self.proc, name, 'status'), ['VmRSS']).get('vm_rss') if rss is None else rss
            for size in votes:
                votes[size] += bool(resident) and rss == pages(resident, size)
        return max(votes, key=lambda size: (votes[size], -size))

    def find_time(self):
        up = re.match(rb'[0-9]+(\.[0-9]+)?(?=[ \n]|$)', slurp(self.proc, 'uptime') or b'')
        self.time = self.said_time
        if self.time is None and up and self.boot is not None:
            self.time = self.boot + Fraction(up[0].decode())

    def name_ancestors(self):
        """ancestry: systemd;sshd;bash. A name that is not known ends it."""
        for p in self.processes.values():
            chain, at, seen = [], p, set()
            while at and at.row.get('name') is not None and at.row['pid'] not in seen:
                seen.add(at.row['pid'])
                chain.append(re.sub(rb'[;\s]', b'_', at.row['name']))
                parent = at.row.get('ppid')
                at = self.processes.get(parent) if parent else None
            p.row['ancestry'] = b';'.join(reversed(chain)) if chain else None

    def memory_json(self, unit):
        """`memory` of JSON, and what is derived of it."""
        out = {name: self.kib(name) for name in ('mem_total', 'mem_available')}
        out['mem_used'] = less_positive(out['mem_total'], out['mem_available'])
        out['swap_total'] = self.kib('swap_total')
        out['swap_used'] = less_positive(out['swap_total'], self.kib('swap_free'))
        out = {name: in_unit(n, unit) for name, n in out.items()}
        for name, (n, is_kib) in self.memory.items():
            out.setdefault(name, in_unit(n, unit) if is_kib else n)
        return out


class Process:
    FILES = 'statm status comm cgroup oom_score oom_score_adj exe stat cmdline smaps_rollup maps numa_maps smaps'.split()

    def __init__(self, machine, pid):
        self.machine, self.directory = machine, os.path.join(machine.proc, str(pid))
        self.row = row = {'pid': pid, 'time': iso(machine.time), 'host': machine.host, 'change': b'same'}
        self.is_kept = any(exists(self.directory, f) for f in self.FILES)
        self.is_zombie = self.is_kthread = self.is_thread = self.is_measured = False
        self.smaps_text, self.has_smaps, self.statm_anon = None, False, None
        if not self.is_kept:
            return
        self.read_stat()
        self.memory = self.directory        # where the files of the address space are
        if row.get('state') in (b'Z', b'X') and row.get('threads') is not None and row['threads'] > 1:
            self.memory = self.live_thread() or self.directory
        self.is_zombie = row.get('state') in (b'Z', b'X') and self.memory == self.directory
        self.read_sizes()
        self.read_names()
        self.read_cgroup()
        row['oom_score'], row['oom_score_adj'] = (signed(slurp(self.directory, f)) for f in ('oom_score', 'oom_score_adj'))
        row['maps'] = self.count_lines('maps')
        row['numa'] = self.read_numa()
        tgid = next((number(line[5:]) for line in lines(slurp(self.directory, 'status')) if line.startswith(b'Tgid:')), None)
        self.is_thread = bool(tgid) and tgid != pid

    def live_thread(self):
        """A zombie whose other threads live: each of theirs shows the address space."""
        task = os.path.join(self.directory, 'task')
        tids = sorted(int(n) for n in os.listdir(task) if n.isdigit()) if os.path.isdir(task) else []
        for tid in tids:
            statm = slurp(task, str(tid), 'statm')
            if tid != self.row['pid'] and statm and number(statm) != 0:
                return os.path.join(task, str(tid))
        return None

    def read_stat(self):
        row, text = self.row, slurp(self.directory, 'stat') or b''
        left, right = text.find(b'('), text.rfind(b')')
        self.stat_name, flags = None, None
        if 0 <= left < right:
            self.stat_name = text[left + 1:right]
            field = text[right + 2:].rstrip(b'\n').split(b' ')
            row['state'] = field[0][:1] or None
            wanted = {'ppid': 4, 'flags': 9, 'minflt': 10, 'majflt': 12, 'threads': 20, 'ticks': 22, 'stat_vsz': 23}
            row.update((name, number(field[at - 3])) for name, at in wanted.items() if len(field) > at - 3)
            self.is_kthread = bool((row.get('flags') or 0) & PF_KTHREAD)
        elif not exists(self.directory, 'stat'):
            self.read_status_as_stat()
        started = add_all(self.machine.boot, row.get('ticks') and row['ticks'] // HZ) if row.get('ticks') is not None else None
        if started is not None and self.machine.time is not None and started > self.machine.time:
            started = None                  # counted from another boot than btime (lxcfs)
        row['start'] = iso(started)

    def read_status_as_stat(self):
        """Trees without stat: name, state, ppid and threads stand in status too."""
        status = slurp(self.directory, 'status')
        if not status:
            return
        said = dict(reversed([line.split(b':', 1) for line in lines(status) if b':' in line]))
        name = said[b'Name'].strip(b'\t') if b'Name' in said else None
        self.stat_name = name and re.sub(rb'\\([n\\])', lambda m: b'\n' if m[1] == b'n' else b'\\', name)
        self.row['state'] = said.get(b'State', b'').strip()[:1] or None
        self.row['ppid'], self.row['threads'] = number(said.get(b'PPid')), number(said.get(b'Threads'))
        if self.row['state'] not in (b'Z', b'X'):
            self.is_kthread = number(said[b'Kthread']) == 1 if b'Kthread' in said else b'VmSize' not in said

    def read_sizes(self):
        row, machine = self.row, self.machine
        statm = slurp(self.memory, 'statm')
        if exists(self.memory, 'statm'):
            n = (statm or b'').split()[:3] + [b''] * 3
            row['vsz'], row['statm_rss'], shared = (pages(number(pages_of), machine.page) for pages_of in n[:3])
            self.statm_anon = less(row['statm_rss'], shared)
        else:
            row['vsz'] = row.get('stat_vsz') and row['stat_vsz'] // 1024
            row['statm_rss'] = self.statm_anon = None
        self.has_rollup = exists(self.memory, 'smaps_rollup')
        text = slurp(self.memory, 'smaps_rollup' if self.has_rollup else 'smaps')
        self.smaps_text, self.has_smaps = slurp(self.memory, 'smaps'), exists(self.memory, 'smaps')
        self.is_measured = bool(text)
        row.update(keyed(text, ['Rss'] + ROLLUP_KEYS, summed=not self.has_rollup))
        row['rollup_rss'] = row.pop('rss', None)
        status = slurp(self.memory, 'status')
        row.update(keyed(status, STATUS_KEYS))
        uid = re.search(rb'^Uid:[ \t]*[^ \t\n]*[ \t]+(.*)', (status or b'') + b'\n' + (slurp(self.directory, 'status') or b''), re.M)
        row['uid'] = number(uid[1]) if uid else None
        if row['uid'] is not None:
            row['user'] = machine.users.get(row['uid'], b'%d' % row['uid'])
        derive(row)

    def rss(self, with_rollup):
        """rss has two sources: the rollup where the report reads it, or there is no statm; else statm."""
        statm, rollup = self.row.get('statm_rss'), self.row.get('rollup_rss')
        if with_rollup or (self.is_kept and not exists(self.memory, 'statm')):
            return rollup if rollup is not None else statm
        return statm

    def read_names(self):
        row = self.row
        comm = slurp(self.directory, 'comm')
        comm = comm[:-1] if comm and comm.endswith(b'\n') else comm
        comm = self.stat_name if comm is None else comm
        cmdline = slurp(self.memory, 'cmdline')
        try:
            row['exe'] = os.readlink(os.fsencode(os.path.join(self.memory, 'exe')))
        except OSError:
            row['exe'] = None
        row['name'] = comm
        if comm is not None and len(comm) == 15 and not self.is_kthread and not self.is_zombie:
            row['name'] = self.full_name(comm, (cmdline or b'').split(b'\0'))
        if cmdline and cmdline.strip(b'\0'):
            row['command'] = b' '.join(cmdline.rstrip(b'\0').split(b'\0'))
        elif cmdline is not None and comm is not None:
            row['command'] = b'[' + row['name'] + b']'

    def full_name(self, comm, argv):
        """comm holds 15 bytes. The base name of the program, or of an interpreter's script, completes it."""
        script = next((a for a in argv[1:] if not a.startswith(b'-')), b'')
        exe = re.sub(rb' \(deleted\)$', b'', self.row['exe'] or b'')
        for path, is_title in (argv[0], True), (script, False), (exe, False):
            base = path.rsplit(b'/', 1)[-1]
            if base.startswith(comm):
                return comm + re.split(rb'[ :]', base[15:], maxsplit=1)[0] if is_title else base
        return comm

    def read_cgroup(self):
        text = slurp(self.directory, 'cgroup')
        paths = {}
        for line in lines(text):
            part = line.split(b':', 2)
            if len(part) < 3:
                continue
            names = part[1].split(b',')
            for kind, fits in ('memory', b'memory' in names), ('v2', part[0] == b'0'), ('systemd', b'name=systemd' in names):
                if fits:
                    paths[kind] = part[2]
        for kind in 'memory', 'v2', 'systemd':
            if kind in paths:
                path = re.sub(rb' \(deleted\)$', b'', paths[kind])
                for column, value in ('cgroup', paths[kind]), ('unit', unit_of(path)), ('container', container_of(path)):
                    if self.row.get(column) is None:
                        self.row[column] = value
                        if column == 'unit' and value is not None:
                            self.row['unit_path'] = unit_parts(path)

    def count_lines(self, name):
        text = slurp(self.memory, name)
        return None if text is None else text.count(b'\n') + (not text.endswith(b'\n') and text != b'')

    def read_numa(self):
        """Resident KiB by node, of numa_maps."""
        text = slurp(self.memory, 'numa_maps')
        if text is None:
            return None
        nodes = {}
        for line in lines(text):
            words = line.split(b' ')
            size = next((number(w[18:]) for w in words if w.startswith(b'kernelpagesize_kB=')), ANY)
            if size is ANY:
                size = self.machine.kib('hugepagesize') if b'huge' in words else self.machine.page // 1024
            for word in words:
                m = re.match(rb'N([0-9]{1,9})=', word)
                if m:
                    n = number(word[m.end():])
                    if n is None or size is None:
                        return None
                    nodes[int(m[1])] = add_all(nodes.get(int(m[1]), 0), clamp(n * size))
        return b' '.join(b'%d=%d' % item for item in sorted(nodes.items()))


def derive(row):
    row['uss'] = add_all(row.get('private_clean'), row.get('private_dirty'))
    row['shared'] = add_all(row.get('shared_clean'), row.get('shared_dirty'))
    row['pss_swap'] = add_all(row.get('pss'), row.get('swap_pss'))
    row['thp'] = add_known(row.get('anon_huge_pages'), row.get('shmem_pmd_mapped'), row.get('file_pmd_mapped'))
    row['hugetlb'] = add_known(row.get('shared_hugetlb'), row.get('private_hugetlb'))


def unit_parts(path):
    """The parts of the path up to its unit."""
    parts = path.strip(b'/').split(b'/')
    while parts and not re.search(rb'.\.(service|scope)$', parts[-1]):
        parts.pop()
    return tuple(parts[:-1] + [re.sub(rb'^_', b'', parts[-1])]) if parts else None


def unit_of(path):
    parts = unit_parts(path)
    return parts[-1] if parts else None


def tell_apart(rows):
    """Units of one name and different paths get as much of these as tells them apart."""
    paths = {row.values['unit_path'] for row in rows if row.values.get('unit_path')}
    for row in rows:
        mine = row.values.get('unit_path')
        others = [path for path in paths if mine and path != mine and path[-1] == mine[-1]]
        if others:
            n = next((n for n in range(1, len(mine) + 1) if all(path[-n:] != mine[-n:] for path in others)), len(mine))
            row.values['unit'] = b'/'.join(mine[-n:])


ENGINES = rb'(?:docker|libpod|crio|cri-containerd|containerd|podman)'


def container_of(path):
    """The first 12 digits of the id, or the name of an LXC container."""
    found, parent, taken = None, b'', False
    for part in path.split(b'/'):
        bare = re.sub(rb'\.scope$', b'', part)
        m = re.fullmatch(ENGINES + rb'[-:]([0-9a-fA-F]{12,})', bare) or re.fullmatch(rb'([0-9a-fA-F]{64})', bare) or (
            not b'conmon-' in bare and re.fullmatch(rb'.*[-:]([0-9a-fA-F]{64})', bare)) or (
            not taken and parent == b'docker' and re.fullmatch(rb'([0-9a-fA-F]{12,})', part))
        was_taken, taken = taken, False
        if m:
            found, taken = m[1][:12], True
        elif part and not was_taken and parent in (b'lxc', b'lxc.payload'):
            found, taken = part, True
        elif part.startswith(b'lxc.payload.') and len(part) > 12:
            found, taken = part[12:], True
        parent = part
    return found


# -- control groups ---------------------------------------------------------------------------------------------------

class Controller:
    """Where the memory controller is mounted, and what it says of a group."""

    def __init__(self, machine):
        self.machine, self.version, self.hidden, self.dir = machine, 0, b'', b''
        for line in machine.mounts:
            head, tail = line.split(b' - ', 1)
            word, kind = head.split(b' '), tail.split(b' ')
            version = 2 if kind[0] == b'cgroup2' else 1 if kind[0] == b'cgroup' and b'memory' in kind[-1].split(b',') else 0
            if not version or len(word) < 5 or self.version == 1 and version == 2:
                continue
            if version == self.version and (self.hidden == b'' or word[3] != b'/'):
                continue
            unescape = functools.partial(re.sub, rb'\\([0-7]{3})', lambda m: bytes([int(m[1], 8) & 255]))
            self.version, self.dir = version, unescape(word[4]).lstrip(b'/')
            self.hidden = b'' if word[3] == b'/' else unescape(word[3])

    def path(self, cgroup):
        """Below the mount; None where the group lies outside it."""
        path = cgroup
        if self.hidden:
            if path != self.hidden and not path.startswith(self.hidden + b'/'):
                return None
            path = path[len(self.hidden):]
        return None if b'..' in path.split(b'/') else path.rstrip(b'/')

    def file(self, path, name):
        return slurp(os.fsencode(self.machine.tree), self.dir, path.lstrip(b'/'), name.encode())

    def size(self, path, name):
        """KiB; `max` and version 1's huge number are none."""
        n = number(self.file(path, name))
        return None if n is None or n > MOST // 2 else n // 1024

    def figures(self, cgroup):
        row, one = {}, self.version == 1
        path = self.path(cgroup) if self.version else None
        if path is None:
            return row
        usage_file, limit_file = ('memory.usage_in_bytes', 'memory.limit_in_bytes') if one else ('memory.current', 'memory.max')
        row['cg_usage'] = self.size(path, usage_file)
        row['cg_swap'] = self.size(path, 'memory.memsw.usage_in_bytes' if one else 'memory.swap.current')
        if one and row['cg_swap'] is not None:
            row['cg_swap'] = None if row['cg_usage'] is None else max(0, row['cg_swap'] - row['cg_usage'])
        row['cg_peak'] = self.size(path, 'memory.max_usage_in_bytes' if one else 'memory.peak')
        at, limits, shares = path, [], []
        while True:
            limit, usage = self.size(at, limit_file), self.size(at, usage_file)
            if limit is not None:
                limits.append(limit)
                shares += [Fraction(10 ** 8 * usage // limit, 10 ** 6)] if usage is not None and limit else []
            if not at:
                break
            at = at.rpartition(b'/')[0]
            if one and number(self.file(at, 'memory.use_hierarchy')) == 0:
                break
        row['cg_limit'] = min(limits, default=None)
        row['cg_pct'] = max(shares, default=None)
        row.update(self.parts(path))
        row.update(self.events(path))
        if row['cg_usage'] is not None and row['cg_anon'] is not None:
            row['cg_rest'] = clamp(row['cg_usage'] - sum(row[part] or 0 for part in CG_PARTS))
        return row

    def parts(self, path):
        """What memory.stat divides the charge into. With version 1 the kernel's part stands in files of its own."""
        said = dict(line.split(b' ', 1) for line in reversed(lines(self.file(path, 'memory.stat'))) if b' ' in line)

        def kib(*names):
            n = next((n for n in (number(said.get(name.encode())) for name in names) if n is not None), None)
            return n if n is None else n // 1024

        def total(name):
            return kib('total_' + name, name) if self.version == 1 else kib(name)
        one = self.version == 1
        anon, cache, shmem = total('rss' if one else 'anon'), total('cache' if one else 'file'), total('shmem')
        unmapped = less(less(add_all(total('active_anon'), total('inactive_anon')), anon), shmem)
        row = {'cg_anon': anon, 'cg_shmem': shmem, 'cg_file': less_positive(cache, shmem), 'cg_slab': None,
               'cg_anon_unmapped': unmapped if unmapped is None else max(0, unmapped), 'slab_unreclaimable': None, 'kernel_other': None}
        if one:
            row['cg_kernel'], row['cg_sock'] = self.size(path, 'memory.kmem.usage_in_bytes'), self.size(path, 'memory.kmem.tcp.usage_in_bytes')
            return row
        slab = kib('slab')
        row['cg_slab'] = add_all(kib('slab_reclaimable'), kib('slab_unreclaimable')) if slab is None else slab
        row['slab_unreclaimable'] = kib('slab_unreclaimable')
        row['cg_kernel'] = kib('kernel')            # since 5.18
        parts = add_known(row['cg_slab'], *map(kib, 'kernel_stack pagetables sec_pagetables percpu vmalloc'.split()))
        if row['cg_kernel'] is None:
            row['cg_kernel'] = parts
        elif parts is not None:                     # what the areas of the kernel leave
            row['kernel_other'] = max(0, row['cg_kernel'] - parts)
        row['cg_sock'] = kib('sock')
        return row

    def events(self, path):
        said = dict(line.split(b' ', 1) for line in reversed(lines(self.file(path, 'memory.oom_control' if self.version == 1 else 'memory.events'))) if b' ' in line)
        row = {'cg_oom_kills': number(said.get(b'oom_kill')), 'cg_high': None, 'cg_psi': None}
        if self.version == 2:
            psi = re.match(rb'some avg10=([0-9]+(?:\.[0-9]+)?)(?=[ \n]|$)', self.file(path, 'memory.pressure') or b'')
            row['cg_high'] = number(said.get(b'high'))
            row['cg_psi'] = Fraction(psi[1].decode()) if psi and Fraction(psi[1].decode()) <= 100 else None
        return row

    def is_absent(self, cgroup):
        path = self.path(cgroup) if self.version else None
        mount = os.path.join(os.fsencode(self.machine.tree), self.dir)
        return path is not None and os.path.isdir(mount) and not os.path.isdir(os.path.join(mount, path.lstrip(b'/')))

    def groups(self):
        """The paths of all groups, as in /proc/PID/cgroup."""
        mount = os.path.join(os.fsencode(self.machine.tree), self.dir)
        for directory, _, _ in os.walk(mount) if self.version else ():
            path = directory[len(mount):].rstrip(b'/')
            yield self.hidden + (path and b'/' + path.lstrip(b'/')) or b'/'

    def above(self, cgroup):
        """The group to which this one's charge is charged, too; None: there is none."""
        path = self.path(cgroup)
        if not path or self.version == 1 and number(self.file(path, 'memory.use_hierarchy')) == 0:
            return None
        path = path.rpartition(b'/')[0]
        if self.version == 1 and number(self.file(path, 'memory.use_hierarchy')) == 0:
            return None
        return self.hidden + path or b'/'


# -- mappings ---------------------------------------------------------------------------------------------------------

def kind_of(machine, name, device, is_huge):
    bracket = {b'[heap]': 'heap', b'[stack]': 'stack', b'[vdso]': 'vdso', b'[vvar]': 'vdso', b'[vsyscall]': 'vdso', b'[anon]': 'anon'}
    if is_huge:
        return 'hugetlb'
    if name in bracket:
        return bracket[name]
    if name.startswith(b'[anon_shmem:'):
        return 'shm'
    if name.startswith(b'[anon:'):
        return 'anon'
    if name.startswith(b'[vvar'):            # [vvar_vclock] since 6.13
        return 'vdso'
    if name.startswith(b'['):
        return 'other'
    if name == b'/dev/zero':
        return 'anon'
    if device == b'00:01' or re.match(rb'/memfd:|/SYSV[0-9a-f]{8}( |$)|/dev/zero ', name):
        return 'shm'
    mount = next((line.split(b' - ')[1].split(b' ')[0] for line in machine.mounts
                  if [int(n) for n in line.split(b' ')[2].split(b':')] == [int(n, 16) for n in device.split(b':')]), b'')
    if mount == b'hugetlbfs':
        return 'hugetlb'
    if mount == b'tmpfs' or mount == b'devtmpfs' and not name.startswith(b'/dev/'):
        return 'shm'
    if name.startswith(b'/dev/') and device.startswith(b'00:'):
        return 'other'
    return 'file' if name.startswith(b'/') else 'other'


def mappings_of(process):
    """[(name, kind, row)] of smaps."""
    found, current = [], None
    for line in lines(process.smaps_text):
        m = re.match(rb'[0-9a-f]+-[0-9a-f]+ ([^ ]+) +([^ ]+) +([^ ]+) +([^ ]+) *(.*)', line)
        if m:
            current = {'name': m[5].replace(b'\\012', b'\n') or b'[anon]', 'device': m[3], 'is_huge': False, 'lines': []}
            found.append(current)
        elif current and line.startswith(b'VmFlags:'):
            current['is_huge'] = b'ht' in line[8:].split(b' ')
        elif current:
            current['lines'].append(line)
    out = []
    for one in found:
        text = b'\n'.join(one['lines'])
        row = keyed(text, ['Rss'] + ROLLUP_KEYS, summed=True)
        row['vsz'], row['maps'] = keyed(text, ['Size']).get('size'), 1
        out.append((one['name'], kind_of(process.machine, one['name'], one['device'], one['is_huge']).encode(), row))
    return out


def mapping_rows(machine, processes):
    rows, pids = {}, {p.row['pid'] for p in processes}
    for p in processes:
        if Report.is_duplicate(p.row['pid'], pids, machine.twins):
            continue                        # the other process of that address space has them
        seen = set()
        for name, kind, part in mappings_of(p):
            row = rows.setdefault((name, kind), {'mapping': name, 'kind': kind, 'procs': 0, 'change': b'same'})
            for column, n in part.items():
                row[column] = add_known(row.get(column), n)
            row['procs'] += (name, kind) not in seen
            seen.add((name, kind))
    for row in rows.values():
        derive(row)
    return rows


# -- options ----------------------------------------------------------------------------------------------------------

DEFAULTS = {
    ('processes', False): 'pid user pss uss rss swap command', ('processes', True): 'pid user pss pss_delta rss_delta swap_delta change command',
    ('mappings', False): 'mapping kind procs pss rss swap', ('mappings', True): 'mapping kind procs pss pss_delta rss_delta swap_delta change',
    ('groups', False): 'count pss uss swap_pss', ('groups', True): 'count pss pss_delta rss_delta swap_pss_delta'}
BY_CGROUP = 'cgroup count pss cg_usage cg_limit cg_pct'


class Options:
    def __init__(self, arguments):
        self.columns, self.sort, self.reverse, self.limit, self.filters = [], None, False, None, []
        self.all = self.totals = self.mappings = self.system = self.header = False
        self.by = self.since = self.interval = self.source = self.format = self.mapping = self.process = None
        self.pids, self.users, self.unit, self.header = None, None, 'K', True
        short = 'c:o:s:rn:f:AU:P:M:p:HS:g:umwti:bk'
        long = ['columns=', 'sort=', 'reverse', 'limit=', 'filter=', 'all', 'user=', 'process=', 'pid=', 'mapping=', 'no-header', 'by=',
                'mappings', 'system', 'totals', 'interval=', 'since=', 'csv', 'json', 'unit=', 'jobs=', 'source=', 'quiet']
        names = {'-c': 'columns', '-o': 'columns', '-s': 'sort', '-n': 'limit', '-f': 'filter', '-U': 'user', '-P': 'process', '-M': 'mapping',
                 '-p': 'pid', '-S': 'source', '-g': 'by', '-i': 'interval', '-r': 'reverse', '-A': 'all', '-m': 'mappings', '-w': 'system',
                 '-t': 'totals', '-H': 'no-header', '-u': 'u', '-b': 'b', '-k': 'k'}
        for option, value in getopt.gnu_getopt(arguments, short, long)[0]:
            self.take(names.get(option, option.lstrip('-')), value)
        self.is_delta = self.since is not None or self.interval is not None
        self.view = 'system' if self.system else 'groups' if self.by else 'mappings' if self.mappings else 'processes'

    def take(self, name, value):
        if name in ('reverse', 'all', 'totals', 'mappings', 'system'):
            setattr(self, name, True)
        elif name in ('sort', 'by', 'since', 'source', 'mapping', 'process'):
            setattr(self, name, value)
        elif name in ('csv', 'json'):
            self.format = name
        elif name == 'columns':
            self.columns.append(value)
        elif name == 'filter':
            self.filters.append(value)
        elif name == 'limit':
            self.limit = int(value)
        elif name == 'interval':
            self.interval = Fraction(value)
        elif name == 'u':
            self.by = 'user'
        elif name == 'no-header':
            self.header = False
        elif name in ('unit', 'b', 'k'):
            self.unit = {'b': 'B', 'k': 'K'}.get(name, value)
        elif name == 'pid':
            self.pids = (self.pids or []) + [int(n) for n in re.split('[, ]+', value)]
        elif name == 'user':
            self.users = (self.users or []) + re.split('[, ]+', value)

    def fields(self):
        default = DEFAULTS.get((self.view, self.is_delta), '')
        if self.by:
            default = BY_CGROUP if self.by == 'cgroup' and not self.is_delta else self.by + ' ' + default
        names = default.split()
        for text in self.columns:
            items = [i.lower() for i in re.split('[, ]+', text)]
            if items[0][0] not in '+-':
                names = []
            for item in items:
                if item[0] == '-':
                    names = [n for n in names if n != item[1:]]
                elif item.lstrip('+') not in names:
                    names.append(item.lstrip('+'))
        return [Field(n) for n in names]

    def keys(self):
        """[(field, ascending, by size whatever the sign)]"""
        if self.sort is None:
            return [(Field('pss_delta'), self.reverse, True)] if self.is_delta else [(Field('pss'), self.reverse, False)]
        out = []
        for item in re.split('[, ]+', self.sort):
            field = Field(item.lstrip('+-').lower())
            ascending = item[0] == '+' if item[0] in '+-' else not field.how and field.column in TEXTS + TIMES + IDS
            out.append((field, ascending != self.reverse, False))
        return out


# -- rows -------------------------------------------------------------------------------------------------------------

class Row:
    """Values of the second scan, and of the first one: NEW is all zero, None no first scan."""

    def __init__(self, report, values, before=None, order=0):
        self.report, self.values, self.before, self.order = report, values, before, order

    def get(self, field):
        column, how = field.column, field.how
        if not how:
            return self.side(self.values, column, self.report.now)
        now = self.side(self.values, column, self.report.now)
        if self.before is None:
            change = now if now is None else 0
        else:
            then = 0 if self.before == 'new' else self.side(self.before, column, self.report.then)
            change = None if now is None or then is None else now - then
            if change is not None and column not in PERCENTS and column not in CG_PERCENTS:
                change = clamp(change)
        if how == 'delta' or change is None:
            return change
        return Fraction(change) / self.report.interval if self.report.interval else None

    @staticmethod
    def side(values, column, machine):
        if column in PERCENTS:
            return percent(values.get(PERCENTS[column]), machine.kib('swap_total' if column == 'swap_pct' else 'mem_total'))
        return values.get(column)


def in_unit(kib, unit):
    if kib is None or kib is ANY or unit == 'K':
        return kib
    if unit == 'B':
        return kib * 1024 if abs(kib * 1024) < MOST else Near(clamp(kib * 1024), 0)     # saturated
    size = {'M': 1024, 'G': 1024 ** 2}[unit]
    return (abs(kib) + size // 2) // size * (1 if kib >= 0 else -1)


def text_of(value):
    """As JSON shows it: one U+FFFD for each byte that is not UTF-8."""
    return None if value is None else re.sub('[\udc80-\udcff]', '\ufffd', value.decode('utf-8', 'surrogateescape'))


def csv_text(value):
    """As CSV has it: bytes of control characters and of invalid UTF-8 as \\xHH, and then a backslash doubled."""
    text, odd = value.decode('utf-8', 'surrogateescape'), re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]')
    if not odd.search(text):
        return text
    return odd.sub(lambda m: ''.join(f'\\x{byte:02X}' for byte in m[0].encode('utf-8', 'surrogateescape')), text.replace('\\', '\\\\'))


def shown(field, value, unit):
    """The JSON value of a cell."""
    if value is None or value is ANY:
        return value
    if field.column == 'numa':
        return {k.decode(): int(v) for k, v in (part.split(b'=') for part in value.split())}
    if field.column in TEXTS + TIMES:
        return text_of(value)
    is_size = field.column in SIZES
    if field.how == 'rate':
        scale = {'K': Fraction(1), 'B': Fraction(1024), 'M': Fraction(1, 1024), 'G': Fraction(1, 1024 ** 2)}[unit] if is_size else 1
        return Near(value * scale, 1, Fraction(1, 10 ** 6))
    if field.column in PERCENTS or field.column in CG_PERCENTS:
        return Near(value)
    return in_unit(value, unit) if is_size else value


class Report:
    def __init__(self, arguments):
        self.options = o = Options(arguments)
        self.now = load(o.source)
        self.then = load(o.since) if o.since else self.now
        self.interval = o.interval
        if o.since:
            self.interval = self.now.time - self.then.time if None not in (self.now.time, self.then.time) else None
        self.fields = [] if o.system else o.fields()
        self.keys = [] if o.system else o.keys()
        self.filters = [self.condition(f) for f in o.filters]
        deciding = [k[0] for k in self.keys] + [f[0] for f in self.filters] + self.fields
        self.with_rollup = o.system or any(f.column in FROM_ROLLUP for f in deciding)

    def contradicts_statm(self):
        """The kernel never says more of these columns than statm says of rss, or of anonymous memory. If a tree does, a row that
        only smaps_rollup lets pass may be missing: filters and limits are decided by statm before page tables are walked."""
        if self.options.system or self.options.mappings:
            return False
        used = {field.column for field, _ in self.filters} | {key[0].column for key in self.keys[:self.options.limit is not None]}
        used = {PERCENTS.get(column, column) for column in used} & BELOW_RSS
        for p in self.now.processes.values():
            for column in used:
                bound = p.statm_anon if column in BELOW_ANON else p.row.get('statm_rss')
                if bound is not None and (p.row.get(column) or 0) > bound:
                    return True
        return False

    # Which processes

    def is_chosen(self, machine, process):
        """Is it a row, before filters?"""
        o = self.options
        if not process.is_kept or o.pids is not None and (process.row['pid'] not in o.pids or process.is_thread):
            return False
        return o.all or o.pids is not None or not (process.is_kthread or process.is_zombie)

    def is_selected(self, values):
        o = self.options
        if o.users is not None:
            uids = [int(u) if u.isdigit() else self.now.uids.get(u.encode()) for u in o.users]
            if values.get('uid') is None or values['uid'] not in uids:
                return False
        return o.process is None or self.matches_process(values)

    def matches_process(self, values):
        pattern, me = re.compile(os.fsencode(self.options.process), re.S), self.now.self_pid
        ancestors, at = [], me
        while at and at not in ancestors:
            ancestors.append(at)
            at = self.now.processes[at].row.get('ppid') if at in self.now.processes else None
        if me and values['pid'] == me:
            return False
        if values.get('name') is not None and pattern.search(values['name']):
            return True
        return values.get('command') is not None and values['pid'] not in ancestors and bool(pattern.search(values['command']))

    def condition(self, text):
        """(field, function of a value). Nothing holds of an unknown value."""
        m = re.fullmatch(r'\s*(\w+)\s*(!=|!~|<=|>=|=|<|>|~)\s*(.*?)\s*', text, re.S)
        field, op, value = Field(m[1]), m[2], m[3]
        if op in ('~', '!~'):
            pattern = re.compile(os.fsencode(value), re.S)
            return field, lambda a: (pattern.search(a) is not None) == (op == '~')
        wanted = os.fsencode(value) if field.column in TEXTS + TIMES else self.threshold(field, value)
        if wanted is None:
            return field, lambda a: False
        compare = {'=': lambda a: a == wanted, '!=': lambda a: a != wanted, '<': lambda a: a < wanted,
                   '<=': lambda a: a <= wanted, '>': lambda a: a > wanted, '>=': lambda a: a >= wanted}[op]
        return field, compare

    def threshold(self, field, value):
        m = re.fullmatch(r'(-?\d+(?:\.\d+)?)([BKMGT%]?)', value)
        n, suffix = Fraction(m[1]), m[2]
        if field.column in SIZES and suffix == '%':
            whole = self.now.kib('swap_total' if field.column in OF_SWAP else 'mem_total')
            return n * whole / 100 if whole else None       # a percentage of nothing is unknown
        return n * Fraction(1024) ** ('BKMGT'.index(suffix) - 1) if suffix not in ('', '%') else n

    # The rows of one view

    def values_of(self, process):
        return {**process.row, 'rss': process.rss(self.with_rollup)}

    def process_rows(self):
        now, then = self.now.processes, self.then.processes
        rows = []
        if not self.options.is_delta:
            return [Row(self, self.values_of(p)) for p in now.values() if self.is_chosen(self.now, p)]
        for pid in sorted(set(now) | set(then)):
            a, b = then.get(pid), now.get(pid)
            has_ended = a and b and b.is_zombie and self.is_chosen(self.then, a) and not self.is_chosen(self.now, b)
            if a and b and a.is_kept and b.is_kept and not has_ended:
                start_a, start_b = a.row.get('ticks'), b.row.get('ticks')
                if start_a == start_b or (start_a is None) != (start_b is None):
                    if self.is_chosen(self.now, b):
                        is_same = start_a == start_b
                        values = self.values_of(b)
                        values['change'] = b'same' if is_same else None
                        rows.append(Row(self, values, self.values_of(a) if is_same else {}))
                    continue
            if a and self.is_chosen(self.then, a):
                old = self.values_of(a)
                gone = {c: 0 if c in NUMBERS and c not in IDS and v is not None else v for c, v in old.items()}
                gone['change'] = b'gone'
                gone['time'], gone['host'] = iso(self.now.time), self.now.host
                rows.append(Row(self, gone, old, -1))
            if b and self.is_chosen(self.now, b):
                rows.append(Row(self, {**self.values_of(b), 'change': b'new'}, 'new'))
        return rows

    def mappings(self):
        def of(machine):
            return mapping_rows(machine, [p for p in machine.processes.values() if self.is_chosen(machine, p) and self.is_selected(p.row)])
        now = of(self.now)
        if not self.options.is_delta:
            return [Row(self, row) for row in now.values()]
        then = of(self.then)
        rows = []
        for key in sorted(set(now) | set(then)):
            if key not in now:
                gone = {c: 0 if c in NUMBERS and v is not None else v for c, v in then[key].items()}
                rows.append(Row(self, {**gone, 'change': b'gone', 'procs': 0}, then[key]))
            elif key in then:
                rows.append(Row(self, now[key], then[key]))
            else:
                rows.append(Row(self, {**now[key], 'change': b'new'}, 'new'))
        return rows

    # Sums

    @staticmethod
    def is_duplicate(pid, pids, twins):
        """Its address space is counted with another selected process."""
        mm = twins.get(pid, pid)
        return pid is not None and pid != min((p for p in pids if twins.get(p, p) == mm), default=pid)

    def sum_of(self, rows, everyone):
        """A group or the totals: what adds up, known in both scans."""
        is_delta = self.options.is_delta
        pids = {r.values['pid'] for r in everyone if 'pid' in r.values and r.values.get('change') != b'gone'}
        pids_before = {r.values['pid'] for r in everyone if 'pid' in r.values and r.before and r.before != 'new'}
        total, before = {}, {}
        columns = [c for c in COUNTS + SIZES if c != 'count' and c not in NO_SUM and not c.startswith('cg_')]
        for row in rows:
            pid = row.values.get('pid')
            duplicate = pid in pids and row.values.get('change') != b'gone' and self.is_duplicate(pid, pids, self.now.twins)
            duplicate_before = self.is_duplicate(pid, pids_before, self.then.twins)
            for column in columns:
                now = row.values.get(column)
                then = 0 if row.before == 'new' else row.before.get(column) if is_delta else None
                if now is None or is_delta and then is None:
                    continue
                total[column] = add_known(total.get(column), 0 if duplicate else now)
                if is_delta:
                    before[column] = add_known(before.get(column), 0 if duplicate_before else then)
            paired = row.values.get('pss') is not None and not duplicate
            if is_delta and row.before != 'new':
                paired = paired and row.before.get('pss') is not None
            if paired:
                total['pss_rss'] = add_known(total.get('pss_rss'), row.values.get('rss'))
        total['count'] = sum(r.values.get('change') != b'gone' for r in rows)
        before['count'] = sum(r.before != 'new' for r in rows)
        return Row(self, total, before if is_delta else None)

    def group(self, rows):
        by, groups = self.options.by, {}
        for row in rows:
            groups.setdefault(row.values.get(by), []).append(row)
        out = []
        if by == 'cgroup' and self.options.all and not (self.options.pids or self.options.users or self.options.process or self.filters):
            for controller in [Controller(m) for m in dict.fromkeys((self.now, self.then))]:
                for path in controller.groups():
                    if (controller.figures(path).get('cg_usage') or 0) > 0:
                        groups.setdefault(path, [])
        for key, members in groups.items():
            total = self.sum_of(members, rows)
            total.values[by] = key
            total.values['time'], total.values['host'] = iso(self.now.time), self.now.host
            if not members:
                columns = [c for c in COUNTS + SIZES if c not in NO_SUM and not c.startswith('cg_')]
                total.values.update(dict.fromkeys(columns, 0))
                if self.options.is_delta:
                    total.before.update(dict.fromkeys(columns, 0))
            if by == 'cgroup' and key is not None:
                self.charge(total, key)
            out.append(total)
        if by == 'cgroup' and self.options.all:
            self.divide(out, self.now, lambda row: row.values)
            if self.options.is_delta:
                self.divide(out, self.then, lambda row: row.before)
        return out

    def charge(self, row, key):
        """The cg_ columns of a group. They are 0 in the scan in which it does not exist."""
        now, then = Controller(self.now), Controller(self.then)
        row.values.update(now.figures(key))
        if not self.options.is_delta:
            return
        row.before.update(then.figures(key))
        if then.is_absent(key):
            row.before.update(dict.fromkeys(CG_SUMS, 0))
        elif now.is_absent(key):
            row.values.update(dict.fromkeys(CG_SUMS, 0))

    @staticmethod
    def divide(rows, machine, values, columns=CG_SUMS):
        """Makes each row show what is charged to none of the others."""
        controller, known = Controller(machine), {row.values.get('cgroup'): row for row in rows}
        whole = {path: dict(values(row)) for path, row in known.items()}
        for path, row in known.items():
            for column in columns:
                n, above = whole[path].get(column), path
                if n is None or path is None or column in COUNTS and controller.version != 2 or not controller.version:
                    continue
                while (above := controller.above(above)) is not None:
                    if above in known and whole[above].get(column) is not None:
                        values(known[above])[column] = clamp(values(known[above])[column] - n)
                        break

    # Order

    def compare(self, x, y):
        by = self.options.by
        if by and (x.values.get(by) is None) != (y.values.get(by) is None):
            return 1 if x.values.get(by) is None else -1
        for field, ascending, by_size in self.keys:
            a, b = x.get(field), y.get(field)
            if field.column == 'start':             # ticks are finer
                a, b = (v if v is None else (v, r.values.get('ticks')) for v, r in ((a, x), (b, y)))
            if field.name == 'pss' and a is None and b is None:
                a, b = x.values.get('rss'), y.values.get('rss')
            if by_size and ANY not in (a, b):
                a, b = (v if v is None else abs(v) for v in (a, b))
            if ANY in (a, b):
                way = 0
            elif a is None or b is None:
                way = (a is None) - (b is None)
            else:
                way = ((a > b) - (a < b)) * (1 if ascending else -1)
            if way:
                return way
        a, b = ((r.values.get(by) or b'',) if by else (r.values['mapping'], r.values['kind']) if self.options.mappings else (r.values['pid'], r.order) for r in (x, y))
        return (a > b) - (a < b)

    def status(self):
        """The exit status: 1 where the report cannot be made as asked."""
        o, known = self.options, {**self.then.processes, **self.now.processes}
        if any(pid not in known or not known[pid].is_kept or known[pid].is_thread for pid in o.pids or []):
            return 1
        if o.users and any(not u.isdigit() and u.encode() not in self.now.uids for u in o.users):
            return 1
        if o.since and (self.interval is None or self.interval < Fraction(1, 1000)):
            return 1
        compared = [p for p in self.then.processes.values() if self.is_chosen(self.then, p) and self.is_selected(p.row) and not p.is_kthread and not p.is_zombie]
        return int(bool(o.since) and o.mappings and bool(compared) and not any(p.has_smaps for p in compared))

    # JSON

    def json(self, got=None):
        """GOT is what memz printed: -w looks there for which areas it has."""
        o, m = self.options, self.now
        out = {'memz': ANY, 'schema': 1, 'view': o.view}
        if o.by:
            out['by'] = o.by
        out.update(time=text_of(iso(m.time)), host=text_of(m.host), kernel=text_of(m.kernel), unit={'B': 'B'}.get(o.unit, o.unit + 'iB'))
        if o.is_delta:
            out['interval'] = ANY if not o.since else None if self.interval is None else Near(self.interval, 3)
        out['memory'] = m.memory_json(o.unit)
        counted = [p for p in m.processes.values() if o.pids is None or p.row['pid'] in o.pids]
        lively = [p for p in counted if not p.is_kthread and not p.is_zombie]
        out['scan'] = {'processes': len(lively), **dict.fromkeys('measured denied vanished stalled skipped'.split(), ANY),
                       'kernel_threads': sum(p.is_kthread for p in counted), 'zombies': sum(p.is_zombie and not p.is_kthread for p in counted), 'seconds': ANY}
        if o.system:
            from expected_system import sections
            out['system'] = sections(self, (got or {}).get('system'))
            return out
        totals = self.rows_json(out)
        if o.totals:
            out['totals'] = {**totals, **{k: ANY for k in (got or {}).get('totals', {}) if k.startswith('cg_')}}
        return out

    def csv(self):
        """The records of --csv, once json() was called: texts, and other values as in JSON."""
        out = [[f.name for f in self.fields]]
        for r in self.shown_rows:
            cells = [(f, r.get(f)) for f in self.fields]
            out.append([csv_text(v) if isinstance(v, bytes) else shown(f, v, self.options.unit) for f, v in cells])
        return out

    def rows_json(self, out):
        o = self.options
        if o.mappings:
            rows = [r for r in self.mappings() if o.mapping is None or re.search(os.fsencode(o.mapping), r.values['mapping'], re.S)]
        else:
            everyone = self.process_rows()
            rows = [r for r in everyone if self.is_selected(r.values)]
        rows = [r for r in rows if all((v := r.get(f)) is not None and holds(v) for f, holds in self.filters)]
        if o.by == 'unit':                  # a filter is about a process, whose unit has the short name
            tell_apart(everyone)
        totals = self.sum_of(rows, rows)
        if o.by:
            rows = self.group(rows)
        rows.sort(key=functools.cmp_to_key(self.compare))
        cut = rows if o.limit is None else rows[:o.limit]
        self.shown_rows = cut
        out[o.view] = [{f.name: shown(f, r.get(f), o.unit) for f in self.fields} for r in cut]
        return self.totals_json(totals, len(rows), len(cut))

    def totals_json(self, total, selected, count):
        o = self.options
        out = {'selected': selected, 'shown': count}
        for field in self.fields:
            if field.sums():
                out[field.name] = shown(field, total.get(field), o.unit)
        read = {'rss': True, 'pss': self.with_rollup or o.mappings, 'shared': self.with_rollup or o.mappings}
        for name, is_read in read.items():
            out.setdefault(name, in_unit(total.values.get(name), o.unit) if is_read else None)
        rss, pss = total.values.get('pss_rss'), total.values.get('pss')
        out['sharing_pct'] = Near(percent(rss - pss, rss)) if rss and rss > 0 and pss is not None and (self.with_rollup or o.mappings) else None
        return out


@functools.lru_cache(maxsize=8)
def load(tree):
    return Machine(tree)


# -- comparing --------------------------------------------------------------------------------------------------------

def differences(expected, got, path=''):
    """[(path, expected, got)]"""
    if expected is ANY:
        return []
    if hasattr(expected, 'accepts'):
        return [] if expected.accepts(got) else [(path, expected, got)]
    if isinstance(expected, dict) and isinstance(got, dict):
        out = [(f'{path}.{k}', expected.get(k, 'no such key'), got.get(k, 'no such key')) for k in dict.fromkeys([*expected, *got])
               if (k in expected) != (k in got)]
        for k in expected:
            out += differences(expected[k], got[k], f'{path}.{k}') if k in got else []
        return out
    if isinstance(expected, list) and isinstance(got, list):
        out = [] if len(expected) == len(got) else [(path, f'{len(expected)} items', f'{len(got)} items')]
        for i, (a, b) in enumerate(zip(expected, got)):
            out += differences(a, b, f'{path}[{i}]')
        return out
    return [] if type(expected) is type(got) and expected == got else [(path, expected, got)]


def parse(text):
    return json.loads(text, parse_float=Fraction)


if __name__ == '__main__':
    print(json.dumps(Report(sys.argv[1:]).json(), default=lambda v: None if v is ANY else float(v.value)))
