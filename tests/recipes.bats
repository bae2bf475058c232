#!/usr/bin/env bats
# The recipes of the manual, run as they are printed there, also with hostile names, unknown values and failures. LONG: a
# longer history. Those of a fleet in an engine: fleet.bats.
# shellcheck disable=SC2016	# sh -c expands

load helper

MACHINE=$CURRENT

# Each test has its own directory; bin in it has memz and programs that replace mail, ssh and others.
setup() {
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	cd "$BATS_TEST_TMPDIR" || return
	ln -s "$(realpath "$MEMZ")" bin/memz
	PATH=$PWD/bin:$PATH
}

# follow NAME [FROM TO]: runs a recipe, with FROM replaced by TO: a directory or a size that does not fit here.
follow() {
	local code

	code=$(recipe "$1")
	[[ $code ]]
	[[ $# -lt 3 ]] || code=${code//"$2"/"$3"}
	echo "$code" >&2
	timeout 120 sh -c "$code" </dev/null
}

# From here on memz reads only the processes of start_hostile, whatever else runs on this machine.
memz_of_hostile() {
	replace_program memz <<<"exec '$MEMZ' -p '$HOSTILE' \"\$@\""
}

# Starts processes with names that break careless quoting. HOSTILE: their pids for -p.
start_hostile() {
	local name

	HOSTILE=
	for name in 'x,"y' $'new\nline' 'new?line' "it's; a\\b"; do
		install -m 755 "$LOAD" "$name"
		start_program "./$name" private 2048
		HOSTILE+=$PID,
	done
	start names 0 20 7
	HOSTILE+=$(join "${PIDS[@]}")
}

# Writes an hour of history: a program of 90,000 KiB, one of 1,000,000 KiB, and one of unknown size. Compared as text,
# 90000 is larger than 1000000, and sqlite sorts '' above all numbers.
history_of_three() {
	awk 'BEGIN {
		for (minute = 0; minute < 60; minute++) {
			time = sprintf("2026-03-01T10:%02d:00Z,db1,", minute)
			print time "10,2026-03-01T09:00:00Z,small," 90000 - minute ",80000,0"
			print time "11,2026-03-01T09:00:00Z,\"la,\"\"rge\"," 1000000 - 1000 * (minute % 7) ",900000,12"
			print time "12,2026-03-01T09:00:00Z,unknown,,,"
		}
	}' >mem.csv
}

# Writes a month of history: 3 hosts, 12 processes of 5 programs, some values unknown, one record an hour (LONG: six).
month() {
	python "${LONG:+10}" <<'END'
import csv, datetime, random, sys
step = int(sys.argv[1] or 60)
r = random.Random(5)
names = ["nginx", "post,gres", 'ja"va', "back\\\\sl\\x0Aash", "redis"]
with open("mem.csv", "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    for n in range(30 * 1440 // step):
        time = (datetime.datetime(2026, 3, 1) + datetime.timedelta(minutes=n * step)).isoformat()
        for host in "web1", "web2", "db1":
            for pid in range(12):
                pss = r.choice(["", 5, r.randrange(90000, 100000), r.randrange(1000000, 1000000 + 1000 * pid + 1)])
                out.writerow([time + "Z", host, 100 + pid, "2026-02-01T00:00:%02dZ" % pid, names[pid % 5], pss, pss and pss // 2, 0])
END
}

@test "history for sqlite3 compares numbers as numbers, and an unknown value as null" {
	need sqlite3
	history_of_three
	follow import
	[[ $(sqlite3 mem.db 'select count(*), count(pss), min(pss), max(pss), count(distinct typeof(pss)) from mem') == '180|120|89941|1000000|2' ]]
	[[ $(sqlite3 mem.db 'select count(*) from mem where pss is null and uss is null and swap_pss is null') == 60 ]]
	diff <(follow peaks) - <<<$'la,"rge|1000000\nsmall|90000\nunknown|'
	diff <(follow growth) - <<<$'db1|11|la,"rge|6000\ndb1|10|small|59\ndb1|12|unknown|'
}

@test "history of a month is summed right by sqlite3 and miller" {
	need sqlite3 mlr
	month
	follow import
	follow peaks >peaks
	follow growth >growth
	follow mlr >days
	python <<'END'
import collections, csv, os, re
walks, processes, days = collections.Counter(), collections.defaultdict(list), collections.defaultdict(list)
known = 0
for time, host, pid, start, name, pss, uss, swap in csv.reader(open("mem.csv", newline="")):
    if pss:
        walks[time, host, name] += int(pss)
        processes[host, pid, name].append(int(pss))
        known += 1
tops = collections.Counter()
for (time, host, name), pss in walks.items():
    tops[name] = max(tops[name], pss)
    days[time[:10], name].append(pss)
def rows(file):
    return [line.split("|") for line in open(file).read().splitlines() if re.match(r".+\|\d+$", line)]
assert [(name, int(pss)) for name, pss in rows("peaks")] == tops.most_common(10), (open("peaks").read(), tops)
grown = sorted((max(pss) - min(pss) for pss in processes.values()), reverse=True)[:10]
assert [int(row[3]) for row in rows("growth")] == grown
assert all(max(processes[tuple(row[:3])]) - min(processes[tuple(row[:3])]) == int(row[3]) for row in rows("growth"))
shown = open("days").read().splitlines()
shown = [line.split() for line in shown[next(n for n, line in enumerate(shown) if line.startswith("day ")) + 1:]]
wanted = []
for day in sorted({day for day, _ in days}):
    best = sorted(((max(pss), name, sorted(pss)) for (when, name), pss in days.items() if when == day), reverse=True)[:3]
    wanted += [[day, name, str(pss[int(.5 * len(pss))]), str(top)] for top, name, pss in best]
assert len(wanted) == 90 and shown == wanted, (shown[:6], wanted[:6])
if os.environ.get("LONG"):
    print("# a month of", known, "known records", file=os.fdopen(3, "w"))
END
}

@test "history as JSON lines is the same as in CSV, and memz's own loads" {
	need sqlite3 jq
	history_of_three
	jq -cRn '[inputs | capture("^(?<time>[^,]*),(?<host>[^,]*),(?<pid>\\d+),(?<start>[^,]*),(?<name>.*),(?<pss>\\d*),\\d*,\\d*$")]
		| group_by(.time)[] | { time: .[0].time, host: .[0].host, processes: map({ pid: (.pid | tonumber), name: .name,
			pss: (if .pss == "" then null else .pss | tonumber end) }) }' <mem.csv >mem.jsonl
	[[ $(wc -l <mem.jsonl) -eq 60 ]]
	diff <(follow jsonl) - <<<$'"la,""rge"|1000000\nsmall|90000\nunknown|'
	sed -i 's/small/postgres/' mem.jsonl
	[[ $(follow one | grep -c $'^2026-03-01T10:..:00Z\t89[0-9]*$') -eq 59 ]]
	start_hostile
	memz -q --json -c +start,name -p "$HOSTILE" >mem.jsonl
	memz -q --json -c +start,name -p "$HOSTILE" >>mem.jsonl
	follow jsonl >peaks
	grep -E '^x,"y\|2[0-9]{3}$' peaks
	grep -F "it's; a\\b|2" peaks
}

@test "JSON lines are appended, and jq and sqlite3 find the largest in them" {
	need sqlite3 jq python3
	memz_of "$ROOT/tests/machines/hostile"
	follow append
	memz_of "$MACHINE"
	follow append
	follow append
	[[ $(wc -l <rows.jsonl) == $((2 * $(memz --csv -H | wc -l) + $("$MEMZ" -q -S "$ROOT/tests/machines/hostile" --csv -H | wc -l))) ]]
	follow lines >out
	python3 - <<-'END' >want
		import collections, json
		sums, most = collections.Counter(), collections.Counter()
		for line in open("rows.jsonl", encoding="utf-8"):
		    row = json.loads(line)
		    assert list(row) == ["time", "host", "pid", "start", "name", "pss"]
		    sums[row["time"], row["name"]] += row["pss"] or 0
		for (time, name), pss in sums.items():
		    most[name] = max(most[name], pss)
		for name, pss in most.most_common(5):
		    print(f"{name}|{pss}")
	END
	head -5 out | diff - want
	diff <(follow rows) <(memz --json -c name,pss | jq -r '.time as $t | .processes[] | select(.pss > 100000) | [$t, .name, .pss] | @tsv')
	[[ $(follow rows | wc -l) -gt 2 ]]
}

@test "cron's command runs, and what it appends can be read again with hostile names" {
	local line user command n=0 settings=()
	local setting='^[A-Z]+=[^ ]+$' job='^([*0-9,/-]+ ){5}([a-z]+) (memz [^%]+)$'

	need sqlite3 jq
	start_hostile
	memz_of_hostile
	recipe cron | sed "s,/var/log,$PWD,; s,^PATH=,&$PWD/bin:," >crontab
	while IFS= read -r line; do
		[[ ! $line =~ $setting ]] || { settings+=("$line") && continue; }
		[[ $line =~ $job ]]
		user=${BASH_REMATCH[2]} command=${BASH_REMATCH[3]}
		[[ $user == root ]]
		for _ in 1 2; do
			run -0 env -i HOME=/ LOGNAME="$user" SHELL=/bin/sh "${settings[@]}" /bin/sh -c "$command"
			[[ -z $output ]]	# else cron sends mail
		done
		n=$((n + 1))
	done <crontab
	((n == 2))
	mv memz.csv mem.csv
	follow import
	[[ $(sqlite3 mem.db 'select count(*) from mem') -eq $(wc -l <mem.csv) ]]
	for name in 'x,"y' 'new\x0Aline' "it's; a\\b"; do
		[[ $(sqlite3 mem.db "select count(*) from mem where name = '${name//\'/\'\'}' and pss > 2000") -eq 2 ]]
	done
	[[ $(jq -c '[.time, .host] | map(type)' memz.jsonl) == $'["string","string"]\n["string","string"]' ]]
}

@test "logrotate takes its stanza, and no record is lost or doubled as the file is rotated" {
	need_root
	need logrotate
	chmod go-w .
	memz_of "$MACHINE"
	recipe logrotate | sed "s,/var/log,$PWD,g" >conf
	recipe cron | sed -n "s,/var/log,$PWD,; s/.* root //; s/\$COLS/time,pid,pss/p" >job
	run -0 logrotate -d -s state conf
	[[ ! ${output,,} =~ error ]]
	for _ in 1 2 3; do
		sh "$PWD/job"
		logrotate -f -s state conf
	done
	sh "$PWD/job"
	ls
	[[ -e memz.csv.1 && -e memz.csv.2.gz && -e memz.csv.3.gz ]]
	records=$(memz --csv -H | wc -l)
	((records > 3))
	[[ $(zcat -f memz.csv* | wc -l) -eq $((4 * records)) ]]
}

@test "jq's five users are those of memz -u, and a missing value is no error" {
	need jq
	memz_of "$MACHINE"
	diff <(memz -q -u --csv -H -c user,pss -n 5 | tr , '\t') <(follow users)
	replace_program memz <<<'echo "{\"processes\":[{\"user\":\"a\",\"pss\":90000},{\"user\":\"b\",\"pss\":null},{\"user\":\"c\",\"pss\":1000000}]}"'
	diff <(follow users) - <<<$'c\t1000000\na\t90000\nb\t'
}

@test "jq joins two reports: a reused pid and an unknown value are handled" {
	need jq
	cat >old.json <<<'{"processes":[{"pid":1,"start":"a","name":"grew","pss":90000},{"pid":2,"start":"a","name":"reused","pss":5},
		{"pid":3,"start":"a","name":"unknown","pss":null},{"pid":4,"start":"a","name":"gone","pss":7},{"pid":5,"start":"a","name":"shrank","pss":9}]}'
	cat >new.json <<<'{"processes":[{"pid":1,"start":"a","name":"grew","pss":1000000},{"pid":2,"start":"b","name":"reused","pss":50},
		{"pid":3,"start":"a","name":"unknown","pss":70},{"pid":5,"start":"a","name":"shrank","pss":0}]}'
	diff <(follow join) - <<<$'910000\t1\tgrew\n-9\t5\tshrank'
	memz -q --json -c pid,start,name,pss >old.json
	memz -q --json -c pid,start,name,pss >new.json
	follow join >joined
	grep -P '^-?\d+\t\d+\t' joined
}

