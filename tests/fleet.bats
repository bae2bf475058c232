# A fleet: the recipes of the manual as they are printed there, run by DuckDB, ClickHouse and Prometheus on the reports of 1,000
# hosts, whose answers are known. Servers listen on loopback, and end with this file.
load helper

setup_file() {
	export FLEET=$BATS_FILE_TMPDIR/fleet MACHINE=$CURRENT

	command -v python3 >/dev/null || return 0
	python3 "$ROOT/tests/fleet.py" "$FLEET" 1000
}

teardown_file() {
	local file

	for file in "$BATS_FILE_TMPDIR"/*.pid; do
		[[ -e $file ]] && kill "$(<"$file")"
	done
	return 0
}

setup() {
	need python3
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	cd "$BATS_TEST_TMPDIR" || return
	PATH=$PWD/bin:$PATH
}

# A port of loopback that nobody uses
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_server NAME COMMAND...: a program that ends with this file
start_server() {
	local name=$1

	shift
	"$@" >"$BATS_FILE_TMPDIR/$name.log" 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/$name.pid"
}

# answers QUESTION: compares rows of JSON on standard input, arrays of one line, with those that are known. Numbers may differ
# in the last digits.
answers() {
	python "$FLEET/answers.json" "$1" <<'END'
import json, math, sys
due = json.load(open(sys.argv[1]))[sys.argv[2]]
got = json.load(open("got"))
def same(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return math.isclose(a, float(b), rel_tol=1e-9) if isinstance(a, (int, float)) and b is not None else a == b
assert due and same(due, got), f"{sys.argv[2]}: expected {due[:3]}, got {got[:3]}"
END
}

@test "what the fleet of these tests reports has the shape of what memz prints" {
	need jq
	"$MEMZ" -q -S "$MACHINE" --csv -c time,host,pid,start,unit,name,pss,uss,swap_pss >own.csv
	cmp <(head -n 1 own.csv) <(head -n 1 "$FLEET/processes/2026-03-07/h0001.csv")
	for file in own.csv "$FLEET/processes/2026-03-07/h0001.csv"; do
		python "$file" <<-'END'
			import csv, re, sys
			form = [r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r".+", r"\d+", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r".*", r".*", r"\d*", r"\d*", r"\d*"]
			for row in list(csv.reader(open(sys.argv[1], newline="")))[1:]:
			    assert len(row) == 9 and all(map(re.fullmatch, form, row)), row
		END
	done
	shape='[paths(type != "array" and type != "object")] | map(map(if type == "number" then 0 else . end)) | unique'
	diff <("$MEMZ" -q -S "$MACHINE" --by unit --jsonl | head -n 1 | jq -c keys_unsorted) <(head -n 1 "$FLEET/units/2026-03-07/h0001.jsonl" | jq -c keys_unsorted)
	diff <("$MEMZ" -q -S "$MACHINE" -w --jsonl | jq -c ".system.findings = [] | .system.holders = [] | $shape") \
		<(jq -c ".system.findings = [] | .system.holders = [] | $shape" "$FLEET/machine/2026-03-07/h0001.jsonl")
}

@test "the collected reports of each host and day stand in a file, one after the other" {
	replace_program ssh <<<"shift 2; exec \"\$@\""
	replace_program memz <<<"exec '$MEMZ' -S '$MACHINE' \"\$@\""
	printf 'h%s\n' 1 2 3 >hosts
	for ((i = 0; i < 2; i++)); do
		sh -c "$(recipe collect)"
	done
	(($(find processes units machine -type f | wc -l) == 9))
	"$MEMZ" -q -S "$MACHINE" --csv -c time,host,pid,start,unit,name,pss,uss,swap_pss >once
	cmp <(cat once once) processes/*/h2.csv
	(($(wc -l <"$(echo machine/*/h3.jsonl)") == 2))
}

@test "DuckDB answers the questions of a fleet, also where files are loaded twice" {
	need npm node
	[[ -d $(npm root --global)/@duckdb/node-api ]] || skip 'needs the npm package @duckdb/node-api, installed globally'
	duckdb() {
		(cd "$FLEET" && node "$ROOT/tests/duckdb.mjs" "$BATS_TEST_TMPDIR/fleet.db")
	}
	recipe duckdb-load | duckdb
	recipe duckdb-load | duckdb
	for question in services short leaks outside holders build; do
		recipe "duckdb-$question" | duckdb >rows
		# a single column, and the day of a row, are not in the answers
		python "$question" >got <<-'END'
			import json, sys
			rows = json.load(open("rows"))
			strip = {"leaks": lambda row: row[0], "build": lambda row: row[1:]}.get(sys.argv[1], lambda row: row)
			print(json.dumps([strip(row) for row in rows]))
		END
		answers "$question"
	done
}

