/** Starting the demo's programs in a state directory, and ending what a run started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '../../virtual-dpu/virtual-dpu.ts';
import { daemonNodeFlags } from '../daemon-flags.ts';
import { findRabbitServer, readBroker, startBroker } from '../rabbitmq.ts';
import { DemoError } from './demo-error.ts';
import { type Layout, makeCertificate, makeDirectories, writeConfig } from './layout.ts';
import { restNode, waitForAmqp } from './node-client.ts';
import { endProcess, isAlive, PROGRAMS, readProcesses, recordProcess } from './processes.ts';
import type { Screen } from './screen.ts';
import { checkVirtual, endVirtual, ensureVirtual, type Hardware, localNetns } from './virtual.ts';

/** The programs of a state directory, all alive. */
export interface Programs {
  /** Null without a broker. */
  readonly transportUrl: string | null;
  /** Null: simulated. */
  readonly hardware: Hardware | null;
  /** Address of the dashboard's TCP listener; null without one. */
  readonly url: string | null;
  /** Network namespaces that are the demo's. */
  readonly netns: readonly string[];
  readonly pids: Readonly<Record<string, number>>;
  /** Those that this run started; in the order in which they are ended. */
  readonly started: readonly string[];
}

/** How programs are started. */
export interface StartOptions {
  readonly layout: Layout;
  readonly broker: boolean;
  /** Simulated hardware. */
  readonly sim: boolean;
  /** Serve the dashboard, on loopback with TLS. */
  readonly dashboard: boolean;
  readonly root: string;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  /** Told how to end each thing that was started, before anything is waited for. */
  readonly onStart: (end: () => Promise<void>) => void;
}

const READY_MS = 30_000;

/** Starts broker and daemon where they don't run yet, and waits until the node is ready. @throws DemoError */
export async function startPrograms(options: StartOptions): Promise<Programs> {
  const { layout, screen } = options;
  if (!options.sim) checkVirtual((process.env.DPU_COMPUTE_MISSING ?? '').split(',').filter(Boolean));
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
  const hardware = options.sim ? null : await startHardware(options);
  Object.assign(pids, hardware?.pids);
  const known = (await readProcesses(layout))['soc-daemon'];
  if (isAlive(known)) {
    screen.line(`  soc-daemon runs already, pid ${known.pid}`);
    pids['soc-daemon'] = known.pid;
  } else {
    if (options.dashboard) await makeCertificate(layout);
    await writeConfig(layout, { transportUrl, hardware: hardware?.config ?? null, dashboard: options.dashboard });
    pids['soc-daemon'] = await startDaemon(options);
    started.unshift('soc-daemon');
  }
  if (transportUrl !== null) await waitForAmqp(transportUrl, options.signal);
  const rest = restNode(layout.socket);
  const url = options.dashboard ? await rest.tcpUrl() : null;
  const netns = hardware === null ? [] : [...hardware.netns, localNetns((await rest.status()).uuid)];
  return { transportUrl, hardware, url, netns, pids, started };
}

/** What is up already is left up when the demo fails; what it brought up goes. */
async function startHardware({ layout, root, screen, onStart }: StartOptions): Promise<Hardware> {
  const before = await status(layout.virtualDpu);
  if (before.state === 'down') onStart(() => endVirtual(layout));
  return await ensureVirtual(layout, root, screen);
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
    onSpawn: async (pid) => {
      const record = await recordProcess(layout, 'rabbitmq', pid);
      options.onStart(() => endProcess(record));
    },
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
  const record = await recordProcess(layout, 'soc-daemon', child.pid);
  onStart(() => endProcess(record));
  screen.block(['  soc-daemon starts ...']);
  await waitReady(layout, child, signal);
  screen.block([]);
  screen.line(`  soc-daemon is ready in ${seconds(begun)}: pid ${child.pid}`);
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
export async function endPrograms(layout: Layout, netns: readonly string[] = []): Promise<readonly string[]> {
  const processes = await readProcesses(layout);
  const ended: string[] = [];
  for (const name of PROGRAMS) {
    const record = processes[name];
    if (isAlive(record)) {
      await endProcess(record);
      ended.push(`${name} (pid ${record.pid})`);
    }
    if (name === 'soc-daemon' && (await status(layout.virtualDpu)).state !== 'down') {
      await endVirtual(layout, netns);
      ended.push('the virtual DPU and its snic-controller');
    }
  }
  await rm(layout.processFile, { force: true });
  return ended;
}
