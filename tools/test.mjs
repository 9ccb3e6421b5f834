/**
 * `npm test`: set-up, lint, types, schema drift, all of vitest; then a table and the line `N passed, N failed`. With arguments
 * (`npm test -- test/unit`) only vitest runs, with those arguments, and goes on without Debian packages that cannot be had. A process that outlives the run is a failure, and is ended.
 * `npm run test:openstack` is this with `--openstack`: the suites of test/openstack on a control plane of their own, which needs its
 * packages, and with `WITH_CEPH=1` those of a Ceph and of a virtual DPU.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endMarked, MARK, waitForMarked } from './marked-processes.mjs';
import { downloadsFor, packagesFor } from './packages.mjs';
import { orExplain, ROOT, setup } from './setup.mjs';
import { formatTable, readReport } from './test-report.mjs';

const id = randomUUID();
const onOpenStack = process.argv[2] === '--openstack';
const args = process.argv.slice(onOpenStack ? 3 : 2);
const rows = [];
let current;
let interrupted;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = signal;
    current?.kill('SIGTERM');
  });
}

await orExplain(async () => {
  const { node, env } = await setup(onOpenStack ? openStackNeeds() : needs());
  const scratch = mkdtempSync(join(tmpdir(), 'dpu-compute-test-'));
  const context = { node, env: { ...env, [MARK]: id }, report: join(scratch, 'vitest.json') };
  try {
    if (args.length === 0 && !onOpenStack) await checks(context);
    await vitest(context);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    await checkNothingLeft();
  }
  summary();
});

function needs() {
  const packages = packagesFor('test');
  return { ...(args.length === 0 ? { need: packages } : { optional: packages }), downloads: downloadsFor('test') };
}

function openStackNeeds() {
  const plain = packagesFor('openstack');
  if (process.env.WITH_CEPH !== '1') return { need: plain };
  // what boots from it is a virtual DPU
  return {
    need: [...plain, ...packagesFor('openstack-ceph'), ...packagesFor('test')],
    downloads: downloadsFor('test'),
  };
}

async function checks(context) {
  const bin = (name) => join(ROOT, 'node_modules/.bin', name);
  await check('lint', bin('biome'), ['check', '--error-on-warnings', '.'], context);
  await check('types', bin('tsc'), ['--noEmit'], context);
  const drift = join(ROOT, 'tools/generate-schema-types.ts');
  if (existsSync(drift)) await check('schema drift', context.node, [drift, '--check'], context);
}

async function check(name, command, argv, context) {
  const { seconds, status } = await timed(name, command, argv, context);
  rows.push({ name, seconds, passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 });
}

async function vitest(context) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${context.report}`];
  const config = onOpenStack ? ['--config', join(ROOT, 'test/openstack/vitest.config.ts')] : [];
  const argv = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...config, ...reporters, ...args];
  const { seconds, status } = await timed('vitest', context.node, argv, context);
  const suites = existsSync(context.report) ? readReport(context.report, ROOT) : [];
  rows.push(...suites);
  const explained = suites.some((row) => row.failed > 0);
  if (status !== 0 && !explained) {
    rows.push({ name: 'vitest itself', seconds, passed: 0, failed: 1, skipped: 0 });
  }
}

async function timed(name, command, argv, { env }) {
  if (interrupted) return { seconds: 0, status: 1 };
  console.log(`\n== ${name}`);
  const begun = performance.now();
  current = spawn(command, argv, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  const status = await new Promise((resolve) => {
    current.on('error', (error) => {
      console.error(`${name}: ${error.message}`);
      resolve(1);
    });
    current.on('exit', (code) => resolve(code ?? 1));
  });
  current = undefined;
  return { seconds: (performance.now() - begun) / 1000, status };
}

async function checkNothingLeft() {
  if ((await waitForMarked(id, 3000)).length === 0) return;
  const left = await endMarked(id);
  if (left.length === 0) return;
  console.error('\nPROCESSES OUTLIVED THE RUN (ended now):');
  for (const { pid, command } of left) console.error(`  ${pid} ${command}`);
  rows.push({ name: 'left processes', seconds: 0, passed: 0, failed: left.length, skipped: 0 });
}

function summary() {
  const total = (key) => rows.reduce((sum, row) => sum + row[key], 0);
  console.log(`\n${formatTable(rows)}\n`);
  if (interrupted) console.error(`interrupted by ${interrupted}`);
  console.log(`${total('passed')} passed, ${total('failed')} failed`);
  process.exitCode = total('failed') > 0 || interrupted || total('passed') === 0 ? 1 : 0;
}
