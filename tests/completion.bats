#!/usr/bin/env bats
# README's lines for completion, in a real bash.
load helper

README=$ROOT/README.md

setup() {
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$(realpath "$MEMZ")" "$BATS_TEST_TMPDIR/bin/memz"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	LINES_OF=$BATS_TEST_TMPDIR/lines
}

# The block of README's lines for bash, or for shell $2, that holds this word, to be read by a shell.
readme_lines() {
	awk -v word="$1" -v shell="${2-bash}" '
		$0 == "```" shell { inside = 1; block = ""; next }
		/^```$/ && inside { inside = 0; if (index(block, word)) print block }
		inside { block = block $0 "\n" }' "$README" >"$LINES_OF"
	[[ -s $LINES_OF ]]
}

# completes WORD...: what bash offers for the last word of the command line memz WORD..., one a line.
completes() {
	bash --norc -c '
		[[ ! -e $2 ]] || source "$2"
		source "$1"
		shift 2
		COMP_WORDS=(memz "$@") COMP_CWORD=$# COMP_LINE="memz $*"
		COMP_POINT=${#COMP_LINE}
		function=$(complete -p memz | grep -oP -- "-F \K\S+")
		"$function" memz "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		((${#COMPREPLY[@]} == 0)) || printf "%s\n" "${COMPREPLY[@]}"' bash "$LINES_OF" "$BASH_COMPLETION" "$@" |
		sort -u
}

long_options() {
	memz --help | grep -oE -- '--[a-z-]+' | sort -u
}

columns() {
	memz --list-columns -H --csv | cut -d, -f1 | sort
}

@test "README's line for bash-completion completes the options of memz" {
	BASH_COMPLETION=/usr/share/bash-completion/bash_completion
	[[ -e $BASH_COMPLETION ]] || skip 'needs bash-completion'
	grep -om1 'complete -F _longopt memz' "$README" >"$LINES_OF"
	[[ $(completes --ale) == --alert ]]
	[[ $(completes -n 5 --tim) == --timeout ]]
	diff <(completes -- | grep -oE -- '^--[a-z-]+' | sort -u) <(long_options)
}

@test "without bash-completion, README's function completes every option, and no other" {
	readme_lines '_memz()'
	[[ $(completes --ale) == --alert ]]
	[[ $(completes -n 5 --tim) == --timeout ]]
	diff <(completes --) <(long_options)
	[[ -z $(completes --xyzzy) ]]
	[[ -z $(completes -S /et) ]]	# bash completes file names itself
}

@test "users, units and files are completed" {
	readme_lines '_memz()'
	[[ $(completes --unit '') == "$(printf '%s\n' auto K M G B | sort)" ]]
	[[ $(completes --unit a) == auto ]]
	[[ $(completes -U roo) == root ]]
	[[ $(completes --user daemon,roo) == daemon,root ]]
	for option in -S --source --since --save; do
		[[ -z $(completes "$option" '') ]]	# bash goes on with files
	done
}

@test "values are completed behind = as well" {
	readme_lines '_memz()'
	[[ $(completes --sort = vm_h) == vm_hwm ]]
	diff <(completes --sort =) <(columns)
	[[ $(completes --unit = a) == auto ]]
}

@test "the lines for fish complete columns in lists, users and units" {
	need fish
	readme_lines __fish_complete_list fish
	fish_completes() {
		fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$LINES_OF" "memz $1" | cut -f1
	}
	[[ $(fish_completes '--unit ' | sort | tr '\n' ' ') == 'B G K M auto ' ]]
	[[ $(fish_completes '-s vm_h') == vm_hwm ]]
	[[ $(fish_completes '-c pid,vm_h') == pid,vm_hwm ]]
	[[ $(fish_completes '--by contain') == container ]]
	[[ $(fish_completes '-U roo') == root ]]
}

@test "columns are completed, also behind a comma, a plus or a minus" {
	readme_lines '_memz()'
	for option in -c -s -g --columns --sort --by -o; do
		[[ $(completes "$option" vm_h) == vm_hwm ]]
		diff <(completes "$option" '') <(columns)
	done
	[[ $(completes -c pid,vm_h) == pid,vm_hwm ]]
	[[ $(completes -c pid,user,+vm_h) == pid,user,+vm_hwm ]]
	[[ $(completes -c -us) == $'-user\n-uss\n-uss_pct' ]]
	diff <(completes -c pid,) <(columns | sed 's/^/pid,/' | sort)
	[[ $(completes --alert vm_h) == vm_hwm ]]
	[[ -z $(completes -c pid,xyzzy) ]]
}

# types TEXT PATTERN: types it, and waits for the pattern on the screen.
types() {
	tmux -L "$SCREEN" send-keys -l -- "$1"
	wait_for shows "$2" || { tmux -L "$SCREEN" capture-pane -p && return 1; }
}

shows() {
	tmux -L "$SCREEN" capture-pane -p | grep -qE -- "$1"
}

@test "Tab completes in a terminal" {
	need tmux
	readme_lines '_memz()'
	SCREEN=memz-$$
	at_end tmux -L "$SCREEN" kill-server
	TMUX_TMPDIR=$BATS_TEST_TMPDIR tmux -L "$SCREEN" -f /dev/null new-session -d -x 80 -y 24 "PS1='ready ' bash --norc -i"
	export TMUX_TMPDIR=$BATS_TEST_TMPDIR
	wait_for shows '^ready'
	types "source '$LINES_OF'; clear"$'\r' '^ready *$'
	types $'memz --list-co\t' '--list-columns$'
	types $'\025memz -c pid,vm_h\t' 'pid,vm_hwm$'
	types $'-n 1\r' '^ *PID +VM_HWM'
}
