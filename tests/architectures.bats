# The program built for 32-bit big-endian PowerPC, and on pages of 64 KiB, both under qemu-user. PPC and QEMU name another
# compiler and another emulator.
# shellcheck disable=SC2001,SC2086	# arguments are words
load helper

PPC=${PPC:-powerpc-linux-gnu-gcc}
QEMU=${QEMU:-qemu-ppc}

setup_file() {
	local copy=$BATS_FILE_TMPDIR/copy

	command -v "$PPC" "$QEMU" >/dev/null || return 0
	mkdir "$copy"
	cp "$ROOT"/{Makefile,memz.h,memz.c,parse.c,report.c} "$copy"
	make -C "$copy" memz CC="$PPC" CFLAGS=-O1 LDFLAGS=-static >"$BATS_FILE_TMPDIR/messages" 2>&1 || true
}

setup() {
	need "$PPC" "$QEMU"
	PORT=$BATS_FILE_TMPDIR/copy/memz
	export LC_ALL=C		# the emulated C library has no locales
}

# Page size, bits and byte order of the machine that qemu emulates with these arguments.
facts() {
	local program=$BATS_TEST_TMPDIR/facts

	"$PPC" -static -x c -o "$program" - <<-'END'
		#include <stdio.h>
		#include <unistd.h>
		int main(void) { int one = 1; printf("%d %zu %s\n", getpagesize(), 8 * sizeof(long), *(char *)&one ? "little" : "big"); }
	END
	"$QEMU" "$@" "$program"
}

# reports PROGRAM...: its reports of every saved machine, of each of KINDS.
reports() {
	local machine arguments

	cd "$MACHINES" || return
	for machine in */; do
		for arguments in "${KINDS[@]}"; do
			echo "memz -S $machine $arguments"
			"$@" -S "${machine%/}" $arguments 2>&1 || echo "(status $?)"
		done
	done | sed 's/"seconds":[0-9.]*/"seconds":0/'
}

# same_reports QEMU-ARGUMENT...: the reports of both programs are the same.
same_reports() {
	local here=$BATS_TEST_TMPDIR/here there=$BATS_TEST_TMPDIR/there

	reports "$MEMZ" >"$here" &
	reports "$QEMU" "$@" "$PORT" >"$there"
	wait $!
	(($(grep -c '^memz -S' "$here") >= 20 * ${#KINDS[@]}))
	diff "$here" "$there" | cut -c1-200 | head -20
	cmp "$here" "$there"
}

@test "a compiler for 32 bits builds it without a warning" {
	cat "$BATS_FILE_TMPDIR/messages"
	[[ -x $PORT ]]
	run ! grep 'warning:' <(grep -v 'in statically linked applications' "$BATS_FILE_TMPDIR/messages")
}

@test "on a 32-bit big-endian machine every report of a saved machine is the same" {
	KINDS=('' '-A --csv -c all,maps,numa,exe,ancestry,oom_score' '-w --json' '-m --csv')
	[[ ! ${LONG-} ]] || KINDS+=('-t --json' -w --by\ {user,cgroup,unit,state})
	[[ $(facts) == *' 32 big' ]]
	same_reports
}

@test "with pages of 64 KiB every report of a saved machine is the same" {
	KINDS=('-A --csv -c all,maps,numa,exe,ancestry' '-w --csv' '-m --csv')
	[[ ! ${LONG-} ]] || KINDS+=('' '-t --json' '-w --json' --by\ {user,cgroup,unit,state})
	[[ $(facts -p 65536) == '65536 '* ]]
	same_reports -p 65536
}

@test "a 32-bit machine handles dates after 2038 and files larger than 2 GiB" {
	tree=$BATS_TEST_TMPDIR/tree
	cp -r "$MACHINES/v6.1" "$tree"
	sed -i 's/^btime .*/btime 4102444800/' "$tree/proc/stat"
	truncate -s 3G "$tree"/proc/{533/smaps_rollup,701/status,meminfo}
	for arguments in '-c pid,pss,rss_anon,start,time --csv' --json; do
		run -0 "$MEMZ" -S "$tree" $arguments
		[[ $output == *2100-01-01* && $output == *378676* ]] || [[ $output == *'"time":"2100-01-08'* ]]
		diff <(sed 's/"seconds":[0-9.]*//' <<<"$output") <("$QEMU" "$PORT" -S "$tree" $arguments | sed 's/"seconds":[0-9.]*//')
	done
}

@test "what one architecture saves, the others read the same" {
	machine=$MACHINES/v6.12 archive=$BATS_TEST_TMPDIR/archive
	set -- "$MEMZ" "$QEMU $PORT" "$QEMU -p 65536 $PORT"
	for arguments in '-c all,maps,exe,ancestry -A --csv' '-w --csv'; do
		"$MEMZ" -S "$machine" $arguments >"$archive.due"
		for saves; do
			rm -f "$archive"
			$saves -q -S "$machine" --save "$archive" $arguments >/dev/null
			for reads; do
				echo "$saves --save, $reads -S, $arguments"
				diff "$archive.due" <($reads -S "$archive" $arguments 2>&1)
			done
		done
	done
}

@test "a 32-bit machine shows the same memory of a live process" {
	start private 4096 8
	list=$(join "${PIDS[@]}")
	columns=pid,ppid,uid,name,state,threads,start,vsz,rss,pss,uss,swap,vm_hwm,vm_data,maps,exe
	diff <("$MEMZ" -q -p "$list" -s pid --csv -c "$columns") <("$QEMU" "$PORT" -q -p "$list" -s pid --csv -c "$columns")
}
