#!/usr/bin/env python3
"""Damaged and hostile tar archives, for save.bats.

    bad_archives.py cut|flip|forge SEED ARCHIVE > DAMAGED
        ARCHIVE truncated, with bytes changed anywhere, or with rubbish in the fields of its headers (checksums right)
    bad_archives.py KIND [WORD] > ARCHIVE
        a small machine with that kind of damage; WORD is the secret file or the number of members
    bad_archives.py --list
        the kinds

The same damage for the same seed.
"""
import random
import re
import sys

BLOCK = 512
FIELDS = {'name': (0, 100), 'mode': (100, 8), 'uid': (108, 8), 'gid': (116, 8), 'size': (124, 12), 'mtime': (136, 12), 'type': (156, 1),
          'link': (157, 100), 'magic': (257, 8), 'device': (329, 16), 'prefix': (345, 155)}


# -- tar as it should be ----------------------------------------------------------------------------------------------

def padded(text):
    return text + bytes(-len(text) % BLOCK)


def summed(header):
    """The header with its checksum."""
    header = header[:148] + b' ' * 8 + header[156:]
    return header[:148] + b'%06o\0 ' % sum(header) + header[156:]


def header(name, size=0, kind=b'0', link=b''):
    """A header of ustar; SIZE may be the field's bytes."""
    size = size if isinstance(size, bytes) else b'%011o\0' % size
    return summed(name.ljust(100, b'\0')[:100] + b'0000400\0' + b'0000000\0' * 2 + size + b'14000000000\0' + b' ' * 8 + kind +
                  link.ljust(100, b'\0')[:100] + b'ustar\00000' + bytes(247))


def member(name, text=b'', **fields):
    return header(name, len(text), **fields) + padded(text)


def process(pid, rss=400):
    """The members of a small process."""
    pid = str(pid).encode()
    files = {b'statm': b'9999 %d 10 1 0 100 0\n' % (rss // 4), b'comm': b'p%s\n' % pid, b'cmdline': b'p%s\0run\0' % pid,
             b'stat': b'%s (p%s) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 409600 10\n' % (pid, pid),
             b'status': b'Tgid:\t%s\nPid:\t%s\nUid:\t0\t0\t0\t0\n' % (pid, pid),
             b'smaps_rollup': b'Rss: %d kB\nPss: %d kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: %d kB\n' % (rss, rss, rss)}
    return b''.join(member(b'proc/%s/%s' % (pid, name), text) for name, text in files.items())


def machine(*more):
    """An archive of one process, and MORE."""
    return b''.join([member(b'proc/meminfo', b'MemTotal: 1000000 kB\nMemAvailable: 500000 kB\n'),
                     member(b'proc/sys/kernel/osrelease', b'6.18.0\n'), member(b'etc/passwd', b'root:x:0:0::/:/bin/sh\n'),
                     process(5), *more, bytes(2 * BLOCK)])


def headers(data):
    """(offset, bytes of content) of each member, up to the first that is not sound."""
    at, found = 0, []
    while at + BLOCK <= len(data) and data[at]:
        field = data[at + 124:at + 136].rstrip(b'\0 ')
        if re.search(rb'[^0-7]', field):
            break
        size = int(field or b'0', 8)
        found.append((at, size))
        at += BLOCK + size + -size % BLOCK
    return found


# -- damage to a sound archive ----------------------------------------------------------------------------------------

def cut(data, seed):
    """The archive cut off somewhere before the end of its last member."""
    rng = random.Random(f'cut {seed}')
    at, size = rng.choice([h for h in headers(data) if h[1]])
    last = sum(headers(data)[-1]) + BLOCK
    places = [0, 1, BLOCK - 1, at, at + 1, at + 124, at + BLOCK - 1, at + BLOCK, at + BLOCK + 1, at + BLOCK + size // 2, at + BLOCK + size - 1,
              rng.randrange(last), rng.randrange(last) // BLOCK * BLOCK]
    return data[:min(last - 1, places[seed % len(places)])]


def flip(data, seed):
    """The archive with some bytes changed, half of them in headers."""
    rng = random.Random(f'flip {seed}')
    starts, data = [at for at, _ in headers(data)], bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64, 512])):
        at = rng.choice(starts) + rng.randrange(BLOCK) if rng.random() < .5 else rng.randrange(len(data))
        data[at] = rng.choice([0, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)])
    return bytes(data)


