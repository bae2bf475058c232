#!/usr/bin/env bats
# memz only reads: strace of every view from exec to exit, with its threads and the loader.
load helper

CHANGES='creat|mkdir|rmdir|unlink|rename|link|symlink|mknod|chmod|fchmod|chown|fchown|lchown|truncate|ftruncate|fallocate|utime|setxattr'
CHANGES+='|lsetxattr|fsetxattr|removexattr|mount|umount|pivot_root|chroot|swapon|swapoff|sethostname|reboot|ptrace|process_vm_writev'
CHANGES+='|process_madvise|kill|tkill|pidfd_send_signal|setpriority|sched_setscheduler|sched_setaffinity|bpf|perf_event_open|keyctl|add_key'

# watch ARG...: writes the system calls of memz to the file "trace", one a line, without the tid.
watch() {
	need strace
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$BATS_TEST_TMPDIR/trace" "$MEMZ" "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
	sed -i 's/^[0-9]* *//' "$BATS_TEST_TMPDIR/trace"
	[[ -s $BATS_TEST_TMPDIR/out ]]
	grep -q '^openat(' "$BATS_TEST_TMPDIR/trace"
	! grep -q __asan_init "$MEMZ" || sed -i '\|"/proc/self/[a-z]*", O_RDONLY) = |d' "$BATS_TEST_TMPDIR/trace"	# calls of the sanitizer
}

# none PATTERN: no call matches.
none() {
	! grep -E "$1" "$BATS_TEST_TMPDIR/trace"
}

# every PATTERN WHAT: each call that matches PATTERN matches WHAT as well.
every() {
	! grep -E "$1" "$BATS_TEST_TMPDIR/trace" | grep -vE "$2"
}

# glibc opens its table of character sets without O_CLOEXEC.
opens_for_reading() {
	every '^open(at2?)?\(' 'O_(RDONLY|PATH)' && every '^open(at2?)?\(' 'O_CLOEXEC|"[^"]*/gconv-modules' &&
		none '^open.*O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|EXCL|TMPFILE)' &&
		none '^(open_by_handle_at|memfd_create|mmap\(.*PROT_WRITE.*MAP_SHARED,)'
}

starts_nothing() {
	[[ $(grep -c '^execve' "$BATS_TEST_TMPDIR/trace") == 1 ]] && none '^v?fork\(' && every '^clone3?\(' CLONE_THREAD
}

writes_out_and_err() {
	every '^p?write' '^write\([12],' && none '^(sendfile|splice|tee|vmsplice|copy_file_range|io_uring_setup|io_submit)\(' &&
		none "^($CHANGES)(at)?(2|64)?\\("
}

# Only names of users may need a name service, and so a socket.
only_reads() {
	watch "$@"
	opens_for_reading
	starts_nothing
	writes_out_and_err
	none '^(socket|socketpair|connect|bind|listen|accept4?|send(to|msg|mmsg))\('
}

@test "a report of processes only reads" {
	only_reads -c pid,pss,uss,rss,swap,command
	only_reads -A -c all,-user,exe,maps,numa,vm_hwm
	only_reads -t -f 'pss>1M' -c pid,pss --jobs 1
}

@test "the default report only reads, and asks libc for names of users" {
	watch
	opens_for_reading
	starts_nothing
	writes_out_and_err
	none '^socket\((AF_INET|AF_NETLINK|AF_PACKET)'
	every '^connect\(' '/nscd/socket"'
}

@test "a report of mappings only reads" {
	only_reads -m
	only_reads -m --by kind
}

@test "the system view only reads" {
	only_reads -w
	only_reads -w -i 0.1
}

@test "a report of a change only reads" {
	only_reads -i 0.1 -c pid,pss,pss_delta,command
}

@test "a report of control groups only reads" {
	only_reads --by cgroup
}

@test "CSV and JSON only read" {
	only_reads --csv -c pid,pss,name
	only_reads --json -c pid,pss,name
}

@test "a report of a saved machine only reads" {
	only_reads -S "$CURRENT"
	only_reads -w -S "$MACHINES/numa2"
}

@test "a report of an archive, and of a change since one, only reads" {
	"$MEMZ" -q -n 0 -S "$MACHINES/before" --save "$BATS_TEST_TMPDIR/archive"
	only_reads -S "$BATS_TEST_TMPDIR/archive"
	only_reads --since "$BATS_TEST_TMPDIR/archive" -S "$MACHINES/after"
}

@test "-v, an alert, help and a list of columns only read" {
	only_reads -v -c pid,pss
	only_reads --alert 'mem_used>1T' -c pid,pss
	watch --list-columns
	opens_for_reading
	starts_nothing
	writes_out_and_err
}

@test "--save writes only beside its file, and starts nothing" {
	mkdir "$BATS_TEST_TMPDIR/to"
	cd "$BATS_TEST_TMPDIR/to"
	watch --save "$BATS_TEST_TMPDIR/to/archive" -c pid,pss
	starts_nothing
	every '^connect\(' '/nscd/socket"'
	[[ $(ls -A) == archive ]]
	grep -q O_CREAT "$BATS_TEST_TMPDIR/trace"
	every '^open.*O_(WRONLY|RDWR|CREAT)' "\"($BATS_TEST_TMPDIR/to/)?(\\.?archive[^/\"]*|\\.)\""
}

# The functions above notice a file that is written, a program that is started and a socket.
@test "this file notices a program that writes, starts another or opens a socket" {
	need python3
	printf '#!/bin/sh\necho x\ncd "%s"; true >made\n/bin/ln made other\n' "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/writer"
	printf '#!/usr/bin/env python3\nimport socket\nprint(socket.socket())\n' >"$BATS_TEST_TMPDIR/talker"
	chmod +x "$BATS_TEST_TMPDIR/writer" "$BATS_TEST_TMPDIR/talker"
	MEMZ=$BATS_TEST_TMPDIR/writer watch
	run ! opens_for_reading
	run ! starts_nothing
	run ! writes_out_and_err
	MEMZ=$BATS_TEST_TMPDIR/talker watch
	run ! none '^socket\('
}
