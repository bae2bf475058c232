# Defects that make fuzz found, each with the smallest input that shows it.
load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree BEFORE=$BATS_TEST_TMPDIR/before
	mkdir -p "$TREE/proc/7"
	printf 'MemTotal: 4000 kB\n' >"$TREE/proc/meminfo"
	printf '100 50 1 1 0 1 0\n' >"$TREE/proc/7/statm"
}

# at_times NOW BEFORE: TREE was saved at NOW, and BEFORE, in which the process is smaller, at the other time.
at_times() {
	cp -r "$TREE" "$BEFORE"
	printf '100 5 1 1 0 1 0\n' >"$BEFORE/proc/7/statm"
	printf 'memz 1.0.0\npage_size 4096\ntime %s\n' "$1" >"$TREE/memz"
	printf 'memz 1.0.0\npage_size 4096\ntime %s\n' "$2" >"$BEFORE/memz"
}

@test "an impossible time in a saved state still gives valid JSON" {
	local times view

	need python3
	for times in 'inf 1' '1e300 1' '1e18 1' '5e-324 0' 'nan 1' '1 -inf'; do
		# shellcheck disable=SC2086
		rm -rf "$BEFORE" && at_times $times
		printf 'pgfault 9\n' >"$TREE/proc/vmstat"
		printf 'pgfault 5\n' >"$BEFORE/proc/vmstat"
		for view in '-c pid,rss_rate' -w; do
			# shellcheck disable=SC2086
			run --separate-stderr "$MEMZ" -q -S "$TREE" --since "$BEFORE" --json $view
			# shellcheck disable=SC2154
			echo "$times: status $status: $output $stderr"
			((status < 2))
			((status == 1)) || python3 -c 'import json, sys; json.load(sys.stdin)' <<<"$output"
		done
	done
}

@test "the largest possible growth is shown as growth" {
	at_times 1.002 1
	printf 'Rss: 9000000000000000000 kB\n' >"$TREE/proc/7/smaps_rollup"
	printf 'Rss: 5 kB\n' >"$BEFORE/proc/7/smaps_rollup"
	run -0 "$MEMZ" -q -S "$TREE" --since "$BEFORE" -H -c pss,rss_rate
	echo "$output"
	[[ ${output##* } == +* ]]
}

# The file is "Node 0" alone. The search for a key began behind its end, where another file had been in the buffer.
@test "a node shows only what its own file says" {
	local node=$TREE/sys/devices/system/node/node0

	need jq
	mkdir -p "$node"
	{ printf '%0200d' 0 && printf '\nMemTotal: 4242 kB\n%.0s' {1..200}; } >"$TREE/proc/vmstat"
	for length in 190 194 195 200 201 214; do
		printf 'Node %0*d' "$length" 0 >"$node/meminfo"
		run -0 --separate-stderr "$MEMZ" -q -S "$TREE" -w --json
		jq -e '.system.nodes[0].total == null' <<<"$output"
	done
}

@test "a process of which only exe is known is saved" {
	rm "$TREE/proc/7/statm"
	ln -s /usr/bin/seven "$TREE/proc/7/exe"
	run -0 --separate-stderr "$MEMZ" -q -S "$TREE" -H -c pid --save "$BATS_TEST_TMPDIR/saved"
	run -0 --separate-stderr "$MEMZ" -q -S "$BATS_TEST_TMPDIR/saved" -H -c pid,exe
	[[ $output == '7 /usr/bin/seven' ]]
}

@test "a machine without processes can be saved, and read again" {
	rm -r "$TREE/proc/7" "$TREE/proc/meminfo"
	run -0 "$MEMZ" -q -S "$TREE" --save "$BATS_TEST_TMPDIR/saved"
	run -0 "$MEMZ" -q -S "$BATS_TEST_TMPDIR/saved"
}

# Each mapping has a name of 4,000 bytes, so that an allocation for a name or for the report fails.
@test "with too little memory for the names of mappings memz does not crash" {
	local kib

	! grep -q __asan_init "$MEMZ" || return 0	# it reserves terabytes of address space of address space
	awk 'BEGIN { while (n++ < 5000) printf "%x-%x r--p 0 08:02 1 /%04000d\nSize: 4 kB\nRss: 4 kB\nPss: 4 kB\n", n * 4096, n * 4096 + 4096, n }' >"$TREE/proc/7/smaps"
	for kib in {8000..28000..1700}; do
		run bash -c 'ulimit -v "$1"; exec "$MEMZ" -m --csv -S "$2" --jobs 1' - "$kib" "$TREE"
		echo "$kib KiB: status $status"
		((status < 2 || status == 127))		# 127: too little to start the program
	done
}

@test "an alert prints no escape code of a process's name" {
	printf 'a\xc2\x9b31mb\xe2\x80\xaec\n' >"$TREE/proc/7/comm"
	run -3 --separate-stderr "$MEMZ" -S "$TREE" -c pid,name --alert 'rss>0'
	# shellcheck disable=SC2154
	echo "$stderr" | od -An -c
	[[ $stderr == *31mb* && $stderr != *$'\xc2\x9b'* && $stderr != *$'\xe2\x80\xae'* ]]
}