def rubbish(rng, length):
    """Random content for a header field of that length."""
    return rng.choice([
        bytes(length), b'\xff' * length, b' ' * length, b'7' * length, b'8' * length, b'-1'.ljust(length, b'\0'), b'0x10'.ljust(length, b'\0'),
        b'\x80' + bytes(length - 1), (b'\x80' + (2 ** 63).to_bytes(11, 'big'))[:length].ljust(length, b'\0'),
        (b'\x80' + (2 ** 63 - 1).to_bytes(11, 'big'))[:length].ljust(length, b'\0'), b'\xff' + bytes(length - 1),
        b'../../../etc/passwd'[:length].ljust(length, b'\0'), b'/etc/passwd'[:length].ljust(length, b'\0'),
        b'proc/1/statm'[:length].ljust(length, b'\0'), b'proc/99999999999999999999/stat'[:length].ljust(length, b'\0'),
        b'12345671'[:length].ljust(length, b' '), bytes(rng.randrange(256) for _ in range(length)),
        bytes([rng.choice(b'0123456LKxgSVDMA')]) * length])


def forge(data, seed):
    """Rubbish in the fields of a few headers, with the right checksums."""
    rng = random.Random(f'forge {seed}')
    starts, data = [at for at, _ in headers(data)], bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 10])):
        at = rng.choice(starts)
        start, length = FIELDS[rng.choice([*FIELDS, 'size', 'size', 'type', 'name'])]
        data[at + start:at + start + length] = rubbish(rng, length)
        data[at:at + BLOCK] = summed(bytes(data[at:at + BLOCK]))
    return bytes(data)


# -- archives made to hurt --------------------------------------------------------------------------------------------

def long_size(n):
    """A size field in base 256, as GNU tar writes what octal cannot hold."""
    return b'\x80' + n.to_bytes(11, 'big')


def extended(records, kind=b'x'):
    return member(b'PaxHeaders/x', records, kind=kind)


def dotdot(secret):
    up = b'../' * 40 + secret.lstrip(b'/')
    return machine(*(member(prefix + up, b'MemTotal: 7 kB\n') for prefix in (b'', b'proc/', b'proc/5/', b'./', b'proc/6/../')),
                   member(b'proc/..', b''), member(b'..', kind=b'5'), member(b'proc/5/..', kind=b'5'), member(b'proc/../proc/meminfo', b'MemTotal: 7 kB\n'))


def absolute(secret):
    return machine(member(secret, b'MemTotal: 7 kB\n'), member(b'//' + secret, b'x'), member(b'/proc/6/statm', b'1 1 1 1 1 1 1\n'),
                   extended(pax(b'path', secret)), member(b'proc/6/comm', b'x\n'))


def links(secret):
    """Symbolic and hard links to a file outside, in place of every file that memz reads."""
    names = [b'proc/vmstat', b'proc/stat', b'proc/uptime', b'proc/pressure/memory', b'proc/buddyinfo', b'etc/group', b'memz']
    names += [b'proc/6/' + name for name in (b'statm', b'stat', b'status', b'smaps_rollup', b'smaps', b'comm', b'cmdline', b'cgroup', b'oom_score')]
    return machine(*(member(name, kind=kind, link=secret) for kind in (b'1', b'2') for name in names),
                   member(b'proc/7', kind=b'2', link=b'/proc/1'), member(b'proc/8', kind=b'2', link=b'../../../../proc/1'),
                   member(b'sys', kind=b'2', link=b'/sys'), member(b'proc/9/exe', kind=b'2', link=secret))