# Two servers, which are the shards of a cluster called fleet. PORTS
start_clickhouse() {
	local i dir

	PORTS=("$(free_port)" "$(free_port)")
	for i in 0 1; do
		dir=$BATS_FILE_TMPDIR/clickhouse$i
		mkdir "$dir"
		cat >"$dir/users.xml" <<-END
			<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
			<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>
		END
		cat >"$dir/config.xml" <<-END
			<yandex><logger><level>warning</level><log>$dir/log</log><errorlog>$dir/errors</errorlog></logger>
			<listen_host>127.0.0.1</listen_host><tcp_port>${PORTS[i]}</tcp_port><http_port>$(free_port)</http_port>
			<path>$dir/data/</path><tmp_path>$dir/tmp/</tmp_path><mark_cache_size>67108864</mark_cache_size>
			<users_config>$dir/users.xml</users_config><default_profile>default</default_profile>
			<default_database>default</default_database><remote_servers><fleet>
			<shard><replica><host>127.0.0.1</host><port>${PORTS[0]}</port></replica></shard>
			<shard><replica><host>127.0.0.1</host><port>${PORTS[1]}</port></replica></shard>
			</fleet></remote_servers></yandex>
		END
		start_server "clickhouse$i" clickhouse-server --config-file="$dir/config.xml"
	done
	for i in 0 1; do
		wait_for clickhouse-client --port "${PORTS[i]}" --query 'select 1'
	done
	replace_program clickhouse-client <<<"exec $(command -v clickhouse-client) --port ${PORTS[0]} \"\$@\""
}

@test "ClickHouse answers the questions of a fleet on two shards, also where files are loaded twice; a day can be removed" {
	need clickhouse-server clickhouse-client jq
	client=$(command -v clickhouse-client)
	start_clickhouse
	for port in "${PORTS[@]}"; do
		recipe clickhouse-tables | "$client" --port "$port" --multiquery
	done
	recipe clickhouse-all | clickhouse-client --multiquery
	for ((i = 0; i < 2; i++)); do
		(cd "$FLEET" && sh -c "$(recipe clickhouse-load)")
	done
	for port in "${PORTS[@]}"; do		# each has a part
		(($("$client" --port "$port" --query 'select count() from mem') > 100000))
	done
	for question in services short leaks outside holders build; do
		recipe "clickhouse-$question" | clickhouse-client --multiquery --format JSONCompact >rows
		python "$question" >got <<-'END'
			import json, sys
			rows = json.load(open("rows"))["data"]
			strip = {"leaks": lambda row: row[0], "build": lambda row: row[1:]}.get(sys.argv[1], lambda row: row)
			print(json.dumps([strip(row) for row in rows]))
		END
		answers "$question"
	done
	for port in "${PORTS[@]}"; do
		recipe clickhouse-retention | "$client" --port "$port" --multiquery
	done
	[[ $(clickhouse-client --query 'select distinct day from all_mem') == 2026-03-07 ]]
}

@test "Prometheus raises its alert for a machine that is short of memory, and not for another one" {
	need prometheus prometheus-node-exporter promtool jq
	cp -r "$MACHINE" short
	awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { $2 = int(total / 50) } 1' "$MACHINE/proc/meminfo" >short/proc/meminfo
	recipe prometheus-rule >rules.yml
	promtool check rules rules.yml
	printf 'global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n- job_name: fleet\n  static_configs:\n' "$PWD/rules.yml" >prometheus.yml
	for host in short healthy; do
		mkdir -p "$host.prom"
		replace_program memz <<<"exec '$MEMZ' -S '$([[ $host == short ]] && echo "$PWD/short" || echo "$MACHINE")' \"\$@\""
		code=$(recipe prometheus-machine)
		sh -c "${code/"/var/lib/prometheus/node-exporter"/"$PWD/$host.prom"}"
		promtool check metrics <"$host.prom/memz_w.prom"
		port=$(free_port)
		start_server "exporter-$host" prometheus-node-exporter --collector.disable-defaults --collector.textfile \
			--collector.textfile.directory="$PWD/$host.prom" --web.listen-address="127.0.0.1:$port"
		printf '  - targets: ["127.0.0.1:%s"]\n    labels: {instance: %s}\n' "$port" "$host" >>prometheus.yml
	done
	port=$(free_port)
	start_server prometheus prometheus --config.file="$PWD/prometheus.yml" --storage.tsdb.path="$PWD/data" --web.listen-address="127.0.0.1:$port"
	python "$port" <<'END'
import json, time, urllib.request
def ask(path):
    try:
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/api/v1/{path}", timeout=5))["data"]
    except OSError:
        return None
for _ in range(300):
    found = (ask("alerts") or {}).get("alerts", [])
    up = (ask("query?query=memz_area_bytes") or {}).get("result", [])
    seen = {series["metric"]["instance"] for series in up}
    if found and found[0]["state"] == "firing" and seen == {"short", "healthy"}:
        break
    time.sleep(.2)
assert seen == {"short", "healthy"}, seen
assert [(alert["labels"]["instance"], alert["state"]) for alert in found] == [("short", "firing")], found
assert "is short of memory" in found[0]["annotations"]["summary"], found
END
}
