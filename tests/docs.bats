#!/usr/bin/env bats
# The manual, README and --help against the program and each other: all that they name is there, all that is there is
# named, and their commands run as printed.
load helper

PAGE=$ROOT/man/memz.1
README=$ROOT/README.md

# .It Fl c , Fl o , Fl Fl columns Ar list: -c, -o, --columns
page_options() {
	sed -n 's/^\.It Fl/Fl/p' "$PAGE" | grep -oE 'Fl Fl [a-z-]+|Fl [A-Za-z]( |$)' | sed 's/Fl Fl /--/; s/Fl /-/; s/ $//' | sort
}

help_options() {
	"$MEMZ" --help | sed '/^Examples/,$d' | grep -oE -- '(^|[ ,])(--[a-z-]+|-[A-Za-z]\b)' | tr -d ' ,' | sort -u
}

# Every letter that memz does not call unknown, every name in its table.
program_options() {
	local letter

	for letter in {a..z} {A..Z}; do
		"$MEMZ" "-$letter" --unit= 2>&1 | grep -q "^memz: unknown option '-$letter'" || printf -- '-%s\n' "$letter"
	done
	sed -n '/long_options\[\] = {/,/^};/s/^\t{ "\([a-z-]*\)".*/--\1/p' "$ROOT/memz.c"
}

# The examples of the page, each in a file of its own below $1.
page_examples() {
	mkdir "$1"
	awk -v dir="$1" '
		function file() { return sprintf("%s/%02d", dir, n) }
		/^\.Sh/ { examples = $2 == "EXAMPLES" }
		!examples { next }
		/^\.Dl / { n++; print substr($0, 5) > file() }
		/^\.Ed/ { inside = 0 }
		inside { print > file() }
		/^\.Bd / { n++; inside = 1 }' "$PAGE"
	sed -i "s/\\\\-/-/g; s/\\\\(aq/'/g; s/\\\\(ti/~/g; s/\\\\(ha/^/g; s/\\\\e/\\\\/g" "$1"/*
}

# What README's code blocks, and its table, have that begins with memz.
readme_commands() {
	awk '/^```/ { inside = !inside; next } inside' "$README" | sed 's/^\$ //' | grep '^memz'
	# shellcheck disable=SC2016
	grep '^|' "$README" | grep -oE '`memz[^`]*`' | tr -d '`'
}

# Runs a command as a reader would; it must succeed and complain of nothing but a lack of rights.
runs() {
	local tool

	for tool in awk jq mlr sqlite3; do
		[[ $1 != *"$tool "* ]] || command -v "$tool" >/dev/null || return 0
	done
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	ln -sf "$(realpath "$MEMZ")" "$BATS_TEST_TMPDIR/bin/memz"
	cd "$BATS_TEST_TMPDIR" || return
	echo "$1"
	PATH=$PWD/bin:$PATH timeout 60 bash -o pipefail -c "${1//-i 5/-i 0.2}" </dev/null >out 2>err || { cat err && return 1; }
	! grep -vE '^memz: ([0-9]+ process(es)? could not be measured |other users. processes are hidden)' err || return 1
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

@test "the page is not correct mdoc" {
	need mandoc
	run mandoc -T lint -W warning "$PAGE"
	[[ $status -eq 0 && -z $output ]]
}

@test "an option is missing in the page or in --help, or is no option" {
	same page_options help_options
	[[ $(page_options | wc -l) -gt 30 ]]
}

@test "memz takes an option that --help does not name" {
	diff <(program_options | sort) <(help_options)
}

@test "a column is missing in the page, or is no column" {
	same page_columns program_columns
	[[ $(page_columns | wc -l) -gt 60 ]]
}

@test "--help does not fit two screens of 80 columns" {
	"$MEMZ" --help >"$BATS_TEST_TMPDIR/help"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/help") -le 48 ]]
	! grep -nE '.{81}' "$BATS_TEST_TMPDIR/help" || return 1
}

@test "an example of the page does not run" {
	local file

	page_examples "$BATS_TEST_TMPDIR/examples"
	for file in "$BATS_TEST_TMPDIR"/examples/*; do
		runs "$(<"$file")"
	done
	[[ ${file##*/} -ge 10 ]]
}

@test "an example of the page is printed differently from what was run, or too wide" {
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

@test "an example of --help does not run" {
	local line n=0

	while IFS= read -r line; do
		runs "${line%%   *}"
		n=$((n + 1))
	done < <("$MEMZ" --help | sed '1,/^Examples/d; s/^ *//; s/-U postgres/-U root/')
	[[ $n -ge 5 ]]
}

@test "a command of README does not run" {
	local line n=0

	while IFS= read -r line; do
		runs "$line"
		n=$((n + 1))
	done < <(readme_commands)
	[[ $n -ge 10 ]]
}

@test "one of the two commands for a fresh machine is not in README, alone in a block" {
	local line

	for line in 'apt-get install -y gcc make && make && ./memz' 'apt-get install -y gcc make bats && make check'; do
		diff <(grep -Fx -B 1 -A 1 -- "$line" "$README") <(printf '%s\n' '```sh' "$line" '```')
	done
}
