"""What `memz -w` must say of a saved tree: part of expected.py.

To add an area, add a row to AREAS; a section, a function to SECTIONS. An area or a key of a section that only one of memz
and this file has is a difference. Of the holders, control groups are judged, in reports with -A.
"""
import os
import re
from fractions import Fraction

from expected import (ANY, Near, add_all, add_known, first_line, in_unit, less, less_positive, lines, number, percent, slurp, text_of,
                      Controller, Machine, Report, Row, differences)


# -- areas ------------------------------------------------------------------------------------------------------------

def sum_of(*names):
    """The first of them and what is known of the others."""
    return lambda m: m.kib(names[0]) if m.kib(names[0]) is None else add_known(*map(m.kib, names))


def anon_unmapped(m):
    n = less(less(add_all(m.kib('active_anon'), m.kib('inactive_anon')), m.kib('anon_pages')), m.kib('shmem'))
    return n if n is None else max(0, n)


def vmalloc(m):
    used = m.kib('vmalloc_used')
    n = less(used, m.kib('kernel_stack')) if used else None
    return n if n is None else max(0, n)


def huge_pages(m):
    if m.kib('hugetlb') is not None:
        return m.kib('hugetlb')
    n, size = m.kib('huge_pages_total'), m.kib('hugepagesize')
    return None if n is None or size is None or n * size >= 2 ** 63 else n * size


