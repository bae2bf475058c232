# Output on real terminals (tmux): width, locale, hostile names, progress, what fits the screen; and the command lines of
# people who know smem, ps, top, free or htop.
# shellcheck disable=SC2016	# bash -c expands
# shellcheck disable=SC2030,SC2031	# bats runs each test in a subshell
# shellcheck disable=SC2034,SC2154	# for helper.bash, and of run
load helper

# Terminals disagree on the width of the last ones: combining letters, a family with joiners, a flag, a heart with a selector.
NAMES=($'\e[31m\e[2Jred' $'\e]0;title\a' $'new\nline' $'tab\tback\b\r' $'\u202eevil\u2066\u200f' $'zero\u200bwidth\ufeff'
	$'\xc2\x9b2J' $'\xff\xfe\xc3' 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字
	😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀 x漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字
	$'e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301'
	👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧 🇩🇪🇫🇷🇩🇪🇫🇷🇩🇪🇫🇷🇩🇪🇫🇷🇩🇪🇫🇷 ❤️❤️❤️❤️❤️❤️❤️❤️❤️❤️)

tmux_() {
	command tmux -L "$SERVER" -f "$BATS_TEST_TMPDIR/tmux.conf" "$@"
}

# open_terminal NAME WIDTH HEIGHT SCRIPT [ARG]...: bash runs the script on a new terminal, between two prompts.
open_terminal() {
	if [[ ! ${SERVER-} ]]; then
		SERVER=memz-$$
		need tmux
		export TMUX_TMPDIR=$BATS_TEST_TMPDIR
		printf 'set -g %s\n' 'status off' 'history-limit 50000' 'default-terminal screen-256color' >"$BATS_TEST_TMPDIR/tmux.conf"
		at_end tmux -L "$SERVER" kill-server
	fi
	tmux_ -u new-session -d -s "$1" -x "$2" -y "$3" \
		bash -c 'tmux wait-for "$0-go"; echo "$ memz"; eval "$1"; printf "$ done"; exec sleep 100' "$1" "${@:4}"
	tmux_ pipe-pane -t "$1" "cat >'$BATS_TEST_TMPDIR/$1.raw'"
	tmux_ wait-for -S "$1-go"
}

wait_for_end() {
	for name; do	# twice: a scan may wait for a stuck process of others
		wait_for grep -aqF '$ done' "$BATS_TEST_TMPDIR/$name.raw" || wait_for grep -aqF '$ done' "$BATS_TEST_TMPDIR/$name.raw" ||
			{ screen "$name" && return 1; }
		wait_for shows "$name" '\$ done'	# tmux may draw it a moment later
	done
}

# raw NAME: the bytes that were written. screen NAME: the text that is visible.
raw() {
	sed 's/\r$//' "$BATS_TEST_TMPDIR/$1.raw"
}

screen() {
	tmux_ capture-pane -p "${@:2}" -t "$1" | sed 's/ *$//'
}

shows() {
	screen "$1" | grep -qE -- "$2"
}

wrote() {
	grep -aqE -- "$2" "$BATS_TEST_TMPDIR/$1.raw"
}

# not COMMAND...: it fails. Bats ignores the status of a command after "!".
not() {
	if "$@"; then
		echo "$*: is so"
		return 1
	fi
}

# unbroken NAME: the terminal did not have to wrap a line.
unbroken() {
	diff <(screen "$1" -S -) <(screen "$1" -S - -J)
}

# harmless NAME: no control byte, C1, bidi or zero-width character was written.
harmless() {
	! raw "$1" | LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f\t]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf'
}

# Starts a stopped process for each of NAMES. LIST: their pids for -p.
start_hostile() {
	local name pids=()

	start private 64
	for name in "${NAMES[@]}"; do
		ln -sf load "$BATS_TEST_TMPDIR/${name:0:60}"
		start_program bash -c 'exec -a "$0 $0 $0 $0 $0 $0 $0 $0" "$@"' "$name" "$BATS_TEST_TMPDIR/${name:0:60}" private 64
		pids+=("$PID")
	done
	LIST=$(join "${pids[@]}")
}

