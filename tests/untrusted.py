#!/usr/bin/env python3
"""Saved trees and archives are untrusted: every file of a small tree replaced in turn by something bad.

    untrusted.py DIRECTORY [PART/PARTS]    works in DIRECTORY; of all replacements, every PARTSth from PART on

Whatever is in the tree, memz ends within SECONDS, takes no more than MEMORY, exits with 0 or 1, and says nothing of what is
outside the tree. A link inside the tree works like the file; an absolute one counts from the root of the tree. MEMZ names
the program. Each fault is printed, and the exit status is then 1.
"""
import io
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
MEMZ = os.environ.get('MEMZ', os.path.join(HERE, '..', 'memz'))
SANE = MEMZ.endswith('san')             # the sanitizers take memory and time
SECONDS, MEMORY = float(os.environ.get('SECONDS_MOST', 10)), (2048 if SANE else 256) << 20
SECRET = b'topsecret'                   # in all texts that are outside,
NUMBER = b'31337'                       # and all numbers there are this one
SPARSE = 10 << 40

ALL = 'pid,ppid,user,name,command,exe,state,start,cgroup,unit,container,ancestry,oom_score,oom_score_adj,vsz,rss,pss,swap,vm_hwm,maps,numa,minflt,time,host'
VIEWS = [['-A', '-c', ALL, '--json', '-t'], ['-m', '--json', '-t'], ['-w', '-A', '--json'], ['--by', 'cgroup', '--csv'], ['-A', '-c', ALL, '-n', '1', '-s', 'pss'],
         ['--since', 'THEN', '--json'], ['-w', '--since', 'THEN', '--csv'], ['-A', '-c', ALL, '--csv', '--save', 'SAVED'], ['-m', '--save', 'SAVED'], ['-w', '--save', 'SAVED']]


# -- a small tree -----------------------------------------------------------------------------------------------------

def write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(text)


def make_tree(root):
    """Two processes of the machine `current`, and what the whole machine is known by."""
    current = os.path.join(HERE, 'machines', 'current')
    for name in ('meminfo', 'stat', 'uptime', 'version', 'vmstat', 'buddyinfo', 'pressure/memory', 'self/mountinfo', 'sys/kernel/hostname',
                 'sys/kernel/osrelease', 'sys/kernel/random/boot_id'):
        if os.path.exists(os.path.join(current, 'proc', name)):
            with open(os.path.join(current, 'proc', name), 'rb') as f:
                write(root, 'proc/' + name, f.read())
    for name in '812', '1433':
        shutil.copytree(os.path.join(current, 'proc', name), os.path.join(root, 'proc', name), symlinks=True)
    for name in 'sys', 'etc':
        shutil.copytree(os.path.join(current, name), os.path.join(root, name), symlinks=True)
    # a leader that has exited, and a process without smaps_rollup
    write(root, 'proc/1433/task/1433/statm', b'1 1 1 1 1 1 1\n')
    for name in 'statm', 'smaps', 'cmdline', 'status':
        shutil.copy(os.path.join(root, 'proc/1433', name), os.path.join(root, 'proc/812' if name == 'smaps' else 'proc/1433/task/1433', name))
    write(root, 'proc/900/stat', b'900 (leader) Z 1 900 900 0 -1 4194560 9 0 0 0 0 0 0 0 20 0 2 0 77 0 0\n')
    write(root, 'proc/900/statm', b'0 0 0 0 0 0 0\n')
    write(root, 'proc/900/comm', b'leader\n')
    for name in 'statm', 'status', 'smaps', 'smaps_rollup', 'cmdline', 'maps', 'numa_maps':
        path = os.path.join(root, 'proc/1433', name)
        if os.path.exists(path):
            with open(path, 'rb') as f:
                write(root, 'proc/900/task/901/' + name, f.read())
    shutil.rmtree(os.path.join(root, 'proc/1433/task'))
    os.remove(os.path.join(root, 'proc/812/smaps_rollup'))
    write(root, 'proc/zoneinfo', b'Node 0, zone   Normal\n  pages free     100\n  pagesets\n    cpu: 0\n              count:    9\n')
    write(root, 'proc/slabinfo', b'slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\ndentry 9 10 192 21 1 : tunables 0 0 0 : slabdata 1 1 0\n')
    write(root, 'proc/vmallocinfo', b'0xffff-0xffff 8192 bpf_prog_alloc+0x1/0x2 pages=1 vmalloc N0=1\n')
    write(root, 'proc/sysvipc/shm', b'key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n0 1 600 4096 1 1 0 0 0 0 0 0 0 0 4096 0\n')
    write(root, 'proc/net/sockstat', b'sockets: used 9\nTCP: inuse 1 orphan 0 tw 0 alloc 2 mem 3\n')
    write(root, 'sys/kernel/mm/transparent_hugepage/hpage_pmd_size', b'2097152\n')
    write(root, 'memz', b'memz 1.0.0\npage_size 4096\ntime 1769860800.5\ntwin 812 812\n')


