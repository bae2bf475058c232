#!/usr/bin/env python3
"""Writes the reports of a fleet as memz prints them, and the answers to the questions that the manual puts to them.

    fleet.py DIR [HOSTS [SEED]]
    fleet.py --minutes DIR              one host, a report each minute of a day

MEMZ names the program, MACHINE a saved machine: its own reports are the pattern of what is written.

    DIR/processes/day=DAY/HOST.csv      two days, 300 processes
    DIR/units/day=DAY/HOST.jsonl        seven days, by unit
    DIR/machine/day=DAY/HOST.jsonl      two days, the whole machine
    DIR/answers.json                    {question: rows}; rows of a table and day, and how many of them have PSS

Host 7 has a clock that is 56 years behind, host 8 one that is 50 years ahead. Host 9's files end in half a line. In those of
host 10, a line has lost its end and the next one its beginning. Every 50th host lacks columns and keys, as older kernels do.
"""
import collections
import copy
import csv
import io
import json
import os
import random
import subprocess
import sys

DAYS = [f'2026-03-0{n}' for n in range(1, 8)]
YESTERDAY, TODAY = DAYS[-2:]
PROCESSES, SERVICES = 300, 60
LEAKS = {11: 7, 23: 6, 31: 5}   # service: on how many of ten hosts it grows each day
FLAT_ONCE = 37                  # grows on all hosts, but not on the fourth day
UNMEASURED = 58                 # the PSS of this service is unknown everywhere
BUILT = 5                       # a build of this service was rolled out last night
COLUMNS = 'time,host,pid,start,unit,name,pss,uss,swap_pss'


def memz(*args):
    return subprocess.run([os.environ['MEMZ'], '-q', '-S', os.environ['MACHINE'], *args], check=True, capture_output=True,
                          encoding='utf-8').stdout


def unit(service):
    """Every ninth program runs in no unit. That of a service which is named in the manual is plain."""
    if service == BUILT:
        return 'api.service'
    return f'svc,"{service}".service' if service % 9 else ''


def csv_lines(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator='\n').writerows(rows)
    return out.getvalue().splitlines(keepends=True)


def json_lines(rows):
    return [json.dumps(row, separators=(',', ':'), ensure_ascii=False) + '\n' for row in rows]


