#!/usr/bin/env bats
# The manual, README and --help name what the program has and nothing else, and their commands run as printed.
load helper
shopt -s extglob

PAGE=$ROOT/man/memz.1
README=$ROOT/README.md

# The options of the manual: .It Fl c , Fl o , Fl Fl columns Ar list is -c, -o and --columns.
page_options() {
	sed -n 's/^\.It Fl/Fl/p' "$PAGE" | grep -oE 'Fl Fl [a-z-]+|Fl [A-Za-z]( |$)' | sed 's/Fl Fl /--/; s/Fl /-/; s/ $//' | sort
}

help_options() {
	"$MEMZ" --help | sed '/^Examples/,$d' | grep -oE -- '(^|[ ,])(--[a-z-]+|-[A-Za-z]\b)' | tr -d ' ,' | sort -u
}

# Every letter that memz does not call unknown, and every name in its table.
program_options() {
	local letter

	for letter in {a..z} {A..Z}; do
		"$MEMZ" "-$letter" --unit= 2>&1 | grep -q "^memz: unknown option '-$letter'" || printf -- '-%s\n' "$letter"
	done
	sed -n '/option_rows\[\] = {/,/^};/s/^\t{ "[A-Za-z]*", "\([a-z-]*\)".*/--\1/p' "$ROOT/memz.c"
}

# page_examples DIRECTORY: writes each example of the manual to a file there. An example behind .\" recipe: NAME has NAME as
# its suffix: recipes.bats prepares what it needs, and runs it.
page_examples() {
	mkdir "$1"
	awk -v dir="$1" '
		function file() { return sprintf("%s/%02d%s", dir, n, name) }
		/^\.Sh/ { examples = $2 == "EXAMPLES" }
		/^\.Dl / { n++; print substr($0, 5) > file(); name = "" }
		/^\.Ed/ { inside = 0; name = "" }
		inside { print > file() }
		/^\.Bd / && (examples || name) { n++; inside = 1 }
		/^\.\\" recipe: / { name = "-" $3 }' "$PAGE"
	sed -i "s/\\\\-/-/g; s/\\\\(aq/'/g; s/\\\\(ti/~/g; s/\\\\(ha/^/g; s/\\\\e/\\\\/g; s/^\\\\&//" "$1"/*
}

# page_block NAME: the lines of the literal block behind .\" NAME.
page_block() {
	awk -v name="$1" '/^\.Ed/ { inside = 0 } inside; /^\.Bd / { inside = here } { here = $1 == ".\\\"" && $2 == name }' "$PAGE"
}

# The commands of README that begin with memz.
readme_commands() {
	awk '/^```/ { inside = !inside; next } inside' "$README" | sed 's/^\$ //' | grep '^memz'
	# shellcheck disable=SC2016
	awk '/^```/ { inside = !inside } !inside' "$README" | grep -oE '`(watch )?memz [^`]*`' | tr -d '`' | sed 's/^watch //'
}

# The words of the manual that are set in .Ql and match an expression.
page_quotes() {
	sed -n 's/^\.\(Pq \)\?Ql //p' "$PAGE" | sed 's/ [.,;:]$//; s/\\-/-/g' | grep -E -- "$1"
}

# The names of the list items between two lines of the manual.
page_items() {
	sed -n "/^\.S[sh] $1/,/^\.S[sh] $2/s/^\.It //p" "$PAGE" | sed 's/ , /\n/g' | sort
}

# The options of the synopsis, short ones where there are.
synopsis_options() {
	sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$PAGE" | sed 's/^\.Fl h | V$/.Fl hV/' | grep -oE 'Fl Fl [a-z-]+|Fl [A-Za-z]+' |
		sed 's/^Fl Fl /--/; t; s/^Fl //; s/./-&\n/g' | grep . | sort -u
}

# Runs a command as a reader would. It must succeed, or raise an alert; its notes may be about missing rights and about
# processes of others. The archive that it reads is saved first.
runs() {
	local tool status=0

	for tool in awk df findmnt ipcs jq mlr slabtop sqlite3 ss sysctl; do
		[[ $1 != *"$tool "* && $1 != "$tool" ]] || command -v "$tool" >/dev/null || return 0
	done
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	ln -sf "$(realpath "$MEMZ")" "$BATS_TEST_TMPDIR/bin/memz"
	cd "$BATS_TEST_TMPDIR" || return
	echo "$1"
	[[ -e archive.tar || $1 != *archive.tar* ]] || "$MEMZ" -q -n 0 --save archive.tar || return
	PATH=$PWD/bin:$PATH timeout 60 bash -o pipefail -c "${1//-i [0-9]*([0-9])/-i 0.2}" </dev/null >out 2>err || status=$?
	cat err
	((status == 0)) || [[ $status -eq 3 && $1 == *--alert* ]] || return
	# rights, and what others have on this machine
	! grep -vE '^memz: ([0-9]+ process(es)?: (PSS|open files) not readable|[0-9]+ process(es)?: stuck|/[^ ]+ .*could not be read: (Permission|Operation) |other users. processes are hidden|alert: |no [a-z]+ match(es)? )' err || return 1
}

same() {
	diff <("$1") <("$2")
}

page_columns() {
	sed -n 's/^\.It Cm //p' "$PAGE" | sort
}

program_columns() {
	"$MEMZ" --list-columns --csv -H | cut -d, -f1 | sort
}

@test "the manual is correct mdoc" {
	need mandoc
	run mandoc -T lint "$PAGE"
	[[ $status -eq 0 && -z $output ]]
}

@test "the manual and --help have every option, and no other" {
	same page_options help_options
	[[ $(page_options | wc -l) -gt 30 ]]
}

@test "the synopsis of the manual has every option, and no other" {
	diff <(synopsis_options) <(sed -n '/^\.Ss What to show/,/^\.Sh COND/s/^\.It Fl/Fl/p' "$PAGE" |
		sed 's/^Fl \([A-Za-z]\)\b.*/-\1/; s/^Fl Fl \([a-z-]*\) , Fl Fl \([a-z-]*\) , /--\1\n--\2\n/; s/Fl Fl \([a-z-]*\).*/--\1/' |
		sort -u)
}