@test "what a deployment changed is shown since a saved state" {
	local gone new

	start private 1024
	gone=$PID
	follow before
	[[ $(stat -c %a before.tar) == 600 ]]
	clean_up
	start private 2048
	new=$PID
	follow after >out
	grep '^UNIT ' out
	grep -E "^gone +$gone " out
	grep -E "^new +$new " out
}

@test "an alarm is mailed, and nothing where all is well" {
	need hostname
	replace_program mail <<<'{ printf "%s\n" "$@"; cat; } >>mailbox'
	short_of_memory
	memz_of "$MACHINE"
	follow mail
	[[ ! -e mailbox ]]
	memz_of "$PWD/short"
	follow mail
	[[ $(<mailbox) == $'-s\nmemory of '*$'\nroot\nmemz: alert: mem_available<10%: '* && $(wc -l <mailbox) -eq 4 ]]
	rm mailbox
	memz_of /nowhere
	follow mail
	[[ $(<mailbox) == *'memz: /nowhere: No such file or directory' ]]
}

@test "an alarm is mailed by ifne, and nothing where all is well" {
	need hostname ifne
	replace_program mail <<<'{ printf "%s\n" "$@"; cat; } >>mailbox'
	short_of_memory
	memz_of "$MACHINE"
	follow ifne
	[[ ! -e mailbox ]]
	memz_of "$PWD/short"
	follow ifne
	[[ $(<mailbox) == *$'\nroot\nmemz: alert: mem_available<10%: '* ]]
}

