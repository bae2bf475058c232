#!/usr/bin/env bats
# --since: a saved state is the first scan; the live machine or another saved state is the second.
# shellcheck disable=SC2154	# run sets stderr_lines

load helper

BEFORE=$MACHINES/before
AFTER=$MACHINES/after

setup() {
	STATE=$BATS_TEST_TMPDIR/state.tar
}

# What the Python programs below share.
PRELUDE='
STATE = os.environ["BATS_TEST_TMPDIR"] + "/state.tar"
'

# pack TREE ARCHIVE: makes the archive of the tree.
pack() {
	(cd "$1" && tar --format=ustar -cf "$2" -- *)
}

# Two saved states

@test "of two saved states, what grew, came, went or was measured only later is right" {
	run -0 --separate-stderr "$MEMZ" --since "$BEFORE" -S "$AFTER" --csv -c pid,name,user,pss,pss_delta,rss_delta,swap_delta,change -s pid
	echo "$stderr"
	[[ $stderr == 'memz: 1 process: not readable in the first scan; the change is unknown' ]]
	diff - <(echo "$output") <<'END'
pid,name,user,pss,pss_delta,rss_delta,swap_delta,change
1,systemd,root,2255,0,0,0,same
220,sshd,root,963,0,0,0,same
301,leaky,alice,73951,65536,65536,0,same
302,shy,bob,4319,,0,,same
303,steady,alice,6367,0,0,0,same
410,batch,bob,0,-20703,-21756,0,gone
420,worker,alice,0,-3295,-4348,0,gone
420,worker,alice,5343,5343,6396,0,new
655,fresh,bob,12511,12511,13564,0,new
END
}

@test "a process whose start the earlier state lacks has unknown changes, and a note says so" {
	cp -R "$BEFORE" "$BATS_TEST_TMPDIR/before"
	rm "$BATS_TEST_TMPDIR/before/proc/301/stat"
	run -0 --separate-stderr "$MEMZ" --since "$BATS_TEST_TMPDIR/before" -S "$AFTER" --csv -H -c pid,pss,pss_delta,change -p 301
	[[ $output == '301,73951,,' ]]
	[[ $stderr == *'1 process: not readable in the first scan; the change is unknown'* ]]
}

@test "the largest changes come first, and a condition on a change works" {
	shown() { "$MEMZ" -q --since "$BEFORE" -S "$AFTER" --csv -H -c pid,pss_delta,change "$@" | tr '\n' ';'; }
	[[ $("$MEMZ" -q --since "$BEFORE" -S "$AFTER" --csv -H -n 4 | cut -d, -f1,4,7 | tr '\n' ';') == '301,65536,same;410,-20703,gone;655,12511,new;420,5343,new;' ]]
	[[ $(shown -f 'pss_delta>10M' -s pid) == '301,65536,same;655,12511,new;' ]]
	[[ $(shown -f change=gone -s pid) == '410,-20703,gone;420,-3295,gone;' ]]
	[[ $(shown -s -pss_delta -n 1 -r) == '410,-20703,gone;' ]]
}

@test "the interval is the time between, and rates are per second of it" {
	need jq
	"$MEMZ" -q --since "$BEFORE" -S "$AFTER" --json -c pid,pss_rate,change -t >"$BATS_TEST_TMPDIR/json"
	jq -c '.interval, .time, .totals' "$BATS_TEST_TMPDIR/json"
	jq -e '.interval == 3600 and .time == "2026-01-30T21:06:40Z" and .memory.mem_available == 1676560' "$BATS_TEST_TMPDIR/json"
	jq -e '.processes[] | select(.pid == 301) | .pss_rate | . > 18.1 and . < 18.3' "$BATS_TEST_TMPDIR/json"
	# without 302, which was not measured before
	"$MEMZ" -q --since "$BEFORE" -S "$AFTER" --json -t | jq -e '.totals | .pss_delta == 65536 - 20703 - 3295 + 5343 + 12511'
}

