# Every way to hold it wrong: one line on stderr that says what, why and what to do, nothing on stdout, the right status.
load helper

# refuses STATUS MESSAGE ARG...
refuses() {
	local status_wanted=$1 message=$2

	shift 2
	run -"$status_wanted" --separate-stderr "$MEMZ" "$@"
	echo "memz $*: $stderr"
	[[ -z $output ]]
	# shellcheck disable=SC2154
	[[ $stderr == "memz: $message" ]]
}

@test "an unknown option is named, with the nearest one" {
	refuses 2 "unknown option '--colums': did you mean '--columns'? see --help" --colums pid
	refuses 2 "unknown option '--jason': did you mean '--json'? see --help" --jason
	refuses 2 "unknown option '--frobnicate': see --help" --frobnicate
	refuses 2 "unknown option '-z': see --help" -z
	refuses 2 "option '--csv' takes no argument" --csv=1
	refuses 2 "unknown option '-Z': see --help" --json -Zr
}

@test "an unknown column is named, with the nearest one" {
	refuses 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -c ps
	refuses 2 "unknown column 'PSS': did you mean 'pss'? see --list-columns" -c PSS
	refuses 2 "unknown column 'vm_hvm': did you mean 'vm_hwm'? see --list-columns" -c pid,vm_hvm
	refuses 2 "unknown column 'xyzzy': see --list-columns" -c xyzzy
	refuses 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -s ps
	refuses 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -f 'ps>1'
	refuses 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -c -ps
	refuses 2 "unknown column 'pss_delt': did you mean 'pss_delta'? see --list-columns" -c pss_delt
	refuses 2 "column 'name_delta': only numbers have _delta and _rate" -c name_delta
	refuses 2 "column 'start_rate': only numbers have _delta and _rate" -c start_rate
}

@test "other tools' column names lead to memz's" {
	refuses 2 "unknown column 'vss': did you mean 'vsz'? see --list-columns" -c vss
	refuses 2 "unknown column '%mem': did you mean 'rss_pct'? see --list-columns" -s %mem
	refuses 2 "unknown column 'args': did you mean 'command'? see --list-columns" -o pid,args
	refuses 2 "unknown column 'comm': did you mean 'name'? see --list-columns" -o pid,comm
	refuses 2 "unknown column 'RES': did you mean 'rss'? see --list-columns" -s RES
}

@test "an empty list is refused" {
	refuses 2 "--columns: empty list: see --list-columns" -c ''
	refuses 2 "--columns: empty list: see --list-columns" -c ' , '
	refuses 2 "--columns: nothing is left of the list: see --list-columns" -c -pid,-user,-pss,-uss,-rss,-swap,-command
	refuses 2 "--sort: empty list" -s ''
	refuses 2 "--pid: empty list" -p ,
	refuses 2 "--user: empty list" -U ''
}

@test "a malformed number is refused" {
	refuses 2 "--limit: '-1' is not a whole number" -n -1
	refuses 2 "--limit: '1e9x' is not a whole number" -n 1e9x
	refuses 2 "--limit: '' is not a whole number" -n ''
	refuses 2 "--limit: '5 ' is not a whole number" -n '5 '
	refuses 2 "--limit: '99999999999999999999' is not a whole number" -n 99999999999999999999
	refuses 2 "--interval: '0' is not a number of seconds above 0" -i 0
	refuses 2 "--interval: 'nan' is not a number of seconds above 0" -i nan
	refuses 2 "--interval: 'inf' is not a number of seconds above 0" -i inf
	refuses 2 "--interval: '-5' is not a number of seconds above 0" -i -5
	refuses 2 "--interval: '5s' is not a number of seconds above 0" -i 5s
	refuses 2 "--interval: '0x10' is not a number of seconds above 0" -i 0x10
	refuses 2 "--jobs: '0' is not a whole number from 1 to 64" --jobs 0
	refuses 2 "--jobs: 'two' is not a whole number from 1 to 64" --jobs two
	refuses 2 "--max-rss: '5X' is not a size, as 64G" --max-rss 5X
	refuses 2 "--max-rss: '10%' is not a size, as 64G" --max-rss 10%
	refuses 2 "--pid: '0' is not a process id; to find one by name: -P 0" -p 0
	refuses 2 "--pid: 'java' is not a process id; to find one by name: -P java" -p 1,java
	refuses 2 "--pid: '12x' is not a process id; to find one by name: -P 12x" -p 12x
}

@test "an unknown unit and a second unit are refused" {
	refuses 2 "unknown unit 'Q': one of auto, K, M, G, B" --unit Q
	refuses 2 "unknown unit 'KB': one of auto, K, M, G, B" --unit KB
	refuses 2 "unknown unit '': one of auto, K, M, G, B" --unit ''
	refuses 2 "two units: 'B' and 'K'; give one of --unit, -b, -k" -b -k
}