# views VIEW...: runs all of them on terminals of each width in WIDTHS, in two locales, and checks the lines.
WIDTHS=(40 80 250)
views() {
	local width locale name view failed=0

	for width in "${WIDTHS[@]}"; do
		for locale in C C.UTF-8; do
			open_terminal "$width${locale/./}" "$width" 24 'LC_ALL=$2 MEMZ=$3 LIST=$4 MACHINE=$5; shift 5; export LC_ALL
				for view; do eval "\$MEMZ -q --timeout 0.3 $view"; done' "$locale" "$MEMZ" "$LIST" "$CURRENT" "$@"
		done
	done
	for width in "${WIDTHS[@]}"; do
		for locale in C C.UTF-8; do
			name=$width${locale/./}
			wait_for_end "$name"
			if ! harmless "$name" || ! unbroken "$name"; then
				echo "# $width columns, $locale"
				failed=1
			fi
		done
		not env LC_ALL=C grep -aP '[\x80-\xff]' "$BATS_TEST_TMPDIR/${width}C.raw" || failed=1
	done
	return $failed
}

@test "no line of a plain report is wider than the terminal, and no name writes on the screen" {
	start_hostile
	views '-p $LIST' '-p $LIST -t' '-p $LIST -u' '-p $LIST -g name' '-p $LIST -c pid,pss,name' '-p $LIST -c pid,user,command' \
		'-p $LIST -c name' '-p $LIST -m -c mapping' '-p $LIST -m --by kind' '-p $LIST -s rss -c pid,pss,bar,name' \
		'-S $MACHINE -u' '-S $MACHINE -m --by kind'
	for width in "${WIDTHS[@]}"; do
		wrote "${width}CUTF-8" 漢字
		wrote "${width}CUTF-8" 😀
	done
}

@test "no line of a wide report is wider than 80 columns" {
	LIST=1 WIDTHS=(80 250)
	views '-S $MACHINE' '-p $$ -i 0.1' -w '-w -i 0.1' -m '-S $MACHINE -m' '-S $MACHINE -w' '-S $MACHINE -g cgroup' '-S $MACHINE -g unit' \
		'-S $MACHINE -i 0.1' '-S $MACHINE -u -i 0.1' '-S $MACHINE -t' '--list-columns'
}

@test "no line of a wide report is wider than 40 columns" {
	LIST=1 WIDTHS=(40)
	views '-S $MACHINE' '-p $$ -i 0.1' -w '-S $MACHINE -m' '-S $MACHINE -g cgroup'
}

# What the first screen line that begins with a column name says.
heading() {
	screen "$1" | grep -m 1 -E '^ *[A-Z]+ '
}

@test "on a narrow terminal the sort keys and the first column stay, and numbers go from the right" {
	local machines=$ROOT/tests/machines

	open_terminal delta 40 20 '"$2" -q --since "$3/before" -S "$3/after"' "$MEMZ" "$machines"
	open_terminal live 40 20 '"$2" -q -i 0.1 -n 5' "$MEMZ"
	open_terminal plain 40 20 '"$2" -q -S "$3/current"' "$MEMZ" "$machines"
	open_terminal keys 40 20 '"$2" -q -S "$3/current" -s swap_pss,vm_hwm -c pid,user,pss,uss,rss,shared,swap_pss,vm_hwm,name' "$MEMZ" "$machines"
	open_terminal group 30 20 '"$2" -q -S "$3/current" --by user -c count,pss,uss,swap,rss,user' "$MEMZ" "$machines"
	open_terminal tiny 14 20 '"$2" -q -S "$3/current"' "$MEMZ" "$machines"
	wait_for_end delta live plain keys group tiny
	for name in delta live plain keys group tiny; do
		heading "$name"
		unbroken "$name"
	done
	[[ $(heading delta) =~ ^\ *PID.*\ PSS_DELTA\  && $(heading delta) != *CHANGE* ]]
	[[ $(heading live) =~ ^\ *PID.*\ PSS_DELTA ]]
	[[ $(heading plain) =~ ^\ *PID\ USER\ .*\ PSS\ +USS\ COMMAND ]]
	[[ $(heading keys) =~ ^\ *PID\ .*\ SWAP_PSS\ VM_HWM\  && $(heading keys) != *SHARED* ]]
	[[ $(heading group) =~ ^\ *COUNT\ .*\ PSS\ .*\ USER && $(heading group) != *RSS* ]]
	[[ $(heading tiny) =~ ^\ *PID\ +PSS$ ]]
}

