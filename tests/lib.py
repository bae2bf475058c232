"""What the Python programs in the tests share. helper.bash's python() begins each with "from lib import *", which brings
the modules as well.

The arguments of the program that are numbers are pids.
"""
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT, MEMZ = os.environ['ROOT'], os.environ['MEMZ']
MACHINES = ROOT + '/tests/machines/'
LONG = bool(os.environ.get('LONG'))             # check-long: more rounds
SANITIZED = MEMZ.endswith('san')                # built with a sanitizer, which takes longer: fewer rounds
# AS_NOBODY: memz and tar run as a user without rights
USER = dict(user=65534, group=65534, extra_groups=[]) if os.environ.get('AS_NOBODY') else {}

pids = [int(arg) for arg in sys.argv[1:] if arg.isdigit()]
selected = ','.join(map(str, pids))             # for -p


# -- running memz -----------------------------------------------------------------------------------------------------

def run(*args):
    """memz with these arguments: status, and bytes of both outputs."""
    return subprocess.run([MEMZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, **USER)


def memz(*args):
    """What memz -q prints. It must succeed without a message. The time of the scan, which differs each time, is 0."""
    done = run('-q', *args)
    assert done.returncode == 0 and not done.stderr, (args, done.returncode, done.stderr)
    return re.sub('"seconds":[0-9.]+', '"seconds":0', done.stdout.decode('utf-8'))


def report(*args):
    return json.loads(memz('--json', *args))


def by_pid(seen):
    """The rows of a report of processes."""
    return {row['pid']: row for row in seen['processes']}


def rows(*args):
    return by_pid(report(*args))


def records(*args):
    """The rows by pid as CSV has them: all values are text."""
    return {int(row['pid']): row for row in csv.DictReader(io.StringIO(memz('--csv', *args)))}


def adds_up(scan):
    """Each process of a scan is counted as one outcome."""
    return scan['processes'] == sum(scan[outcome] for outcome in ('measured', 'denied', 'vanished', 'stalled', 'skipped'))


# -- reading the kernel's files ---------------------------------------------------------------------------------------

def read(path):
    """A file's text; empty if there is none. Bytes that are not UTF-8 become surrogates."""
    try:
        with open(path, 'rb') as f:
            return f.read().decode('utf-8', 'surrogateescape')
    except FileNotFoundError:
        return ''


def proc(pid, name):
    """The text of a file of a live process."""
    with open(f'/proc/{pid}/{name}', 'rb') as f:
        return f.read().decode('utf-8', 'surrogateescape')


def column_name(key):
    """The kernel's key as a column: SwapPss is swap_pss, Active(anon) is active_anon."""
    return re.sub('([a-z])([A-Z])', r'\1_\2', key).replace('(', '_').replace(')', '').lower()


def kernel_sizes(text):
    """{the kernel's key: KiB or count} of meminfo, smaps_rollup and the like. A key that comes again adds up."""
    found = {}
    for key, size in re.findall(r'^(?:Node \d+ )?(\S+):\s+(\d+)(?: kB)?$', text, re.M):
        found[key] = found.get(key, 0) + int(size)
    return found


def sizes(text):
    """{column: KiB} of smaps_rollup or status."""
    return {column_name(key): int(size) for key, size in re.findall(r'^(\S+):\s+(\d+) kB$', text, re.M)}
