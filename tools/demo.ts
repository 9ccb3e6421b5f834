/** The demo: broker and daemon of their own, and a platform that builds an instance. `npm run demo -- --help`. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DemoError } from './demo/demo-error.ts';
import { forgetDemo, nextSteps, quoted, readDemo, showResumed, writeDemo } from './demo/keep.ts';
import { isDemoDirectory, type Layout, layoutOf } from './demo/layout.ts';
import { claim } from './demo/lock.ts';
import { restNode } from './demo/node-client.ts';
import { type DemoOptions, HELP, parseOptions } from './demo/options.ts';
import { isAlive, readProcesses } from './demo/processes.ts';
import { endPrograms, startPrograms } from './demo/programs.ts';
import { createScreen, type Screen } from './demo/screen.ts';
import { playShow } from './demo/show.ts';

const ROOT = join(import.meta.dirname, '..');
const stop = new AbortController();
let interrupted = 0;
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.on(signal, () => {
    interrupted ||= 128 + number;
    stop.abort(new DemoError('interrupted'));
  });
}

process.stdout.on('error', () => {}); // whoever read it has seen enough; what was begun is still done in order
const screen = createScreen(process.stdout, process.env);
try {
  await main(parseOptions(process.argv.slice(2), ROOT), screen);
} catch (error) {
  screen.keepBlock();
  if (!interrupted && !(error instanceof DemoError)) throw error;
  console.error(
    interrupted ? 'demo: interrupted; nothing that it started is left' : `demo: ${(error as Error).message}`,
  );
  process.exitCode = interrupted || 1;
}

async function main(options: DemoOptions, out: Screen): Promise<void> {
  if (options.help) return void process.stdout.write(HELP);
  if (options.openstack) return await openStack(options, out);
  const layout = layoutOf(options.dir);
  if (options.down) return await takeDown(layout, out);
  const release = claim(layout);
  try {
    await (options.keep ? keep(options, layout, out) : once(options, layout, out));
  } finally {
    release();
  }
}

/** The one on an OpenStack; its code is loaded by nobody else. */
async function openStack(options: DemoOptions, screen: Screen): Promise<void> {
  const { dir, keep } = options;
  const { endOpenStack, playOpenStack } = await import('./demo/openstack.ts');
  if (!existsSync(dir) && options.down) return screen.line(`nothing runs in ${dir}`);
  const release = claim(layoutOf(dir));
  try {
    if (options.down) {
      const ended = await endOpenStack(dir);
      screen.line(ended.length === 0 ? `nothing runs in ${dir}` : `ended ${ended.join(', ')}`);
    } else {
      const stateFlag = dir === join(ROOT, '.demo-openstack') ? '' : ` --state ${quoted(dir)}`;
      await playOpenStack({ dir, root: ROOT, keep, stateFlag, screen, signal: stop.signal });
    }
  } finally {
    release();
  }
}

/** Plays the show on a new node and leaves nothing running. */
async function once(options: DemoOptions, layout: Layout, out: Screen): Promise<void> {
  if (Object.values(await readProcesses(layout)).some(isAlive)) {
    if (await readDemo(layout)) {
      throw new DemoError(
        `a kept demo runs in ${layout.dir}: end it with --down, start what has died with --keep, or take another directory with --state DIR`,
      );
    }
    for (const each of await endPrograms(layout)) out.line(`  ended ${each}, left by a demo that was killed`);
  }
  if (await isDemoDirectory(layout)) {
    for (const old of [
      layout.demoFile,
      layout.transportUrl,
      layout.state,
      layout.broker,
      layout.logs,
      layout.snicState,
      layout.virtualDpu,
    ])
      await rm(old, { recursive: true, force: true });
  }
  out.heading(options.sim ? 'Broker and daemon start' : 'Broker, server with DPU, and daemon start');
  await endingAfter(async (onStart) => {
    const { broker, sim } = options;
    const programs = await startPrograms({ ...common(layout, out), broker, sim, dashboard: false, onStart });
    await playShow({
      transportUrl: programs.transportUrl,
      dpu: programs.hardware?.dpu ?? null,
      rest: restNode(layout.socket),
      screen: out,
      signal: stop.signal,
    });
    out.heading('Everything ends');
  }, 'always');
  out.line('  nothing is left running');
  out.line('\nTry next: npm run demo -- --keep leaves it running, and says what to do with it.');
}

/** Starts what does not run, and leaves all of it running. */
async function keep(options: DemoOptions, layout: Layout, out: Screen): Promise<void> {
  await isDemoDirectory(layout);
  const before = await readDemo(layout);
  const broker = before === undefined ? options.broker : before.transport_url !== null;
  const sim = before === undefined ? options.sim : before.ovsdb === null;
  const since = Date.now();
  const first = sim ? 'Broker and daemon start' : 'Broker, server with DPU, and daemon start';
  out.heading(before === undefined ? first : 'What has died starts again');
  await endingAfter(async (onStart) => {
    const programs = await startPrograms({ ...common(layout, out), broker, sim, dashboard: true, onStart });
    const rest = restNode(layout.socket);
    const stage = {
      transportUrl: programs.transportUrl,
      dpu: programs.hardware?.dpu ?? null,
      rest,
      screen: out,
      signal: stop.signal,
    };
    if (before !== undefined && programs.started.length === 0) out.line('  nothing has');
    const resumed = before !== undefined || (await rest.operations()).length > 0;
    if (resumed) await showResumed(rest, since, stage);
    else await playShow(stage);
    await writeDemo(layout, programs);
    out.heading('Try next');
    for (const line of nextSteps(layout, programs, stateFlag(options), await rest.instances())) out.line(line);
  }, 'on failure');
}

/** Ends what demo.json lists, and nothing else. */
async function takeDown(layout: Layout, out: Screen): Promise<void> {
  if (!existsSync(layout.dir)) return out.line(`nothing runs in ${layout.dir}`);
  const release = claim(layout);
  try {
    const ended = await endPrograms(layout, (await readDemo(layout))?.netns ?? []);
    await forgetDemo(layout);
    for (const each of ended) out.line(`ended ${each}`);
    if (ended.length === 0) out.line(`nothing runs in ${layout.dir}`);
  } finally {
    release();
  }
}

/** Does `work`, then ends what it started, the last first: always, or only when it failed or was interrupted. */
async function endingAfter(
  work: (onStart: (end: () => Promise<void>) => void) => Promise<void>,
  when: 'always' | 'on failure',
): Promise<void> {
  const started: (() => Promise<void>)[] = [];
  let failed = true;
  try {
    await work((end) => started.unshift(end));
    stop.signal.throwIfAborted();
    failed = false;
  } finally {
    if (failed || when === 'always') for (const end of started) await end();
  }
}

function common(layout: Layout, out: Screen) {
  return { layout, root: ROOT, screen: out, signal: stop.signal };
}

function stateFlag(options: DemoOptions): string {
  return options.dir === join(ROOT, '.demo') ? '' : ` --state ${quoted(options.dir)}`;
}