@test "a malformed condition is refused" {
	refuses 2 "condition 'pss': no operator; quote it, as in -f 'pss>100M', or the shell takes > for a redirection" -f pss
	refuses 2 "condition '': no operator; quote it, as in -f 'pss>100M', or the shell takes > for a redirection" -f ''
	refuses 2 "condition '>5': no column before the operator" -f '>5'
	refuses 2 "condition 'pss>': no value; if it held a \$, quote it with ''" -f 'pss>'
	refuses 2 "condition 'pss>lots': 'lots' is not a size, as 100M, 1.5G or 10%" -f 'pss>lots'
	refuses 2 "condition 'pss>1Q': '1Q' is not a size, as 100M, 1.5G or 10%" -f 'pss>1Q'
	refuses 2 "condition 'pss>1.2.3M': '1.2.3M' is not a size, as 100M, 1.5G or 10%" -f 'pss>1.2.3M'
	refuses 2 "condition 'pss~1': ~ and !~ are for text columns" -f 'pss~1'
	refuses 2 "condition 'threads>5M': threads is no size: '5M' is not a number" -f 'threads>5M'
	refuses 2 "condition 'threads>5%': '5%' is not a number" -f 'threads>5%'
	refuses 2 "condition 'pss_pct>5M': '5M' is not a percentage" -f 'pss_pct>5M'
	refuses 2 "condition 'pid=x': 'x' is not a number" -f 'pid=x'
}

@test "a malformed expression is refused, with the reason" {
	refuses 2 "condition: '(': ( without )" -f 'name~('
	refuses 2 "--process: '[': [ without ]" -P '['
	refuses 2 "--process: '[[:alpha:]': [ without ]" -P '[[:alpha:]'
	refuses 2 "--mapping: '[[:letter:]]': no such class in [[::]]" -m -M '[[:letter:]]'
	refuses 2 "--process: '[[.ab.]]': more than one character in [[..]]" -P '[[.ab.]]'
	refuses 2 "--process: '[z-a]': a range in [] ends before it begins" -P '[z-a]'
	refuses 2 "--process: '*java*': nothing to repeat before *, + or ?; in a regular expression any text is .*" -P '*java*'
	refuses 2 "--process: 'a|{2}': nothing to repeat before *, + or ?; in a regular expression any text is .*" -P 'a|{2}'
	refuses 2 "--process: 'a{2': {} not as in {3}, {3,} or {3,5}" -P 'a{2'
	refuses 2 "--process: 'a{3,2}': {} not as in {3}, {3,} or {3,5}" -P 'a{3,2}'
	refuses 2 "--process: 'a{1001}': more than 1000 times in {}" -P 'a{1001}'
	refuses 2 "--process: 'a\\': ends in \\" -P 'a\'
	refuses 2 "--process: '(a)\\1': \\ and a digit: what matched before cannot be asked for" -P '(a)\1'
	refuses 2 "--process: '(((a{1,250}){1,250}){1,250}){1,250}': too large" -P '(((a{1,250}){1,250}){1,250}){1,250}'
	refuses 2 "--process: '$(printf '%0150d' 0 | tr 0 '(')': too many parentheses" -P "$(printf '%0150d' 0 | tr 0 '(')"
}

@test "contradictions are refused, never resolved silently" {
	refuses 2 "--csv and --json exclude each other" --csv --json
	refuses 2 "--totals and --csv exclude each other: a total among the rows would be added up again" -t --csv
	refuses 2 "--unit auto is for text: CSV and JSON have numbers of one unit" --csv --unit auto
	refuses 2 "--unit auto is for text: CSV and JSON have numbers of one unit" --unit auto --json
	refuses 2 "--system is about the whole machine: no -c -s -r -n -f -p -P -U -m -M -A -g -u -t" -w -n 5
	refuses 2 "--system is about the whole machine: no -c -s -r -n -f -p -P -U -m -M -A -g -u -t" -m -w
	refuses 2 "--mapping selects among mappings: it goes with -m" -M libc
	refuses 2 "-M, --mapping: given twice; join them, as in 'a|b'" -m -M a -M b
	refuses 2 "-n, --limit: given twice" -n 5 -n 6
	refuses 2 "--columns: two lists: a second one begins with + or -" -c pid,pss -c user
	refuses 2 "-S, --source: given twice" -S / -S /host
	refuses 2 "--by: two keys: 'user' and 'name'" -u --by name
	refuses 2 "--by: 'pss' is no text column; groups are made by user, name, unit, cgroup and the like" --by pss
	refuses 2 "unknown column 'usr': did you mean 'user'? see --list-columns" --by usr
	refuses 2 "column 'count' is of groups: see --by" -c pid,count
	refuses 2 "condition on 'count': conditions are about processes, not groups" --by user -f 'count>2'
	refuses 2 "column 'cg_limit' is of control groups: see --by cgroup" --by user -c user,cg_limit
	refuses 2 "column 'kind' is of mappings: see -m" -f kind=anon
	refuses 2 "column 'kind' is of mappings: see -m" --by kind
	refuses 2 "column 'pid' is of processes, not of mappings" -m -c pid,pss
	refuses 2 "column 'user' is of processes, not of mappings" -m --by user
	refuses 2 "--list-columns takes --csv, --json, --jsonl and -H alone" --list-columns -n 3
	refuses 2 "-P, --process: given twice; join them, as in 'a|b'" -P a -P b
}

