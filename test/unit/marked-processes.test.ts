import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const marksModule = join(import.meta.dirname, '../../tools/marked-processes.mjs');
const reportModule = join(import.meta.dirname, '../../tools/test-report.mjs');

/** Evaluates an expression on the exports of a module of tools/, in a process of its own. */
function evaluate(module: string, expression: string): unknown {
  const code = `const m = await import(${JSON.stringify(module)}); console.log(JSON.stringify(await (${expression})));`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }));
}

it('finds and ends a process that left its parent and its session, and no other', async () => {
  const id = `test-${process.pid}`;
  const env = { ...process.env, DPU_COMPUTE_RUN: id };
  const parent = spawn('setsid', ['sh', '-c', 'sleep 600 & echo $!'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const bystander = spawn('sleep', ['600'], { env: { ...process.env, DPU_COMPUTE_RUN: `${id}0` }, stdio: 'ignore' });
  const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
  const orphan = Number(chunk.toString());
  try {
    const ended = evaluate(marksModule, `m.endMarked('${id}')`) as { pid: number; command: string }[];
    expect(ended.map((each) => each.pid)).toContain(orphan);
    expect(ended.map((each) => each.pid)).not.toContain(bystander.pid);
    expect(evaluate(marksModule, `m.markedProcesses('${id}')`)).toEqual([]);
    expect(readFileSync(`/proc/${bystander.pid}/cmdline`, 'utf8')).toContain('sleep');
  } finally {
    bystander.kill('SIGKILL');
  }
});

it('counts a test file that could not be loaded as a failure', () => {
  const report = {
    testResults: [
      { name: '/r/test/unit/a.test.ts', status: 'failed', startTime: 0, endTime: 1000, assertionResults: [] },
      {
        name: '/r/test/unit/b.test.ts',
        status: 'failed',
        startTime: 0,
        endTime: 500,
        assertionResults: [{ status: 'passed' }, { status: 'failed' }, { status: 'skipped' }],
      },
      {
        name: '/r/packages/x/test/c.test.ts',
        status: 'passed',
        startTime: 0,
        endTime: 0,
        assertionResults: [{ status: 'passed' }],
      },
    ],
  };
  expect(evaluate(reportModule, `m.suiteRows(${JSON.stringify(report)}, '/r')`)).toEqual([
    { name: 'packages/x', seconds: 0, passed: 1, failed: 0, skipped: 0 },
    { name: 'test/unit', seconds: 1.5, passed: 1, failed: 2, skipped: 1 },
  ]);
});
