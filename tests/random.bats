# Random saved machines: every report of them is what an independent reader (expected.py) makes of their files.
load helper

@test "reports of random machines are what an independent reader computes" {
	need python3
	run python3 "$ROOT/tests/random_reports.py" 0 "$([[ ${LONG-} ]] && echo 2000 || echo 40)"
	printf '%s\n' "$output" | cut -c1-300
	((status == 0))
}

@test "a value does not depend on which other columns, filters and limits are given" {
	need python3
	run python3 "$ROOT/tests/random_reports.py" --values 0 "$([[ ${LONG-} ]] && echo 300 || echo 12)"
	printf '%s\n' "$output" | cut -c1-300
	((status == 0))
}