def cycles(_):
    return machine(member(b'proc/6/exe', kind=b'2', link=b'exe'), member(b'proc/6/statm', kind=b'2', link=b'stat'),
                   member(b'proc/6/stat', kind=b'2', link=b'statm'), member(b'proc/7', kind=b'2', link=b'7'), member(b'proc/8', kind=b'2', link=b'.'),
                   member(b'proc/9/comm', kind=b'1', link=b'proc/9/comm'), member(b'sys/devices', kind=b'2', link=b'../sys'),
                   member(b'proc/vmstat', kind=b'1', link=b'proc/vmstat'), member(b'proc/6/exe/exe', kind=b'2', link=b'..'))


def huge(_):
    """Sizes near 2^63 and 2^64, which overflow when they are rounded up or added."""
    return machine(*(header(b'proc/6/statm', long_size(n)) for n in (2 ** 63, 2 ** 63 - 1, 2 ** 63 - 512, 2 ** 64 - 1, 2 ** 64 - 512, 2 ** 64, 2 ** 80)))


def huge_last(_):
    return machine()[:-2 * BLOCK] + header(b'proc/6/statm', long_size(2 ** 63))


def negative(_):
    return machine(header(b'proc/6/statm', b'\xff' * 12), header(b'proc/7/statm', b'\xff' * 10 + b'\xfe\0'), header(b'proc/8/statm', b'-0000001000\0'))


def octal(_):
    return machine(*(header(b'proc/%d/statm' % (6 + i), size) for i, size in enumerate(
        [b'9' * 12, b'8' * 12, b'7' * 12, b'0x20'.ljust(12), b'12 34'.ljust(12), b'\0' * 12, b' ' * 12, b'1e3'.ljust(12, b'\0'), b'77777777777 '])))


def no_terminator(_):
    """Fields filled to the last byte."""
    full = summed(b'p' * 100 + b'7' * 24 + b'00000000000\0' + b'7' * 12 + b' ' * 8 + b'2' + b'l' * 100 + b'ustar\00000' + b'u' * 64 + b'7' * 16 +
                  b'x' * 155 + b'y' * 12)
    return machine(full, process(6))


def directories(_):
    """A directory in place of a file, and a file in place of a directory."""
    names = [b'meminfo', b'vmstat', b'stat', b'uptime', b'6/statm', b'6/stat', b'6/status', b'6/smaps_rollup', b'6/comm', b'6/exe', b'self/mountinfo']
    return machine(*(member(b'proc/' + name + slash, kind=b'5') for name in names for slash in (b'', b'/')), member(b'proc/7', b'a file\n'),
                   member(b'proc/7/statm', b'1 1 1 1 1 1 1\n'), member(b'proc/5', b'a file\n'), member(b'proc', b'a file\n'), member(b'sys', b'x'),
                   member(b'etc', b'x'), member(b'etc/passwd/x', b'x'))


def specials(_):
    """Devices, FIFOs and unknown types."""
    return machine(*(member(b'proc/%d/%s' % (pid, name), kind=kind) for pid, kind in enumerate((b'3', b'4', b'6', b'7', b'S', b'V', b'M', b'D', b'\0', b'\xff'), 6)
                     for name in (b'statm', b'smaps_rollup', b'comm', b'exe')))


def duplicates(_):
    return machine(process(5, 800), process(5), member(b'proc/meminfo', b'MemTotal: 2000000 kB\n'), member(b'proc/5', kind=b'5'), process(6), process(6, 4000),
                   member(b'proc/6/comm', b'last\n'))


def pids(_):
    """Directories with numbers that are no pids."""
    names = [b'0', b'00', b'05', b'-1', b'4294967296', b'4294967301', b'2147483648', b'9223372036854775808', b'18446744073709551621', b'9' * 60, b'5x', b'+5', b' 5']
    return machine(*(member(b'proc/%s/statm' % name, b'100 50 1 1 0 1 0\n') for name in names))


