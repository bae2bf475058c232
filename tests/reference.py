#!/usr/bin/env python3
"""An independent program that makes the same report of processes as memz.

    reference.py TREE [-c LIST] [-s KEY,..] [-r] [-n N] [-f COND].. [-A] [-U LIST] [-P ERE]
        what `memz --csv -S TREE` with the same arguments has to print
    reference.py --random SEED DIR [--procs N]
        make a random, consistent saved machine in DIR, the same one for the same seed
    reference.py --options SEED..
        print a random valid argument line for each seed, quoted for the shell

It reads every file of every process, filters, sorts and cuts: no plan, no bounds, no threads. It shares no code with
memz and is meant to be read, not to be fast. Where it and memz differ, one of them misreads the manual.
"""
import functools
import getopt
import os
import random
import re
import shlex
import sys
from fractions import Fraction

PF_KTHREAD = 0x00200000
PAGE_KIB = 4
NEVER = 2 ** 64 - 1

TEXT = 'user name command state'.split()
IDENTIFIERS = 'pid ppid uid'.split()                    # numbers that ascend
COUNTS = 'threads minflt majflt'.split()
ROLLUP = ('pss pss_dirty pss_anon pss_file pss_shmem shared_clean shared_dirty private_clean private_dirty referenced anonymous ksm '
          'lazy_free anon_huge_pages shmem_pmd_mapped file_pmd_mapped shared_hugetlb private_hugetlb swap swap_pss locked').split()
STATUS = 'vm_peak vm_hwm rss_anon rss_file rss_shmem vm_data vm_stk vm_exe vm_lib vm_pte vm_swap vm_lck vm_pin'.split()
DERIVED = 'uss shared thp hugetlb pss_swap'.split()
SIZES = ['vsz', 'rss'] + ROLLUP + DERIVED + STATUS
PERCENTS = 'pss_pct rss_pct uss_pct swap_pct'.split()
COLUMNS = IDENTIFIERS + TEXT + COUNTS + SIZES + PERCENTS
DEFAULTS = 'pid user pss uss rss swap command'.split()
SWAP_KEYS = 'swap swap_pss vm_swap'.split()             # their % is of swap_total


def misuse(message):
    sys.exit('reference.py: ' + message)


# -- reading ----------------------------------------------------------------------------------------------------------

def slurp(*path):
    """A file's bytes, None where it cannot be read."""
    try:
        with open(os.path.join(*path), 'rb') as f:
            return f.read()
    except OSError:
        return None


def column_name(key):
    return re.sub(r'([a-z])([A-Z])', r'\1_\2', key.decode('latin-1')).lower()


def numbers(text):
    """{column: number} of `Key:   123 kB` lines; a key that comes again (smaps) adds up, one without number is unknown.
    So is 2^64 - 1, which memz uses for unknown."""
    found = {}
    for key, value in re.findall(rb'^([^:\s][^:\n]*):[ \t]*(\d+)', text or b'', re.M):
        name = column_name(key)
        if int(value) < NEVER:
            found[name] = found.get(name, 0) + int(value)
    return found


def add(row, *parts):
    """A sum with an unknown part is unknown."""
    return None if any(row.get(p) is None for p in parts) else sum(row[p] for p in parts)


def add_known(row, *parts):
    """The sum of the parts that this kernel has."""
    known = [row[p] for p in parts if row.get(p) is not None]
    return sum(known) if known else None


def full_name(comm, argv0, exe):
    """comm, completed from argv[0] or exe if the kernel cut it at 15 bytes."""
    if len(comm) == 15:
        for path in argv0, re.sub(rb' \(deleted\)$', b'', exe):
            base = path.rsplit(b'/', 1)[-1]
            if base.startswith(comm):
                return base
    return comm