@test "a build fails above its budget, passes below it, and its server is ended" {
	need python3
	cat >server <<'END'
#!/usr/bin/env python3
import os, time
x = b"x" * (int(open("size").read()) << 20)
print(os.getpid(), file=open("pid", "w"))
os.rename("pid", "ready")
os.closerange(0, 3)
time.sleep(60)
END
	printf '#!/bin/sh\n%s\n' 'until [ -e ready ]; do sleep 0.05; done' >tests
	chmod +x server tests
	echo 32 >size
	run -0 follow budget
	mv ready first
	run -3 follow budget 512M 24M
	[[ $output == *'memz: alert: vm_hwm>24M: 1 row, '* ]]
	for pid in "$(<first)" "$(<ready)"; do
		wait_for is_gone "$pid" || { kill "$pid" && return 1; }
	done
}

@test "in a container, the host's processes are seen at its mount" {
	need_root
	need unshare
	start private 1024
	mkdir host
	cat >inside <<END
memz -q -H -c pid >own
memz -q -H -c pid -S \$PWD/host >seen
$(recipe host | sed 's,/host,$PWD/host,')
END
	run -0 unshare --mount sh -ec 'mount --rbind / host && exec unshare --pid --fork --mount-proc sh -e inside'
	[[ $output == *CONTAINER*COUNT* ]]
	grep -qE "^ *$PID\$" seen
	! grep -qE "^ *$PID\$" own || return 1
}