@test "what smem, ps and top users type by habit gets a helpful message" {
	refuses 2 "option -n, --limit needs the number of rows, as in -n 20 (numeric ids: -c uid)" -n
	refuses 2 "option -n, --limit needs the number of rows, as in -n 20 (numeric ids: -c uid)" -n -s pss
	refuses 2 "option -p, --pid needs process ids, as in -p 812,813 (percentages: -c +pss_pct)" -p
	refuses 2 "option -c, --columns needs column names, as in -c pid,pss,name; see --list-columns" -c
	refuses 2 "option --unit needs one of auto, K, M, G, B" --unit
	refuses 2 "unexpected '1234': did you mean -p 1234?" 1234
	refuses 2 "unexpected 'postgres': did you mean -P postgres?" postgres
	refuses 2 "unexpected 'aux': memz alone shows all processes; see --help" aux
	refuses 2 "unknown option '-e': all processes are shown as it is; see --help" -ef
	refuses 2 "unknown option '-d': for two walks SEC apart: -i SEC; see --help" -d 5
}

@test "some command lines of smem and ps work as they are" {
	run -0 "$MEMZ" -S "$ROOT/tests/machines/current" -H -n 1 -c "pid pss"
	[[ $output == '1433 2.0G' ]]
	run -0 "$MEMZ" -S "$ROOT/tests/machines/current" -H -n 1 -o pid,name
	[[ $output == '1433 java' ]]
	run -0 "$MEMZ" -S "$ROOT/tests/machines/current" -H -n1 -k -c pss -s pss -r
	[[ $output == 307 ]]
}

@test "a path that is no source is refused" {
	refuses 1 "/nowhere: No such file or directory" -S /nowhere
	refuses 1 "$ROOT/memz.c: neither a directory nor a tar archive" -S "$ROOT/memz.c"
	refuses 1 "$BATS_TEST_TMPDIR: neither is proc/ in it nor is it like a /proc itself" -S "$BATS_TEST_TMPDIR"
}

@test "a source that may not be read is refused" {
	need_root
	chmod go+x "$BATS_RUN_TMPDIR"
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	run -1 as_user "$MEMZ" -S "$BATS_TEST_TMPDIR/closed"
	[[ $output == "memz: $BATS_TEST_TMPDIR/closed: Permission denied" ]]
}

@test "a pid that is not there is an error, -q or not, and the others are reported" {
	run -1 --separate-stderr "$MEMZ" -q -S "$ROOT/tests/machines/current" -p 812,99999 -H -c pid
	[[ $output == 812 && $stderr == 'memz: --pid: no process 99999' ]]
}

@test "a user that is not there is an error" {
	refuses 1 "--user: no user is called 'nobody-here'" -U nobody-here
}

@test "what cannot be written is an error" {
	run -1 --separate-stderr bash -c '"$MEMZ" >/dev/full'
	[[ $stderr == 'memz: standard output: No space left on device' ]]
	run -1 --separate-stderr bash -c '"$MEMZ" >&-'
	[[ $stderr == 'memz: standard output: Bad file descriptor' ]]
	run -1 --separate-stderr bash -c '"$MEMZ" --list-columns >/dev/full'
	[[ $stderr == 'memz: standard output: No space left on device' ]]
	run -1 --separate-stderr bash -c '"$MEMZ" --help >/dev/full'
	[[ $stderr == 'memz: standard output: No space left on device' ]]
	run -1 --separate-stderr bash -c '"$MEMZ" --version >&-'
	[[ $stderr == 'memz: standard output: Bad file descriptor' ]]
}

@test "with all three descriptors closed memz writes into no file of /proc" {
	run -1 bash -c '"$MEMZ" <&- >&- 2>&-'
	[[ -z $output ]]
}

@test "a reader that goes away causes no message" {
	for format in '' --csv --json; do
		run -0 --separate-stderr bash -c '"$MEMZ" -q '"$format"' | true'
		[[ -z $stderr ]]
		run --separate-stderr bash -c 'trap "" PIPE; "$MEMZ" -q '"$format"' | true; exit ${PIPESTATUS[0]}'
		[[ -z $stderr ]]
	done
}

@test "help and version are on stdout" {
	run -0 --separate-stderr "$MEMZ" -h
	[[ $output == 'Usage: memz'* && -z $stderr ]]
	run -0 --separate-stderr "$MEMZ" --version
	[[ $output =~ ^memz\ [0-9]+\.[0-9]+\.[0-9]+$ && -z $stderr ]]
}
