# Wrong usage: one line on stderr that says what, why and what to do, nothing on stdout, and the right status.
load helper

@test "an unknown option is named, with the nearest one" {
	refuses_with 2 "unknown option '--colums': did you mean '--columns'? see --help" --colums pid
	refuses_with 2 "unknown option '--jason': did you mean '--json'? see --help" --jason
	refuses_with 2 "unknown option '--frobnicate': see --help" --frobnicate
	refuses_with 2 "unknown option '-z': see --help" -z
	refuses_with 2 "option '--csv' takes no argument" --csv=1
	refuses_with 2 "unknown option '-Z': see --help" --json -Zr
}

@test "an unknown column is named, with the nearest one" {
	refuses_with 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -c ps
	refuses_with 2 "unknown column 'PS': did you mean 'pss'? see --list-columns" -c PS
	refuses_with 2 "unknown column 'vm_hvm': did you mean 'vm_hwm'? see --list-columns" -c pid,vm_hvm
	refuses_with 2 "unknown column 'xyzzy': see --list-columns" -c xyzzy
	refuses_with 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -s ps
	refuses_with 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -f 'ps>1'
	refuses_with 2 "unknown column 'ps': did you mean 'pss'? see --list-columns" -c -ps
	refuses_with 2 "unknown column 'pss_delt': did you mean 'pss_delta'? see --list-columns" -c pss_delt
	refuses_with 2 "column 'name_delta': only numbers have _delta and _rate" -c name_delta
	refuses_with 2 "column 'start_rate': only numbers have _delta and _rate" -c start_rate
}

@test "other tools' column names lead to memz's" {
	refuses_with 2 "unknown column 'vss': did you mean 'vsz'? see --list-columns" -c vss
	refuses_with 2 "unknown column '%mem': did you mean 'rss_pct'? see --list-columns" -s %mem
	refuses_with 2 "unknown column 'args': did you mean 'command'? see --list-columns" -o pid,args
	refuses_with 2 "unknown column 'comm': did you mean 'name'? see --list-columns" -o pid,comm
	refuses_with 2 "unknown column 'RES': did you mean 'rss'? see --list-columns" -s RES
}

@test "an empty list is refused" {
	refuses_with 2 "--columns: empty list: see --list-columns" -c ''
	refuses_with 2 "--columns: empty list: see --list-columns" -c ' , '
	refuses_with 2 "--columns: nothing is left of the list: see --list-columns" -c -pid,-user,-pss,-uss,-rss,-swap,-command
	refuses_with 2 "--sort: empty list" -s ''
	refuses_with 2 "--pid: empty list" -p ,
	refuses_with 2 "--user: empty list" -U ''
}

@test "a malformed number is refused" {
	refuses_with 2 "--limit: '-1' is not a whole number" -n -1
	refuses_with 2 "--limit: '1e9x' is not a whole number" -n 1e9x
	refuses_with 2 "--limit: '' is not a whole number" -n ''
	refuses_with 2 "--limit: '5 ' is not a whole number" -n '5 '
	refuses_with 2 "--limit: '99999999999999999999' is not a whole number" -n 99999999999999999999
	refuses_with 2 "--interval: '0' is not a number of seconds above 0" -i 0
	refuses_with 2 "--interval: 'nan' is not a number of seconds above 0" -i nan
	refuses_with 2 "--interval: 'inf' is not a number of seconds above 0" -i inf
	refuses_with 2 "--interval: '-5' is not a number of seconds above 0" -i -5
	refuses_with 2 "--interval: '5s' is not a number of seconds above 0" -i 5s
	refuses_with 2 "--interval: '0x10' is not a number of seconds above 0" -i 0x10
	refuses_with 2 "--jobs: '0' is not a whole number from 1 to 64" --jobs 0
	refuses_with 2 "--jobs: 'two' is not a whole number from 1 to 64" --jobs two
	refuses_with 2 "--max-rss: '5X' is not a size, as 64G" --max-rss 5X
	refuses_with 2 "--max-rss: '10%' is not a size, as 64G" --max-rss 10%
	refuses_with 2 "--pid: '0' is not a process id; to select by name, use -P 0" -p 0
	refuses_with 2 "--pid: 'java' is not a process id; to select by name, use -P java" -p 1,java
	refuses_with 2 "--pid: '12x' is not a process id; to select by name, use -P 12x" -p 12x
}