def entries(root):
    """All files and directories, relative to ROOT."""
    out = []
    for at, directories, files in os.walk(root):
        out += [os.path.relpath(os.path.join(at, name), root) for name in directories + files]
    return sorted(out)


def make_outside(tree, outside):
    """The same tree, full of secrets."""
    for name in entries(tree):
        path = os.path.join(tree, name)
        if os.path.islink(path):
            os.makedirs(os.path.dirname(os.path.join(outside, name)), exist_ok=True)
            os.symlink('/usr/' + SECRET.decode(), os.path.join(outside, name))
        elif os.path.isfile(path):
            with open(path, 'rb') as f:
                text = f.read()
            base = os.path.basename(name)
            keep = rb'^[0-9a-f]+-[0-9a-f]+ .*$|Node [0-9]+|N[0-9]+=|[0-9]+:[0-9]+|cpu[0-9]|pid:\t[0-9]+|State:.*|avg[0-9]+=[0-9.]+|(?i:tgid:\t[0-9]+)'
            if base in ('comm', 'hostname', 'osrelease', 'boot_id'):
                text = SECRET + b'\n'
            elif base == 'cmdline':
                text = SECRET + b'\0x\0'
            elif base == 'cgroup':
                text = b'0::/' + SECRET + b'.service\n'
            elif base == 'passwd':
                text = b''.join(SECRET + b'%d:x:%d:0::/:\n' % (uid, uid) for uid in (0, 110, 1000))
            elif base == 'memz':
                text = b'memz 1.0.0\ntime 1769860%s\n' % NUMBER
            elif base != 'stat':
                text = re.sub(rb'(?m)' + keep + rb'|\b[0-9]+\b', lambda m: m[0] if re.fullmatch(keep, m[0], re.M) else NUMBER, text)
                text = text.replace(b'/usr/', b'/' + SECRET + b'/')
            write(outside, name, text)


# -- what is put in a file's place ------------------------------------------------------------------------------------

def sparse(path, tree, name):
    with open(path, 'wb') as f:
        f.truncate(SPARSE)


def socket_file(path, tree, name):
    with socket.socket(socket.AF_UNIX) as s:
        where = os.getcwd()
        os.chdir(os.path.dirname(path))     # the path of a socket is short
        s.bind(os.path.basename(path))
        os.chdir(where)


def link_inside(path, tree, name, absolute):
    """The file moves elsewhere in the tree, and a link leads there."""
    os.makedirs(os.path.join(tree, 'inner'), exist_ok=True)
    shutil.copytree(path + '.kept', os.path.join(tree, 'inner/moved'), symlinks=True) if os.path.isdir(path + '.kept') else shutil.copy(path + '.kept', os.path.join(tree, 'inner/moved'))
    os.symlink('/inner/moved' if absolute else os.path.relpath('inner/moved', os.path.dirname(name)), path)


