# Saved trees and archives are untrusted: nothing outside them is read, and reading always ends. untrusted.py replaces every
# file of a small tree in turn, and looks at one view each; with LONG=1 at all of them.
load helper

@test "a file replaced by a device, a FIFO, an endless file or a link out of the tree does no harm; links within work" {
	need python3
	run python3 "$ROOT/tests/untrusted.py" "$BATS_TEST_TMPDIR" "$([[ ${LONG-} ]] && echo 0/1 || echo 0/4)"
	printf '%s\n' "$output" | cut -c1-300
	((status == 0))
}

@test "a tree that is named by a link is read, and links that go round in circles end" {
	mkdir -p "$BATS_TEST_TMPDIR/tree/proc/5"
	cp "$ROOT"/tests/machines/current/proc/812/{statm,stat,status,smaps_rollup,comm} "$BATS_TEST_TMPDIR/tree/proc/5/"
	ln -s tree "$BATS_TEST_TMPDIR/link"
	ln -s ../5 "$BATS_TEST_TMPDIR/tree/proc/5/task"
	ln -s 7 "$BATS_TEST_TMPDIR/tree/proc/6"
	ln -s 6 "$BATS_TEST_TMPDIR/tree/proc/7"
	run -0 --separate-stderr timeout 10 "$MEMZ" -q -S "$BATS_TEST_TMPDIR/link" --csv -c pid,rss
	[[ $output == *$'\n5,'* ]]
}

@test "a saved tree does not tell which directories exist outside of it" {
	local tree

	for tree in first second; do
		mkdir -p "$BATS_TEST_TMPDIR/$tree/proc"/{1,self} "$BATS_TEST_TMPDIR/$tree/sys/fs"
		cp "$ROOT"/tests/machines/current/proc/812/{statm,stat,smaps_rollup,comm} "$BATS_TEST_TMPDIR/$tree/proc/1/"
		echo 0::/a >"$BATS_TEST_TMPDIR/$tree/proc/1/cgroup"
		echo '30 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$BATS_TEST_TMPDIR/$tree/proc/self/mountinfo"
		echo 'btime 1700000000' >"$BATS_TEST_TMPDIR/$tree/proc/stat"
	done
	echo 100.0 1 >"$BATS_TEST_TMPDIR/first/proc/uptime"
	echo 200.0 1 >"$BATS_TEST_TMPDIR/second/proc/uptime"
	ln -s "$BATS_TEST_TMPDIR/outside" "$BATS_TEST_TMPDIR/first/sys/fs/cgroup"
	mkdir -p "$BATS_TEST_TMPDIR/outside" "$BATS_TEST_TMPDIR/second/sys/fs/cgroup/a"
	echo 1048576 >"$BATS_TEST_TMPDIR/second/sys/fs/cgroup/a/memory.current"
	for _ in without with; do
		"$MEMZ" -q --since "$BATS_TEST_TMPDIR/first" -S "$BATS_TEST_TMPDIR/second" --by cgroup --csv -H -c cgroup,cg_usage,cg_usage_delta
		mkdir -p "$BATS_TEST_TMPDIR/outside/a"
	done >"$BATS_TEST_TMPDIR/out"
	cat "$BATS_TEST_TMPDIR/out"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/out") == 2 && $(uniq "$BATS_TEST_TMPDIR/out" | wc -l) == 1 ]]
}

@test "a line about a holder that ends before its name is ignored" {
	mkdir -p "$BATS_TEST_TMPDIR/tree/proc"
	printf 'memz 1.0.0\nholder shmem tmpfs 1024 0\nholder shmem tmpfs 1024 0 \nholder shmem tmpfs\nholder\nholder shmem tmpfs 2048 0 /dev/shm\n' \
		>"$BATS_TEST_TMPDIR/tree/memz"
	run -0 "$MEMZ" -q -w -A --csv -S "$BATS_TEST_TMPDIR/tree"
	[[ $(grep -c ^holders, <<<"$output") == 1 && $output == *$'\nholders,shmem:/dev/shm,2048,KiB\n'* ]]
}