def names(row, directory, comm):
    cmdline = slurp(directory, 'cmdline')
    argv = (cmdline or b'').rstrip(b'\0').split(b'\0')  # setproctitle leaves many NULs behind
    try:
        exe = os.readlink(os.fsencode(os.path.join(directory, 'exe')))
    except OSError:
        exe = b''
    if comm is not None:
        row['name'] = full_name(comm, argv[0], exe)
    if cmdline:
        row['command'] = b' '.join(argv)
    elif cmdline is not None and comm is not None:
        row['command'] = b'[' + row['name'] + b']'


def live_thread(directory, stat):
    """The directory of a thread that has the address space, where the thread group leader has exited before the others."""
    field = stat[stat.rindex(b')') + 2:].split() if stat else []
    if not field or field[0] != b'Z' or int(field[17]) < 2:
        return None
    task = os.path.join(directory, 'task')
    for tid in sorted(os.listdir(task) if os.path.isdir(task) else [], key=int):
        if not (slurp(task, tid, 'statm') or b'0').startswith(b'0'):
            return os.path.join(task, tid)
    return None


def process(directory, memory, users):
    """One row, None for a process that vanished. An unknown value has no key or is None."""
    row = {'pid': int(os.path.basename(directory))}
    stat, comm = slurp(directory, 'stat'), slurp(directory, 'comm')
    thread = live_thread(directory, stat)
    row['leader_exited'] = thread is not None
    directory = thread or directory                     # from here on: what belongs to the address space
    statm, status, rollup = (slurp(directory, f) for f in ('statm', 'status', 'smaps_rollup'))
    smaps = slurp(directory, 'smaps') if rollup is None else None
    if all(x is None for x in (stat, statm, status, rollup, smaps, comm, slurp(directory, 'cmdline'))):
        return None
    comm = comm[:-1] if comm and comm.endswith(b'\n') else comm
    if stat:
        if comm is None:
            comm = stat[stat.index(b'(') + 1:stat.rindex(b')')]
        field = stat[stat.rindex(b')') + 2:].split()
        row['state'] = field[0]
        for name, number in ('ppid', 4), ('flags', 9), ('minflt', 10), ('majflt', 12), ('threads', 20), ('vsz', 23):
            row[name] = int(field[number - 3])
        row['vsz'] //= 1024
    if statm:
        row['vsz'], row['rss'] = (int(pages) * PAGE_KIB for pages in statm.split()[:2])
    measured = numbers(smaps if rollup is None else rollup)
    row.update((c, n) for c, n in measured.items() if c in ROLLUP or c == 'rss')
    row.update((c, n) for c, n in numbers(status).items() if c in STATUS)
    uid = re.search(rb'^Uid:\t\d+\t(\d+)', status or b'', re.M)
    if uid:
        row['uid'] = int(uid[1])
        row['user'] = users.get(row['uid'], b'%d' % row['uid'])
    names(row, directory, comm)
    row['uss'] = add(row, 'private_clean', 'private_dirty')
    row['shared'] = add(row, 'shared_clean', 'shared_dirty')
    row['pss_swap'] = add(row, 'pss', 'swap_pss')
    row['thp'] = add_known(row, 'anon_huge_pages', 'shmem_pmd_mapped', 'file_pmd_mapped')
    row['hugetlb'] = add_known(row, 'shared_hugetlb', 'private_hugetlb')
    for pct in PERCENTS:
        part, whole = row.get(pct[:-4]), memory.get('swap_total' if pct == 'swap_pct' else 'mem_total')
        row[pct] = Fraction(part * 100, whole) if part is not None and whole else None
    return row


def machine(tree):
    """(memory, rows) of a saved tree, which holds proc/ or is shaped like it."""
    proc = os.path.join(tree, 'proc')
    if not os.path.isdir(proc):
        proc = tree
    users = {}
    for line in (slurp(tree, 'etc', 'passwd') or b'').split(b'\n'):
        part = line.split(b':')
        if len(part) > 2 and part[0] and part[2].isdigit():
            users.setdefault(int(part[2]), part[0])
    memory = numbers(slurp(proc, 'meminfo'))
    vanished = re.findall(r'^vanished (\d+)$', (slurp(tree, 'memz') or b'').decode(), re.M)     # as memz --save found it
    pids = (name for name in os.listdir(proc) if name.isdigit() and name not in vanished)
    rows = (process(os.path.join(proc, pid), memory, users) for pid in pids)
    return memory, [row for row in rows if row]