@test "the manual and --help agree about which options take a value" {
	diff <("$MEMZ" --help | sed '/^Examples/,$d' | grep -oP '^ +-.*?(?=  |$)' | grep -oE -- '--[a-z-]+( [A-Z])?' | sed 's/ [A-Z]/ value/' | sort) \
		<(sed -n 's/^\.It Fl/Fl/p' "$PAGE" | sed 's/ Ar .*/ value/' | grep -oE 'Fl Fl [a-z-]+( value)?' | sed 's/Fl Fl /--/' | sort)
}

@test "--help names every option that memz takes" {
	diff <(program_options | sort) <(help_options)
}

@test "the manual has every column, and no other" {
	same page_columns program_columns
	[[ $(page_columns | wc -l) -gt 60 ]]
}

@test "--help fits 80 columns and 60 lines" {
	"$MEMZ" --help >"$BATS_TEST_TMPDIR/help"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/help") -le 60 ]]
	! grep -nE '.{81}' "$BATS_TEST_TMPDIR/help" || return 1
}

@test "every name in the manual's table of JSON names is in a report" {
	local name names

	need jq
	for args in '-c all -t' -u -m -w; do
		# shellcheck disable=SC2086	# several words
		"$MEMZ" -q -S "$ROOT/tests/machines/current" --json $args
	done >"$BATS_TEST_TMPDIR/reports"
	mapfile -t names < <(sed -n 's/^\.It Li \([^ ]*\) Ta .*/\1/p' "$PAGE")
	[[ ${#names[@]} -gt 15 ]]
	for name in "${names[@]}"; do
		name=.${name//\[\]/[0]}
		echo "$name"
		jq -es "any(.[]; $name != null)" "$BATS_TEST_TMPDIR/reports" >/dev/null
	done
	for name in $(sed -n 's/^\.It Li memory.*; the area \([a-z_]*\).*/\1/p' "$PAGE" | grep -vx of); do
		echo "$name"
		jq -es "any(.[]; .system.areas != null and any(.system.areas[]; .area == \"$name\"))" "$BATS_TEST_TMPDIR/reports" >/dev/null
	done
}

@test "every example of the manual runs" {
	local file

	page_examples "$BATS_TEST_TMPDIR/examples"
	for file in "$BATS_TEST_TMPDIR"/examples/+([0-9]); do
		runs "$(<"$file")"
	done
	[[ ${file##*/} -ge 10 ]]
}

@test "the commands within the text of the manual run" {
	local line n=0

	while IFS= read -r line; do
		runs "$line"
		n=$((n + 1))
	done < <(page_quotes '^memz ')
	[[ $n -ge 3 ]]
}

@test "the conditions in the text of the manual are conditions" {
	local line n=0

	while IFS= read -r line; do
		echo "$line"
		run "$MEMZ" -q -n 0 -S "$CURRENT" --alert "$line"
		[[ $status -eq 0 || $status -eq 3 ]]
		n=$((n + 1))
	done < <(page_quotes '^[a-z][a-z_0-9]*(!?[=~]|[<>]=?).')
	[[ $n -ge 8 ]]
}

@test "the alerts in the manual have the form of those of memz" {
	numbers_only() {
		sed -E 's/[0-9.]+[KMGT%]?/0/g; s/\(pid 0 .*/(pid 0)/'
	}
	run -3 "$MEMZ" -q -n 0 -S "$CURRENT" --alert 'mem_available<90%' --alert 'pss>300M'
	diff <(sed -n '/^memz: alert: /p' "$PAGE" | numbers_only) <(numbers_only <<<"$output")
}

@test "the keys of the JSON in the manual are in a report" {
	local key

	need jq
	for args in -t -w '--since before'; do
		# shellcheck disable=SC2086	# several words
		(cd "$MACHINES" && "$MEMZ" -q -S after --json $args)
	done | jq -r '[paths | last | strings] | unique[]' | sort -u >"$BATS_TEST_TMPDIR/keys"
	for key in $(awk '/^\.Bd/ { inside = 1 } /^\.Ed/ { inside = 0 } inside && !/jq|sqlite/' "$PAGE" | grep -oP '(^|[{,]) *"\K[a-z_]+(?=": )'); do
		echo "$key"
		grep -qx "$key" "$BATS_TEST_TMPDIR/keys"
	done
	[[ $key ]]
}

@test "the manual has every finding and every section of the whole machine" {
	need jq
	diff <(page_items Findings Other) <({
		tr -s '\n\t ' ' ' <"$ROOT/memz.c" | grep -oE 'finding_add\( ?f, s, "[a-z_]*"' | cut -d'"' -f2
		sed -n '/large\[\] = {$/,/};/s/^\t\t{ "\([a-z_]*\)".*/\1/p' "$ROOT/memz.c"
	} | sort -u)
	diff <(page_items 'Other sections' DELTAS) \
		<((cd "$MACHINES" && "$MEMZ" -q -S after --since before -w --json) | jq -r '.system | keys[]' | grep -vxE 'areas|holders|findings')
}

@test "every recipe of the manual has a test" {
	local questions

	questions=$(sed -n "s/^QUESTIONS='\(.*\)'/\1/p" "$ROOT/tests/fleet.bats" | tr ' ' '\n')
	diff <(sed -n 's/^\.\\" recipe: //p' "$PAGE" | sort) <({
		grep -ohE '\b(recipe|follow|follow_day) [a-z0-9-]+' "$ROOT"/tests/{recipes,fleet}.bats | cut -d' ' -f2
		sed 's/^/question-/' <<<"$questions"
	} | sort -u)
}

@test "the examples of the manual are printed as they were run, and fit the page" {
	local line

	need mandoc
	page_examples "$BATS_TEST_TMPDIR/examples"
	mandoc -T ascii "$PAGE" | sed 's/.\x08//g' >"$BATS_TEST_TMPDIR/page"
	! grep -E '.{81}' "$BATS_TEST_TMPDIR/page" || return 1
	sed 's/^ *//' "$BATS_TEST_TMPDIR"/examples/* | while IFS= read -r line; do
		echo "$line"
		sed 's/^ *//' "$BATS_TEST_TMPDIR/page" | grep -Fxq -- "$line"
	done
}

@test "every example of --help runs" {
	local line n=0

	while IFS= read -r line; do
		runs "${line%%   *}"
		n=$((n + 1))
	done < <("$MEMZ" --help | sed '1,/^Examples/d; s/^ *//; s/-U postgres/-U root/')
	[[ $n -ge 5 ]]
}

@test "every command of README runs" {
	local line n=0

	while IFS= read -r line; do
		runs "$line"
		n=$((n + 1))
	done < <(readme_commands)
	[[ $n -ge 10 ]]
}

# readme_screens: the blocks of README that show memz on a terminal.
readme_screens() {
	awk '/^```console$/ { inside = 1 } inside; /^```$/ { inside = 0 }' "$README"
}

@test "README's screens are what memz prints of saved machines" {
	[[ $(readme_screens | grep '^\$ ') == $'$ memz\n$ memz -w\n$ memz --by unit -n 8' ]]
	diff <(readme_screens) <("$ROOT/tests/screens")
	! readme_screens | grep -E '.{81}' || return 1
}

@test "README has at most 200 lines, and its parts in the order of a reader's questions" {
	[[ $(wc -l <"$README") -le 200 ]]
	diff <(sed -n 's/^## //p' "$README") - <<-'END'
		How to get it
		Cheat sheet
		Alerts, cron, before and after
		Coming from other tools
		Privileges
		Completion
		What it will not do
	END
}

@test "the index of the tests has every file of tests" {
	local file

	for file in "$ROOT"/tests/*.bats; do
		file=${file##*/}
		echo "$file"
		grep -qE "^\\|.*\\|.*\\b${file%.bats}\\b" "$ROOT/tests/README.md"
	done
	for file in "$ROOT"/tests/*.{py,c,bash}; do
		echo "$file"
		grep -qF "\`${file##*/}\`" "$ROOT/tests/README.md"
	done
}

@test "README's commands install memz, and make a package and a static binary" {
	local line n=0

	need musl-gcc
	mkdir -p "$BATS_TEST_TMPDIR/copy/man"
	cp "$ROOT"/{Makefile,memz.h,memz.c,parse.c,report.c} "$BATS_TEST_TMPDIR/copy"
	cp "$PAGE" "$BATS_TEST_TMPDIR/copy/man"
	cd "$BATS_TEST_TMPDIR/copy"
	while IFS= read -r line; do
		echo "$line"
		DESTDIR=$PWD/root CFLAGS=-O0 bash -c "$line" >/dev/null
		n=$((n + 1))
	done < <(grep '^make ' "$README")
	((n == 3))
	[[ -x root/usr/local/bin/memz && -e root/usr/local/share/man/man1/memz.1 && -x pkg/usr/bin/memz ]]
	! ldd memz || return 1
}

@test "with the capabilities of README, a user without rights sees the PSS of others" {
	local command n=0

	need_root
	need setcap
	start private 1024
	install -m 755 "$MEMZ" "$BATS_TEST_TMPDIR/memz"
	cd "$BATS_TEST_TMPDIR"
	while IFS= read -r command; do
		$command || skip 'needs a file system with capabilities'
		[[ $command != *perfmon* ]] || [[ $(uname -r | awk -F. '{ print ($1 * 100 + $2 >= 615) }') == 1 ]] || continue
		[[ $("${NOBODY[@]}" ./memz -H -k -c pss -p "$PID") =~ ^[0-9]{4,}$ ]]
		n=$((n + 1))
	done < <(grep -oE 'setcap [^`]*' "$README")
	((n > 0))
}

@test "README has the two commands for a fresh machine, each alone in a block" {
	local first second

	first=$(fresh_machine 1) second=$(fresh_machine 2)
	[[ $first == 'apt-get update && '*' && make && ./memz' && $first != *$'\n'* ]]
	[[ $second == 'apt-get update && '*' && make check' && ! $second =~ [^\\\&]$'\n' ]]
	[[ -z $(fresh_machine 3) ]]
}

# fresh_machine NUMBER: that command of README for a fresh machine, as .ci/run finds it.
fresh_machine() {
	awk -v number="$1" '/^apt-get / { inside = ++n == number } /^```/ { inside = 0 } inside' "$README"
}

# start_as NAME KIB: processes with so much memory of the kind NAME. Fails where the machine cannot do it.
start_as() {
	local huge pages

	rm -f "$BATS_TEST_TMPDIR/$1" && install -m 755 "$LOAD" "$BATS_TEST_TMPDIR/$1"
	case $1 in
	private | tmpfs | lazyfree) start_program "$BATS_TEST_TMPDIR/$1" "$1" "$2" ;;
	shared) start_program "$BATS_TEST_TMPDIR/$1" "$1" "$2" 2 ;;
	forked) start_program "$BATS_TEST_TMPDIR/$1" cow "$2" 1 ;;
	file)
		[[ $(stat -f -c %T /var/tmp) != tmpfs ]] || return
		TMPDIR=/var/tmp start_program "$BATS_TEST_TMPDIR/$1" file "$2"
		;;
	hugetlb)
		huge=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
		((EUID == 0 && huge)) || return
		pages=$(($(</proc/sys/vm/nr_hugepages) + $2 / huge))
		set_kernel /proc/sys/vm/nr_hugepages "$pages"
		(($(</proc/sys/vm/nr_hugepages) == pages)) || return
		start_program "$BATS_TEST_TMPDIR/$1" hugetlb "$2"
		;;
	swapped)
		((EUID == 0)) && pages=$(zramctl --find --size 256M 2>/dev/null) || return
		at_end zramctl --reset "$pages"
		at_end swapoff "$pages"
		mkswap "$pages" >/dev/null && swapon -p 100 "$pages" || return
		start_program "$BATS_TEST_TMPDIR/$1" swapped "$2" 2
		;;
	merged)
		((EUID == 0)) && [[ -e /sys/kernel/mm/ksm/run ]] && grep -q ^KSM: /proc/self/smaps_rollup || return
		set_kernel /sys/kernel/mm/ksm/pages_to_scan 20000
		set_kernel /sys/kernel/mm/ksm/run 1
		start_program "$BATS_TEST_TMPDIR/$1" ksm "$2" 2
		wait_for merged "$2"
		set_kernel /sys/kernel/mm/ksm/run 0
		;;
	*) return 1 ;;
	esac
}

