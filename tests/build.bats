# Building with several compilers, installing, and checking with cppcheck and valgrind.
load helper

# A copy of the source, so that make does not disturb other tests.
setup() {
	COPY=$BATS_TEST_TMPDIR/copy
	mkdir -p "$COPY/man"
	cp "$ROOT"/{Makefile,memz.h,memz.c,parse.c,report.c} "$COPY"
	cp "$ROOT/man/memz.1" "$COPY/man"
}

# builds VARIABLE=VALUE...: make succeeds without a warning.
builds() {
	run -0 make -j3 -C "$COPY" memz "$@"
	[[ $output != *warning* ]]
}

@test "gcc builds it without a warning" { need gcc; builds CC=gcc; }
@test "clang builds it without a warning" { need clang; builds CC=clang; }

@test "musl builds it static and without a warning, and it reports the same" {
	need musl-gcc
	builds CC=musl-gcc LDFLAGS=-static
	run ! ldd "$COPY/memz"
	for format in '' --csv --json; do
		diff <("$MEMZ" -S "$CURRENT" $format | sed 's/"seconds":[0-9.]*//') \
			<("$COPY/memz" -S "$CURRENT" $format | sed 's/"seconds":[0-9.]*//')
	done
	run -0 "$COPY/memz" -q
}

@test "README's static binary runs, and is as large as README says" {
	need musl-gcc
	command=$(grep -om1 'make CC=musl-gcc [^#]*' "$ROOT/README.md")
	(cd "$COPY" && eval "$command" >/dev/null)
	if [[ $(uname -m) == x86_64 ]]; then
		said=$(grep -oP 'static binary \(about \K\d+(?= KB on x86-64\))' "$ROOT/README.md")
		size=$(($(stat -c %s "$COPY/memz") / 1000))
		echo "$size KB; README: $said KB"
		((size > said * 9 / 10 && size < said * 11 / 10))
	fi
	run ! ldd "$COPY/memz"
	run -0 "$COPY/memz" -q -n 1 -P .
}

@test "CFLAGS, CPPFLAGS and LDFLAGS reach the compiler, and one command builds with several jobs" {
	run -0 make -C "$COPY" -j4 memz CFLAGS=-O1 CPPFLAGS=-DNO_SUCH_NAME LDFLAGS=-Wl,-O1
	[[ $output == *-O1*-DNO_SUCH_NAME* || $output == *-DNO_SUCH_NAME*-O1* ]]
	[[ $output == *-Wl,-O1* ]]
}

@test "a change of memz.h rebuilds every object" {
	make -C "$COPY" memz CFLAGS=-O0 >/dev/null
	touch -d '+1 minute' "$COPY/memz.h"
	run -0 make -n -C "$COPY" memz CFLAGS=-O0
	[[ $output == *memz.c* && $output == *parse.c* && $output == *report.c* ]]
}

@test "install puts two files under DESTDIR and PREFIX, and uninstall removes them" {
	make -C "$COPY" install DESTDIR="$BATS_TEST_TMPDIR/dest" PREFIX=/usr CFLAGS=-O0 >/dev/null
	[[ $(cd "$BATS_TEST_TMPDIR/dest" && find . -type f | sort) == $'./usr/bin/memz\n./usr/share/man/man1/memz.1' ]]
	"$BATS_TEST_TMPDIR/dest/usr/bin/memz" --version
	make -C "$COPY" uninstall DESTDIR="$BATS_TEST_TMPDIR/dest" PREFIX=/usr >/dev/null
	[[ -z $(find "$BATS_TEST_TMPDIR/dest" -type f) ]]
}

@test "clean removes everything that make made" {
	before=$(find "$COPY" | sort)
	make -C "$COPY" memz CFLAGS=-O0 >/dev/null
	make -C "$COPY" clean >/dev/null
	[[ $(find "$COPY" | sort) == "$before" ]]
}

@test "two builds in two places are identical" {
	cp -r "$COPY" "$COPY.other"
	make -j3 -C "$COPY" memz CFLAGS='-O1 -g' >/dev/null
	make -j3 -C "$COPY.other" memz CFLAGS='-O1 -g' >/dev/null
	cmp "$COPY/memz" "$COPY.other/memz"
}

@test "cppcheck finds nothing" {
	need cppcheck
	run -0 cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=9 \
		"$ROOT/memz.c" "$ROOT/parse.c" "$ROOT/report.c"
	[[ -z $output ]]
}

@test "valgrind finds nothing: live, saved, hostile, two scans, every column" {
	need valgrind
	[[ $MEMZ != *memz-?san ]] || MEMZ=$ROOT/memz
	for arguments in '-c all' '-i 0.1 -t' "-S $MACHINES/hostile --json -c all,maps,numa,exe,ancestry -A" \
		"-S $MACHINES/hostile --csv" "-S $CURRENT -s pss -n 3 -P a|e" --list-columns; do
		# shellcheck disable=SC2086
		echo "memz $arguments"
		valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$MEMZ" -q $arguments >/dev/null
	done
}

@test "only the agreed files stand at the top of the project" {
	need git
	[[ -d $ROOT/.git ]] || skip 'needs a checkout'
	[[ $(cd "$ROOT" && git ls-files | grep -v '^\.' | sed 's,/.*,,' | sort -u | tr '\n' ' ') == \
		'Makefile README.md man memz.c memz.h parse.c report.c tests ' ]]
}