# -- choosing and sorting ---------------------------------------------------------------------------------------------

def threshold(column, value, memory):
    """The number a condition compares with, exactly, in KiB for sizes."""
    m = re.fullmatch(r'(\d+(?:\.\d+)?)([BKMGT%]?)', value)
    if not m or m[2] and column not in SIZES + PERCENTS:
        misuse(f'{column}: {value!r} is not a number')
    number, suffix = Fraction(m[1]), m[2]
    if column in SIZES and suffix == '%':
        return number * memory['swap_total' if column in SWAP_KEYS else 'mem_total'] / 100
    if column in SIZES and suffix:
        return number * Fraction(1024) ** ('BKMGT'.index(suffix) - 1)
    return number


def condition(text, memory):
    """COND as a function of a row. An unknown value satisfies no condition."""
    m = re.fullmatch(r'\s*(\w+)\s*(!=|!~|<=|>=|=|<|>|~)\s*(.*?)\s*', text, re.S)
    if not m or m[1] not in COLUMNS:
        misuse(f'malformed condition {text!r}')
    column, op, value = m.groups()
    if op in ('~', '!~'):
        pattern = re.compile(os.fsencode(value), re.S)
        return lambda row: row.get(column) is not None and (pattern.search(row[column]) is not None) == (op == '~')
    wanted = os.fsencode(value) if column in TEXT else threshold(column, value, memory)
    compare = {'=': lambda a: a == wanted, '!=': lambda a: a != wanted, '<': lambda a: a < wanted,
               '<=': lambda a: a <= wanted, '>': lambda a: a > wanted, '>=': lambda a: a >= wanted}[op]
    return lambda row: row.get(column) is not None and compare(row[column])


def order(sort, reverse):
    """Compare two rows: the keys in turn, unknown values last whatever the direction, then the pid."""
    keys = []
    for key in sort.split(','):
        column = key.lstrip('+-')
        if column not in COLUMNS:
            misuse(f'unknown sort key {key!r}')
        ascending = key[0] == '+' if key[0] in '+-' else column in TEXT + IDENTIFIERS
        keys.append((column, ascending != reverse))

    def by(column, ascending, x, y):
        a, b = x.get(column), y.get(column)
        if a is None and b is None:
            return by('rss', ascending, x, y) if column == 'pss' else 0
        if a is None or b is None:
            return 1 if a is None else -1
        return ((a > b) - (a < b)) * (1 if ascending else -1)

    def compare(x, y):
        for column, ascending in keys:
            way = by(column, ascending, x, y)
            if way:
                return way
        return x['pid'] - y['pid']
    return functools.cmp_to_key(compare)


def is_user(row):
    return not row.get('flags', 0) & PF_KTHREAD and (row.get('state') != b'Z' or row['leader_exited'])


def of_user(wanted):
    wanted = [os.fsencode(w) for w in wanted.split(',')]
    return lambda row: any(w == row.get('user') or w.isdigit() and int(w) == row.get('uid') for w in wanted)


def matching(ere):
    pattern = re.compile(os.fsencode(ere), re.S)
    return lambda row: any(row.get(c) is not None and pattern.search(row[c]) for c in ('name', 'command'))


# -- writing ----------------------------------------------------------------------------------------------------------

def csv_text(text):
    """One line per record: bytes of control characters (C1 too) and invalid UTF-8 as \\xHH, and then a backslash doubled;
    RFC 4180 quotes, around outer blanks too, which some readers would strip."""
    clean = text.decode('utf-8', 'surrogateescape')
    odd = re.compile('[\x00-\x1f\x7f-\x9f\udc80-\udcff]')
    if odd.search(clean):
        clean = odd.sub(lambda m: ''.join(f'\\x{byte:02X}' for byte in m[0].encode('utf-8', 'surrogateescape')),
                        clean.replace('\\', '\\\\'))
    return '"' + clean.replace('"', '""') + '"' if re.search('[",]|^ | $', clean) else clean