@test "a flame graph's input has its form, and is the sum of all" {
	memz_of "$MACHINE"
	follow flame
	[[ $(awk '{ sum += $2 } END { print sum }' mem.folded) -eq $(memz --json -t -n 0 | grep -oP '"totals".*"pss":\K[0-9]+') ]]
	memz_of "$MACHINES/neither"	# a kernel without PSS
	follow flame
	[[ ! -s mem.folded ]]
	ln -sf "$(realpath "$MEMZ")" bin/memz
	start_hostile
	follow flame
	[[ $(wc -l <mem.folded) -gt 20 ]]
	! grep -vP '^[^ ;]*(;[^ ;]*)* [1-9][0-9]*$' mem.folded || return 1
	grep -P ';x,"y 2[0-9]{3}$' mem.folded
	! command -v flamegraph.pl >/dev/null || flamegraph.pl mem.folded 2>&1 | grep -q '<svg'
}

# is_exposition FILE: the format of node_exporter's text files: HELP and TYPE, then each series once; a label has three escapes.
is_exposition() {
	awk '
		/^# HELP memz_[a-z_]+_bytes [^\\]+$/ { next }
		/^# TYPE memz_[a-z_]+_bytes gauge$/ { metric = $3; if (typed[metric]++) exit 1; next }
		{ series = $0; sub(/ [0-9]+$/, "", series) }
		series == $0 || index($0, metric "{name=\"") != 1 || seen[series]++ { print; exit 1 }
		series !~ /^[a-z_]+\{name="([^"\\]|\\["\\n])*"\}$/ { print; exit 1 }' "$1"
	[[ $(grep -c ^memz_ "$1") -gt 20 ]]
	! command -v promtool >/dev/null || promtool check metrics <"$1"
}

