/** Reads vitest's JSON report and prints the table at the end of `npm test`. */
import { readFileSync } from 'node:fs';
import { relative, sep } from 'node:path';

/** The rows of the report that vitest wrote to `path`. */
export function readReport(path, root) {
  return suiteRows(JSON.parse(readFileSync(path, 'utf8')), root);
}

/** One row for each layer (`test/unit`, `packages/x`) of a report of vitest. */
export function suiteRows(report, root) {
  const rows = new Map();
  for (const file of report.testResults) {
    const name = relative(root, file.name).split(sep).slice(0, 2).join('/');
    const row = rows.get(name) ?? { name, seconds: 0, passed: 0, failed: 0, skipped: 0 };
    rows.set(name, row);
    row.seconds += Math.max(0, file.endTime - file.startTime) / 1000;
    const count = (status) => file.assertionResults.filter((test) => test.status === status).length;
    const failed = count('failed');
    row.passed += count('passed');
    row.failed += failed === 0 && file.status === 'failed' ? 1 : failed; // a file that could not be loaded has no tests
    row.skipped += count('skipped') + count('pending') + count('todo');
  }
  return [...rows.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** The table of suites as text, a line for each row. */
export function formatTable(rows) {
  const width = Math.max(5, ...rows.map((row) => row.name.length));
  const line = (name, ...cells) => `${name.padEnd(width)}${cells.map((cell) => String(cell).padStart(9)).join('')}`;
  return [
    line('suite', 'seconds', 'passed', 'failed', 'skipped'),
    ...rows.map((row) => line(row.name, row.seconds.toFixed(1), row.passed, row.failed, row.skipped)),
  ].join('\n');
}