def cell(column, value):
    if value is None:
        return ''
    if column in TEXT:
        return csv_text(value)
    if column in PERCENTS:
        tenths = (value * 20 + 1) // 2
        return f'{tenths // 10}.{tenths % 10}'
    return str(value)


def column_list(text):
    items = text.replace(',', ' ').split()
    columns = list(DEFAULTS) if any(i[0] in '+-' for i in items) else []
    for item in items:
        if item.lstrip('+-') not in COLUMNS:
            misuse(f'unknown column {item!r}')
        if item[0] == '-':
            columns.remove(item[1:])
        else:
            columns.append(item.lstrip('+'))
    return columns


def print_report(tree, arguments):
    memory, rows = machine(tree)
    columns, sort, reverse, limit, header, everything, tests = DEFAULTS, 'pss', False, None, True, False, []
    options, rest = getopt.gnu_getopt(arguments, 'c:o:s:rn:f:AU:P:HS:', [
        'columns=', 'sort=', 'reverse', 'limit=', 'filter=', 'all', 'user=', 'process=', 'no-header',
        'csv', 'unit=', 'jobs=', 'source='])
    if rest:
        misuse(f'stray operand {rest[0]!r}')
    for option, value in options:
        if option in ('-c', '-o', '--columns'):
            columns = column_list(value)
        elif option in ('-s', '--sort'):
            sort = value
        elif option in ('-r', '--reverse'):
            reverse = True
        elif option in ('-n', '--limit'):
            limit = int(value)
        elif option in ('-f', '--filter'):
            tests.append(condition(value, memory))
        elif option in ('-A', '--all'):
            everything = True
        elif option in ('-U', '--user'):
            tests.append(of_user(value))
        elif option in ('-P', '--process'):
            tests.append(matching(value))
        elif option in ('-H', '--no-header'):
            header = False
    if not everything:
        tests.append(is_user)
    rows = sorted((row for row in rows if all(test(row) for test in tests)), key=order(sort, reverse))
    out = [','.join(columns)] if header else []
    lone = '""' if len(columns) == 1 else ''             # an empty line would be no record to most readers
    out += [','.join(cell(c, row.get(c)) for c in columns) or lone for row in rows[:limit]]
    sys.stdout.buffer.write(''.join(line + '\n' for line in out).encode('utf-8', 'surrogateescape'))


# -- a random machine -------------------------------------------------------------------------------------------------

USERS = {0: 'root', 33: 'www-data', 110: 'postgres', 1000: 'alice', 1001: 'bob'}
COMMANDS = [  # comm, the argument vectors it is seen with
    ('bash', ['-bash'], ['bash', '-c', 'sleep 1']), ('sshd', ['sshd: alice [priv]']),
    ('java', ['java', '-jar', '/srv/a,b.jar'], ['java', '-v']), ('nginx', ['nginx: worker process']),
    ('postgres', ['postgres: checkpointer '], ['/usr/lib/postgresql/17/bin/postgres', '-D', '/var/lib/x']),
    ('Web Content', ['/usr/lib/firefox', '-contentproc', '', 'tab']), ('a) R 1', ['./a) R 1']), ('x,"y"', ['x,"y"', '"quoted, twice"']),
    ('gnome-session-b', ['/usr/libexec/gnome-session-binary', '--systemd']), ('systemd-timesyn', ['(rewritten)']), ('', ['/bin/nameless'])]
KTHREADS = ['kthreadd', 'pool_workqueue_release', 'kworker/0:0H-events_highpri', 'ksoftirqd/0', 'rcu_preempt']
SIZES_OFTEN = [0, 4, 4096, 8192, 8192, 65536, 262144]   # so that many rows tie
STATES = {'R': 'running', 'S': 'sleeping', 'D': 'disk sleep', 'T': 'stopped', 'Z': 'zombie', 'I': 'idle'}
PSS_SHIFT = 12