@test "Prometheus takes the file, whatever programs are called, and the sums are right" {
	need jq
	start_hostile
	memz_of_hostile
	follow prometheus /var/lib/prometheus/node-exporter "$PWD"
	is_exposition memz.prom
	grep -P '^memz_pss_bytes\{name="x,\\"y"\} 2[0-9]{6}$' memz.prom
	grep -P '^memz_uss_bytes\{name="new\?line"\} [45][0-9]{6}$' memz.prom	# with that of the other new?line
	grep -P '^memz_swap_pss_bytes\{name="it.s; a\\\\b"\} [0-9]+$' memz.prom
	for machine in current hostile; do
		memz_of "$MACHINES/$machine"
		follow prometheus /var/lib/prometheus/node-exporter "$PWD"
		[[ $(awk '/^memz_pss_bytes/ { sum += $NF } END { printf "%.0f", sum }' memz.prom) -eq $(memz -b --json -t -n 0 | grep -oP '"totals".*"pss":\K[0-9]+') ]]
	done
	is_exposition memz.prom
}

@test "Prometheus' file is kept where memz fails, and is never seen half written" {
	need jq
	echo old >memz.prom
	memz_of /nowhere
	run ! follow prometheus /var/lib/prometheus/node-exporter "$PWD"
	[[ $(<memz.prom) == old ]]
	memz_of "$MACHINE"
	replace_program mv <<<'[ "$(cat memz.prom)" = old ] && [ -s memz.prom.new ] && exec /bin/mv "$@"'
	follow prometheus /var/lib/prometheus/node-exporter "$PWD"
	grep -q memz_pss memz.prom
}

# Makes an ssh to hosts h1 to h9. Each shows the saved machine; the answer of h2 is cut off, and h3 has no memz. pdsh can
# use it as well.
ssh_to_hosts() {
	replace_program ssh <<END
while case \$1 in -*) ;; *) false ;; esac do shift; done
host=\$1 && shift
case \$host in
h2) printf '2026-03-01T10:00:00Z,h2,1,20' && exit 255 ;;
h3) echo "sh: memz: not found" >&2 && exit 127 ;;
*) sh -c "\$*" | sed "s/^\\([^,]*\\),[^,]*/\\1,\$host/" ;;
esac
END
	memz_of "$MACHINE"
	printf 'h%d\n' {1..9} >hosts
}

@test "a fleet's reports by ssh are a file of each host that answered, each whole" {
	ssh_to_hosts
	rows=$(memz -q --csv -H | wc -l)
	follow collect 2>/dev/null || echo "$?"
	[[ $(cd processes/day=????-??-?? && echo *) == "$(printf 'h%d.csv ' 1 4 5 6 7 8)h9.csv" ]]
	[[ $(cat processes/*/*.csv | wc -l) -eq $((7 * rows)) ]]
	! grep -v '^[0-9T:Z-]*,h[1-9],' processes/*/*.csv -h || return 1
	[[ $(cat units/*/h9.jsonl | wc -l) -eq $(memz -q --by unit --jsonl | wc -l) && $(cat machine/*/h9.jsonl | wc -l) -eq 1 ]]
}

@test "a fleet's CSV by pdsh has every host, and mixes no two" {
	need pdsh
	ssh_to_hosts
	sed -i '/[23]/d' hosts
	rows=$(memz -q --csv -H | wc -l)
	PDSH_RCMD_TYPE=ssh follow pdsh
	! grep -v '^[0-9T:Z-]*,h[1-9],' fleet.csv || return 1
	[[ $(cut -d, -f2 fleet.csv | sort | uniq -c | awk '{ print $1 $2 }' | tr '\n' ' ') == "$(printf "${rows}h%d " 1 4 5 6 7 8 9)" ]]
}

@test "a secret on a command line is removed from what is handed on, and all else is left" {
	need tar
	install -m 755 "$LOAD" program
	start_program ./program private 1024 1 424242424
	memz -q -n 0 --save state.tar
	grep -q 424242424 state.tar
	follow redact
	! grep -q 424242424 state.tar || return 1
	[[ $(memz -q -S state.tar --csv -H -p "$PID" -c name,pss) == "program,$(awk '$1 == "Pss:" { print $2 }' "/proc/$PID/smaps_rollup")" ]]
}
