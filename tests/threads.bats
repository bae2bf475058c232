# The read plan and the number of reader threads do not change the report: random machines with random arguments.
load helper

# rows REPORT: a JSON report without its scan and totals.
rows() {
	sed 's/"scan":{[^}]*},//; s/,"totals":{[^}]*}//' <<<"$1"
}

# each_random SEED CHECK...: makes a random machine of 1 to 500 processes and three argument lines, and runs each CHECK with
# the machine and each line.
each_random() {
	local seed=$1 sizes=(1 2 3 7 15 30 60 120 250 500) options

	rm -rf "$TREE"
	mkdir "$TREE"
	python3 "$ROOT/tests/reference.py" --random "$seed" "$TREE" --procs "${sizes[seed % 10]}"
	python3 "$ROOT/tests/reference.py" --options "$seed"{1,2,3} | while IFS= read -r options; do
		for check in "${@:2}"; do
			"$check" "$TREE" "$options" || { echo "$check: seed $seed, arguments: $options"; return 1; }
		done
	done
}

planned_is_full() {
	local planned full

	planned=$(eval "\"\$MEMZ\" -q --json -S \"\$1\" $2") && full=$(eval "\"\$MEMZ\" -q --json -t -S \"\$1\" $2") || return
	[[ $(rows "$planned") == "$(rows "$full")" ]]
}

planned_is_reference() {
	local wanted

	wanted=$(eval "python3 \"\$ROOT/tests/reference.py\" \"\$1\" ${2%%--jobs*}")
	[[ $(eval "\"\$MEMZ\" -q --csv -S \"\$1\" $2") == "$wanted" ]]
}

@test "the read plan does not change the report: random machines against a full scan and an independent script" {
	need python3
	TREE=$(mktemp -d -p "$([[ -w /dev/shm ]] && echo /dev/shm)")/machine
	at_end rm -rf "${TREE%/machine}"
	[[ $MEMZ == *memz-?san ]] && seeds=6 || seeds=${LONG:+2}15
	for ((seed = 1; seed <= seeds; seed++)); do
		each_random "$seed" planned_is_full planned_is_reference
	done
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