@test "groups: what they gained and lost, and which one is new, is right" {
	run -0 --separate-stderr "$MEMZ" --since "$BEFORE" -S "$AFTER" -g unit --csv -c unit,count,count_delta,pss,pss_delta -s unit
	diff - <(echo "$output") <<'END'
unit,count,count_delta,pss,pss_delta
app.service,3,0,85661,67584
batch.service,0,-1,0,-20703
init.scope,1,0,2255,0
session-7.scope,1,1,12511,12511
shy.service,1,0,,
ssh.service,1,0,963,0
END
	[[ $("$MEMZ" -q --since "$BEFORE" -S "$AFTER" -u -H --csv -c user,pss_delta -s user | tr '\n' ';') == 'alice,67584;bob,-8192;root,0;' ]]
}

@test "the machine: each area's change and each rate is right" {
	python <<'EOF'
args = "-w", "--since", MACHINES + "before", "-S", MACHINES + "after"
seen = report(*args)
assert seen["interval"] == 3600, seen["interval"]
areas = {area["area"]: area for area in seen["system"]["areas"]}
assert areas["anonymous"]["delta"] == 105896 - 46504, areas["anonymous"]
assert areas["shmem"]["delta"] == 0 and sum(area["delta"] or 0 for area in areas.values()) == 0
rates = seen["system"]["rates"]
for name, counted in ("faults", 720000), ("major_faults", 36), ("swap_ins", 18), ("swap_outs", 360), ("oom_kills", 1):
    assert abs(rates[name] - counted / 3600) < 0.0501, (name, rates)
assert "DELTA" in memz(*args).split("AREA")[1].split("\n")[0]
EOF
}

@test "archives compare as the trees they were made of" {
	pack "$BEFORE" "$STATE"
	pack "$AFTER" "$STATE.2"
	python <<'EOF'
for view in [], ["-A", "-c", "all"], ["-u"], ["--by", "unit", "-c", "+pss_rate"], ["-w"], ["-t"], ["-n", "3", "-f", "pss_delta>1M"], ["-P", "leak|work"], ["-U", "bob"], ["--by", "cgroup"]:
    for form in [], ["--csv"], ["--json"]:
        if (view, form) == (["-t"], ["--csv"]):
            continue
        trees = memz(*view, *form, "--since", MACHINES + "before", "-S", MACHINES + "after")
        for first, second in (STATE, STATE + ".2"), (STATE, MACHINES + "after"), (MACHINES + "before", STATE + ".2"):
            shown = memz(*view, *form, "--since", first, "-S", second)
            assert shown == trees, (view, form, shown, trees)
EOF
}

# A saved state and now

@test "a stopped process is unchanged since, and the time since is right" {
	start private 512 3
	python "${PIDS[@]}" <<'EOF'
began = time.time()
memz("--save", STATE)
saved = time.time()
time.sleep(.3)
earliest = time.time()
seen = report("-c", "pid,change,pss_delta,uss_delta,rss_delta,vsz_delta,swap_delta,minflt_delta,pss_rate", "--since", STATE)
latest = time.time()
assert earliest - saved - .02 <= seen["interval"] <= latest - began + .02, (seen["interval"], earliest - saved, latest - began)
found = {row.pop("pid"): row for row in seen["processes"]}
for pid in pids:
    assert found[pid].pop("change") == "same" and all(delta == 0 for delta in found[pid].values()), found[pid]
# between two saved states as well
memz("--save", STATE + ".2")
seen = report("-c", "pid,change,pss_delta", "--since", STATE, "-S", STATE + ".2")
assert .28 <= seen["interval"] <= time.time() - began + .02, seen["interval"]
assert [(row["pss_delta"], row["change"]) for row in seen["processes"] if row["pid"] in pids] == [(0, "same")] * len(pids)
EOF
}