def heavy(rng, limit=4 << 20):
    """Pages in KiB: often one of a few sizes, else heavy-tailed."""
    if rng.random() < .4:
        return rng.choice(SIZES_OFTEN)
    return min(limit, PAGE_KIB * int(40 * (1 - rng.random()) ** -1.3))


def random_user(rng, row):
    """Fill in the private part of a process."""
    row['comm'], *seen = rng.choice(COMMANDS)
    row['argv'] = rng.choice(seen) if rng.random() < .93 else []
    row['anon'], row['file'] = heavy(rng), heavy(rng) if rng.random() < .5 else 0
    row['swap'] = heavy(rng) if rng.random() < .3 else 0
    row['swap_pss'] = row['swap'] if rng.random() < .8 else row['swap'] // 2
    row['huge'] = row['anon'] // 2048 * 2048 if rng.random() < .2 else 0
    row['hugetlb'] = rng.choice([0, 2048, 65536]) if rng.random() < .05 else 0
    row['shared'] = []                                  # (kind, KiB, mapped by how many)
    row['kind'] = 'user'


def share_segments(rng, users):
    """Segments that several processes map: libraries, shared memory, pages kept after fork."""
    for _ in range(rng.randrange(1 + len(users) // 4 + 1)):
        members = rng.sample(users, rng.randint(1, min(len(users), 1 + int(3 / (1 - rng.random())))))
        kind, size = rng.choice(['file', 'file', 'shmem', 'anon']), heavy(rng, 1 << 20)
        for row in members:
            row['shared'].append((kind, size, len(members)))


def measure(row):
    """The numbers of smaps_rollup, with the kernel's own rounding of shared pages."""
    pss = dict.fromkeys(('anon', 'file', 'shmem', 'dirty'), 0)
    n = dict.fromkeys(ROLLUP + ['rss'], 0)
    n['private_dirty'], n['private_clean'] = row['anon'], row['file']
    n['anonymous'], rss_file, rss_shmem = row['anon'], row['file'], 0
    pss['anon'] = pss['dirty'] = row['anon'] << 10 + PSS_SHIFT
    pss['file'] = row['file'] << 10 + PSS_SHIFT
    for kind, size, count in row['shared']:
        part = size // PAGE_KIB * ((4096 << PSS_SHIFT) // count)
        dirty = kind != 'file'
        n[('private_' if count == 1 else 'shared_') + ('dirty' if dirty else 'clean')] += size
        pss[kind] += part
        pss['dirty'] += part if dirty else 0
        n['anonymous'] += size if kind == 'anon' else 0
        rss_file += size if kind == 'file' else 0
        rss_shmem += size if kind == 'shmem' else 0
    n['rss'] = sum(n[k] for k in ('private_clean', 'private_dirty', 'shared_clean', 'shared_dirty'))
    n['pss'] = pss['anon'] + pss['file'] + pss['shmem'] >> 10 + PSS_SHIFT
    for kind in pss:
        n['pss_' + kind] = pss[kind] >> 10 + PSS_SHIFT
    n['referenced'] = n['rss'] // 8 * 4
    n['swap'], n['swap_pss'] = row['swap'], row['swap_pss']
    n['anon_huge_pages'], n['private_hugetlb'] = row['huge'], row['hugetlb']
    n['rss_file'], n['rss_shmem'] = rss_file, rss_shmem
    return n


ROLLUP_KEYS = ('Rss Pss Pss_Dirty Pss_Anon Pss_File Pss_Shmem Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced '
               'Anonymous KSM LazyFree AnonHugePages ShmemPmdMapped FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked').split()


def kib_lines(keys, n):
    return ''.join(f'{key + ":":16}{n[column_name(key.encode())]:8} kB\n' for key in keys)


def rollup_file(n):
    head = '55d1c0a00000-7ffd1e3fe000 ---p 00000000 00:00 0 '.ljust(73) + '[rollup]\n'
    return head + kib_lines(ROLLUP_KEYS, n)


def smaps_file(n):
    """The same memory in two mappings; Pss_Anon, Pss_File and Pss_Shmem are rollup's alone."""
    keys = [k for k in ROLLUP_KEYS if k not in ('Pss_Anon', 'Pss_File', 'Pss_Shmem')]
    halves = {k: v // 8 * 4 for k, v in n.items()}
    rest = {k: v - halves[k] for k, v in n.items()}
    out = ''
    for i, part in enumerate((halves, rest)):
        out += f'7f{i:02}00000000-7f{i:02}40000000 rw-p 00000000 00:00 0 \n'
        out += 'Size:            1048576 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n' + kib_lines(keys, part)
        out += 'THPeligible:           0\nVmFlags: rd wr mr mw me ac \n'
    return out


def status_file(row, n):
    out = f'Name:\t{row["comm"]}\nState:\t{row["state"]} ({STATES[row["state"]]})\n'
    out += f'Tgid:\t{row["pid"]}\nPid:\t{row["pid"]}\nPPid:\t{row["ppid"]}\n'
    out += f'Uid:\t{row["ruid"]}\t{row["uid"]}\t{row["uid"]}\t{row["uid"]}\nKthread:\t{row["kind"] == "kthread":d}\n'
    if n:
        vm = {'VmPeak': row['vsz'] + row['slack'], 'VmSize': row['vsz'], 'VmHWM': n['rss'] + row['slack'], 'VmRSS': n['rss'],
              'RssAnon': n['anonymous'], 'RssFile': n['rss_file'], 'RssShmem': n['rss_shmem'], 'VmData': n['anonymous'] + row['slack'],
              'VmStk': 132, 'VmExe': 64, 'VmLib': 1364, 'VmPTE': 40 + n['rss'] // 512 * 4, 'VmSwap': n['swap']}
        out += ''.join(f'{key}:\t{value:8} kB\n' for key, value in vm.items())
    return out + f'Threads:\t{row["threads"]}\n'


def stat_file(row, n):
    flags = {'kthread': PF_KTHREAD | 0x40, 'zombie': 0x40010c, 'user': 0x400100}[row['kind']]
    field = [0] * 49
    field[0:3] = row['ppid'], row['pid'], row['pid']
    field[5], field[6], field[8] = flags, row['minflt'], row['majflt']
    field[14], field[16], field[18] = 20, row['threads'], row['start']
    field[21] = 2 ** 64 - 1
    if n:
        field[19], field[20] = row['vsz'] * 1024, max(0, n['rss'] // 4 - 31)      # the rss of stat is approximate
    return f'{row["pid"]} ({row["comm"]}) {row["state"]} ' + ' '.join(map(str, field)) + '\n'


def process_files(proc, row):
    n = measure(row) if row['kind'] == 'user' else None
    if n:
        row['vsz'] = n['rss'] + n['swap'] + 1500 + row['slack']
    statm = [row['vsz'], n['rss'], n['rss_file'] + n['rss_shmem'], 64, 0, n['anonymous'] + 132, 0] if n else [0] * 7
    files = {'statm': ' '.join(str(kib // PAGE_KIB) for kib in statm) + '\n',
             'stat': stat_file(row, n), 'status': status_file(row, n), 'comm': row['comm'] + '\n', 'cgroup': '0::/\n', 'oom_score': '666\n',
             'oom_score_adj': '0\n', 'cmdline': ''.join(a + '\0' for a in row['argv'])}
    if row['measured'] != 'none':
        files[row['measured']] = (rollup_file if row['measured'] == 'smaps_rollup' else smaps_file)(n) if n else ''
    for name, text in files.items():
        write(proc, str(row['pid']), name, text)


def write(*path_and_text):
    *path, text = path_and_text
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', newline='') as f:
        f.write(text)


def next_prime(n):
    n |= 1
    while any(n % d == 0 for d in range(3, int(n ** .5) + 1, 2)):
        n += 2
    return n


def random_row(rng, pid, kind, rates):
    row = {'pid': pid, 'ppid': rng.choice([1, 1, 2, 640]), 'kind': kind, 'comm': '', 'argv': [], 'uid': rng.choice([*USERS, 1000, 12345]),
           'state': rng.choice('SSSSRDT'), 'threads': rng.choice([1, 1, 1, 2, 61]), 'minflt': int(50 * (1 - rng.random()) ** -1.5),
           'majflt': rng.choice([0, 0, 7, 300]), 'start': rng.randrange(360000), 'slack': PAGE_KIB * rng.choice([0, 0, 64, 4096]), 'vsz': 0}
    row['ruid'] = row['uid'] if rng.random() < .9 else 1001
    row['measured'] = rng.choices(['none', 'smaps', 'smaps_rollup'], [rates[0], rates[1], max(0, 1 - sum(rates))])[0]
    if kind == 'user':
        random_user(rng, row)
    else:
        row['comm'] = rng.choice(KTHREADS if kind == 'kthread' else ['make', 'bash', 'java'])
        row['state'], row['threads'] = ('I' if rng.random() < .5 else 'S') if kind == 'kthread' else 'Z', 1
        row['uid'] = row['ruid'] = 0 if kind == 'kthread' else row['uid']
    return row


def random_machine(seed, directory, count):
    rng = random.Random(f'machine {seed}')
    if os.path.exists(os.path.join(directory, 'proc')):
        misuse(f'{directory} holds a machine already')
    drawn = round(500 ** rng.random() ** .6)
    count = count or drawn
    rates = rng.choice([(0, 0), (.05, 0), (.05, .05), (.3, .1), (1, 0)])   # without any smaps, with smaps alone
    kinds = rng.choices(['user', 'kthread', 'zombie'], rng.choice([(1, 0, 0), (.8, .15, .05), (.5, .4, .1)]), k=count)
    pids = sorted(rng.sample(range(1, 40 + 60 * count), count))
    rows = [random_row(rng, pid, kind, rates) for pid, kind in zip(pids, kinds)]
    users = [row for row in rows if row['kind'] == 'user']
    if users:
        share_segments(rng, users)
    proc = os.path.join(directory, 'proc')
    for row in rows:
        process_files(proc, row)
    if rng.random() < .1:                               # vanished between readdir and open
        os.makedirs(os.path.join(proc, str(pids[-1] + 1)))
    used = sum(measure(row)['pss'] for row in users)
    swapped = sum(row['swap_pss'] for row in users)
    # four times a prime: no percentage falls on the middle between two decimals
    total = 4 * next_prime((used * 5 // 4 + 200000) // 4)
    swap = 4 * next_prime((swapped * 3 // 2 + 50000) // 4) if swapped or rng.random() < .5 else 0
    write(proc, 'meminfo', ''.join(f'{key + ":":16}{value:8} kB\n' for key, value in (
        ('MemTotal', total), ('MemFree', (total - used) // 2), ('MemAvailable', (total - used) * 3 // 4), ('Buffers', 0),
        ('Cached', (total - used) // 4), ('SwapCached', 0), ('SwapTotal', swap), ('SwapFree', swap - swapped if swap else 0),
        ('AnonPages', used // 2), ('Shmem', 0))))
    write(proc, 'stat', 'cpu  1 0 1 100 0 0 0 0 0 0\ncpu0 1 0 1 100 0 0 0 0 0 0\nbtime 1768996800\n')
    write(proc, 'uptime', '3600.00 3000.00\n')
    write(proc, 'version', 'Linux version 6.18.44 (build@nowhere) #1 SMP\n')
    write(proc, 'self', 'mountinfo', '24 29 0:22 / /proc rw,relatime - proc proc rw\n')
    for name, text in ('osrelease', '6.18.44'), ('hostname', 'random'), ('random/boot_id', '00000000-0000-4000-8000-000000000000'):
        write(proc, 'sys', 'kernel', name, text + '\n')
    write(directory, 'etc', 'passwd', ''.join(f'{user}:x:{uid}:{uid}::/:/bin/sh\n' for uid, user in USERS.items()))


# -- random options ---------------------------------------------------------------------------------------------------

def random_columns(rng):
    if rng.random() < .2:
        more = rng.sample([c for c in COLUMNS if c not in DEFAULTS], rng.randint(1, 3))
        less = rng.sample(DEFAULTS, rng.randint(0, 3))
        return ','.join(['+' + c for c in more] + ['-' + c for c in less])
    chosen = rng.sample(COLUMNS, rng.randint(1, 9))
    if 'pid' not in chosen and rng.random() < .7:
        chosen.insert(0, 'pid')
    return rng.choice([',', ',', ' ']).join(chosen)


def random_sort(rng):
    often = ['pss', 'uss', 'rss', 'swap', 'user', 'name', 'pid']
    keys = [rng.choice(often if rng.random() < .7 else COLUMNS) for _ in range(rng.choice([1, 1, 2, 3]))]
    return ','.join(rng.choice(['', '', '', '+', '-']) + key for key in dict.fromkeys(keys))


def random_condition(rng):
    blank = rng.choice(['', '', ' '])
    text = rng.random()
    if text < .2:
        column, op, value = rng.choice([
            ('user', '=', 'alice'), ('user', '!=', 'root'), ('user', '~', '^(bob|www)'), ('name', '=', 'bash'), ('name', '!~', '[aeiou]'),
            ('name', '~', '^gnome-session-binary$'), ('command', '~', '-jar|priv'), ('command', '!=', '-bash'),
            ('state', '=', 'S'), ('state', '!=', 'R')])
        return column + blank + op + blank + value
    op = rng.choice(['!=', '<', '<=', '>', '>='] * 3 + ['='])
    if text < .3:
        column, value = rng.choice(IDENTIFIERS + COUNTS), rng.choice(['0', '1', '2', '1000', '61', '300'])
    elif text < .4:
        column, value = rng.choice(PERCENTS), rng.choice(['0', '0.1', '0.5', '1', '2.5', '10', '99'])
    else:
        column = rng.choice(SIZES if rng.random() < .3 else ['pss', 'uss', 'rss', 'vsz', 'swap', 'private_dirty', 'shared', 'vm_hwm'])
        small, large = ['0', '4', '4K', '100', '532', '1M', '4096'], ['4194304B', '8M', '8192K', '64M', '100000', '1G']
        value = rng.choice(large if (op in ('<', '<=')) == (rng.random() < .8) else small)
        if column not in SWAP_KEYS + ['pss_swap'] and rng.random() < .15:
            value = rng.choice(['0%', '0.5%', '1%', '10%', '50%'])
    return column + blank + op + blank + value


def random_options(seed):
    rng = random.Random(f'options {seed}')
    line = []
    if rng.random() < .85:
        line += ['-c', random_columns(rng)]
    if rng.random() < .75:
        line += ['-s', random_sort(rng)]
    if rng.random() < .25:
        line.append('-r')
    if rng.random() < .6:
        line += ['-n', str(rng.choice([1, 1, 2, 3, 5, 10, 50, 1000]))]
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        line += ['-f', random_condition(rng)]
    if rng.random() < .25:
        line.append('-A')
    if rng.random() < .1:
        line += ['-U', rng.choice(['alice', 'root,bob', '1000,postgres', '12345', 'www-data,12345,0'])]
    if rng.random() < .1:
        line += ['-P', rng.choice(['^post', 'java|bash', 'sh$', '[0-9]', 'session', 'no such thing', 'work'])]
    print(shlex.join(line + ['--jobs', str(rng.randint(1, 4))]))


def main(arguments):
    if arguments[:1] == ['--random'] and len(arguments) in (3, 5):
        if arguments[3:4] not in ([], ['--procs']):
            misuse('--random SEED DIR [--procs N]')
        random_machine(arguments[1], arguments[2], int(arguments[4]) if arguments[4:] else 0)
    elif arguments[:1] == ['--options'] and len(arguments) > 1:
        for seed in arguments[1:]:
            random_options(seed)
    elif arguments and os.path.isdir(arguments[0]):
        print_report(arguments[0], arguments[1:])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