@test "an unknown unit and a second unit are refused" {
	refuses_with 2 "unknown unit 'Q': one of auto, K, M, G, B" --unit Q
	refuses_with 2 "unknown unit 'KB': one of auto, K, M, G, B" --unit KB
	refuses_with 2 "unknown unit '': one of auto, K, M, G, B" --unit ''
	refuses_with 2 "two units: 'B' and 'K'; give one of --unit, -b, -k" -b -k
	refuses_with 2 "two units: 'auto' and 'K'; give one of --unit, -b, -k" --unit auto -k
}

@test "a malformed condition is refused" {
	refuses_with 2 "condition 'pss': no operator; quote it, as in -f 'pss>100M': the shell takes > for a redirection" -f pss
	refuses_with 2 "condition '': no operator; quote it, as in -f 'pss>100M': the shell takes > for a redirection" -f ''
	refuses_with 2 "condition '>5': no column before the operator" -f '>5'
	refuses_with 2 "condition 'pss>': no value; if it contains a \$, put it in single quotes" -f 'pss>'
	refuses_with 2 "condition 'pss>lots': 'lots' is not a size, as 100M, 1.5G or 10%" -f 'pss>lots'
	refuses_with 2 "condition 'pss>1Q': '1Q' is not a size, as 100M, 1.5G or 10%" -f 'pss>1Q'
	refuses_with 2 "condition 'pss>1.2.3M': '1.2.3M' is not a size, as 100M, 1.5G or 10%" -f 'pss>1.2.3M'
	refuses_with 2 "condition 'pss~1': ~ and !~ are for text columns" -f 'pss~1'
	refuses_with 2 "condition 'threads>5M': threads is not a size, and '5M' is not a number" -f 'threads>5M'
	refuses_with 2 "condition 'threads>5%': '5%' is not a number" -f 'threads>5%'
	refuses_with 2 "condition 'pss_pct>5M': '5M' is not a percentage" -f 'pss_pct>5M'
	refuses_with 2 "condition 'pid=x': 'x' is not a number" -f 'pid=x'
}

@test "a malformed expression is refused, with the reason" {
	local nothing='nothing to repeat before *, +, ? or {; any text is .*' bound='{} must be {m}, {m,} or {m,n}'

	refuses_with 2 "condition: '(': unmatched (" -f 'name~('
	refuses_with 2 "--process: 'a)(b': unmatched )" -P 'a)(b'
	refuses_with 2 "--process: '[': unmatched [" -P '['
	refuses_with 2 "--process: '[]': unmatched [" -P '[]'
	refuses_with 2 "--process: '[[:alpha:]': unmatched [" -P '[[:alpha:]'
	refuses_with 2 "--process: '[[=a]': unmatched [" -P '[[=a]'
	for pattern in '*java*' '+' 'a|{2}' 'a|*b' '(*a)' '^*a' 'a$+' '{x'; do
		refuses_with 2 "--process: '$pattern': $nothing" -P "$pattern"
	done
	for pattern in 'a{2' 'a{' 'a{}' 'a{x}' 'a{3,2}' 'a{1,2,3}'; do
		refuses_with 2 "--process: '$pattern': $bound" -P "$pattern"
	done
	refuses_with 2 "--process: 'a\\': nothing after the last \\" -P 'a\'
	refuses_with 2 "--process: '(a)\\1': a back-reference (\\ and a digit) is not supported" -P '(a)\1'
	run -2 --separate-stderr "$MEMZ" -m -M '[[:letter:]]'
	[[ $stderr == "memz: --mapping: '[[:letter:]]': "?* ]]	# the rest is libc's
	run -2 --separate-stderr "$MEMZ" -P '[z-a]'
	[[ $stderr == "memz: --process: '[z-a]': "?* ]]
}

