# Whole reports of saved machines. Each file in tests/golden is blocks of a command after "$ " and what it prints, with
# messages. GOLDEN=update bats tests/golden.bats writes the files again: read the difference before you commit it.
load helper

# replay FILE: runs its commands again. They run in tests/machines, so -S takes the name of a machine.
replay() {
	local line

	cd "$MACHINES" || return
	while IFS= read -r line; do
		[[ $line == '$ '* ]] || continue
		printf '%s\n' "$line"
		eval "${line#\$ }" 2>&1 || printf '(status %s)\n' $?
	done <"$1" | sed 's/"seconds":[0-9.]*/"seconds":0/'
}

memz() {
	"$MEMZ" "$@"
}

same() {
	local file=$ROOT/tests/golden/$1.txt

	replay "$file" >"$BATS_TEST_TMPDIR/now"
	[[ ${GOLDEN-} != update ]] || cp "$BATS_TEST_TMPDIR/now" "$file"
	grep -q '^\$ ' "$file"
	diff -u "$file" "$BATS_TEST_TMPDIR/now"
}

@test "a current kernel: every view of its processes is unchanged" { same current; }
@test "5.4: Pss_Dirty and KSM are unknown, not zero" { same v5.4; }
@test "4.14: the first smaps_rollup and hybrid control groups are read" { same v4.14; }
@test "4.4: without smaps_rollup, smaps is summed" { same no-rollup; }
@test "3.10 without smaps: RSS is from statm, PSS is unknown, and a note says so" { same neither; }
@test "hostile names do no harm in any format" { same hostile; }
@test "a machine without processes and meminfo gives an empty report" { same empty; }
@test "a smemcap tree is read: smaps, stat and cmdline only, and no level proc/" { same smemcap; }
@test "options work as before: columns, sorting, filters, units, totals" { same options; }
@test "groups and mappings are unchanged" { same views; }
@test "the whole machine is unchanged" { same system; }
@test "4.4, 4.19, 5.10, 6.1, 6.12: what the kernel did not offer is unknown, not zero" { same kernels; }
@test "wrong usage: each message says what, why and what to do" { same usage-errors; }