class Fleet:
    def __init__(self, directory, hosts, seed):
        self.directory, self.hosts, self.random = directory, hosts, random.Random(seed)
        self.unit = json.loads(memz('--by', 'unit', '--jsonl').splitlines()[0])
        self.machine = json.loads(memz('-w', '--jsonl'))
        self.services = collections.defaultdict(lambda: {YESTERDAY: None, TODAY: None})
        self.build = {day: [] for day in (YESTERDAY, TODAY)}
        self.short, self.outside, self.holders = [], {}, {}
        self.grows = collections.Counter()
        self.rows = {}

    def time(self, host, day, minute=0):
        if host == 7:
            day = '1970' + day[4:]
        if host == 8:
            day = '2076' + day[4:]
        return f'{day}T{3 + minute // 60:02}:{minute % 60:02}:{host % 60:02}Z'

    def write(self, view, day, host, kind, lines):
        path = f'{self.directory}/{view}/day={day}/h{host:04}.{kind}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            file.writelines(lines)

    def damage(self, host, rows, to_lines):
        """The lines of rows; what is damaged of them is taken off rows. Half of a quoted field is the worst place to end."""
        lines = to_lines(rows)
        if host == 9 and len(lines) > 1:
            last = next(n for n in reversed(range(len(lines))) if 'svc,' in lines[n])
            lines[last:] = [lines[last][:lines[last].index('svc,') + 5]]
            del rows[last:]
        if host == 10 and len(lines) > 9:
            at = len(lines) // 2
            lines[at:at + 2] = [lines[at][:30] + lines[at + 1][20:]]
            del rows[at:at + 2]
        return lines

    def count_rows(self, table, day, sizes):
        have = self.rows.setdefault((table, day), [0, 0])
        have[0] += len(sizes)
        have[1] += sum(size not in ('', None) for size in sizes)

    def count_services(self, day, reports):
        """Adds the mean of the reports of one host and day."""
        sums = collections.Counter()
        for row in (row for report in reports for row in report):
            service, pss = row[4] or row[5], row[6]
            if pss != '':
                sums[service] += pss
        for service, pss in sums.items():
            self.services[service][day] = (self.services[service][day] or 0) + pss / len(reports)

    def processes(self, host, day):
        """One report, of every tenth host three."""
        reports = []
        for report in range(3 if host % 10 == 4 else 1):
            rows = []
            for n in range(PROCESSES):
                service = (n * 7 + host) % SERVICES
                pss = self.random.randrange(10000, 20000 + 3000 * service)
                if service == BUILT and day == TODAY:
                    pss += pss // 5
                if service == UNMEASURED or self.random.random() < .02:
                    pss = ''
                rows.append([self.time(host, day, report), f'h{host:04}', 1000 + n, '2026-02-01T00:00:00Z', unit(service),
                             f'prog{service}', pss, pss and pss // 2, '' if host % 50 == 0 else n % 3])
            reports.append(rows)
        lines = [line for rows in reports for line in self.damage(host, rows, csv_lines)]
        self.write('processes', day, host, 'csv', lines)
        self.count_services(day, reports)
        for rows in reports:
            self.count_rows('mem', day, [row[6] for row in rows])
            self.build[day] += [(host, row[6]) for row in rows if row[4] == unit(BUILT)]

    def units(self, host):
        """Seven days: PSS by process grows each day where a service leaks, else it goes up and down."""
        for at, day in enumerate(DAYS):
            rows = []
            for service in range(SERVICES):
                if not unit(service):
                    continue
                count = 2 + (host + at) % 3
                each = 30000 + 100 * service + 500 * (at % 2)
                if host % 10 < LEAKS.get(service, 0):
                    each = 30000 + 1000 * at
                if service == FLAT_ONCE:
                    each = 30000 + 1000 * (at if at < 3 else at - 1)
                pss = None if service == UNMEASURED else count * each
                rows.append({**self.unit, 'time': self.time(host, day), 'host': f'h{host:04}', 'unit': unit(service), 'count': count,
                             'pss': pss, 'uss': pss, 'swap_pss': 0})
                if host % 50 == 0:
                    del rows[-1]['swap_pss']
            self.write('units', day, host, 'jsonl', self.damage(host, rows, json_lines))
            self.count_rows('units', day, [row['pss'] for row in rows])
            for row in rows:
                self.grows[row['host'], row['unit'], at] = (row['pss'] or 0) / row['count']

    def leaks(self):
        hosts = collections.defaultdict(list)
        for host, name in sorted({key[:2] for key in self.grows}):
            each = [self.grows.get((host, name, at), 0) for at in range(7)]
            hosts[name].append(all(0 < a < b for a, b in zip(each, each[1:])))
        return sorted(([name, sum(grew), len(grew)] for name, grew in hosts.items() if 2 * sum(grew) > len(grew)), key=lambda row: -row[1])

    def whole(self, host, day):
        report = copy.deepcopy(self.machine)
        report['time'], report['host'] = self.time(host, day), f'h{host:04}'
        system = report['system']
        if host % 50 == 0:      # a kernel without Percpu
            report['memory'].pop('percpu')
            next(area for area in system['areas'] if area['area'] == 'per_cpu').update(total=None, reclaimable=None, pct=None)
        for area in system['areas']:
            if area['total'] is not None:
                area['total'] += self.random.randrange(0, 9000)
            if area['elsewhere'] is not None:
                area['elsewhere'] = self.random.randrange(0, 90000)
        system['holders'] = [
            {**system['holders'][0], 'area': area, 'holder': holder, 'kind': kind, 'size': size, 'pid': pid}
            for area, holder, kind, size, pid in (
                ('shmem', '/dev/shm', 'tmpfs', 1000 + host, None),
                ('slab_unreclaimable', 'kmalloc-64', 'slab', 5000 + host % 7, None),
                ('anonymous', 'java', 'process', 700000, 812))]
        pattern = self.machine['system']['findings'][0]
        system['findings'] = []
        if host % 97 == 3 and day == TODAY:
            system['findings'] = [
                {**pattern, 'finding': 'short', 'size': 200000 + host, 'pct': 4.2, 'holder': 'java', 'pid': 812, 'next': 'memz -n 10'},
                {**pattern, 'finding': 'swap', 'size': 900000, 'pct': 91.0, 'holder': None, 'pid': None, 'next': 'memz -s swap -n 10'}]
        elif host % 13 == 0:
            system['findings'] = [pattern]
        if host == 9:       # all of its report is half a line
            self.write('machine', day, host, 'jsonl', json_lines([report])[0][:3000])
            return
        self.write('machine', day, host, 'jsonl', json_lines([report]))
        if day == TODAY:
            self.count_machine(report)

    def count_machine(self, report):
        for area in report['system']['areas']:
            if not area['area'].startswith('free'):
                outside = area['total'] if area['processes'] is None else area['elsewhere']
                have = self.outside.get(area['area'])
                self.outside[area['area']] = have if outside is None else (have or 0) + outside
        for holder in report['system']['holders']:
            if holder['kind'] != 'process':
                key = holder['area'], holder['holder'], holder['kind']
                self.holders[key] = self.holders.get(key, 0) + holder['size']
        self.short += [[report['host'], each['finding'], each['size'], each['holder']] for each in report['system']['findings']
                       if each['finding'] in ('short', 'swap')]

    def built(self, day):
        known = [pss for _, pss in self.build[day] if pss != '']
        return [day, len({host for host, _ in self.build[day]}), len(known), sum(known) / len(known), max(known)]

    def minutes(self):
        """A day of one host, a report each minute. From one to the next, PSS of two in three processes changes a little."""
        sizes = [self.random.randrange(10000, 200000) for _ in range(PROCESSES)]
        lines = {'processes': [], 'top': [], 'units': [], 'machine': []}
        for minute in range(24 * 60):
            time = f'{TODAY}T{minute // 60:02}:{minute % 60:02}:00Z'
            rows, units = [], collections.defaultdict(list)
            for n in range(PROCESSES):
                sizes[n] = max(1000, sizes[n] + (self.random.randrange(-300, 301) if self.random.random() < .67 else 0))
                service = n % SERVICES
                rows.append([time, 'h0000', 1000 + n, '2026-02-01T00:00:00Z', unit(service), f'prog{service}', sizes[n], sizes[n] * 9 // 10, n % 3])
                units[unit(service)].append(sizes[n])
            rows.sort(key=lambda row: -row[6])
            lines['processes'] += csv_lines(rows)
            lines['top'] += csv_lines(rows[:20])
            lines['units'] += json_lines([
                {**self.unit, 'time': time, 'host': 'h0000', 'unit': name or None, 'count': len(each), 'pss': sum(each),
                 'uss': sum(each) * 9 // 10, 'swap_pss': 0} for name, each in units.items()])
            for area in self.machine['system']['areas']:
                if area['total'] and self.random.random() < .67:
                    area['total'] += self.random.randrange(0, 300)
            self.machine.update(time=time, host='h0000')
            lines['machine'] += json_lines([self.machine])
        for view, text in lines.items():
            self.write(view, TODAY, 0, 'jsonl' if text[0].startswith('{') else 'csv', text)

    def make(self):
        for host in range(self.hosts):
            for day in YESTERDAY, TODAY:
                self.processes(host, day)
                self.whole(host, day)
            self.units(host)
        services = [[name, days[TODAY], days[YESTERDAY]] for name, days in self.services.items()]
        answers = {
            'services': sorted(services, key=lambda row: -row[1])[:20],
            'short': sorted(self.short),
            'leaks': self.leaks(),
            'areas': sorted(([name, size] for name, size in self.outside.items() if size is not None), key=lambda row: -row[1]),
            'holders': sorted(([*key, size] for key, size in self.holders.items()), key=lambda row: -row[-1]),
            'build': [self.built(YESTERDAY), self.built(TODAY)],
            'rows': [[*key, *counts] for key, counts in sorted(self.rows.items())]}
        with open(f'{self.directory}/answers.json', 'w', encoding='utf-8') as file:
            json.dump(answers, file)


if __name__ == '__main__':
    if sys.argv[1] == '--minutes':
        Fleet(sys.argv[2], 1, '1').minutes()
    else:
        Fleet(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000, sys.argv[3] if len(sys.argv) > 3 else '1').make()