def outside_of(tree, name):
    return os.path.join(os.path.dirname(tree), 'outside', name)


BAD = {
    'a link to /dev/zero': lambda path, tree, name: os.symlink('/dev/zero', path),
    'a link out to /dev/zero': lambda path, tree, name: os.symlink('../' * 30 + 'dev/zero', path),
    'a link out to /dev/urandom': lambda path, tree, name: os.symlink('../' * 30 + 'dev/urandom', path),
    'a device': lambda path, tree, name: os.mknod(path, 0o020644, os.makedev(1, 5)),
    'a sparse file of 10 TB': sparse,
    'a FIFO': lambda path, tree, name: os.mkfifo(path),
    'a socket': socket_file,
    'a link to a file outside': lambda path, tree, name: os.symlink(outside_of(tree, name), path),
    'a relative link to a file outside': lambda path, tree, name: os.symlink(os.path.relpath(outside_of(tree, name), os.path.dirname(path)), path),
    'a link to itself': lambda path, tree, name: os.symlink(os.path.basename(path), path),
    'a link to the root': lambda path, tree, name: os.symlink('/', path),
    'a directory': lambda path, tree, name: os.mkdir(path)}
GOOD = {
    'a link inside the tree': lambda path, tree, name: link_inside(path, tree, name, False),
    'an absolute link inside the tree': lambda path, tree, name: link_inside(path, tree, name, True)}


# -- running ----------------------------------------------------------------------------------------------------------

faults = []


def fault(what, args, problem):
    faults.append(what)
    print(f'{what}: memz {shlex.join(args)}: {problem}', flush=True)