@test "-c all fits 80 columns and shows memory numbers" {
	open_terminal all 80 24 '"$2" -q -S "$3" -c all' "$MEMZ" "$ROOT/tests/machines/current"
	open_terminal wide 120 40 '"$2" -q -S "$3" -c all' "$MEMZ" "$ROOT/tests/machines/current"
	open_terminal now 80 24 '"$2" -q -c all -n 20' "$MEMZ"
	wait_for_end all wide now
	for name in all wide now; do
		heading "$name"
		unbroken "$name"
		[[ $(heading "$name") =~ ^\ *PID\ .*\ NAME\ .*\ VSZ\ .*\ PSS ]]
	done
}

# args TREE COMMAND...: a machine with a process of each command, its words separated by |
args() {
	local pid=0 tree=$1 command

	mkdir -p "$tree/proc"
	for command in "${@:2}"; do
		mkdir "$tree/proc/$((++pid))"
		printf '%s\0' "${command//|/$'\n'}" | tr '\n' '\0' >"$tree/proc/$pid/cmdline"
		echo "100 $pid 0 0 0 0 0" >"$tree/proc/$pid/statm"
	done
}

@test "the command loses the directory of its program, then its end, and only where the line is too wide" {
	local tree=$BATS_TEST_TMPDIR/tree

	args "$tree" '/opt/a b/bin/java|-jar|/srv/x.jar' '/usr/bin/1234567890' ./server 'x: /usr/bin/y' '[k/0:1]' '/usr/sbin/sshd:|u@p/1' / '/bin/'
	open_terminal wide 120 24 '"$2" -q -S "$3" -s pid -c pid,command' "$MEMZ" "$tree"
	open_terminal base 27 24 '"$2" -q -S "$3" -s pid -c pid,command' "$MEMZ" "$tree"
	open_terminal clip 14 24 '"$2" -q -S "$3" -s pid -c pid,command' "$MEMZ" "$tree"
	open_terminal filter 30 24 '"$2" -q -S "$3" -s pid -c pid,command -f "command~/bin/1"' "$MEMZ" "$tree"
	wait_for_end wide base clip filter
	diff <(screen wide | sed -n '3,$s/^ *[0-9]* //p' | grep .) - <<-'END'
		/opt/a b/bin/java -jar /srv/x.jar
		/usr/bin/1234567890
		./server
		x: /usr/bin/y
		[k/0:1]
		/usr/sbin/sshd: u@p/1
		/
		/bin/
	END
	diff <(screen base | sed -n '3,$s/^ *[0-9]* //p' | grep .) - <<-'END'
		a b/bin/java -jar /srv/
		1234567890
		server
		x: /usr/bin/y
		[k/0:1]
		sshd: u@p/1
		/
		/bin/
	END
	diff <(screen clip | sed -n '3,5s/^ *[0-9]* //p') - <<-'END'
		a b/bin/ja
		1234567890
		server
	END
	shows filter '^ *2 /usr/bin/1234567890$'
}

@test "the width is the terminal's, else COLUMNS, else unlimited" {
	local machine=$ROOT/tests/machines/current

	need watch
	open_terminal watch 80 24 'watch -n 60 "$2 -q -n 20 -S $3"' "$MEMZ" "$machine"
	open_terminal own 60 24 'COLUMNS=30 "$2" -q -n 5 -S "$3"' "$MEMZ" "$machine"
	wait_for_end own
	[[ $(heading own) =~ \ USS\ .*\ COMMAND ]]
	wait_for shows watch '^ *PID .* COMMAND$'
	screen watch
	shows watch '^ *1433 alice .* java -X'
	[[ $(screen watch | grep -cE '^ *[0-9]+ ') == 15 ]]
	"$MEMZ" -q -S "$machine" >"$BATS_TEST_TMPDIR/all"
	grep -q '.\{100\}' "$BATS_TEST_TMPDIR/all"
	for columns in '' 0 -5 x 80x 99999999999999999999; do
		COLUMNS=$columns "$MEMZ" -q -S "$machine" | diff "$BATS_TEST_TMPDIR/all" -
	done
	for columns in 80 40 20 7; do
		COLUMNS=$columns "$MEMZ" -q -S "$machine" >"$BATS_TEST_TMPDIR/narrow"
		[[ $(wc -L <"$BATS_TEST_TMPDIR/narrow") -le $((columns > 12 ? columns : 12)) ]]
		[[ $(wc -l <"$BATS_TEST_TMPDIR/narrow") == $(wc -l <"$BATS_TEST_TMPDIR/all") ]]
	done
	for format in --csv --json; do
		diff <("$MEMZ" -q -S "$machine" $format | sed 's/"seconds":[0-9.]*//') \
			<(COLUMNS=20 "$MEMZ" -q -S "$machine" $format | sed 's/"seconds":[0-9.]*//')
	done
}