def names(_):
    """Unusual member names."""
    odd = [b'', b'/', b'//', b'.', b'./', b'././proc/6/statm', b'proc//6//statm', b'proc/6/', b'proc/./6/comm', b'proc/6/statm/', b'\n', b'proc/\n/statm',
           b'proc/6/\xff', b'PROC/6/statm', b'proc/6/com\033[31m', b'p' * 100, b'a/' * 50, b'proc' + b'/6' * 48]
    return machine(*(member(name, b'100 50 1 1 0 1 0\n') for name in odd))


def pax(key, value):
    """A pax record, which begins with its own length."""
    length = len(key) + len(value) + 3
    while len(b'%d' % length) + len(key) + len(value) + 3 != length:
        length = len(b'%d' % length) + len(key) + len(value) + 3
    return b'%d %s=%s\n' % (length, key, value)


def pax_rubbish(_):
    records = [b'', b'\n', b'9', b'0 path=x\n', b'-5 path=x\n', b'99999999999999999999 path=x\n', b'20 path=x\n', b'8 path=x\n', b'3 \n', b'5 =x\n', b'7 path\n',
               b'18446744073709551615 size=1\n', pax(b'size', b'9223372036854775808'), pax(b'size', b'-1'), pax(b'size', b''), pax(b'size', b'x'),
               pax(b'path', b''), pax(b'path', b'proc/6/statm\0more'), pax(b'path', b'../' * 1000), pax(b'path', b'/etc/passwd'), pax(b'linkpath', b'x' * 70000),
               pax(b'GNU.sparse.major', b'1') + pax(b'GNU.sparse.name', b'proc/6/statm'), b'\0' * 1024, b'9 path=xxxxxxx']
    return machine(*(extended(r, kind) + member(b'proc/%d/statm' % pid, b'100 50 1 1 0 1 0\n')
                     for kind in (b'x', b'g') for pid, r in enumerate(records, 6)), extended(pax(b'path', b'proc/6/comm')))


def gnu_rubbish(_):
    """GNU long names: empty, without their member, too large, nested."""
    long_name = b'././@LongLink'
    return machine(member(long_name, b'', kind=b'L'), process(6), member(long_name, b'proc/7/statm', kind=b'L'), member(long_name, b'x' * 3000, kind=b'K'),
                   member(long_name, b'\0', kind=b'L'), member(b'proc/8/exe', kind=b'2'), member(long_name, b'../../etc/passwd\0', kind=b'L'), member(b'x', b'x'),
                   header(long_name, long_size(2 ** 40), kind=b'L'), member(long_name, b'proc/9/statm\0', kind=b'L'))


def many(count):
    """That many members, half of them in processes of their own."""
    for i in range(int(count) // 2):
        yield member(b'proc/%d/statm' % (i + 10), b'100 50 1 1 0 1 0\n')
        yield header(b'junk/%d' % i)
    yield machine()


def not_one(_):
    """A sound archive that is no saved machine."""
    return member(b'src/', kind=b'5') + member(b'src/main.c', b'int main(void) { return 0; }\n') + bytes(2 * BLOCK)


KINDS = {f.__name__.replace('_', '-'): f for f in (dotdot, absolute, links, cycles, huge, huge_last, negative, octal, no_terminator, directories, specials,
                                                   duplicates, pids, names, pax_rubbish, gnu_rubbish, many, not_one)}
DAMAGES = {'cut': cut, 'flip': flip, 'forge': forge}


def main(arguments):
    kind, *words = arguments or ['']
    if arguments == ['--list']:
        print('\n'.join(KINDS))
    elif kind in DAMAGES and len(words) == 2:
        with open(words[1], 'rb') as f:
            sys.stdout.buffer.write(DAMAGES[kind](f.read(), int(words[0])))
    elif kind in KINDS and len(words) < 2:
        made = KINDS[kind](words[0].encode() if words else b'0')
        sys.stdout.buffer.writelines([made] if isinstance(made, bytes) else made)
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
