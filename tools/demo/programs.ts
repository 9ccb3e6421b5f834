/** Starting the demo's programs in a state directory, and ending what a run started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonNodeFlags } from '../daemon-flags.ts';
import { findRabbitServer, readBroker, startBroker } from '../rabbitmq.ts';
import { DemoError } from './demo-error.ts';
import { type Layout, makeDirectories, writeConfig } from './layout.ts';
import { restNode, waitForAmqp } from './node-client.ts';
import { endProcess, isAlive, type ProcessRecord, readProcesses, recordProcess } from './processes.ts';
import type { Screen } from './screen.ts';

/** The programs of a state directory, all alive. */
export interface Programs {
  /** Null without a broker. */
  readonly transportUrl: string | null;
  readonly pids: Readonly<Record<string, number>>;
  /** Those that this run started; in the order in which they are ended. */
  readonly started: readonly string[];
}

/** How programs are started. */
export interface StartOptions {
  readonly layout: Layout;
  readonly broker: boolean;
  readonly root: string;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  /** Told of each process that was started, before anything is waited for. */
  readonly onStart: (record: ProcessRecord) => void;
}

const READY_MS = 30_000;

/** Starts broker and daemon where they don't run yet, and waits until the node is ready. @throws DemoError */
export async function startPrograms(options: StartOptions): Promise<Programs> {
  const { layout, screen } = options;
  await makeDirectories(layout);
  const started: string[] = [];
  const pids: Record<string, number> = {};
  let transportUrl: string | null = null;
  if (options.broker) {
    const broker = await ensureBroker(options);
    transportUrl = broker.url;
    pids.rabbitmq = broker.pid;
    if (broker.fresh) started.push('rabbitmq');
  }
  const known = (await readProcesses(layout))['soc-daemon'];
  if (isAlive(known)) {
    screen.line(`  soc-daemon runs already, pid ${known.pid}`);
    pids['soc-daemon'] = known.pid;
  } else {
    await writeConfig(layout, transportUrl);
    pids['soc-daemon'] = await startDaemon(options);
    started.unshift('soc-daemon');
  }
  if (transportUrl !== null) await waitForAmqp(transportUrl, options.signal);
  return { transportUrl, pids, started };
}

async function ensureBroker(options: StartOptions): Promise<{ url: string; pid: number; fresh: boolean }> {
  const { layout, screen, signal } = options;
  const known = (await readProcesses(layout)).rabbitmq;
  const before = await readBroker(layout.broker);
  if (isAlive(known) && before !== undefined) {
    screen.line(`  RabbitMQ runs already, pid ${known.pid}`);
    return { url: before.url, pid: known.pid, fresh: false };
  }
  if (findRabbitServer() === undefined) {
    throw new DemoError(
      'rabbitmq-server is not installed, and it could not be installed from here (above). As root: apt-get install rabbitmq-server. ' +
        'Without a broker, over the REST interface alone: npm run demo -- --no-broker',
    );
  }
  const begun = performance.now();
  screen.block(['  RabbitMQ starts ...']);
  const broker = await startBroker({
    dir: layout.broker,
    detached: true,
    onSpawn: async (pid) => options.onStart(await recordProcess(layout, 'rabbitmq', pid)),
  });
  screen.block([]);
  signal.throwIfAborted();
  screen.line(`  RabbitMQ is up in ${seconds(begun)}: port ${broker.port} of 127.0.0.1, pid ${broker.pid}`);
  const link = join(layout.logs, 'rabbitmq');
  if (!existsSync(link)) await symlink('../broker/log', link);
  return { url: broker.url, pid: broker.pid, fresh: true };
}

async function startDaemon({ layout, root, screen, signal, onStart }: StartOptions): Promise<number> {
  const begun = performance.now();
  const log = await open(layout.daemonLog, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...daemonNodeFlags, join(root, 'soc-daemon/main.ts'), '--config', layout.config], {
      cwd: root,
      detached: true, // a Ctrl-C at the terminal is for the demo, which ends it in order
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
  child.unref();
  if (child.pid === undefined) throw new DemoError('the daemon could not be started');
  onStart(await recordProcess(layout, 'soc-daemon', child.pid));
  screen.block(['  soc-daemon starts ...']);
  await waitReady(layout, child, signal);
  screen.block([]);
  screen.line(`  soc-daemon is ready in ${seconds(begun)}: simulated hardware, pid ${child.pid}`);
  return child.pid;
}

async function waitReady(layout: Layout, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const node = restNode(layout.socket);
  const deadline = performance.now() + READY_MS;
  let why = 'its REST interface does not answer';
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    if (child.exitCode !== null || child.signalCode !== null) {
      why = `it ended with ${child.exitCode ?? child.signalCode}`;
      break;
    }
    try {
      const answer = await node.readiness();
      if (answer.ready) return;
      why = answer.why;
    } catch (error) {
      why = (error as Error).message; // not listening yet
    }
    await sleep(50, undefined, { signal });
  }
  throw new DemoError(
    `the daemon is not ready: ${why}. The end of ${layout.daemonLog}:\n${await tail(layout.daemonLog)}`,
  );
}

async function tail(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trimEnd().split('\n').slice(-8).join('\n');
}

function seconds(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}

/** Ends what of a state directory still lives, the daemon first; answers what that was. */
export async function endPrograms(layout: Layout): Promise<readonly string[]> {
  const processes = await readProcesses(layout);
  const ended: string[] = [];
  for (const name of ['soc-daemon', 'rabbitmq'] as const) {
    const record = processes[name];
    if (!isAlive(record)) continue;
    await endProcess(record);
    ended.push(`${name} (pid ${record.pid})`);
  }
  await rm(layout.processFile, { force: true });
  return ended;
}
