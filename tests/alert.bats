#!/usr/bin/env bats
# --alert: status and messages, for the machine, rows, groups, mappings and changes.
# shellcheck disable=SC2154	# run sets stderr_lines
# shellcheck disable=SC2016	# sh -c expands

load helper

# holds COND [ARG...]: the alert is raised on the machine SOURCE: status 3 and one line, even with -q. WORDS: what follows COND.
holds() {
	run -3 --separate-stderr "$MEMZ" -q -n 0 -S "$SOURCE" --alert "$1" "${@:2}"
	echo "$*: $stderr"
	[[ -z $output && ${#stderr_lines[@]} == 1 && $stderr == "memz: alert: $1: "*[0-9]* ]]
	WORDS=${stderr#"memz: alert: $1: "}
}

# silent COND [ARG...]: the alert is not raised: status 0 and no output.
silent() {
	run -0 --separate-stderr "$MEMZ" -q -n 0 -S "$SOURCE" --alert "$1" "${@:2}"
	echo "$*: $stderr"
	[[ -z $output && -z $stderr ]]
}

setup() {
	SOURCE=$CURRENT
}

# The machine

@test "each operator holds for a figure of the machine exactly where it should" {
	for cond in =19204944 '!=5' '<19204945' '<=19204944' '>19204943' '>=19204944' '>=0' ' = 19204944 '; do
		holds "mem_available$cond"
	done
	for cond in =19204943 '!=19204944' '<19204944' '<=19204943' '>19204944' '>=19204945' '<0' ' = 5'; do
		silent "mem_available$cond"
	done
}

@test "the name of a figure may be in any case, as that of a column" {
	holds 'MEM_AVAILABLE=19204944'
	holds 'Swap_Total=100%'
	holds 'PSS>1M'
}

@test "a size may have a suffix or a percentage, and a bare one is KiB" {
	for cond in 'mem_available=19204944K' 'mem_available=19665862656B' 'mem_available>18754M' 'mem_available>18.3G' 'mem_available<1T' \
		'mem_available>77.8%' 'mem_available<78%' 'mem_total=100%' 'swap_total=100%' 'swap_used>5.9%' 'swap_used<6%' 'mem_used<5.5G'; do
		holds "$cond"
		holds "$cond" --unit M	# does not change the unit of a bare size
	done
	for cond in 'mem_available<18.3G' 'mem_available>19G' 'mem_available<10%' 'mem_available>77.81%' 'swap_used>6%' 'swap_used>80%' 'mem_used>22.2%' 'swap_free<10%'; do
		silent "$cond"
	done
}

@test "a figure that is a count or a percentage is compared as a plain number" {
	holds 'huge_pages_total=64'
	holds 'huge_pages_free<33'
	silent 'huge_pages_free<32'
	holds 'psi_some_avg10>1.2'
	holds 'psi_some_avg10=1.25'
	holds 'psi_some_avg60>0.8'
	holds 'psi_some_avg300<=0.31'
	holds 'psi_full_avg10<0.5'
	holds 'psi_full_avg60<0.23'
	holds 'psi_full_avg300>0'
	silent 'psi_some_avg10>1.25'
	silent 'psi_full_avg10>10'
	refuses 2 "*'5M' is not*" --alert 'huge_pages_free<5M'
	refuses 2 "*'5M' is not*" --alert 'psi_some_avg10>5M'
	refuses 2 "*~*text*" --alert 'mem_available~1'
}

@test "an alert says the current value" {
	holds 'huge_pages_free<33'
	[[ $WORDS =~ (^|[^0-9])32([^0-9]|$) ]]
	holds 'mem_available<78%'
	[[ $WORDS =~ 18\.3G|19204944|77\.8 ]]
	holds 'psi_some_avg10>1'
	[[ $WORDS == *1.25* ]]
}

@test "every key of memory in the JSON can be used in an alert" {
	python <<'EOF'
tried = 0
def alerts(*args):
    """Status, output and messages of memz -q -n 0."""
    done = run("-q", "-n", "0", *args)
    return done.returncode, done.stdout, done.stderr.decode("utf-8").splitlines()
for name in [None, *sorted(os.listdir(MACHINES))]:
    source = ["-S", MACHINES + name] if name else []
    if name and not os.path.isdir(MACHINES + name):
        continue
    memory = report("-n", "0", *source)["memory"]
    known = [key for key, value in memory.items() if value is not None]
    status, out, told = alerts(*source, *[word for key in known for word in ("--alert", key + ">=0")])
    assert status == (3 if known else 0) and not out, (name, status, told)
    assert len(told) == len(known) and all(line.startswith(f"memz: alert: {key}>=0: ") for key, line in zip(known, told)), (name, known, told)
    for key in set(memory) - set(known):
        status, out, told = alerts(*source, "--alert", key + ">=0")
        assert status == 1 and len(told) == 1 and key in told[0], (name, key, status, told)
    tried += len(known)
assert tried > 500, tried
EOF
}

@test "a figure that this kernel lacks gives status 1, and the report is still printed" {
	for cond in 'no-psi psi_some_avg10>10' 'no-psi psi_full_avg300>=0' 'neither mem_available<10%' 'empty mem_available<10%' 'empty swap_used>80%'; do
		SOURCE=$MACHINES/${cond%% *}
		cond=${cond#* }
		for args in '-n 0' '--csv' '-u'; do
			# shellcheck disable=SC2086
			run -1 --separate-stderr "$MEMZ" -q -S "$SOURCE" $args --alert "$cond"
			echo "$stderr"
			[[ ${#stderr_lines[@]} == 1 && $stderr == memz:*"${cond%%[<>]*}"* ]]
			# shellcheck disable=SC2086
			[[ $output == "$("$MEMZ" -q -S "$SOURCE" $args)" ]]
		done
	done
	run -1 "$MEMZ" -q -w -S "$MACHINES/no-psi" --alert 'psi_some_avg10>10'
	[[ $output == *anonymous* ]]
	mkdir -p "$BATS_TEST_TMPDIR/part/proc"
	echo 'MemFree: 1000 kB' >"$BATS_TEST_TMPDIR/part/proc/meminfo"
	run -1 --separate-stderr "$MEMZ" -q -n 0 -S "$BATS_TEST_TMPDIR/part" --alert 'mem_free<5%'
	[[ $stderr == "memz: --alert 'mem_free<5%': this machine has no mem_total" ]]
}

@test "-w takes alerts about the machine, and refuses those about rows" {
	run -3 --separate-stderr "$MEMZ" -w -S "$CURRENT" --alert 'mem_available<78%' --alert 'psi_some_avg10>1' --alert 'swap_used>80%'
	[[ ${#stderr_lines[@]} == 2 && $stderr == 'memz: alert: mem_available<78%: '*$'\n''memz: alert: psi_some_avg10>1: '* ]]
	[[ $output == "$("$MEMZ" -w -S "$CURRENT")" ]]
	run -0 --separate-stderr "$MEMZ" -w -S "$CURRENT" --alert 'mem_available<10%'
	[[ -z $stderr ]]
	refuses 2 '*pss*' -w --alert 'pss>1G'
	refuses 2 '*name*' -w --alert 'name=java'
}

@test "a machine without swap raises no alert about swap" {
	SOURCE=$MACHINES/numa2
	silent 'swap_used>80%'
	silent 'swap_used>0'
}

# Rows

@test "each operator holds for a column exactly where it should" {
	for cond in 'pss>2000M' 'pss=2130503' 'uss<177' 'swap>=204800' 'rss<=1360' 'oom_score!=666' 'threads>60' 'name=java' 'name~^post' 'user!~^(alice|root)$' \
		'command~--title' 'state!=S' 'pid=812' 'pss_pct>8.6' 'pss>8%' 'swap>4.8%' 'unit=ssh.service' 'private_dirty>1G' 'vm_hwm>2G' 'start<2030-01-01' 'pss > 2G'; do
		holds "$cond"
	done
	for cond in 'pss>2081M' 'pss=5' 'uss<176' 'swap>204800' 'threads>61' 'name=jav' 'name~^ost' 'user!~^.' 'pid=1802' 'pss_pct>8.7' 'pss>9%' 'swap>4.9%' \
		'state=Z' 'vm_hwm>100G' 'start>2030-01-01'; do
		silent "$cond"
	done
	holds 'state=Z' -A
}

@test "an alert about rows says how many match, and which is the largest" {
	holds 'oom_score>669'
	[[ $WORDS =~ ^(.*[^0-9])?5([^0-9].*)?$ && $WORDS == *1054* ]]
	holds 'threads>10'
	[[ $WORDS =~ ^(.*[^0-9])?2([^0-9].*)?$ && $WORDS == *61* ]]
}

@test "an unknown value raises no alert" {
	SOURCE=$MACHINES/neither
	for op in '=' '!=' '<' '<=' '>' '>='; do
		silent "pss${op}0"
		silent "swap_pss${op}5%"
	done
	SOURCE=$CURRENT
	silent 'container!~^(3f|ab|[0-9a-f])'
	silent 'pss_rate>=0'
	silent 'pss!=5' -A -f 'name~kthread'
	SOURCE=$MACHINES/before
	silent 'pss>=0' -p 302
	holds 'rss>=0' -p 302
}

@test "only selected rows raise an alert" {
	silent 'pss>2000M' -f user=postgres
	silent 'pss>2000M' -U postgres
	silent 'pss>2000M' -P postgres
	silent 'pss>2000M' -p 812
	holds 'pss>300M' -U postgres
	holds 'pss>300M' -p 812
	holds 'pss>2000M' -U alice -f 'threads>60' -P java
}

@test "an alert sees rows beyond -n, and columns that are not shown" {
	for n in 0 1 3 1000; do
		run -3 --separate-stderr "$MEMZ" -q -S "$CURRENT" -n $n -s pss -c pid,pss --alert 'uss<1M' --jobs 1
		[[ $stderr =~ ^memz:\ alert:\ uss\<1M:\ (.*[^0-9])?2([^0-9].*)?$ ]]
		[[ $output == "$("$MEMZ" -q -S "$CURRENT" -n $n -s pss -c pid,pss)" ]]
		run -3 --separate-stderr "$MEMZ" -q -S "$CURRENT" -n $n -s rss -c pid --alert 'pss>=300'
		[[ $stderr =~ ^memz:\ alert:\ pss\>=300:\ (.*[^0-9])?15([^0-9].*)?$ ]]
	done
	holds 'oom_score_adj<0' -c pid
	holds 'vm_hwm>2G' -c name -s name
	holds 'maps>5' -c name
	holds 'exe~postgres' -c pid
}

@test "a name that is both a column and a figure of the machine raises an alert for either" {
	holds 'hugetlb=131072'	# of the machine
	holds 'hugetlb=65536'	# of java
	silent 'hugetlb=4'
	holds 'anon_huge_pages>1G' -f name=sshd
	holds 'hugetlb=131072' -p 812
	silent 'hugetlb=65536' -p 812
}

# Over time

@test "a change over an interval raises an alert" {
	need python3
	start private 1024
	stopped=$PID
	start_growing
	run -3 --separate-stderr "$MEMZ" -q -n 0 -i 0.5 -p "$PID,$stopped" --alert 'rss_delta>200' --alert 'pss_rate>200' --alert 'change=gone' --alert 'rss_delta<0'
	[[ ${#stderr_lines[@]} == 2 && ${stderr_lines[0]} == 'memz: alert: rss_delta>200: '* && ${stderr_lines[1]} == 'memz: alert: pss_rate>200: '* ]]
	run -0 --separate-stderr "$MEMZ" -q -n 0 -i 0.1 -p "$stopped" --alert 'rss_delta!=0' --alert 'minflt_delta>0' --alert 'change!=same'
	[[ -z $output && -z $stderr ]]
}

@test "a change since a saved state raises an alert" {
	SOURCE=$MACHINES/after
	since=(--since "$MACHINES/before")
	holds 'pss_delta>60M' "${since[@]}"
	holds 'pss_delta<-20M' "${since[@]}"
	holds 'rss_delta>64M' "${since[@]}" -U alice -f 'rss>70M' || holds 'rss_delta>=64M' "${since[@]}" -U alice -f 'rss>70M'
	holds 'change=gone' "${since[@]}"
	[[ $WORDS =~ ^(.*[^0-9])?2([^0-9].*)?$ ]]
	holds 'pss_delta>60M' "${since[@]}" -u
	holds 'pss_delta<-20M' "${since[@]}" --by unit
	holds 'count_delta<0' "${since[@]}" --by unit
	holds 'mem_available<1700000' "${since[@]}"	# the figure of the second scan
	silent 'mem_available>1700000' "${since[@]}"
	silent 'pss_delta>100M' "${since[@]}"
	silent 'pss_delta>=0' "${since[@]}" -p 302
	silent 'change=new' "${since[@]}" -U alice -f 'pid<400'
}

# Groups and mappings

@test "with --by, an alert is about groups" {
	silent 'pss>2100M'
	holds 'pss>2100M' -u
	holds 'pss>2100M' --by user -s user
	holds 'count>3' -u
	silent 'count>4' -u
	holds 'user=alice' -u
	silent 'pss>2100M' -u -f 'pss<2000M'
	holds 'pss_pct>9' -u
	silent 'oom_score>0' -u	# a score is unknown in a group
	SOURCE=$MACHINES/cgroup2
	holds 'cg_pct>50' --by cgroup			# two services in a slice at 62.5 %
	[[ $WORDS == '2 rows, '* ]]
	holds 'cg_usage>200M' --by cgroup -c cgroup
	silent 'cg_pct>63' --by cgroup
	holds 'mem_available>1G' --by cgroup
	refuses 2 '*cg_pct*--by cgroup*' --alert 'cg_pct>50'
	refuses 2 '*count*--by*' --alert 'count>5'
}

@test "with -m, an alert is about mappings" {
	holds 'rss>2G' -m
	silent 'rss>4G' -m
	holds 'kind=heap' -m
	holds 'mapping~libjvm' -m
	silent 'mapping~libjvm' -m -M postgres
	holds 'procs>10' -m -c mapping
	holds 'pss>2G' -m --by kind
	holds 'mem_available>1G' -m
	refuses 2 '*pid*' -m --alert 'pid>1'
	refuses 2 '*kind*-m*' --alert 'kind=heap'
}

# Statuses and messages

@test "an alert does not change the report" {
	for args in '' --csv --json '-u -t' '-m --csv' '-w --json' '-n 3 --csv' '-c pid,rss -s rss -n 2' '-H -A'; do
		# shellcheck disable=SC2086
		run -3 --separate-stderr "$MEMZ" -S "$CURRENT" $args --alert 'mem_available<78%'
		# shellcheck disable=SC2086
		diff <(sed 's/"seconds":[0-9.]*//' <<<"$output") <("$MEMZ" -S "$CURRENT" $args | sed 's/"seconds":[0-9.]*//')
	done
}

@test "of several alerts, each that holds is reported in a line of its own" {
	run -3 --separate-stderr "$MEMZ" -n 0 -S "$CURRENT" --alert 'swap_used>80%' --alert 'pss>2000M' --alert 'mem_available<10%' --alert 'mem_available<80%' --alert 'name=init'
	[[ ${#stderr_lines[@]} == 2 && ${stderr_lines[0]} == 'memz: alert: pss>2000M: '* && ${stderr_lines[1]} == 'memz: alert: mem_available<80%: '* ]]
	silent 'swap_used>80%' --alert 'pss>20G' --alert 'mem_available<10%'
}

@test "status 1 outranks status 3, and the alert is still reported" {
	run -1 --separate-stderr "$MEMZ" -q -n 0 -S "$MACHINES/no-psi" --alert 'psi_some_avg10>0' --alert 'mem_available<99%'
	[[ ${#stderr_lines[@]} == 2 && $stderr == *'memz: alert: mem_available<99%: '* && $stderr == *psi_some_avg10* ]]
	run -1 --separate-stderr "$MEMZ" -q -n 0 -S "$MACHINES/no-psi" --alert 'mem_available<99%' --alert 'psi_some_avg10>0'
	[[ ${#stderr_lines[@]} == 2 && $stderr == *'memz: alert: mem_available<99%: '* ]]
	run -1 --separate-stderr "$MEMZ" -q -S "$CURRENT" -p 812,99999 -H -c pid --alert 'pss>1M'
	[[ $output == 812 && $stderr == *'no process 99999'* && $stderr == *'memz: alert: pss>1M: '* ]]
	run -1 bash -c '"$MEMZ" -q -S "$1" --alert "mem_available<99%" >/dev/full' - "$CURRENT"
	run -1 "$MEMZ" -S /nowhere --alert 'mem_available<99%'
}

@test "a malformed condition is a usage error" {
	refuses 2 "condition 'pss': no operator; quote it*" --alert pss
	refuses 2 "condition '': no operator; quote it*" --alert ''
	refuses 2 "condition '>5': no column before the operator" --alert '>5'
	refuses 2 "condition 'pss>': no value*" --alert 'pss>'
	refuses 2 "condition 'mem_available<': no value*" --alert 'mem_available<'
	refuses 2 "condition 'pss>lots': 'lots' is not a size*" --alert 'pss>lots'
	refuses 2 "condition 'mem_available<10Q': '10Q' is not a size*" --alert 'mem_available<10Q'
	refuses 2 "condition 'pss~1': ~ and !~ are for text columns" --alert 'pss~1'
	refuses 2 "condition 'threads>5M': threads is not a size, and '5M' is not a number" --alert 'threads>5M'
	refuses 2 "*'mem_availble'*did you mean 'mem_available'?*" --alert 'mem_availble<5%'
	refuses 2 "*'ps'*did you mean 'pss'?*" --alert 'ps>5'
	refuses 2 "*'psi_some_avg1'*did you mean 'psi_some_avg10'?*" --alert 'psi_some_avg1>5'
	refuses 2 "*'xyzzy'*" --alert 'xyzzy>5'
	refuses 2 '*--alert*' --alert
	run -2 "$MEMZ" --alert 'name~('
	# one malformed condition is enough: there is no report
	refuses 2 "condition 'pss': no operator*" -S "$CURRENT" --alert 'mem_available<99%' --alert pss
	# a filter cannot use figures of the machine
	refuses 2 "*'mem_available'*" -f 'mem_available>5'
	refuses 2 '--alert has no effect with --list-columns' --list-columns --alert 'pss>1'
}

@test "live: a check that finds nothing prints nothing" {
	run -0 --separate-stderr "$MEMZ" -q -n 0 --alert 'mem_available<0.01%' --alert 'pss>100T' --alert 'name=no such program'
	[[ -z $output && -z $stderr ]]
	start private 32768
	run -3 --separate-stderr "$MEMZ" -q -n 0 -p "$PID" --alert 'pss>32M' --alert 'pss>64M'
	[[ -z $output && ${#stderr_lines[@]} == 1 && $stderr == 'memz: alert: pss>32M: '* ]]
	run -3 --separate-stderr "$MEMZ" -q -n 0 --alert 'mem_available>0'
	[[ -z $output && ${#stderr_lines[@]} == 1 ]]
}

@test "an alert prints no control byte of a hostile name" {
	SOURCE=$MACHINES/hostile
	for cond in 'name!=x' 'command!=x' 'user!=x' 'pss>0'; do
		run -3 --separate-stderr "$MEMZ" -q -n 0 -S "$SOURCE" --alert "$cond"
		[[ ${#stderr_lines[@]} == 1 ]]
		run ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' <<<"$stderr"
	done
}
