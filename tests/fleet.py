#!/usr/bin/env python3
"""Writes the reports of a fleet, as memz prints them, and what its questions have to answer.

    fleet.py DIR [HOSTS [SEED]]

MEMZ names the program, MACHINE a saved machine: their own reports are the pattern of what is written.

    DIR/processes/DAY/HOST.csv      two days of a report of 300 processes
    DIR/units/DAY/HOST.jsonl        seven days of a report by unit
    DIR/machine/DAY/HOST.jsonl      two days of the whole machine
    DIR/answers.json                {question: rows}

Hosts differ as those of a fleet do: in some all values of a column are unknown, as their kernel lacks it, or a key is missing;
the clock of one is wrong; the last line of one is cut in half.
"""
import collections
import csv
import io
import json
import os
import random
import subprocess
import sys

DAYS = [f'2026-03-{day:02}' for day in range(1, 8)]
YESTERDAY, TODAY = DAYS[-2:]
PROCESSES, SERVICES = 300, 60
LEAKS, LEAKS_ON_FEW = (11, 23), 31      # services that grow on 7 of 10 hosts, and on 4 of 10
BUILT = 5                               # the service of which a build was rolled out last night
COLUMNS = 'time,host,pid,start,unit,name,pss,uss,swap_pss'


def memz(*args):
    return subprocess.run([os.environ['MEMZ'], '-q', '-S', os.environ['MACHINE'], *args], check=True, capture_output=True, text=True).stdout


def unit(service):
    """Every ninth program runs in no unit."""
    if service == BUILT:
        return 'api.service'
    return '' if service % 9 == 0 else f'svc,"{service}".service'


class Fleet:
    def __init__(self, directory, hosts, seed):
        self.directory, self.hosts, self.random = directory, hosts, random.Random(seed)
        self.header = memz('--csv', '-c', COLUMNS).splitlines()[0]
        self.unit = json.loads(memz('--by', 'unit', '--jsonl').splitlines()[0])
        self.machine = json.loads(memz('-w', '--jsonl'))
        self.services = collections.defaultdict(lambda: {YESTERDAY: 0, TODAY: 0})
        self.build = {day: [0, 0] for day in (YESTERDAY, TODAY)}
        self.short, self.outside, self.holders = [], collections.Counter(), collections.Counter()

    def time(self, host, day):
        """The clock of host 7 is 56 years behind."""
        return ('1970-01-01' if host == 7 else day) + f'T03:{host // 60 % 60:02}:{host % 60:02}Z'

    def write(self, view, day, host, text, name):
        path = f'{self.directory}/{view}/{day}/h{host:04}.{name}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', newline='') as f:
            f.write(text)

    def processes(self, host, day):
        rows = []
        for n in range(PROCESSES):
            service = (n * 7 + host) % SERVICES
            pss = self.random.randrange(10000, 20000 + 3000 * service)
            if service == BUILT:
                pss += pss // 5 * (day == TODAY)
            pss = '' if self.random.random() < .02 else pss
            swap = '' if host % 50 == 0 else n % 3          # a kernel without SwapPss
            rows.append([self.time(host, day), f'h{host:04}', 1000 + n, '2026-02-01T00:00:00Z', unit(service), f'prog{service}', pss, pss and pss // 2, swap])
            if pss:
                self.services[unit(service) or f'prog{service}'][day] += pss
            if pss and service == BUILT:
                self.build[day][0] += 1
                self.build[day][1] += pss
        out = io.StringIO()
        out.write(self.header + '\n')
        csv.writer(out, lineterminator='\n').writerows(rows)
        if host == 9 and day == TODAY:
            out.write(f'{self.time(host, day)},h{host:04},99999,2026-0')
        self.write('processes', day, host, out.getvalue(), 'csv')

    def units(self, host):
        """Pss of each process, seven days: it grows each day where a service leaks, else it goes up and down."""
        for at, day in enumerate(DAYS):
            rows = []
            for service in range(SERVICES):
                leaks = service in LEAKS and host % 10 < 7 or service == LEAKS_ON_FEW and host % 10 < 4
                count = 2 + (host + at) % 3
                each = 30000 + 100 * service + (1000 * at if leaks else 500 * (at % 2))
                pss = None if service == 58 else count * each
                if unit(service):
                    rows.append({**self.unit, 'time': self.time(host, day), 'host': f'h{host:04}', 'unit': unit(service), 'count': count, 'pss': pss,
                                 'uss': pss, 'swap_pss': 0})
            lines = [json.dumps(row, separators=(',', ':')) + '\n' for row in rows]
            if host == 9:
                lines[-1] = lines[-1][:40]
            self.write('units', day, host, ''.join(lines), 'jsonl')

    def whole(self, host, day):
        report = json.loads(json.dumps(self.machine))
        report['time'], report['host'] = self.time(host, day), f'h{host:04}'
        if host % 50 == 0:
            report['memory'].pop('percpu', None)
        system = report['system']
        for area in system['areas']:
            if area['total'] is not None:
                area['total'] += self.random.randrange(0, 9000)
            if area['elsewhere'] is not None:
                area['elsewhere'] = self.random.randrange(0, 90000)
            outside = area['elsewhere'] if area['processes'] is not None else area['total']
            if day == TODAY and outside is not None and not area['area'].startswith('free'):
                self.outside[area['area']] += outside
        system['holders'] = [
            {'area': 'shmem', 'holder': '/dev/shm', 'kind': 'tmpfs', 'size': 1000 + host, 'pid': None},
            {'area': 'slab_unreclaimable', 'holder': 'kmalloc-64', 'kind': 'slab', 'size': 5000 + host % 7, 'pid': None},
            {'area': 'anonymous', 'holder': 'java', 'kind': 'process', 'size': 700000, 'pid': 812}]
        if day == TODAY:
            for holder in system['holders'][:2]:
                self.holders[holder['area'], holder['holder']] += holder['size']
        system['findings'] = []
        if host % 97 == 3 and day == TODAY:
            size = 200000 + host
            system['findings'] = [{'finding': 'short', 'size': size, 'pct': 4.2, 'holder': 'java', 'pid': 812, 'next': 'memz -n 10'},
                                  {'finding': 'swap', 'size': 900, 'pct': 91.0, 'holder': None, 'pid': None, 'next': 'memz -s swap -n 10'}]
            self.short.append([f'h{host:04}', 'short', size, 'java'])
        elif host % 13 == 0:
            system['findings'] = [{'finding': 'oom_kills', 'size': None, 'pct': None, 'holder': None, 'pid': None, 'next': 'dmesg -T | grep -i oom'}]
        self.write('machine', day, host, json.dumps(report, separators=(',', ':')) + '\n', 'jsonl')

    def make(self):
        for host in range(self.hosts):
            for day in YESTERDAY, TODAY:
                self.processes(host, day)
                self.whole(host, day)
            self.units(host)
        top = sorted(([name, days[TODAY], days[YESTERDAY]] for name, days in self.services.items()), key=lambda row: -row[1])
        answers = {
            'services': top[:20], 'short': sorted(self.short), 'leaks': sorted(unit(service) for service in LEAKS),
            'outside': sorted(self.outside.items(), key=lambda item: -item[1]),
            'holders': sorted(([area, name, size] for (area, name), size in self.holders.items()), key=lambda row: -row[2]),
            'build': [[n, pss / n] for n, pss in (self.build[YESTERDAY], self.build[TODAY])]}
        with open(f'{self.directory}/answers.json', 'w') as f:
            json.dump(answers, f)


if __name__ == '__main__':
    Fleet(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000, sys.argv[3] if len(sys.argv) > 3 else '1').make()