def run(what, args, directory):
    """memz's output, errors and archive, which say nothing of what is outside; None after a fault."""
    saved = os.path.join(directory, 'saved.tar')
    if os.path.exists(saved):
        os.remove(saved)
    args = [{'THEN': os.path.join(directory, 'then'), 'SAVED': saved}.get(a, a) for a in args]
    files = [open(os.path.join(directory, name), 'w+b') for name in ('out', 'err')]
    process = subprocess.Popen([MEMZ, *args, '--timeout', '1'], stdin=subprocess.DEVNULL, stdout=files[0], stderr=files[1], start_new_session=True,
                               preexec_fn=None if SANE else lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)))
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _, status, usage = os.wait4(process.pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    process.returncode = status
    out, err = ((f.seek(0), f.read(64 << 20), f.close())[1] for f in files)
    kept = b''
    if os.path.exists(saved):
        with open(saved, 'rb') as f:
            kept = f.read(64 << 20)
    if os.WIFSIGNALED(status):
        return fault(what, args, f'did not end within {SECONDS:g} s' if os.WTERMSIG(status) == signal.SIGKILL else f'signal {os.WTERMSIG(status)}')
    if os.WEXITSTATUS(status) not in (0, 1):
        return fault(what, args, f'status {os.WEXITSTATUS(status)}: {err[-200:]!r}')
    if usage.ru_maxrss << 10 > MEMORY:
        return fault(what, args, f'took {usage.ru_maxrss >> 10} MiB')
    for name, text in ('output', out), ('messages', err), ('archive', kept):
        if SECRET in text or NUMBER in text:
            at = text.find(SECRET) if SECRET in text else text.find(NUMBER)
            return fault(what, args, f'what is outside is in the {name}: {text[max(0, at - 60):at + 30]!r}')
    return out


def without_seconds(out):
    return re.sub(rb'"seconds":[0-9.]+', b'', out or b'')


def check_tree(what, tree, directory, views, due=None):
    for view in views:
        out = run(what, ['-S', tree, *view], directory)
        if out is not None and due is not None and without_seconds(out) != due[VIEWS.index(view)]:
            fault(what, ['-S', tree, *view], 'is not read')


def check_trees(tree, directory, chosen):
    due = [run('nothing', ['-S', tree, *view], directory) for view in VIEWS]
    for view in [v for v, out in zip(VIEWS, due) if out is None]:
        VIEWS.remove(view)                  # one fault of it is enough
    due = [without_seconds(out) for out in due if out is not None]
    for name in entries(tree):
        path = os.path.join(tree, name)
        for kind, replace in {**BAD, **GOOD}.items():
            if os.path.islink(path) and kind in GOOD or kind == 'a device' and os.getuid() != 0:
                continue
            views = next(chosen)
            if not views:
                continue
            os.rename(path, path + '.kept')
            kept = path + '.kept'
            if '.' not in os.path.basename(name) and os.path.basename(name).isdigit():
                kept = os.path.join(directory, 'kept')      # no process of that name
                os.rename(path + '.kept', kept)
            try:
                if kind in GOOD and kept != path + '.kept':
                    os.makedirs(os.path.join(tree, 'inner'), exist_ok=True)
                    shutil.copytree(kept, os.path.join(tree, 'inner/moved'), symlinks=True)
                    os.symlink('/inner/moved' if 'absolute' in kind else os.path.relpath('inner/moved', os.path.dirname(name)), path)
                else:
                    replace(path, tree, name)
                check_tree(f'{name} is {kind}', tree, directory, views, due if kind in GOOD else None)
            finally:
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
                os.rename(kept, path)
                shutil.rmtree(os.path.join(tree, 'inner'), ignore_errors=True)


MEMBERS = {
    'a symbolic link out': {'type': tarfile.SYMTYPE}, 'a hard link out': {'type': tarfile.LNKTYPE}, 'a FIFO': {'type': tarfile.FIFOTYPE},
    'a device': {'type': tarfile.CHRTYPE, 'devmajor': 1, 'devminor': 5}, 'a directory': {'type': tarfile.DIRTYPE}, 'a member of 2^62 bytes': {'size': 1 << 62},
    'a sparse member': {'type': tarfile.GNUTYPE_SPARSE, 'size': 512}}


def check_archives(tree, directory, chosen):
    archive = os.path.join(directory, 'bad.tar')
    names = [n for n in entries(tree) if os.path.isfile(os.path.join(tree, n))]
    for victim in names:
        for kind, fields in MEMBERS.items():
            views = next(chosen)
            if not views:
                continue
            with open(archive, 'wb') as f:
                for name in names:
                    info = tarfile.TarInfo(name)
                    with open(os.path.join(tree, name), 'rb') as g:
                        text = g.read()
                    info.size = len(text)
                    if name == victim:
                        info.linkname = outside_of(tree, name)
                        info.size, text = (0, b'') if 'type' in fields else (info.size, text)
                        for key, value in fields.items():
                            setattr(info, key, value)
                    f.write(info.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512))
                f.write(bytes(1024))
            check_tree(f'{victim} in an archive is {kind}', archive, directory, views)


def main():
    directory = os.path.abspath(sys.argv[1])
    part, parts = (int(n) for n in (sys.argv[2] if len(sys.argv) > 2 else '0/1').split('/'))
    tree = os.path.join(directory, 'tree')
    make_tree(tree)
    make_outside(tree, os.path.join(directory, 'outside'))
    shutil.copytree(tree, os.path.join(directory, 'then'), symlinks=True)
    write(os.path.join(directory, 'then'), 'memz', b'memz 1.0.0\npage_size 4096\ntime 1769860000\n')

    def choose():
        """All views; of a part, one view for each replacement in turn."""
        n = 0
        while True:
            n += 1
            yield VIEWS if parts == 1 else [VIEWS[n // parts % len(VIEWS)]] if n % parts == part else []
    chosen = choose()
    check_trees(tree, directory, chosen)
    check_archives(tree, directory, chosen)
    print(f'{len(faults)} faults')
    return bool(faults)


if __name__ == '__main__':
    sys.exit(main())