@test "a name that has a newline takes one line" {
	start_hostile
	open_terminal names 250 24 '"$2" -q -p "$3" -c pid,name,command' "$MEMZ" "$LIST"
	wait_for_end names
	[[ $(raw names | sed '1d;$d' | wc -l) == $((1 + ${#NAMES[@]})) ]]
	shows names 'new\?line new\?line'
}

@test "growth is bold on a terminal, not with TERM=dumb, NO_COLOR or in a pipe, and the countdown is removed" {
	local name

	START_AS=(env)
	start grow 65536
	grower=$PID
	start private 65536
	open_terminal plain 80 24 '"$2" -p "$3" -i 3' "$MEMZ" "$grower,$PID"
	open_terminal dumb 80 24 'TERM=dumb "$2" -p "$3" -i 3' "$MEMZ" "$grower,$PID"
	open_terminal nocolor 80 24 'NO_COLOR=1 "$2" -p "$3" -i 3' "$MEMZ" "$grower,$PID"
	open_terminal quiet 80 24 '"$2" -q -p "$3" -i 3' "$MEMZ" "$grower,$PID"
	open_terminal file 80 24 '"$2" -p "$3" -i 3 2>"$4"' "$MEMZ" "$grower,$PID" "$BATS_TEST_TMPDIR/notes"
	open_terminal pipe 80 24 '"$2" -p "$3" -i 3 | cat' "$MEMZ" "$grower,$PID"
	open_terminal both 80 24 '"$2" -p "$3" -i 3 2>&1 | cat' "$MEMZ" "$grower,$PID"
	for name in plain nocolor pipe; do
		wait_for wrote "$name" "second scan in [1-3] s"
	done
	sleep 0.5	# for those that show no countdown
	kill -USR1 "$grower"
	wait_for_end plain dumb nocolor quiet file pipe both
	for name in plain dumb nocolor quiet file pipe both; do
		screen "$name"
		shows "$name" "^ *$grower .*\+[67][0-9.]+M"
		not shows "$name" 'second scan'
	done
	for name in plain quiet file; do	# the number is bold, and nothing else
		[[ $(raw "$name" | grep -ac $'\e\\[1m') == 1 ]]
		screen "$name" -e | grep -E $'\e\\[1m' | grep -E "$grower"
	done
	for name in dumb both; do
		harmless "$name"
	done
	for name in nocolor pipe; do
		not wrote "$name" $'\e\\[[0-9;]*m'
	done
	for name in dumb quiet file both; do
		not wrote "$name" 'second scan'
	done
	[[ ! -s $BATS_TEST_TMPDIR/notes ]]
}

# open_beside_stuck NAME SCRIPT: memz -p LIST beside a process that is stuck until wedge.c gets SIGUSR1.
open_beside_stuck() {
	open_terminal "$1" 80 24 "$2" "$MEMZ" "$LIST" "$BATS_TEST_TMPDIR/notes"
}

@test "a scan that takes long says so on a terminal, and removes what it said" {
	local name stuck

	need_root
	need setpriv "${CC:-cc}"
	[[ -c /dev/fuse ]] || skip 'needs /dev/fuse'
	"${CC:-cc}" -std=gnu11 -O2 -static -pthread -o "$BATS_TEST_TMPDIR/wedge" "$ROOT/tests/wedge.c"
	start private 64
	LIST=$PID
	start_program "$BATS_TEST_TMPDIR/wedge" map
	stuck=$PID LIST+=,$PID
	wait_for grep -q '^State:.D' "/proc/$stuck/status" || skip 'needs a kernel that waits for a file system to unmap a page (6.16)'
	open_beside_stuck never '"$2" -p "$3" --timeout 1.5 -t'
	open_beside_stuck dumb 'TERM=dumb "$2" -p "$3" --timeout 1.5'
	open_beside_stuck quiet '"$2" -q -p "$3" --timeout 1.5'
	open_beside_stuck file '"$2" -p "$3" --timeout 1.5 2>"$4"'
	open_beside_stuck pipe '"$2" -p "$3" --timeout 1.5 | cat'
	wait_for_end never dumb quiet file pipe
	open_beside_stuck answers '"$2" -p "$3" --timeout 40 -H'
	wait_for shows answers '^memz: [0-9]+ of [0-9]+ processes$'
	wrote pipe 'memz: [0-9]+ of [0-9]+ processes'
	kill -USR1 "${LOADERS[-1]}"
	wait_for_end answers
	for name in answers never dumb quiet file pipe; do
		screen "$name"
		not shows "$name" 'memz: [0-9]+ of'
		shows "$name" "^ *$stuck "
	done
	[[ $(screen answers | grep "^ *$stuck ") =~ M\ .*wedge\ map ]]
	shows never "^memz: .*$stuck"
	for name in dumb quiet file; do
		harmless "$name"
		not wrote "$name" '[0-9] of [0-9]+ processes'
	done
	not grep -q ' of ' "$BATS_TEST_TMPDIR/notes"
}

@test "memz | less shows its first screen, and leaves nothing behind" {
	need less
	start_hostile
	open_terminal less 80 24 '"$2" -p "$3" -i 1.2 -c pid,pss,pss_delta | LESS= less -FX' "$MEMZ" "$LIST"
	open_terminal long 80 24 '"$2" -S "$3" -m | LESS= less -X' "$MEMZ" "$CURRENT"
	wait_for_end less
	shows less '^ *PID  *PSS PSS_DELTA$'
	not shows less 'second scan'
	wait_for shows long '^:'
	[[ $(screen long | sed -n 1,2p) == *MAPPING* ]]
	tmux_ send-keys -t long q
	wait_for_end long
}

# open_among_400 NAME WIDTH HEIGHT SCRIPT: in a pid namespace with 400 processes.
open_among_400() {
	open_terminal "$1" "$2" "$3" 'unshare --pid --fork --mount-proc bash -c "$2" - "$3" "$4"' \
		'exec 3< <(exec "$2" private 64 400); cat <&3 >/dev/null; '"$4" "$MEMZ" "$LOAD"
}

@test "memz alone fills the screen, no more, and says so" {
	local height

	need_root
	need unshare
	open_among_400 80 80 24 '"$1"'
	open_among_400 40 40 24 '"$1"'
	open_among_400 250 250 50 '"$1"'
	for name in 80 40 250; do
		wait_for_end "$name"
		screen "$name"
		[[ $(tmux_ display -p -t "$name" '#{history_size}') == 0 ]]
		height=$(tmux_ display -p -t "$name" '#{pane_height}')
		(($(raw "$name" | grep -ac 'private 64 400$\|^ *[0-9]* root .*[0-9][KM] ') >= height - (name < 80 ? 15 : 9)))
		[[ $(raw "$name" | grep -ac '^memz: ') == [23] ]]
		[[ $(raw "$name" | grep -a '^memz: ' | head -1) =~ ^memz:\ .*total,\ .*available ]]
		[[ $(screen "$name" -J) == *'memz: showing '*' of 40'?' processes; '* ]]
		[[ $(screen "$name" | sed -n 2p) == *PID* ]]
	done
}

@test "with notes, memz alone still fits the screen" {
	need_root
	need unshare setpriv
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"
	chmod go+x "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
	for width in 80 40; do
		open_among_400 $width $width 24 'setpriv --reuid 65534 --regid 65534 --clear-groups "'"$BATS_TEST_TMPDIR"'/memz"'
	done
	for width in 80 40; do
		wait_for_end $width
		screen $width
		[[ $(raw $width | grep -ac '^memz: ') -ge 2 ]]
		[[ $(tmux_ display -p -t $width '#{history_size}') == 0 ]]
	done
}

@test "memz | cat and memz with an option show everything" {
	need_root
	need unshare
	open_among_400 all 80 24 'for args in -t "-s rss" -k -H "-c pid" "-n 410"; do echo "$args:"; "$1" $args; done; echo pipe:; "$1" 2>&1 | cat'
	wait_for_end all
	raw all | awk '/:$/ { if (what) print what, n; what = $0; n = 0 } { n++ } END { print what, n }'
	raw all | awk '/:$/ { if (what && n < 400) exit 1; what = $0; n = 0 } { n++ } END { exit n < 400 }'
	not wrote all 'the largest of'
	open_terminal small 80 5 '"$2" | head -0; "$2" | cat | tail -1' "$MEMZ"
	wait_for_end small
	not wrote small 'the largest of'
}

# Command lines that people type first: each works, or gets one line that helps.

# try_lines STATUS <<LINES: each line is "arguments | word". memz must print the word, on stdout if STATUS is 0, else on stderr.
try_lines() {
	local line args want failed=0

	while IFS= read -r line; do
		[[ $line ]] || continue
		want=${line#*| }
		eval "args=(${line%% |*})"
		run --separate-stderr timeout 60 "$MEMZ" "${args[@]}"
		if (($1 == 0)); then
			[[ $status == 0 && $output == *"$want"* ]] && continue
		else
			[[ $status == "$1" && -z $output && ${#stderr_lines[@]} == 1 && $stderr == memz:*"$want"* ]] && continue
		fi
		echo "memz ${line%% |*}: status $status, wanted: $want; $stderr ${output:0:200}"
		failed=1
	done
	return $failed
}

@test "what smem, ps, top, free and htop take is taken" {
	try_lines 0 <<-'END'
		-tk | PSS
		-c "name pss" | NAME
		-c PID,PSS | PSS
		-t -k -u | COUNT
		-m -k | MAPPING
		-w -k | anonymous
		-U root -s rss -r | RSS
		-P . -s swap | SWAP
		-o pid,rss,user | RSS
		--sort=-rss | RSS
		-s -rss | RSS
		--sort rss -r | RSS
		-A | COMMAND
		-p $$ | COMMAND
		--pid=$$ | COMMAND
		-b -n1 | COMMAND
		-bn 1 | COMMAND
		-ww | anonymous
		--user root | COMMAND
		-n5 | COMMAND
		--limit=5 | COMMAND
		--total | COMMAND
		-h | Usage: memz
		--unit m | PSS
		--list | pss
		-S /proc | PSS
	END
}

@test "an option of smem, ps, top, free or htop that memz lacks gets a helpful message" {
	try_lines 2 <<-'END'
		-R 16G | meminfo
		-a | are shown already
		-p | (percentages: -c +pss_pct)
		-n | (numeric ids: -c uid)
		-K vmlinux | -k
		-M libc | add -m
		aux | memz shows all processes
		-aux | are shown already
		-ef | are shown already
		-eo pid,rss | are shown already
		-C bash | -P NAME
		-u root | did you mean -U root?
		-q 1 | did you mean -p 1?
		-o pid,%mem,args | 'rss_pct'
		-o args | 'command'
		-o pid,comm | 'name'
		--sort -%mem | 'rss_pct'
		-o %MEM | 'rss_pct'
		-o RES | 'rss'
		-o +VIRT | 'vsz'
		-s SHR | 'shared'
		-d 1 | -i SEC
		-l | -c LIST
		-s | as in -s swap
		-c | as in -c pid,pss,name
		-g | as in --by user
		-i | as in -i 5
		-j | --json
		--no-headers | '--no-header'
		--noheading | '--no-header'
		-o pid= | 'pid'
		-s MEM | 'pss'
	END
}

@test "a wrong first guess gets a helpful message" {
	try_lines 2 <<-'END'
		firefox | did you mean -P firefox?
		1234 | did you mean -p 1234?
		-w 200 | did you mean -p 200?
		-t 5 | unexpected '5'
		-n 5 firefox | did you mean -P firefox?
		--pid=bash | -P bash
		-p self | -P self
		help | did you mean --help?
		version | did you mean --version?
		-? | see --help
		all | memz shows all processes
		--json --csv | exclude each other
		--json=pretty | takes no argument
		-f pss | the shell takes > for a redirection
		--filter bash | by name, use -P bash
		-f 'pss>100MB' | as 100M, 1.5G or 10%
		-f 'pss>1,5G' | as 100M, 1.5G or 10%
		-f 'cmd~x' | 'command'
		--since 1h | a file made by --save
		--since yesterday | a file made by --save
		--save | as in --save now.tar
		-i 5s | seconds
		--unit MB | one of auto, K, M, G, B
		--by users | 'user'
		--by pid | use user, name
		-c pid -c pss | with + or -
		-n all | whole number
		-n -5 | whole number
		-P '*java' | nothing to repeat before *
	END
	try_lines 1 <<-'END'
		-S x.tar.gz | x.tar.gz: No such file
		--since /nope.tar | /nope.tar: No such file
		-U nobody-here | no user '
	END
}

@test "an unquoted > in a condition is an error that says how to quote it" {
	cd "$BATS_TEST_TMPDIR"
	run -2 --separate-stderr bash -c '"$MEMZ" -f pss>100M'
	[[ $stderr == *"quote it, as in -f 'pss>100M'"* && -e 100M && ! -s 100M ]]
}
