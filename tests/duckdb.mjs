// duckdb.mjs DATABASE: runs the SQL on standard input, and prints the rows of each statement that has any, as JSON, one array
// a line. Needs the npm package @duckdb/node-api, installed globally.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const modules = execFileSync('npm', ['root', '--global'], { encoding: 'utf8' }).trim();
const { DuckDBInstance } = createRequire(modules + '/')('@duckdb/node-api');
const connection = await (await DuckDBInstance.create(process.argv[2])).connect();
for (const statement of readFileSync(0, 'utf8').split(/;\s*$/m)) {
	if (!statement.trim())
		continue;
	const rows = (await connection.runAndReadAll(statement)).getRowsJson();
	if (/^\s*(select|with)\b/i.test(statement))
		console.log(JSON.stringify(rows));
}
