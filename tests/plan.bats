# The read plan: which files are opened for which processes, as -v reports and strace shows.
load helper

# opened ARG...: the files that memz -v says it opened, as "file count file count".
opened() {
	"$MEMZ" --jobs 2 -v "$@" 2>&1 >/dev/null | sed -n 's/^memz: read by . reader[s]*: //p'
}

# add_process PID NAME RSS_PAGES PSS_KIB [THREADS]: adds it to TREE. statm and stat have RSS_PAGES, smaps_rollup PSS_KIB.
add_process() {
	local p=$TREE/proc/$1

	mkdir -p "$p"
	echo "99999 $3 100 1 0 100 0" >"$p/statm"
	printf 'Rss: %s kB\nPss: %s kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: %s kB\n' "$4" "$4" "$4" >"$p/smaps_rollup"
	printf '%s\0' "$2" >"$p/cmdline"
	echo "$2" >"$p/comm"
	echo "$1 ($2) S 1 $1 $1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 ${5:-1} 0 100 409600000 $3" >"$p/stat"
}

# machine RELEASE: a TREE of that kernel with two CPUs. statm of some kernels shows a process smaller than it is.
machine() {
	TREE=$BATS_TEST_TMPDIR/machine
	rm -rf "$TREE"
	mkdir -p "$TREE/proc/sys/kernel"
	printf 'cpu 1\ncpu0 1\ncpu1 1\nbtime 1000\n' >"$TREE/proc/stat"
	[[ -z $1 ]] || echo "$1" >"$TREE/proc/sys/kernel/osrelease"
}

@test "RSS, size and name are read without walking a page table" {
	[[ $(opened -S "$CURRENT" -c pid,rss,vsz,name -s rss) != *smaps* ]]
	[[ $(opened -S "$CURRENT" -c pid,rss,vsz,name -s rss -n 3) == *'statm 18 '* ]]
}

@test "pid and pss alone: no file of other columns is opened" {
	run opened -S "$CURRENT" -c pid,pss
	[[ $output == *smaps_rollup* ]]
	[[ $output != *status* && $output != *cmdline* && $output != *comm* && $output != *cgroup* && $output != *exe* ]]
}

@test "with one reader and no bound to find, not even statm is opened" {
	machine 6.18.0
	add_process 10 a 1000 4000
	add_process 11 b 1000 3000
	run "$MEMZ" --jobs 1 -v -S "$TREE" -c pid,pss
	[[ $output == *'smaps_rollup 2'* && $output != *statm* ]]
}

@test "the first three by PSS: the scan stops early, and names of three are read" {
	run opened -S "$CURRENT" -n 3
	[[ $output =~ 'smaps_rollup '[3-5]' cmdline 3'$ ]]	# each reader may have begun one more
	run opened -S "$CURRENT" -n 3 -s rss -c pid,rss,pss,name
	[[ $output =~ 'comm 3 '.*'smaps_rollup '[3-5]$ ]]
	run opened -S "$CURRENT" -n 3 -s name -c name,pss,cgroup
	[[ $output == *'comm 18 cgroup 3 '*'smaps_rollup 3'* || $output == *'comm 1'*'cgroup 3 '*'smaps_rollup 3'* ]]
}

@test "a lower bound in a filter spares the processes that are too small" {
	run opened -S "$CURRENT" -f 'pss>100M' -c pid,pss
	[[ $output == *'smaps_rollup 6' ]]
	run opened -S "$CURRENT" -f 'pss_pct>5' -c pid,pss
	[[ $output == *'smaps_rollup 1' ]]
	run opened -S "$CURRENT" -f 'swap>1' -c pid,pss
	[[ $output == *'smaps_rollup 15'* ]]
}

@test "user, name and pid are decided before a page table is walked" {
	[[ $(opened -S "$CURRENT" -U alice -c pid,pss) == *'smaps_rollup 4' ]]
	[[ $(opened -S "$CURRENT" -P '^postgres$' -c pid,pss) == *'smaps_rollup 3'* ]]
	[[ $(opened -S "$CURRENT" -f 'pid<600' -c pid,pss) == *'smaps_rollup 2' ]]
	[[ $(opened -S "$CURRENT" -f user=postgres -c pid,pss) == *'smaps_rollup 3' ]]
	[[ $(opened -S "$CURRENT" -p 812 -c pid,pss) == *'smaps_rollup 1' ]]
}

@test "what is skipped is counted, and the sum is right" {
	for arguments in '-n 3' '-n 0' '-f pss>100M' '-U alice' '--max-rss 1G' '-s name -n 2' '-t -n 2' '-P java' '-n 2 -s swap'; do
		# shellcheck disable=SC2086
		run -0 "$MEMZ" -q -S "$CURRENT" --json $arguments
		scan=$(grep -o '"scan":{[^}]*}' <<<"$output" | tr -dc '0-9,')
		IFS=, read -r processes measured denied vanished stalled skipped _ <<<"$scan"
		echo "$arguments: $scan"
		[[ $processes -eq 15 && $processes -eq $((measured + denied + vanished + stalled + skipped)) ]]
	done
}

@test "totals read everything that is selected" {
	[[ $(opened -S "$CURRENT" -n 3 -t -c pid,pss) == *'smaps_rollup 15' ]]
}

@test "--max-rss leaves larger processes unwalked: they show RSS and -, and are counted" {
	run -0 --separate-stderr "$MEMZ" -S "$CURRENT" --max-rss 1G --json
	[[ $output == *'"skipped":4'* ]]
	[[ $output == *'{"pid":1433,"user":"alice","pss":null,"uss":null,"rss":2131556,"swap":null,'* ]]
	[[ $stderr == 'memz: 4 processes: RSS above --max-rss, PSS not read; shown with rss only' ]]
	[[ $(opened -S "$CURRENT" --max-rss 1G -c pid,pss) == *'smaps_rollup 11' ]]
}

