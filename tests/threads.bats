# The read plan and the number of reader threads do not change the report.
load helper

@test "the read plan does not change the report of random machines" {
	need python3
	[[ $MEMZ == *memz-?san ]] && seeds=6 || seeds=${LONG:+20}40
	run python3 "$ROOT/tests/random_reports.py" --plans 0 "$seeds"
	printf '%s\n' "$output" | cut -c1-300
	((status == 0))
}

@test "the number of readers does not change the report" {
	local one many

	for machine in current hostile no-rollup; do
		one=$("$MEMZ" -S "$MACHINES/$machine" --jobs 1 -c all,maps,exe,ancestry -A --csv)
		for jobs in 2 3 16 64; do
			many=$("$MEMZ" -S "$MACHINES/$machine" --jobs $jobs -c all,maps,exe,ancestry -A --csv)
			[[ $one == "$many" ]]
		done
	done
}

@test "live: the number of readers does not change the report of stopped processes" {
	start private 4096 40
	pids=$(join "${PIDS[@]}")
	one=$("$MEMZ" -p "$pids" --jobs 1 --csv)
	[[ $(wc -l <<<"$one") -eq 41 ]]
	[[ $one == "$("$MEMZ" -p "$pids" --jobs 4 --csv)" ]]
	[[ $one == "$("$MEMZ" -p "$pids" --jobs 2 --csv -n 1000)" ]]
	[[ $(head -6 <<<"$one") == "$("$MEMZ" -p "$pids" --jobs 2 --csv -n 5)" ]]
}