@test "an expression that would take too much memory or time is refused before libc sees it" {
	local pattern

	for pattern in 'a{2}{3}' 'a**' 'a+?' 'a?{2}' '(a{2,}){3}*' 'a{1}+'; do
		refuses_with 2 "--process: '$pattern': one quantifier after another" -P "$pattern"
	done
	for pattern in 'a{1001}' 'a{99999999999999999999}' '(a{40}){26}' '(a{1,40}|b){0,26}' '((a{11}){10}b){10}' '(((a{1,250}){1,250}){1,250}){1,250}'; do
		refuses_with 2 "--process: '$pattern': too large: nested {m,n} multiply to more than 1000" -P "$pattern"
	done
	pattern="$(printf '%016d' 0 | tr 0 '(')a$(printf '%016d' 0 | sed 's/0/+)/g')"	# libc writes a+ as aa*
	refuses_with 2 "--process: '$pattern': too large: more than 4096 parts when its + and {m,n} are written out" -P "$pattern"
	run -2 --separate-stderr "$MEMZ" -P "$(printf '%04097d' 0)"
	[[ $stderr == *"...000"*"': longer than 4096 bytes" && ${#stderr} -lt 1100 ]]
}

@test "brackets, escapes and quantifiers of groups are no cause to refuse an expression" {
	local pattern

	for pattern in '(a{40}){25}' '(a|b*)*' '((a+)+)+' '[]a]' '[^]{9}]' '[[:alpha:]{2}]{2}' '\{2}' '\*+' '\^*' 'a{0}' '()' \
		'a|' '(|a)' '[*][+]' "$(printf '%04096d' 0)"; do
		run -0 --separate-stderr "$MEMZ" -q -n 0 -S "$ROOT/tests/machines/current" -P "$pattern"
		[[ -z $stderr ]]
	done
}

@test "contradictions are refused, never resolved silently" {
	refuses_with 2 "--csv and --json exclude each other: a report has one format" --csv --json
	refuses_with 2 "--csv and --jsonl exclude each other: a report has one format" --jsonl --csv
	refuses_with 2 "--json and --jsonl exclude each other: a report has one format" --jsonl --json
	refuses_with 2 "--totals and --csv exclude each other: a program that adds up the rows would count the total too" -t --csv
	refuses_with 2 "--totals and --jsonl exclude each other: a program that adds up the rows would count the total too" -t --jsonl
	refuses_with 2 "--unit auto is for text: CSV and JSON have numbers of one unit" --csv --unit auto
	refuses_with 2 "--unit auto is for text: CSV and JSON have numbers of one unit" --unit auto --json
	refuses_with 2 "-n has no effect with -w" -w -n 5
	refuses_with 2 "-m has no effect with -w" -m -w
	refuses_with 2 "--mapping selects among mappings: add -m" -M libc
	refuses_with 2 "-M, --mapping: given twice; join them, as in 'a|b'" -m -M a -M b
	refuses_with 2 "-n, --limit: given twice" -n 5 -n 6
	refuses_with 2 "--columns: two lists: begin the second one with + or -" -c pid,pss -c user
	refuses_with 2 "-S, --source: given twice" -S / -S /host
	refuses_with 2 "--by: two keys: 'user' and 'name'" -u --by name
	refuses_with 2 "--by: 'pss' is not a text column; use user, name, unit, cgroup or another text column" --by pss
	refuses_with 2 "unknown column 'usr': did you mean 'user'? see --list-columns" --by usr
	refuses_with 2 "column 'count' is only for groups: see --by" -c pid,count
	refuses_with 2 "condition on 'count': -f selects processes, not groups; for the largest groups: -s count -n 10, for a check: --alert" --by user -f 'count>2'
	refuses_with 2 "column 'cg_limit' is only for control groups: see --by cgroup" --by user -c user,cg_limit
	refuses_with 2 "column 'kind' is only for mappings: see -m" -f kind=anon
	refuses_with 2 "column 'kind' is only for mappings: see -m" --by kind
	refuses_with 2 "column 'pid' is for processes, not for mappings" -m -c pid,pss
	refuses_with 2 "column 'user' is for processes, not for mappings; for the mappings of one user, use -m -U NAME, of one program, -m -P NAME" -m --by user
	refuses_with 2 "-n has no effect with --list-columns" --list-columns -n 3
	refuses_with 2 "-P, --process: given twice; join them, as in 'a|b'" -P a -P b
}

@test "what smem, ps and top users type by habit gets a helpful message" {
	refuses_with 2 "option -n, --limit needs the number of rows, as in -n 20 (numeric ids: -c uid)" -n
	refuses_with 2 "option -n, --limit needs the number of rows, as in -n 20 (numeric ids: -c uid)" -n -s pss
	refuses_with 2 "option -p, --pid needs process ids, as in -p 812,813 (percentages: -c +pss_pct)" -p
	refuses_with 2 "option -c, --columns needs column names, as in -c pid,pss,name; see --list-columns" -c
	refuses_with 2 "option --unit needs one of auto, K, M, G, B" --unit
	refuses_with 2 "unexpected '1234': did you mean -p 1234?" 1234
	refuses_with 2 "unexpected 'postgres': did you mean -P postgres?" postgres
	refuses_with 2 "unexpected 'aux': without options, memz shows all processes; see --help" aux
	refuses_with 2 "unknown option '-e': all processes are shown already; see --help" -ef
	refuses_with 2 "unknown option '-d': two scans SEC apart: -i SEC; see --help" -d 5
}

@test "some command lines of smem and ps work as they are" {
	run -0 "$MEMZ" -S "$CURRENT" -H -n 1 -c "pid pss"
	[[ $output == '1433 2.0G' ]]
	run -0 "$MEMZ" -S "$CURRENT" -H -n 1 -o pid,name
	[[ $output == '1433 java' ]]
	run -0 "$MEMZ" -S "$CURRENT" -H -n1 -k -c pss -s pss -r
	[[ $output == 307 ]]
}

@test "a path that is no source is refused" {
	refuses_with 1 "/nowhere: No such file or directory" -S /nowhere
	refuses_with 1 "$ROOT/memz.c: neither a directory nor a tar archive (compressed? unpack it first)" -S "$ROOT/memz.c"
	refuses_with 1 "$BATS_TEST_TMPDIR: contains no proc/ and is not a copy of /proc" -S "$BATS_TEST_TMPDIR"
}

@test "a source that may not be read is refused" {
	need_root
	chmod go+x "$BATS_RUN_TMPDIR"
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	run -1 as_user "$MEMZ" -S "$BATS_TEST_TMPDIR/closed"
	[[ $output == "memz: $BATS_TEST_TMPDIR/closed: Permission denied" ]]
}

@test "a pid that is not there is an error, -q or not, and the others are reported" {
	run -1 --separate-stderr "$MEMZ" -q -S "$CURRENT" -p 812,99999 -H -c pid
	[[ $output == 812 && $stderr == 'memz: --pid: no process 99999' ]]
}

@test "a user that is not there is an error" {
	refuses_with 1 "--user: no user 'nobody-here'" -U nobody-here
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

@test "an empty name of a source or a saved state is a usage error" {
	refuses_with 2 '--source: no name' -S ''
	refuses_with 2 '--since: no name' --since ''
}

@test "an argument may look like an option if it is attached to its own" {
	for arguments in --process=-V -P-V; do
		run -0 --separate-stderr "$MEMZ" -S "$CURRENT" -H "$arguments"
		[[ $stderr == "memz: no process matches -P '-V'"* ]]
	done
	refuses_with 2 'option -P, --process needs a name or expression, as in -P postgres' -P -V
}

@test "an empty operand, and a suffix on a suffix, are refused" {
	refuses_with 2 'unexpected empty argument' ''
	refuses_with 2 "unknown column 'rss_delta_delta': did you mean 'pss_dirty_delta'? see --list-columns" -c rss_delta_delta
	refuses_with 2 "column 'user_delta': only numbers have _delta and _rate" -c user_delta
}
