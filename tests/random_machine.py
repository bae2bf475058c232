"""Random saved machines and random reports, the same ones for the same seed: for random_reports.py.

A machine is sound (its numbers agree, as a kernel's do) or wild: any number of any file may be missing, rubbish or anything
up to 2^64 and beyond. Wild machines do not say their release, so memz must skip nothing.
"""
import os
import random
import re
import shutil

import expected

EXTREMES = ['0', '1', '1023', str(2 ** 31), str(2 ** 32), str(2 ** 53 + 1), str(2 ** 61), str(2 ** 62 + 5), str(2 ** 63 - 1), str(2 ** 63),
            str(2 ** 64 - 1), str(2 ** 64), '9' * 30, '', '-1', 'x', '12x', '0x10', '4.5']
NAMES = [b'bash', b'java', b'sshd', b'postgres', b'nginx', b'a b', b'x;y', b'a) R 1 1', b'((', b'new\nline', b'tab\there', b'\x1b[31mred', b'\xff\xfebad',
         b'\xc3', 'ü-n'.encode(), 'sep\u2028\u2029'.encode(), '\u202etxt'.encode(), b'back\\slash', b'"quoted"', b'a,b', b' blank ', b'']
CUT = [(b'gnome-session-b', [b'/usr/libexec/gnome-session-binary', b'--systemd']), (b'systemd-timesyn', [b'(rewritten)']),
       (b'fifteen-letters', [b'fifteen-letters: main loop']), (b'networkd-dispat', [b'/usr/bin/python3', b'-u', b'/usr/bin/networkd-dispatcher', b'--run']),
       (b'fifteen-letters', [b'/opt/fifteen-letters-and-more --daemon']), (b'gnome-session-b', [])]
USERS = {0: b'root', 33: b'www-data', 1000: b'alice', 1001: b'b\xc3\xb6b', 4000000000: b'big'}
CONTAINER = b'0123456789ab' + b'cdef' * 13
CGROUPS = [b'/', b'/init.scope', b'/system.slice/ssh.service', b'/system.slice/web.service', b'/system.slice/docker-%s.scope' % CONTAINER,
           b'/docker/%s' % CONTAINER, b'/docker/%s/system.slice/in.service' % CONTAINER, b'/lxc/docker', b'/lxc.payload.web/system.slice/ssh.service',
           b'/lxc/docker/system.slice/ssh.service', b'/user.slice/user-1000.slice/session-3.scope', b'/system.slice/gone.service (deleted)',
           b'/system.slice/_cpuset.service', b'/a\x1bb/c,d', b'/\xff', b'/docker/mycustomparent', b'/kubepods/besteffort/pod12/%s' % CONTAINER]
VMAS = [(b'/usr/lib/libc.so.6', b'08:02', 'file'), (b'/srv/a b (deleted)', b'08:02', 'file'), (b'[heap]', b'00:00', 'anon'), (b'[stack]', b'00:00', 'anon'),
        (b'', b'00:00', 'anon'), (b'[anon:glibc: malloc]', b'00:00', 'anon'), (b'/dev/shm/x', b'00:1a', 'shmem'), (b'/memfd:m (deleted)', b'00:01', 'shmem'),
        (b'/SYSV00000000 (deleted)', b'00:01', 'shmem'), (b'/dev/zero (deleted)', b'00:01', 'shmem'), (b'[vdso]', b'00:00', 'file'),
        (b'/new\\012line', b'08:02', 'file'), (b'/\xff\x1b[2J', b'08:02', 'file'), (b'/dev/dri/card0', b'00:06', 'file'), (b'socket:[123]', b'00:09', 'file'),
        (b'/mnt/huge/p', b'00:1b', 'huge')]
MOUNTS = [b'24 1 0:22 / /proc rw - proc proc rw', b'25 1 0:26 / /dev/shm rw,nosuid - tmpfs tmpfs rw', b'26 1 0:27 / /mnt/huge rw - hugetlbfs none rw',
          b'27 1 0:6 / /dev rw - devtmpfs udev rw']
OPTIONAL_KEYS = {'Pss_Dirty', 'Pss_Anon', 'Pss_File', 'Pss_Shmem', 'KSM', 'FilePmdMapped', 'LazyFree'}