@test "-n and -f find a process where the kernel's statm lags by thread (before 6.2)" {
	machine 6.1.0
	add_process 10 lagging 1000 8000
	add_process 11 prompt 1750 7000
	[[ $("$MEMZ" -S "$TREE" -n 1 -H -c name) == lagging ]]
	[[ $("$MEMZ" -S "$TREE" -f 'pss>7.5M' -H -c name) == lagging ]]
	add_process 10 lagging 1000 20000 4
	[[ $("$MEMZ" -S "$TREE" -f 'pss>15M' -H -c name) == lagging ]]
}

@test "-n and -f find a process where statm lags by CPU (before 6.16), and trust an exact one" {
	for release in 6.2.0 6.15.3 6.16.0; do
		machine "$release"
		add_process 10 lagging 1000 4700
		add_process 11 prompt 1150 4600
		name=$("$MEMZ" -S "$TREE" -n 1 -H -c name)
		if [[ $release == 6.16.0 ]]; then [[ $name == prompt ]]; else [[ $name == lagging ]]; fi
	done
}

@test "on a kernel that is not known nothing is skipped" {
	machine ''
	add_process 10 lagging 10 900000
	add_process 11 prompt 1750 7000
	[[ $("$MEMZ" -S "$TREE" -n 1 -H -c name) == lagging ]]
	[[ $("$MEMZ" -S "$TREE" -f 'pss>100M' -H -c name) == lagging ]]
}

@test "ties: the first N are those of the full report" {
	machine 6.18.0
	for ((i = 20; i < 60; i++)); do
		add_process "$i" "p$i" 1000 4000
	done
	for n in 1 5 39 40 41; do
		[[ $("$MEMZ" -S "$TREE" -n $n --csv) == "$("$MEMZ" -S "$TREE" --csv | head -$((n + 1)))" ]]
	done
}

@test "live: only the files of the printed rows are opened, and only for reading" {
	need strace
	export ASAN_OPTIONS=detect_leaks=0	# LeakSanitizer cannot run under strace
	start private 4096 10
	strace -f -o "$BATS_TEST_TMPDIR/trace" -e trace=openat,open "$MEMZ" -q -n 3 -p "$(join "${PIDS[@]}")" >/dev/null
	[[ $(grep -c '"cmdline"' "$BATS_TEST_TMPDIR/trace") -eq 3 ]]
	run ! grep -E 'O_WRONLY|O_RDWR|O_CREAT|O_TRUNC' "$BATS_TEST_TMPDIR/trace"
	run ! grep -E '^[0-9]+ +openat\(([0-9]+, "[0-9]|AT_FDCWD, "/proc)' <(grep -v O_CLOEXEC "$BATS_TEST_TMPDIR/trace")
}

# The compiler checks that struct proc has at most 512 bytes. This test checks that nothing else grows with each process.
@test "a process takes no more memory than its row, its name and its line of the report" {
	need python3
	machine 6.18.0
	run -0 python3 - "$TREE/proc" "$MEMZ" "$TREE" <<'PY'
import os, select, subprocess, sys
proc, memz, tree = sys.argv[1:]

def peak(low, high):
    for pid in range(low, high):
        os.mkdir(f'{proc}/{pid}')
        for name, text in ('statm', '999 100 10 1 0 9 0\n'), ('cmdline', 'a\0'), ('smaps_rollup', 'Rss: 400 kB\nPss: 400 kB\n'):
            open(f'{proc}/{pid}/{name}', 'w').write(text)
    process = subprocess.Popen([memz, '-S', tree, '--jobs', '2', '-q'], stdout=subprocess.PIPE)
    select.select([process.stdout], [], [])     # memz waits: its report is larger than the pipe
    status = open(f'/proc/{process.pid}/status').read()
    report = process.stdout.read()
    assert process.wait() == 0 and len(report) > 1 << 16
    return int(status.split('VmHWM:')[1].split()[0]) * 1024, len(report)

(small, less), (large, more) = peak(10000, 14000), peak(14000, 20000)
print((large - small - (more - less)) / 6000)
PY
	echo "$output bytes"
	[[ $MEMZ == *memz-?san ]] || python3 -c "import sys; sys.exit(not float('$output') <= 512 + 32 + 96)"	# struct proc, the name, and the noise of 6,000 processes
}

@test "a process that the filters rule out is in no note, also where all is read: with --save, and of an archive" {
	local archive=$BATS_TEST_TMPDIR/before.tar note='memz: 1 process: PSS not readable'

	"$MEMZ" -q -S "$MACHINES/before" --save "$archive" >/dev/null
	for filter in '-P steady' '-U 1000' '-f pss>10M' '-f name=batch' '-f user=bob -f pss>10M'; do
		for source in "$MACHINES/before" "$archive"; do
			# shellcheck disable=SC2086	# options and values
			run -0 --separate-stderr "$MEMZ" -S "$source" $filter
			# shellcheck disable=SC2154
			[[ ! $stderr && $output == *$'\n'* ]] || { echo "$source $filter: $stderr"; false; }
		done
	done
	for filter in '-P shy' '-U bob' '-f pss>1M' '-f uss<1' '-t'; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr "$MEMZ" -S "$archive" $filter
		# shellcheck disable=SC2053	# a pattern
		[[ $stderr == *$note* ]] || { echo "$filter: $stderr"; false; }
	done
}