def zram(m, which=2):
    """KiB of all devices: 0 the original data, 2 what the device takes. A device that is not set up has empty files."""
    block = os.path.join(m.tree, 'sys/block')
    if not os.path.isdir(block):
        return None
    total = 0
    for name in os.listdir(block):
        if not re.fullmatch('zram[0-9]{1,9}', name):
            continue
        text = slurp(block, name, 'mm_stat')
        if text is None:
            text = slurp(block, name, ('orig_data_size', '', 'mem_used_total')[which])
            n = number(text)
        elif not text:
            continue
        else:
            words = text.split()
            n = number(words[which]) if len(words) > which else None
        total = add_all(total, n if n is None else n // 1024)
    return total


def free_pcp(m):
    """Pages on the per-CPU lists: `count:` under pagesets in zoneinfo."""
    text = slurp(m.proc, 'zoneinfo')
    if text is None:
        return None
    counts = [number(line.split(b':', 1)[1]) for line in lines(text) if re.match(rb' +count:', line)]
    n = add_all(*counts) if counts else None
    return None if n is None or n * m.page >= 2 ** 63 else n * m.page // 1024


AREAS = {
    'anonymous': sum_of('anon_pages'), 'anon_unmapped': anon_unmapped, 'shmem': sum_of('shmem'),
    'file_cache': lambda m: less_positive(m.kib('cached'), m.kib('shmem')), 'buffers': sum_of('buffers'),
    'slab_reclaimable': sum_of('sreclaimable'), 'slab_unreclaimable': sum_of('sunreclaim'), 'kernel_stacks': sum_of('kernel_stack'),
    'page_tables': sum_of('page_tables', 'sec_page_tables'), 'per_cpu': sum_of('percpu'), 'vmalloc': vmalloc, 'huge_pages': huge_pages,
    'gpu': sum_of('gpu_active'), 'gpu_reclaim': sum_of('gpu_reclaim'), 'zswap': sum_of('zswap'), 'zram': zram, 'free': sum_of('mem_free'), 'free_pcp': free_pcp}
ALL_OF = {'slab_reclaimable', 'gpu_reclaim', 'free', 'free_pcp'}             # can be taken back without swapping
NONE_OF = {'anonymous', 'shmem', 'slab_unreclaimable', 'kernel_stacks', 'page_tables', 'per_cpu', 'vmalloc', 'huge_pages'}
PARTS = {'anonymous': ('pss_anon', 'rss_anon'), 'shmem': ('pss_shmem', 'rss_shmem'), 'file_cache': ('pss_file', 'rss_file')}


def kernel_other(m, names):
    """The signed remainder of the areas of these names."""
    n = m.kib('mem_total')
    for name in names:
        part = AREAS[name](m) if name in AREAS else None
        n = n if part is None or n is None else n - part
    return n if n is None or abs(n) < 2 ** 62 else ANY      # where it saturates depends on the order


def divided(m, name, total):
    """processes, unmeasured and elsewhere of an area."""
    measured = unmeasured = 0
    for p in m.processes.values():
        if not p.is_kept or p.is_kthread or p.is_zombie or p.row['pid'] in m.twins:
            continue
        pss, rss = PARTS[name]
        if p.is_measured:
            measured = add_all(measured, p.row.get(pss))
        else:
            unmeasured = add_all(unmeasured, p.row.get(rss))
    if measured is None or unmeasured is None:
        return None, None, None
    left = less(total, measured)
    if left is not None:
        unmeasured = max(0, min(unmeasured, left))      # an upper bound: never more than what is left
    elsewhere = less(left, unmeasured)
    return measured, unmeasured, elsewhere if elsewhere is None else max(0, elsewhere)


def reclaimable(m, name, total):
    if total is None or name in ALL_OF:
        return total
    if name in NONE_OF:
        return 0
    lru, blocks, cache = add_all(m.kib('active_file'), m.kib('inactive_file')), AREAS['buffers'](m), AREAS['file_cache'](m)
    if name not in ('buffers', 'file_cache') or None in (lru, blocks, cache):
        return None
    return min(blocks, lru) if name == 'buffers' else min(cache, lru - min(blocks, lru))


def areas(report, got):
    m, then = report.now, report.then
    names = [a.get('area') for a in got or []]
    out = []
    for name in names:
        size = (lambda machine: kernel_other(machine, names)) if name == 'kernel_other' else AREAS.get(name)
        if not size:
            out.append({'area': 'no such area: ' + str(name)})
            continue
        total = size(m)
        row = {'area': name, 'total': total}
        if report.options.is_delta:
            before = size(then)
            row['delta'] = ANY if ANY in (total, before) else less(total, before)
        row['reclaimable'] = reclaimable(m, name, total)
        row['processes'], row['unmeasured'], row['elsewhere'] = divided(m, name, total) if name in PARTS else (None, None, None)
        row = {k: in_unit(v, report.options.unit) if isinstance(v, int) else v for k, v in row.items()}
        pct = ANY if total is ANY else percent(total, m.kib('mem_total'))
        row['pct'] = pct if pct in (None, ANY) else Near(pct)
        out.append(row)
    out += [{'area': name} for name in [*AREAS, 'kernel_other'] if name not in names]
    return out


# -- sections ---------------------------------------------------------------------------------------------------------

def sized(report, figures):
    return {k: in_unit(v, report.options.unit) for k, v in figures.items()}


def sharing(report, got):
    """Over processes whose pss and rss are both known."""
    m = report.now
    rows = [p.row for p in m.processes.values() if p.is_kept and not p.is_kthread and not p.is_zombie and p.is_measured and p.row['pid'] not in m.twins]
    if any(r.get(c) is None for r in rows for c in ('pss', 'rollup_rss', 'shared')):
        return ANY                          # which of them count is not said
    rss, pss, shared = (add_known(*(r[c] for r in rows)) for c in ('rollup_rss', 'pss', 'shared'))
    pct = percent(less_positive(rss, pss), rss) if rss and pss is not None else None
    return {**sized(report, {'rss': rss, 'pss': pss, 'shared': shared}), 'sharing_pct': pct if pct is None else Near(pct)}


def swap(report, got):
    m = report.now
    return sized(report, {'total': m.kib('swap_total'), 'used': less_positive(m.kib('swap_total'), m.kib('swap_free')), 'cached': m.kib('swap_cached'),
                          'zswap': m.kib('zswap'), 'zswapped': m.kib('zswapped'), 'zram': zram(m), 'zram_data': zram(m, 0)})


def pressure(report, got):
    m = report.now
    used = percent(less_positive(m.kib('mem_total'), m.kib('mem_available')), m.kib('mem_total'))
    level = None if used is None else 'low' if used < 60 else 'medium' if used < 80 else 'high' if used < 95 else 'critical'
    out = {'level': level, 'used_pct': used if used is None else Near(used)}
    said = {}
    for line in lines(slurp(m.proc, 'pressure/memory')):
        for name, value in re.findall(rb'(avg[0-9]+)=([0-9]+(?:\.[0-9]+)?)(?=[ \n]|$)', line):
            if Fraction(value.decode()) <= 100:
                said[line.split(b' ')[0].decode() + '_' + name.decode()] = Near(Fraction(value.decode()), 2)
    for kind in 'some', 'full':
        for seconds in 10, 60, 300:
            out[f'{kind}_avg{seconds}'] = said.get(f'{kind}_avg{seconds}')
    out['oom_kills'] = Machine.counters(slurp(m.proc, 'vmstat')).get('oom_kill', (None,))[0]
    return out


def huge(report, got):
    m = report.now
    out = {'size': m.kib('hugepagesize')}
    counts = {'total': 'huge_pages_total', 'free': 'huge_pages_free', 'reserved': 'huge_pages_rsvd', 'surplus': 'huge_pages_surp'}
    sizes = {'hugetlb': huge_pages(m), 'thp_anon': m.kib('anon_huge_pages'), 'thp_shmem': m.kib('shmem_huge_pages'), 'thp_file': m.kib('file_huge_pages')}
    return {**sized(report, out), **{k: m.kib(v) for k, v in counts.items()}, **sized(report, sizes)}


def numbered(directory, prefix):
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return sorted({int(n[len(prefix):]) for n in names if re.fullmatch(prefix + '[0-9]{1,9}', n)})


def nodes(report, got):
    m, out = report.now, []
    base = os.path.join(m.tree, 'sys/devices/system/node')
    for node in numbered(base, 'node'):
        memory = {k: v[0] for k, v in Machine.counters(slurp(base, f'node{node}', 'meminfo')).items()}
        used = memory.get('mem_used')
        used = less_positive(memory.get('mem_total'), memory.get('mem_free')) if used is None else used
        figures = {'total': memory.get('mem_total'), 'free': memory.get('mem_free'), 'used': used, 'file': memory.get('file_pages'),
                   'anon': memory.get('anon_pages'), 'slab': memory.get('slab')}
        out.append({'node': node, **sized(report, figures)})
    return out


def huge_size(m):
    """KiB of a transparent huge page."""
    said = number(slurp(m.tree, 'sys/kernel/mm/transparent_hugepage/hpage_pmd_size'))
    if said is not None:
        return said // 1024
    size = m.kib('hugepagesize')
    return 2048 if size is not None and size > 2048 and m.page == 4096 else size


def fragmentation(report, got):
    m, zones = report.now, []
    for line in lines(slurp(m.proc, 'buddyinfo')):
        found = re.fullmatch(rb'Node ([0-9]{1,9}), zone +([^ ]+) +(.*?) *', line)
        if found and number(found[1]) <= 2 ** 31 - 1:
            zones.append((int(found[1]), found[2], [number(w) for w in found[3].split()][:20]))
    most, size, out = max((len(z[2]) for z in zones), default=0), huge_size(m), []
    for node, zone, blocks in zones:
        order = [None if n is None or n > 2 ** 63 >> 41 else n * (m.page << i) // 1024 for i, n in enumerate(blocks)]
        is_large = any(n is not None and n > 2 ** 63 >> 41 for n in blocks)
        free = add_all(*order)
        fit = add_all(0, *(n for i, n in enumerate(order) if size is not None and (m.page << i) // 1024 >= size))
        pct = percent(less(free, fit), free) if size is not None else None
        row = {'node': node, 'zone': text_of(zone), 'free': ANY if is_large else in_unit(free, report.options.unit)}
        for i in range(most):
            n = order[i] if i < len(order) else None
            row[f'order{i}'] = ANY if is_large else in_unit(n, report.options.unit)
        row['unusable_pct'] = ANY if is_large else pct if pct is None else Near(pct)
        out.append(row)
    return out


def rates(report, got):
    def counters(machine):
        return {k: v[0] for k, v in Machine.counters(slurp(machine.proc, 'vmstat')).items()}

    def reclaimed(vm):
        if 'pgsteal_anon' in vm or 'pgsteal_file' in vm:
            return add_all(*(vm[n] for n in ('pgsteal_anon', 'pgsteal_file') if n in vm))
        names = [n for n in vm if re.match('pgsteal_(kswapd|direct|khugepaged|proactive)', n)]
        names = names or [n for n in vm if n.startswith('pgsteal_')]
        return add_all(*(vm[n] for n in names)) if names else None

    def boots_differ(a, b):
        ids = [first_line(slurp(m.proc, 'sys/kernel/random/boot_id')) for m in (a, b)]
        if a.host and b.host and a.host != b.host or all(ids) and ids[0] != ids[1]:
            return True
        return not all(ids) and a.boot is not None and b.boot is not None and abs(a.boot - b.boot) > 2

    if boots_differ(report.now, report.then):
        return {name: None for name in ('faults', 'major_faults', 'swap_ins', 'swap_outs', 'reclaimed', 'oom_kills')}
    now, then, out = counters(report.now), counters(report.then), {}
    keys = {'faults': 'pgfault', 'major_faults': 'pgmajfault', 'swap_ins': 'pswpin', 'swap_outs': 'pswpout', 'reclaimed': None, 'oom_kills': 'oom_kill'}
    for name, key in keys.items():
        change = less_positive(now.get(key), then.get(key)) if key else less_positive(reclaimed(now), reclaimed(then))
        out[name] = None if change is None or not report.interval else Near(Fraction(change) / report.interval, 1, Fraction(1, 10 ** 6))
    return out


# -- holders and findings ---------------------------------------------------------------------------------------------

# the areas that control groups hold, and by which figure
HELD = {'anon_unmapped': 'cg_anon_unmapped', 'file_cache': 'cg_file', 'slab_unreclaimable': 'slab_unreclaimable', 'kernel_other': 'kernel_other'}


def control_groups(report):
    """(whole, own): the figures of each group with a charge, and what of them is charged to no group below."""
    controller = Controller(report.now)
    whole = {path: controller.figures(path) for path in controller.groups()}
    whole = {path: f for path, f in whole.items() if f.get('cg_usage') != 0 and not (f.get('cg_usage') is None and path == b'/')}
    rows = [Row(report, {**figures, 'cgroup': path}) for path, figures in whole.items()]
    Report.divide(rows, report.now, lambda row: row.values, ['cg_usage', 'cg_oom_kills', *HELD.values()])
    return whole, {row.values['cgroup']: row.values for row in rows}


class GroupHolders:
    """Of the holders, those that are control groups: the three largest of each area, in any order of those that are equal."""
    def __init__(self, report):
        self.unit, self.due = report.options.unit, {}
        _, own = control_groups(report)
        for area, column in HELD.items():
            held = sorted(((f[column], path) for path, f in own.items() if (f.get(column) or 0) > 0), reverse=True)
            self.due[area] = held

    def size(self, kib):
        return min(kib * 1024, 2 ** 63 - 1) if self.unit == 'B' else in_unit(kib, self.unit)

    def accepts(self, got):
        groups = [h for h in got if h['kind'] == 'cgroup']
        for area, held in self.due.items():
            shown = [(h['size'], h['holder']) for h in groups if h['area'] == area]
            if [size for size, _ in shown] != [self.size(n) for n, _ in held[:3]]:
                return False
            if not set(shown) <= {(self.size(n), text_of(path)) for n, path in held}:
                return False
        return len(groups) == sum(min(3, len(held)) for held in self.due.values())

    def __repr__(self):
        return str({area: held[:3] for area, held in self.due.items()})


def findings(report, due_areas):
    """Names, sizes and percentages. DUE_AREAS: what areas() says."""
    m, area = report.now, {a['area']: a for a in due_areas}
    kib = {name: kernel_other(m, area) if name == 'kernel_other' else AREAS[name](m) for name in area}
    if ANY in kib.values():
        return ANY
    total = m.kib('mem_total')
    available, full = m.kib('mem_available'), pressure(report, None)['full_avg60']
    swap_used = less_positive(m.kib('swap_total'), m.kib('swap_free'))
    out = []

    def add(name, size, pct=None, rank=2):
        pct = percent(size, total) if pct is None else pct
        out.append((rank if size is not None or rank < 2 else 3, -(size or 0), name, {'finding': name, 'size': in_unit(size, report.options.unit),
                    'pct': None if pct is None else Near(pct), 'holder': ANY, 'pid': ANY, 'next': ANY}))

    def share(size, whole=total):
        pct = percent(size, whole)
        return -1 if pct is None else pct

    is_low, is_waiting = 0 <= share(available) < 10, full is not None and full.value > 5
    if is_low:
        add('short', available, rank=0)
    if is_waiting:
        add('pressure', None, full.value, rank=1)
    if share(swap_used, m.kib('swap_total')) > 80:
        add('swap', swap_used, percent(swap_used, m.kib('swap_total')))
    kept = [p for p in m.processes.values() if p.is_kept and not p.is_kthread and not p.is_zombie]
    pss = max((p.row.get('pss') or 0 for p in kept), default=0)
    if (is_low or is_waiting) and share(pss) > 25:
        add('process', pss)
    whole, own = control_groups(report)
    nearest = max((f.get('cg_pct') or 0 for f in whole.values()), default=0)
    if nearest > 90:
        first = min(path for path, f in whole.items() if f.get('cg_pct') == nearest)
        add('cgroup_limit', whole[first].get('cg_usage'), nearest)
    largest = max((f.get('cg_usage') or 0 for path, f in own.items() if path != b'/'), default=0)
    if (is_low or is_waiting) and share(largest) > 25:
        add('cgroup', largest)
    pinned = [less(kib[name], reclaimable(m, name, kib[name])) for name in ('file_cache', 'buffers')]
    parts = divided(m, 'shmem', kib['shmem'])
    is_host = kib['kernel_other'] is not None and kib['kernel_other'] >= 0
    sizes = [('shmem', parts[2] if any(p.is_measured for p in kept) else None, 5), ('pinned_cache', add_known(*pinned), 5), ('anon_unmapped', kib['anon_unmapped'], 5)]
    sizes += [('slab_unreclaimable', kib['slab_unreclaimable'], 10), ('page_tables', kib['page_tables'], 2), ('vmalloc', kib['vmalloc'], 5),
              ('kernel_other', kib['kernel_other'], 5)] * is_host
    for name, size, pct in sizes:
        if share(size) > pct:
            add(name, size)
    if (pressure(report, None)['oom_kills'] or 0) > 0:
        add('oom_kills', None)
    for small, large in ('mem_available', 'mem_total'), ('swap_free', 'swap_total'), ('shmem', 'cached'):
        if m.kib(small) is not None and m.kib(large) is not None and m.kib(small) > m.kib(large):
            add('contradiction', None)
    return Findings([row for *_, row in sorted(out, key=lambda f: f[:3])])


class Findings:
    """Those that are due, in their order; huge pages that are not used are not judged here."""
    def __init__(self, due):
        self.due = due

    def accepts(self, got):
        return not differences(self.due, [f for f in got if f['finding'] != 'huge_pages_unused'])

    def __repr__(self):
        return str([(f['finding'], f['size'], f['pct']) for f in self.due])


SECTIONS = {'areas': areas, 'sharing': sharing, 'swap': swap, 'pressure': pressure, 'huge_pages': huge, 'nodes': nodes, 'fragmentation': fragmentation}


def sections(report, got=None):
    """GOT is what memz printed under `system`: of the areas, those that memz knows are due."""
    got = got or {}
    out = {name: section(report, got.get(name)) for name, section in SECTIONS.items()}
    if report.options.is_delta:
        out['rates'] = rates(report, None)
    is_whole = report.options.all and not report.options.is_delta
    return {**out, 'holders': GroupHolders(report) if is_whole else ANY, 'findings': findings(report, out['areas'])}