def size(rng, page, most=1 << 22):
    """KiB, in whole pages."""
    if rng.random() < .35:
        return rng.choice([0, page, 16 * page, 256 * page])
    return min(most, int(8 * (1 - rng.random()) ** -1.2)) // page * page


def garbled(rng, text, rate):
    """TEXT with some of its numbers made extreme, but for those in the head of a mapping."""
    def change(m):
        if rng.random() >= rate:
            return m[0]
        extreme = rng.choice(EXTREMES).encode()
        return extreme if extreme or m.string.endswith(b' kB') else b'0'    # an empty number between blanks is none

    if not rate:
        return text

    def line(one):
        if re.match(rb'[0-9a-f]+-[0-9a-f]+ ', one) or one.startswith((b'Pid:', b'Tgid:', b'Name:')):
            return one
        node = re.match(rb'Node [0-9]+,? |', one)[0]
        return node + re.sub(rb'(?<=[:\t =])[0-9]+(?:\.[0-9]+)?(?=[ \n\t]|$)|^[0-9]+(?=[ \n]|$)', change, one[len(node):])
    return b'\n'.join(map(line, text.split(b'\n')))


class Maker:
    def __init__(self, rng, directory):
        self.rng, self.dir, self.older = rng, directory, None
        self.is_wild = rng.random() < .45
        self.rate = rng.choice([.02, .1, .4]) if self.is_wild else 0
        self.page = rng.choice([4, 4, 4, 4, 8, 16, 64])
        self.keys = [k for k in expected.ROLLUP_KEYS if k not in OPTIONAL_KEYS or rng.random() < .9]
        self.lost = {f for f in expected.Process.FILES if rng.random() < (.04 if f != 'stat' else .02)}
        self.loss = rng.choice([0, 0, .02, .1])
        self.says = self.is_wild or rng.random() < .5          # the member `memz` is there
        self.release = None if self.is_wild else rng.choice([b'6.18.44', b'6.18.0', b'5.10.2', b'4.4.0', None])
        self.host = rng.choice([b'host', b'h\xff\x1b', b''])
        self.cgroups = rng.choice(['v1', 'v2', 'hybrid', 'none'])
        self.boot = rng.choice([1700000000, 1768996800])
        self.time = self.boot + rng.choice([3600.25, 86400, 100000.5])

    def write(self, name, text, exact=False):
        rng, path = self.rng, os.path.join(os.fsencode(self.dir), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not exact and self.is_wild:
            text = garbled(rng, text, self.rate)
            if rng.random() < self.rate / 10:
                text = rng.choice([b'', text[:text.rfind(b'\n', 0, len(text) // 2) + 1], text.rstrip(b'\n')])
        with open(path, 'wb') as f:
            f.write(text)

    # The machine

    def machine(self, total):
        rng, swap = self.rng, self.rng.choice([0, 1 << 20, 3999989])
        kib = {'MemTotal': total, 'MemFree': total // 3, 'MemAvailable': total // 2, 'Buffers': 4321, 'Cached': total // 4, 'SwapCached': 12,
               'Active(anon)': total // 7, 'Inactive(anon)': total // 50, 'Active(file)': total // 9, 'Inactive(file)': total // 11, 'SwapTotal': swap, 'SwapFree': swap // 3,
               'Zswap': 100, 'Zswapped': 300, 'AnonPages': total // 8, 'Shmem': total // 40, 'KReclaimable': 5000, 'SReclaimable': 4000, 'SUnreclaim': 3000,
               'KernelStack': 1616, 'PageTables': 2020, 'SecPageTables': 4, 'Committed_AS': total, 'VmallocUsed': 20000, 'Percpu': 1234, 'AnonHugePages': 2048,
               'ShmemHugePages': 0, 'FileHugePages': 0, 'HugePages_Total': 3, 'HugePages_Free': 1, 'HugePages_Rsvd': 0, 'HugePages_Surp': 0, 'Hugepagesize': 2048,
               'Hugetlb': 6144, 'DirectMap4k': 999, 'DirectMap2M': 12345}
        for key in list(kib):
            if rng.random() < .03:
                del kib[key]
        for small, large in ('MemAvailable', 'MemTotal'), ('SwapFree', 'SwapTotal'), ('Shmem', 'Cached'):
            if rng.random() < .06 and small in kib and large in kib:
                kib[small] = kib[large] + rng.choice([1, 4096, total * 14])      # figures that contradict each other
        counts = ('HugePages_Total', 'HugePages_Free', 'HugePages_Rsvd', 'HugePages_Surp')
        if rng.random() < .97:
            self.write('proc/meminfo', b''.join(b'%-16s%8d%s\n' % (k.encode() + b':', v, b'' if k in counts else b' kB') for k, v in kib.items()))
        self.write('proc/stat', b'cpu  1 0 1 100 0\ncpu0 1 0 1 100 0\ncpu1 1 0 1 100 0\nbtime %d\n' % self.boot)
        self.write('proc/uptime', b'%.2f 1.00\n' % (self.time - self.boot))
        if self.release:
            self.write('proc/sys/kernel/osrelease', self.release + b'\n', exact=True)
        self.write('proc/sys/kernel/hostname', self.host + b'\n', exact=True)
        self.write('proc/vmstat', b''.join(b'%s %d\n' % (k, rng.randrange(10 ** 7)) for k in (
            b'pgfault', b'pgmajfault', b'pswpin', b'pswpout', b'pgsteal_kswapd', b'pgsteal_direct', b'pgsteal_khugepaged', b'oom_kill')
            + ((b'pgsteal_anon', b'pgsteal_file', b'pgsteal_proactive') if self.page != 4 else ())))
        self.write('proc/buddyinfo', b''.join(b'Node %d, zone %8s %s \n' % (n, z, b' '.join(b'%6d' % rng.randrange(500) for _ in range(11)))
                                              for n, z in ((0, b'DMA32'), (0, b'Normal'), (1, b'Normal'))))
        if rng.random() < .8:
            self.write('proc/pressure/memory', b'some avg10=%.2f avg60=0.50 avg300=0.25 total=5\nfull avg10=0.00 avg60=0.10 avg300=100.00 total=1\n' % (rng.random() * 100))
        for node in (0, 1) if rng.random() < .5 else ():
            self.write(f'sys/devices/system/node/node{node}/meminfo', b''.join(b'Node %d %s %8d kB\n' % (node, k, v) for k, v in (
                (b'MemTotal:', total // 2), (b'MemFree:', total // 6), (b'MemUsed:', total // 3), (b'FilePages:', 4444), (b'AnonPages:', 555), (b'Slab:', 66))))
        for device in (0, 1) if rng.random() < .4 else ():
            self.write(f'sys/block/zram{device}/mm_stat', rng.choice([b'', b'  536870912 10485760 11534336 0 0 0 0 0\n', b'4096 74 12288 0 12288 0 0 0 0\n']))
        self.write('etc/passwd', b''.join(b'%s:x:%d:%d::/:/bin/sh\n' % (u, uid, uid) for uid, u in USERS.items()))
        self.mounts()
        if self.says:
            self.write('memz', b'memz 1.0.0\npage_size %d\ntime %.6f\n' % (self.page * 1024, self.time) + b''.join(b'twin %d %d\n' % t for t in self.twins), exact=True)

    def mounts(self):
        lines = list(MOUNTS)
        if self.cgroups in ('v1', 'hybrid'):
            lines.append(b'35 1 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory')
        if self.cgroups in ('v2', 'hybrid'):
            lines.append(b'36 1 0:33 / /sys/fs/cgroup%s rw - cgroup2 cgroup2 rw' % (b'/unified' if self.cgroups == 'hybrid' else b''))
        self.write('proc/self/mountinfo', b''.join(line + b'\n' for line in lines), exact=True)
        if self.older:                      # which of a group's files there are does not change
            source = os.path.join(self.older, 'sys/fs/cgroup')
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(self.dir, 'sys/fs/cgroup'))
            return
        one = self.cgroups != 'v2'
        names = [b'memory.usage_in_bytes', b'memory.limit_in_bytes', b'memory.memsw.usage_in_bytes'] if one else [b'memory.current', b'memory.max', b'memory.swap.current']
        groups = {b''}
        for path in CGROUPS:
            part = path.strip(b'/').split(b'/')
            groups |= {b'/'.join(part[:i]) for i in range(len(part) + 1)}
        has_hierarchy, hierarchy = one and self.rng.random() < .5, {}
        for group in sorted(groups) if self.cgroups != 'none' else ():
            if has_hierarchy:               # below a group of 1 all have 1
                parent = hierarchy.get(group.rpartition(b'/')[0], b'0') if group else b'0'
                hierarchy[group] = b'1' if parent == b'1' or self.rng.random() < .3 else b'0'
                self.write(b'sys/fs/cgroup/memory/' + (group + b'/' if group else b'') + b'memory.use_hierarchy', hierarchy[group] + b'\n', exact=True)
            if self.rng.random() < .8:
                usage = self.rng.randrange(1, 1 << 34)
                limit = self.rng.choice([b'9223372036854771712' if one else b'max'] * 2 + [b'%d' % (usage * k) for k in (1, 2, 7)] + [b'0'])
                root = b'sys/fs/cgroup/' + (b'memory/' if one else b'') + (group + b'/' if group else b'')
                for name, text in zip(names, (b'%d' % usage, limit, b'%d' % (usage + 12345678 if one else 7654321))):
                    if self.rng.random() < .95:
                        self.write(root + name, text + b'\n')
                for name, text in self.group_files(one, usage):
                    if self.rng.random() < .9:
                        self.write(root + name, text)

    def group_files(self, one, usage):
        """What the memory controller says of a group beside its usage, limit and swap."""
        rng = self.rng
        keys = ['cache', 'rss', 'shmem', 'inactive_anon', 'active_anon'] if one else [
            'anon', 'file', 'shmem', 'inactive_anon', 'active_anon', 'kernel', 'kernel_stack', 'pagetables', 'sec_pagetables', 'percpu', 'vmalloc', 'sock',
            'slab', 'slab_reclaimable', 'slab_unreclaimable']
        stat = {k: rng.randrange(usage // rng.choice([2, 9, 99]) + 1) for k in keys if rng.random() < .95}
        if one and rng.random() < .8:
            stat.update({'total_' + k: n + rng.randrange(9) * 4096 for k, n in stat.items()})
        yield b'memory.stat', b''.join(b'%s %d\n' % (k.encode(), n) for k, n in stat.items())
        if one:
            yield b'memory.oom_control', b'oom_kill_disable 0\nunder_oom 0\noom_kill %d\n' % rng.choice([0, 0, 3])
            yield b'memory.kmem.usage_in_bytes', b'%d\n' % (usage // 9)
            yield b'memory.kmem.tcp.usage_in_bytes', b'%d\n' % (usage // 99)
            yield b'memory.max_usage_in_bytes', b'%d\n' % (2 * usage)
        else:
            yield b'memory.events', b'low 0\nhigh %d\nmax 0\noom 0\noom_kill %d\n' % (rng.choice([0, 7]), rng.choice([0, 0, 3]))
            yield b'memory.pressure', b'some avg10=%.2f avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n' % (100 * rng.random())
            yield b'memory.peak', b'%d\n' % (2 * usage)

    # A process

    def vma(self, name, device, kind):
        rng, page = self.rng, self.page
        n = dict.fromkeys(['Rss'] + expected.ROLLUP_KEYS, 0)
        rss = 0 if kind == 'huge' else size(rng, page)
        n['Rss'] = rss
        clean = size(rng, page, rss) if kind == 'file' else 0
        split = rng.choice(['Private', 'Shared'])
        n[split + '_Clean'], n[split + '_Dirty'] = clean, rss - clean
        n['Pss'] = rss if split == 'Private' else rss // rng.randint(1, 4)
        n['Pss_Dirty'] = min(n['Pss'], rss - clean)
        n[{'anon': 'Pss_Anon', 'file': 'Pss_File', 'shmem': 'Pss_Shmem', 'huge': 'Pss_File'}[kind]] = n['Pss']
        n['Referenced'] = size(rng, page, rss)
        if kind == 'anon':
            n['Anonymous'], n['AnonHugePages'], n['LazyFree'] = rss, rss // 2048 * 2048, size(rng, page, rss)
            n['Swap'] = size(rng, page)
            n['SwapPss'] = n['Swap'] // rng.randint(1, 3)
        if kind == 'huge':
            n[rng.choice(['Private', 'Shared']) + '_Hugetlb'] = 2048 * rng.randrange(5)
        n['Locked'] = n['Pss'] if rng.random() < .1 else 0
        return {'name': name, 'device': device, 'kind': kind, 'Size': rss + size(rng, page) + page, 'n': n}

    def smaps(self, vmas):
        out, at = [], 0x7f0000000000
        for v in vmas:
            head = b'%x-%x rw-p 00000000 %s 1234' % (at, at + v['Size'] * 1024, v['device'])
            out.append((head.ljust(73) + v['name'] if v['name'] else head) + b'\nSize: %15d kB\n' % v['Size'])
            out.append(b''.join(b'%-16s%8d kB\n' % (k.encode() + b':', v['n'][k]) for k in ['Rss'] + self.keys if k not in ('Pss_Anon', 'Pss_File', 'Pss_Shmem')))
            out.append(b'VmFlags: rd wr mr mw me %s\n' % (b'ht ' if v['kind'] == 'huge' else b'ac '))
            at += v['Size'] * 1024 + 4096
        return b''.join(out)

    def numa_maps(self, vmas):
        out, at = [], 0x7f0000000000
        for v in vmas:
            n = v['n']['Rss'] // self.page
            out.append(b'%x default anon=%d N0=%d%s kernelpagesize_kB=%d\n' % (at, n, n // 2, b' N1=%d' % (n - n // 2) if n else b'', self.page))
            at += 4096
        return b''.join(out)

    def new_process(self, pid, pids):
        rng = self.rng
        p = {'pid': pid, 'ppid': rng.choice([0] + [q for q in pids if q < pid][-3:]), 'kind': rng.choices(['user', 'kthread', 'zombie', 'leader'], [12, 1, 1, 1])[0],
             'start': rng.randrange(int((self.time - self.boot) * 100)), 'uid': rng.choice([*USERS, 12345]), 'comm': rng.choice(NAMES), 'state': rng.choice('RSSSDT'),
             'threads': rng.choice([1, 1, 2, 60]), 'minflt': rng.randrange(10 ** 6), 'majflt': rng.choice([0, 0, 99]), 'cgroup': rng.choice(CGROUPS),
             'lost': self.lost | {f for f in expected.Process.FILES if rng.random() < self.loss}, 'oom': rng.choice([0, 666, -1000])}
        p['argv'] = rng.choice([[], [p['comm'] or b'x'], [b'/bin/' + p['comm'], b'-x', b'', b'\xfe']])
        if p['kind'] == 'user' and rng.random() < .2:
            p['comm'], p['argv'] = rng.choice(CUT)
        p['exe'] = rng.choice([None, b'/usr/bin/x (deleted)', b'/usr/libexec/gnome-session-binary', b'/opt/' + p['comm']])
        if p['kind'] in ('kthread', 'zombie'):
            p['argv'], p['exe'], p['state'], p['threads'] = [], None, 'I' if p['kind'] == 'kthread' else 'Z', 1
        if p['kind'] == 'leader':
            p['state'], p['threads'] = 'Z', 3
        return self.resize(p)

    def resize(self, p):
        if p['kind'] in ('user', 'leader'):
            p['vmas'] = [self.vma(*self.rng.choice(VMAS)) for _ in range(self.rng.randint(1, 6))]
        else:
            p['vmas'] = []
        return p

    def files(self, p):
        n = {k: sum(v['n'][k] for v in p['vmas']) for k in ['Rss'] + expected.ROLLUP_KEYS}
        anon = sum(v['n']['Rss'] for v in p['vmas'] if v['kind'] == 'anon')
        shmem = sum(v['n']['Rss'] for v in p['vmas'] if v['kind'] == 'shmem')
        vsz = sum(v['Size'] for v in p['vmas'])
        lives = p['kind'] in ('user', 'leader')
        memory = {'statm': b'%d %d %d 1 0 %d 0\n' % tuple(x // self.page for x in (vsz, n['Rss'], n['Rss'] - anon, anon)),
                  'smaps_rollup': b'', 'smaps': self.smaps(p['vmas']), 'numa_maps': self.numa_maps(p['vmas']), 'cmdline': b''.join(a + b'\0' for a in p['argv']),
                  'maps': b''.join(b'7f00-7f01 rw-p 00000000 00:00 0 %s\n' % v['name'] for v in p['vmas'])}
        if lives:
            memory['smaps_rollup'] = b'7f0000000000-7fffffffffff ---p 00000000 00:00 0    [rollup]\n' + b''.join(
                b'%-16s%8d kB\n' % (k.encode() + b':', n[k]) for k in ['Rss'] + self.keys)
        status = b'Name:\t%s\nState:\t%s (x)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nUid:\t7\t%d\t8\t9\n' % (
            p['comm'].replace(b'\\', b'\\\\').replace(b'\n', b'\\n'), p['state'].encode(), p['pid'], p['pid'], p['ppid'], p['uid'])
        vm = b''
        if lives:
            vm = b''.join(b'%s:\t%8d kB\n' % (k.encode(), v) for k, v in (
                ('VmPeak', vsz + 64), ('VmSize', vsz), ('VmLck', n['Locked']), ('VmPin', 0), ('VmHWM', n['Rss'] + 16), ('VmRSS', n['Rss']), ('RssAnon', anon),
                ('RssFile', n['Rss'] - anon - shmem), ('RssShmem', shmem), ('VmData', anon), ('VmStk', 132), ('VmExe', 64), ('VmLib', 1364), ('VmPTE', 44), ('VmSwap', n['Swap'])))
        tail = b'Threads:\t%d\n' % p['threads']
        memory['status'] = status + vm + tail
        field = [b'0'] * 49
        for at, value in (4, p['ppid']), (9, 0x200040 if p['kind'] == 'kthread' else 0x400100), (10, p['minflt']), (12, p['majflt']), (20, p['threads']), (22, p['start']), (23, vsz * 1024):
            field[at - 4] = b'%d' % value
        own = {'stat': b'%d (%s) %s %s\n' % (p['pid'], p['comm'], p['state'].encode(), b' '.join(field)), 'comm': p['comm'] + b'\n',
               'cgroup': self.cgroup_file(p['cgroup']), 'oom_score': b'%d\n' % abs(p['oom']), 'oom_score_adj': b'%d\n' % p['oom']}
        return own, memory, status + tail

    def cgroup_file(self, path):
        return {'v1': b'5:cpu,cpuacct:/other\n4:memory:%s\n1:name=systemd:%s\n' % (path, path), 'v2': b'0::%s\n' % path, 'none': b'',
                'hybrid': b'4:memory:%s\n1:name=systemd:/s.service\n0::/elsewhere\n' % path}[self.cgroups]

    def process(self, p):
        own, memory, bare_status = self.files(p)
        if self.is_wild:                    # but for the flags: a kernel thread has no memory
            head, tail = own['stat'].rsplit(b')', 1)
            field = garbled(self.rng, tail, self.rate).split(b' ')
            field[7] = tail.split(b' ')[7]
            own['stat'] = head + b')' + b' '.join(field)
        base = f'proc/{p["pid"]}/'
        if p['kind'] == 'leader':           # the leader has exited: its threads show the address space
            for name, text in memory.items():
                if name not in p['lost'] or name == 'statm':
                    self.write(f'{base}task/{p["pid"] + 1}/{name}', text, exact=name == 'statm')
            memory = {'statm': b'0 0 0 0 0 0 0\n', 'status': bare_status, 'smaps_rollup': b'', 'smaps': b'', 'maps': b'', 'numa_maps': b'', 'cmdline': b''}
            self.write(f'{base}task/{p["pid"]}/statm', memory['statm'], exact=True)
        for name, text in {**own, **memory}.items():
            if name not in p['lost'] or name == 'statm' and p['kind'] == 'leader' or name == 'stat' and p['kind'] != 'user':
                self.write(base + name, text, exact=p['kind'] != 'user' or name in ('stat', 'comm', 'cgroup', 'cmdline'))
        os.makedirs(os.path.join(self.dir, base), exist_ok=True)
        if p['exe'] and 'exe' not in p['lost']:
            where = base + (f'task/{p["pid"] + 1}/' if p['kind'] == 'leader' else '')
            os.symlink(p['exe'], os.fsencode(os.path.join(self.dir, where, 'exe')))

    def make(self, processes):
        self.twins = []
        users = [p['pid'] for p in processes if p['kind'] == 'user']
        if self.says and not self.is_wild and not self.two and len(users) > 3 and self.rng.random() < .3:
            first, *others = sorted(self.rng.sample(users, self.rng.choice([2, 3])))
            self.twins = [(pid, first) for pid in others]
        by_pid = {p['pid']: p for p in processes}
        for pid, first in self.twins:       # they share one address space
            by_pid[pid].update((k, by_pid[first][k]) for k in ('vmas', 'lost'))
        for p in processes:
            self.process(p)
        used = sum(v['n']['Pss'] for p in processes for v in p['vmas'])
        self.machine(4 * (used * 5 // 16 + 50021))


def machines(seed, directory, two, count=None):
    """A tree; with TWO another one of the same machine, an hour later. Returns their paths, the older one first. With COUNT,
    of so many processes, and of a kernel whose statm is exact, so that memz reads no more than it needs."""
    rng = random.Random(f'machine {seed}')
    random_count = rng.choice([0, 1, 3, 8, 8, 20, 20, 60])
    m = Maker(rng, os.path.join(directory, 'now'))
    if count is not None:
        m.is_wild, m.rate, m.says, m.release = False, 0, False, b'6.18.44'
    count = random_count if count is None else count
    m.two = two
    pids = sorted(rng.sample(range(1, 20 + 40 * count), count))
    processes = [m.new_process(pid, pids) for pid in pids]
    if not two:
        m.make(processes)
        return [m.dir]
    then = [p for p in processes if rng.random() < .8]
    old = Maker.__new__(Maker)
    old.__dict__.update(m.__dict__, dir=os.path.join(directory, 'then'), time=m.time)
    old.make(then)
    m.older = old.dir
    m.time += rng.choice([60.5, 3600, 0.75])
    now = []
    for p in then:
        fate = rng.random()
        if fate < .15:
            continue
        if fate < .3:
            p = {**m.new_process(p['pid'], pids), 'start': p['start'] + 5}      # the pid was used again
        elif fate < .7:
            p = m.resize(dict(p))
        now.append(p)
    kept = {p['pid'] for p in then}
    m.make(now + [p for p in processes if p['pid'] not in kept])
    return [old.dir, m.dir]


# -- reports ----------------------------------------------------------------------------------------------------------

PROCESS_TEXT = ['user', 'name', 'command', 'exe', 'state', 'cgroup', 'unit', 'container', 'ancestry']
PROCESS = [c for c in expected.COLUMNS if c not in ('mapping', 'kind', 'procs', 'count', 'change') and not c.startswith('cg_')]
SUMS = [c for c in expected.SIZES + expected.COUNTS if c != 'count' and not c.startswith('cg_')]


def list_of(rng, names, least=1, most=7):
    return rng.sample(names, min(len(names), rng.randint(least, most)))


def with_deltas(rng, names):
    return [n + rng.choice(['', '_delta', '_delta', '_rate']) if n in SUMS + list(expected.PERCENTS) else n for n in names]


def condition(rng, names, delta):
    name = rng.choice(names)
    if name in PROCESS_TEXT + ['mapping', 'kind']:
        value = rng.choice([('user', '=alice'), ('user', '!=root'), ('name', '~^[a-j]'), ('name', '!~s'), ('command', '~x'), ('cgroup', '~slice'), ('unit', '=ssh.service'),
                            ('state', '!=S'), ('container', '~0')]) if name in PROCESS_TEXT else rng.choice([('mapping', '~lib'), ('kind', '=anon'), ('kind', '!=file')])
        return ''.join(value)
    if name not in expected.NUMBERS:
        return 'pid>0' if 'pid' in names else 'pss>0'
    op = rng.choice(['>', '>=', '<', '<=', '!=', '='])
    if delta and name in SUMS and rng.random() < .5:
        return f'{name}_delta{op}{rng.choice([0, 100, 4096])}'
    if name in expected.SIZES:
        return f'{name}{op}{rng.choice(["0", "4", "100K", "1M", "4096B", "16M", "0.7%", "13%", "1.5M"])}'
    return f'{name}{op}{rng.choice(["0", "1", "2", "99", "0.3", "1000"] if name in expected.PERCENTS else ["0", "1", "2", "99", "1000"])}'


def report(seed, trees, available, view=None):
    """A random command line for the trees of machines(), of a view or of any."""
    rng = random.Random(f'report {seed}')
    delta = len(trees) > 1
    args = ['-S', trees[-1]] + (['--since', trees[0]] if delta else ['-i', '0.001'] if rng.random() < .03 and not view else [])
    delta = delta or '-i' in args
    known = [c for c in PROCESS if c in available]
    view = view or rng.choices(['processes', 'by', 'cgroup', 'mappings', 'kinds', 'system'], [10, 4, 3, 3, 1, 3])[0]
    if rng.random() < .3:
        args += rng.choice([['--unit', 'B'], ['--unit', 'M'], ['--unit', 'G'], ['-b'], ['-k']])
    if view == 'system':
        return args + ['-w'] + ['-A'] * (rng.random() < .5)
    if view == 'processes':
        names, keys = with_deltas(rng, list_of(rng, known)) if delta else list_of(rng, known), known
    elif view in ('mappings', 'kinds'):
        known = [c for c in expected.OF_MAPPINGS if c in available]
        names = list_of(rng, known) if view == 'mappings' else ['kind', *list_of(rng, [c for c in known if c in SUMS])]
        keys = names if view == 'kinds' else known
        args += ['-m', '--by', 'kind'] if view == 'kinds' else ['-m']
    else:
        by = 'cgroup' if view == 'cgroup' else rng.choice(PROCESS_TEXT)
        extra = [c for c in expected.COLUMNS if c.startswith('cg_') and c in available] if view == 'cgroup' else []
        sums = with_deltas(rng, list_of(rng, SUMS)) if delta else list_of(rng, [c for c in SUMS if c in available])
        names = [by, 'count', *list_of(rng, extra, 0), *sums]
        keys = names
        args += ['--by', by]
    if delta and view not in ('kinds',) and rng.random() < .5:
        names = names + (['change'] if view in ('processes', 'mappings') else [])
    names = [n for n in dict.fromkeys(names) if re.sub('_(delta|rate)$', '', n) in available]
    if rng.random() < .85 or '--by' in args and 'cgroup' in args:
        args += ['-c', rng.choice([',', ' ']).join(names)]
    if rng.random() < .7:
        args += ['-s', ','.join(rng.choice(['', '', '+', '-']) + k for k in dict.fromkeys(list_of(rng, [k for k in keys if re.sub('_(delta|rate)$', '', k) in available], 1, 3)))]
    for flag, odds in ('-r', .25), ('-t', .4), ('-A', .3):
        args += [flag] if rng.random() < odds else []
    if rng.random() < .4:
        args += ['-n', str(rng.choice([0, 1, 2, 3, 5, 10]))]
    filters = [c for c in (known if view in ('processes', 'mappings', 'kinds') else [c for c in PROCESS if c in available]) if c not in expected.TIMES + ['time', 'host', 'numa']]
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        args += ['-f', condition(rng, filters, delta)]
    if rng.random() < .1:
        args += ['-U', rng.choice(['root', 'alice,0', '1000 33', '12345'])]
    if rng.random() < .1:
        args += ['-P', rng.choice(['^[a-m]', 'sh', 'x$', 'no such name', '[x]'])]
    if '-m' in args and rng.random() < .2:
        args += ['-M', rng.choice(['lib', r'\[', '^/'])]
    if rng.random() < .07:
        pids = [n for n in os.listdir(os.path.join(trees[-1], 'proc')) if n.isdigit()]
        args += ['-p', ','.join(rng.sample(sorted(pids), min(3, len(pids))))] if pids else []
    return args + (['--jobs', str(rng.randint(1, 4))] if rng.random() < .5 else [])
