# tests/run itself, on small suites that are written here.
load helper

setup() {
	DIR=$BATS_TEST_TMPDIR
	cd "$DIR" || return
	printf '%s\n' '@test "good" { true; }' '@test "skipped" { skip "needs a reason"; }' >good.bats
	printf '%s\n' '@test "bad" { echo why; false; }' '@test "good after bad" { echo "# note" >&3; }' >bad.bats
}

# The runner as a user starts it, outside this bats.
runner() {
	PATH=${PATH//$BATS_LIBEXEC:/} "$ROOT/tests/run" "$@" 3>&-
}

last_line() {
	[[ ${lines[-1]} == "$1" ]] || { echo "$output" && return 1; }
}

@test "lists that run side by side become one TAP stream with one plan" {
	run -1 runner good.bats -- bad.bats
	last_line '2 passed, 1 failed, 1 skipped'
	[[ ${lines[0]} == 1..4 && $(grep -c '^1\.\.' <<<"$output") == 1 ]]
	[[ $(grep -oE '^(not )?ok [0-9]+' <<<"$output" | grep -oE '[0-9]+$' | tr '\n' ' ') == '1 2 3 4 ' ]]
	[[ $(grep -A 3 '^not ok' <<<"$output") == *"bad.bats, line 1)"*$'\n# why' ]]
	[[ $(grep -A 1 ' good after bad' <<<"$output") == *$'\n# note' ]]
	grep -Fx '# 1 skipped: needs a reason' <<<"$output"
	grep -E '^# failed: bad( |$)' <<<"$output"
}

@test "the status is 0 if all tests pass or are skipped" {
	run -0 runner good.bats
	last_line '1 passed, 0 failed, 1 skipped'
}

@test "a list has its variables" {
	echo '@test "variable" { [[ $WORD == a ]]; }' >variable.bats
	run -0 runner WORD=a variable.bats
	run -1 runner WORD=a variable.bats -- WORD=b variable.bats
	last_line '1 passed, 1 failed, 0 skipped'
}

@test "JOBS=1 runs one list after the other" {
	echo '@test "first" { sleep 0.3; touch "$BATS_TEST_DIRNAME/done"; }' >first.bats
	echo '@test "second" { [[ -e $BATS_TEST_DIRNAME/done ]]; }' >second.bats
	JOBS=1 run -0 runner first.bats -- second.bats
	last_line '2 passed, 0 failed, 0 skipped'
}

@test "a bats that ends early is a failure" {
	# shellcheck disable=SC2016
	printf '%s\n' '@test "one" { true; }' '@test "two" { kill -KILL "$PPID" $$; }' '@test "three" { true; }' >early.bats
	run -1 runner early.bats -- good.bats
	last_line '2 passed, 1 failed, 1 skipped'
	[[ $output == *'not ok '*' bats ended early with status '*': 2 of its 3 tests have no result'* ]]
	[[ $output == *'# the last that began: two'* ]]
}

@test "a file that bats cannot read is a failure" {
	run -1 runner missing.bats -- good.bats
	last_line '1 passed, 1 failed, 1 skipped'
	[[ $output == *missing.bats* ]]
}

@test "in a chroot whose / is no mount point, a test can have mounts of its own" {
	need unshare
	need_root
	# shellcheck disable=SC2016
	echo '@test "mount" { unshare --mount mount -t tmpfs none "$BATS_TEST_TMPDIR" && unshare --mount-proc --pid --fork true; }' >mount.bats
	mkdir root
	# shellcheck disable=SC2016
	run -0 unshare --mount bash -ec 'for name in /*; do
			if [[ -L $name ]]; then cp -P "$name" root; elif [[ -d $name ]]; then mkdir "root$name"; mount --rbind "$name" "root$name"; fi
		done
		chroot root unshare --mount true 2>/dev/null && exit 1
		PATH=$2 exec chroot root "$0/tests/run" "$1/mount.bats"' "$ROOT" "$DIR" "${PATH//$BATS_LIBEXEC:/}"
	last_line '1 passed, 0 failed, 0 skipped'
}

# Ctrl-C reaches the runner alone: its tests have sessions of their own.
@test "Ctrl-C ends every test, lets it clean up, and leaves nothing behind" {
	printf '%s\n' 'teardown() { touch "$BATS_TEST_DIRNAME/cleaned"; }' '@test "long" {' 'set -m; sleep 987 3>&- & set +m' \
		'timeout 986 sleep 985 3>&- &' 'touch "$BATS_TEST_DIRNAME/begun"' \
		'unshare --pid --fork --kill-child bash -c "for ((;;)); do sleep 984; done"' '}' '@test "never" { true; }' >long.bats
	need unshare
	need_root
	mkdir tmp
	set -m
	TMPDIR=$DIR/tmp PATH=${PATH//$BATS_LIBEXEC:/} "$ROOT/tests/run" long.bats >out 2>&1 3>&- &
	set +m
	wait_for test -e begun
	kill -INT $!
	status=0
	wait $! || status=$?
	cat out
	[[ $status == 1 && -e cleaned && -z $(ls tmp) ]]
	grep -Fx '# interrupted' out
	[[ $(tail -1 out) == '0 passed, '?' failed, 0 skipped' ]]
	! sleepers 98[4567] || return 1
}

sleepers() {
	local file

	for file in /proc/[0-9]*/stat; do
		[[ $(<"$file") == *'(sleep)'* ]] 2>/dev/null || continue
		tr '\0' ' ' <"${file%stat}cmdline"
	done | grep "sleep $1"
}