merged() {
	local pid

	for pid in "${PIDS[@]}"; do
		(($(awk '$1 == "KSM:" { print $2 }' "/proc/$pid/smaps_rollup") > $1 - 256)) || return
	done
}

# kib SIZE: a size as memz prints it, in KiB.
kib() {
	awk -v size="$1" 'BEGIN { print int(size * (size ~ /M$/ ? 1024 : 1)) }'
}

@test "the manual's table of 64 MiB in nine ways is what memz shows" {
	local names way here i=0 wanted shown number
	local -a want have

	need awk
	page_block table >"$BATS_TEST_TMPDIR/table"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/table") -eq 14 ]]
	names=$(awk 'NR > 1 && !seen[$1]++ { print $1 }' "$BATS_TEST_TMPDIR/table")
	for way in $names; do
		start_as "$way" 65536 || { echo "# not on this machine: $way" >&3 && continue; }
		here=$("$MEMZ" -q -k -p "$(join "${PIDS[@]}")" -s pid -c "$(awk 'NR == 1 { gsub(/ +/, ","); print tolower($0) }' "$BATS_TEST_TMPDIR/table")")
		diff <(awk -v way="$way" 'NR == 1 || $1 == way { print $1 }' "$BATS_TEST_TMPDIR/table") <(cut -d' ' -f1 <<<"$here")
		while read -r wanted && read -r -u 4 shown; do
			echo "$wanted | $shown"
			read -ra want <<<"$wanted"
			read -ra have <<<"$shown"
			for ((number = 1; number < ${#want[@]}; number++)); do
				i=$((have[number] - $(kib "${want[number]}")))
				((i > -1024 && i < 1024))
			done
		done < <(awk -v way="$way" '$1 == way' "$BATS_TEST_TMPDIR/table") 4< <(tail -n +2 <<<"$here")
		clean_up
	done
}

@test "the manual's areas of the machine are those of memz -w, under the same heading" {
	need jq
	page_block areas >"$BATS_TEST_TMPDIR/areas"
	diff <(head -1 "$BATS_TEST_TMPDIR/areas" | tr -s ' ') <("$MEMZ" -q -w | grep '^AREA ' | tr -s ' ')
	"$MEMZ" -q -w --json | jq -r '.system.areas[].area, "others"' | sort >"$BATS_TEST_TMPDIR/known"
	[[ -z $(awk 'NR > 1 && NF { print $1 }' "$BATS_TEST_TMPDIR/areas" | sort | comm -23 - "$BATS_TEST_TMPDIR/known") ]]
	for area in $(<"$BATS_TEST_TMPDIR/known"); do
		[[ $area == others ]] || grep -qE "^\.It (.*, )?$area( ,.*)?$" "$ROOT/man/memz.1" || { echo "$area"; return 1; }
	done
}