@test "a restarted service is gone and new, and all else is the same" {
	start private 2048
	stays=$PID
	start private 4096
	old=$PID leader=${LOADERS[-1]}
	"$MEMZ" -q --save "$STATE" >/dev/null
	kill -KILL -- "-$leader"
	wait_for test ! -e "/proc/$old"
	start private 8192
	"$MEMZ" -q --since "$STATE" -c pid,user,name,command,pss,pss_anon_delta,pss_delta,change --json >"$BATS_TEST_TMPDIR/json"
	python "$stays" "$old" "$PID" "$BATS_TEST_TMPDIR/json" <<'EOF'
stays, old, new = pids
found = {row["pid"]: row for row in json.load(open(sys.argv[-1]))["processes"]}
assert [found[pid]["change"] for pid in pids] == ["same", "gone", "new"], [found[pid] for pid in pids]
assert found[stays]["pss_anon_delta"] == 0, found[stays]
assert found[old]["pss"] == 0 and found[old]["pss_delta"] <= -4096 and found[old]["pss_anon_delta"] <= -4096, found[old]
assert found[old]["command"].endswith("load private 4096") and found[old]["name"] == "load" and found[old]["user"], found[old]
assert found[new]["pss"] == found[new]["pss_delta"] >= 8192, found[new]
# all processes that started before the first of them, and are still there
def started(pid):
    try:
        fields = open(f"/proc/{pid}/stat", "rb").read().rpartition(b")")[2].split()
        return int(fields[19]) if fields[0] != b"Z" else None
    except OSError:
        return None
others = [found[pid]["change"] for pid in found if started(pid) and started(pid) < started(stays)]
assert len(others) > 0 and set(others) == {"same"}, others
EOF
	# each is two with the load that waits for it
	run -0 "$MEMZ" -q --since "$STATE" -P "$BATS_TEST_TMPDIR/load private" -g command -H --csv -c command,count,count_delta -s command
	[[ ${lines[0]} == *2048,2,0 && ${lines[1]} == *4096,0,-2 && ${lines[2]} == *8192,2,2 && ${#lines[@]} == 3 ]]
}

@test "growth since the state was saved shows in every view and format" {
	start grow 65536
	"$MEMZ" -q -m --save "$STATE" >/dev/null
	kill -USR1 "$PID"
	wait_for grep -qE '^VmRSS:\s+1[3-9][0-9]{4} kB' "/proc/$PID/status"
	python "$PID" <<'EOF'
def grown(n):
    return 65536 <= n <= 66500
since, only = ["--since", STATE], ["-P", os.environ["BATS_TEST_TMPDIR"] + "/load grow"]
row, = report(*since, *only, "-c", "pid,pss_anon,pss_anon_delta,change", "-f", "pss_anon_delta>60M")["processes"]
assert row["pid"] == pids[0] and grown(row["pss_anon_delta"]) and row["change"] == "same", row
group, = report(*since, *only, "--by", "name", "-c", "name,pss_anon_delta")["groups"]
assert group["name"] == "load" and grown(group["pss_anon_delta"]), group
anon, = [row for row in report(*since, *only, "-m", "-c", "mapping,rss,rss_delta,procs_delta")["mappings"] if row["mapping"] == "[anon]"]
assert grown(anon["rss_delta"]) and anon["rss"] >= 131072 and anon["procs_delta"] == 0, anon
kind, = [row for row in report(*since, *only, "-m", "--by", "kind", "-c", "kind,rss_delta")["groups"] if row["kind"] == "anon"]
assert grown(kind["rss_delta"]), kind
pid = str(pids[0])
line, = memz(*since, "--csv", "-H", "-p", pid, "-c", "pid,pss_anon_delta").split()
assert line.split(",")[0] == pid and grown(int(line.split(",")[1])), line
assert "+64." in memz(*since, "-p", pid, "-c", "pid,pss_anon_delta")
system = report("-w", *since)
assert system["interval"] > 0 and all("delta" in area for area in system["system"]["areas"]) and len(system["system"]["rates"]) == 6
EOF
}

@test "mappings have unknown changes where none were saved" {
	need jq
	start private 2048
	"$MEMZ" -q --save "$STATE" >/dev/null
	run --separate-stderr "$MEMZ" -m --since "$STATE" --json -P "$BATS_TEST_TMPDIR" -c mapping,rss,rss_delta
	echo "$status $stderr"
	[[ $stderr == memz:* ]]
	[[ $status == 1 ]] || jq -e '.mappings | length > 0 and all(.rss_delta == null)' <<<"$output"
}

@test "processes of one address space count once in a change" {
	need_root
	need jq
	start twins 32768 2
	"$MEMZ" -q -t --save "$STATE" >/dev/null
	"$MEMZ" -q -t --since "$STATE" -P "$BATS_TEST_TMPDIR/load" --json | jq -e '.totals | .pss_delta == 0 and .pss >= 32768 and .pss < 40000'
	kill -KILL "${PIDS[@]}"
	wait_for test ! -e "/proc/$PID"
	"$MEMZ" -q -t --since "$STATE" -P "$BATS_TEST_TMPDIR/load" --json | jq -e '.totals.pss_delta | . <= -32768 and . > -40000'
}

@test "what is compared can be saved at once, and reads the same later" {
	need jq
	"$MEMZ" -q --save "$STATE" >/dev/null
	"$MEMZ" -q --since "$STATE" --save "$STATE.2" --json -c pid,pss,pss_delta >"$BATS_TEST_TMPDIR/json"
	"$MEMZ" -q --since "$STATE" -S "$STATE.2" --json -c pid,pss,pss_delta >"$BATS_TEST_TMPDIR/json2"
	diff <(jq -S 'del(.scan.seconds)' "$BATS_TEST_TMPDIR/json") <(jq -S 'del(.scan.seconds)' "$BATS_TEST_TMPDIR/json2")
}

# States of other machines, and damaged ones

# other FILE TEXT: STATE with another boot_id or hostname, as TREE and as an archive.
other() {
	TREE=$BATS_TEST_TMPDIR/tree
	rm -rf "$TREE"
	mkdir "$TREE"
	[[ -e $STATE ]] || "$MEMZ" -q --save "$STATE" >/dev/null
	tar -C "$TREE" -xf "$STATE"
	rm -f "$TREE/proc/sys/kernel/$1"
	echo "$2" >"$TREE/proc/sys/kernel/$1"
	tar -C "$TREE" -cf "$STATE.other" .
}

@test "the state of another boot or host is not compared with this one" {
	for change in 'random/boot_id 00000000-0000-4000-8000-000000000000' 'hostname elsewhere'; do
		# shellcheck disable=SC2086
		other $change
		for state in "$STATE.other" "$TREE"; do
			refuses 1 "*$state*" --since "$state"
			[[ $stderr == *boot* || $stderr == *host* || $stderr == *machine* ]]
			refuses 1 '*' -w --since "$state"
		done
	done
}

@test "states of two boots or hosts can be compared when both are saved, and a note says so" {
	start private
	for change in 'random/boot_id 00000000-0000-4000-8000-000000000000' 'hostname elsewhere'; do
		# shellcheck disable=SC2086
		other $change
		rm -f "$STATE.2"
		"$MEMZ" -q --save "$STATE.2" >/dev/null
		for view in '-c pid,pss_delta,change' '-u' -w '--by command --csv'; do
			# shellcheck disable=SC2086
			run -0 --separate-stderr "$MEMZ" $view --since "$STATE.other" -S "$STATE.2"
			echo "$stderr"
			[[ $(wc -l <<<"$output") -gt 1 && $stderr == memz:* && $(grep -cE 'boot|host|machine' <<<"$stderr") == 1 ]]
			# shellcheck disable=SC2086
			run -0 --separate-stderr "$MEMZ" -q $view --since "$STATE.other" -S "$STATE.2"
			[[ -z $stderr ]]
		done
		# pid and start time still match
		[[ $("$MEMZ" -q --since "$STATE.other" -S "$STATE.2" --csv -H -c pid,pss_delta,change | grep "^$PID,") == "$PID,0,same" ]]
	done
	run -0 --separate-stderr "$MEMZ" --since "$STATE" -S "$STATE.2" -H
	run ! grep -E 'boot|host' <<<"$stderr"
}

@test "a state that cannot be read is an error" {
	refuses 1 '*/nowhere.tar: No such file or directory' --since "$BATS_TEST_TMPDIR/nowhere.tar"
	refuses 1 '*: No such file or directory' --since nowhere.tar -S "$AFTER"
	: >"$BATS_TEST_TMPDIR/empty"
	mkdir "$BATS_TEST_TMPDIR/directory"
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	for path in "$BATS_TEST_TMPDIR"/{empty,directory,fifo} "$ROOT/README.md" /dev/null; do
		refuses 1 "*$path*" --since "$path" -S "$AFTER"
	done
	pack "$BEFORE" "$STATE"
	refuses 1 '*nowhere*' --since "$STATE" -S "$BATS_TEST_TMPDIR/nowhere"
}

@test "two states in the wrong order are an error" {
	pack "$BEFORE" "$STATE"
	pack "$AFTER" "$STATE.2"
	for view in -A -u -w; do
		refuses 1 '*' $view --since "$AFTER" -S "$BEFORE"
		[[ $stderr =~ later|earlier|before|after|newer|older ]]
		refuses 1 '*' $view --since "$STATE.2" -S "$STATE"
	done
}

@test "a damaged state gets a message" {
	pack "$BEFORE" "$STATE"
	head -c 20000 "$STATE" >"$STATE.cut"
	run --separate-stderr "$MEMZ" --since "$STATE.cut" -S "$AFTER"
	[[ $status -le 1 && $stderr == memz:*"$STATE.cut"* ]]
}

# Wrong usage

@test "a time instead of a saved state is refused, with the reason" {
	for word in 1h 5m yesterday 30s 2d; do
		refuses 2 "*'$word'*saved state*" --since $word
	done
	refuses 2 '*saved state*' --since 1h -S "$AFTER"
}

@test "--since refuses what contradicts it" {
	refuses 2 '*--since*' --since "$BEFORE" -i 5
	[[ $stderr == *--interval* ]]
	refuses 2 '*--since*' -i 5 -S "$AFTER" --since "$BEFORE"
	refuses 2 '*--since*given twice*' --since "$BEFORE" --since "$BEFORE"
	refuses 2 '*--list-columns*' --list-columns --since "$BEFORE"
	refuses 2 '*--since*' --since
}

@test "-w: rates between two boots are unknown, also where the counters are higher" {
	local when tree=$BATS_TEST_TMPDIR

	for when in 1 2; do
		mkdir -p "$tree/$when/proc/sys/kernel/random"
		echo "boot-$when" >"$tree/$when/proc/sys/kernel/random/boot_id"
		printf 'pgfault %s000\noom_kill %s\npgsteal_anon 0\npgsteal_file %s\n' $when $when $when >"$tree/$when/proc/vmstat"
		printf 'memz 1.0.0\ntime 170000000%s\n' $when >"$tree/$when/memz"
	done
	run -0 "$MEMZ" -q -w --csv --since "$tree/1" -S "$tree/2"
	[[ $output == *$'\nrates,faults,,'* && $output == *$'\nrates,oom_kills,,'* && $output == *$'\nrates,reclaimed,,'* ]]
	run -0 --separate-stderr "$MEMZ" -w --csv --since "$tree/1" -S "$tree/2"
	[[ $stderr == *'memz: the two states are from two boots: rates are unknown'* && $stderr != *rows* ]]
	cp "$tree/1/proc/sys/kernel/random/boot_id" "$tree/2/proc/sys/kernel/random/"
	run -0 "$MEMZ" -q -w --csv --since "$tree/1" -S "$tree/2"
	[[ $output == *$'\nrates,faults,1000.0,'* ]]
}
