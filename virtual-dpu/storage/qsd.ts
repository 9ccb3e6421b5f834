import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockdevOptions, connectQmp, type QmpClient } from 'qmp-client';
import { DpuError } from '../../core/errors.ts';
import { accepts } from '../process.ts';

/** A running qemu-storage-daemon. */
export interface Qsd {
  readonly qmp: QmpClient;
  readonly pid: number;
  /** Its NBD server, for the gates alone. */
  readonly nbd: string;
  /** A name for a node, object, export or job that was not used before. */
  readonly name: (prefix: string) => string;
  /** Settles when the process is gone. */
  readonly ended: Promise<unknown>;
  end(): Promise<void>;
}

/** How long an answer may take; opening an image of a cluster that is away is what takes longest. */
const TIMEOUT_MS = 60_000;

/**
 * Starts qemu-storage-daemon as a child that the kernel kills when this process dies (`setpriv --pdeathsig`, util-linux).
 * @throws DpuError `unavailable` when it can't be run
 */
export async function startQsd(paths: { readonly qmp: string; readonly nbd: string }): Promise<Qsd> {
  await rm(paths.qmp, { force: true });
  await rm(paths.nbd, { force: true });
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'qemu-storage-daemon'],
      ...[
        '--chardev',
        `socket,id=monitor,path=${optionValue(paths.qmp)},server=on,wait=off`,
        '--monitor',
        'chardev=monitor',
      ],
      ...['--nbd-server', `addr.type=unix,addr.path=${optionValue(paths.nbd)},max-connections=0`],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const ended = once(child, 'exit').catch(() => undefined);
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new DpuError('unavailable', "setpriv can't be started", { cause });
  });
  while (!(await accepts(paths.nbd))) {
    if (hasEnded(child)) throw new DpuError('unavailable', 'qemu-storage-daemon ended at once');
    await sleep(10);
  }
  const qmp = await connectQmp({ path: paths.qmp }, { timeoutMs: TIMEOUT_MS });
  let last = 0;
  return {
    qmp,
    pid: child.pid ?? 0,
    nbd: paths.nbd,
    name: (prefix) => {
      last += 1;
      return `${prefix}${last}`;
    },
    ended,
    async end() {
      qmp.close();
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Runs a job to its end and takes it off the list. @throws DpuError `hardware` with the job's own words as the cause */
export async function runJob(qsd: Qsd, command: string, args: object): Promise<void> {
  const id = qsd.name('job');
  const done = qsd.qmp.waitForEvent('JOB_STATUS_CHANGE', {
    match: (data) => data.id === id && data.status === 'concluded',
    timeoutMs: 24 * 3600 * 1000,
  });
  done.catch(() => undefined); // told below, or by the command's own failure
  await qsd.qmp.executeAny(command, { 'job-id': id, ...args });
  await done;
  const job = (await qsd.qmp.execute('query-jobs')).find((each) => each.id === id);
  await qsd.qmp.execute('job-dismiss', { id });
  if (job?.error !== undefined) {
    throw new DpuError('hardware', `the job ${command} failed`, { cause: new Error(job.error) });
  }
}

/** Adds nodes in their order; when one fails, those before it are gone again. */
export async function addNodes(qsd: Qsd, nodes: readonly (BlockdevOptions & { 'node-name': string })[]): Promise<void> {
  const added: string[] = [];
  try {
    for (const node of nodes) {
      await qsd.qmp.execute('blockdev-add', node);
      added.push(node['node-name']);
    }
  } catch (error) {
    for (const name of added.reverse()) await qsd.qmp.execute('blockdev-del', { 'node-name': name });
    throw error;
  }
}

/** Removes nodes, those on top first. */
export async function removeNodes(qsd: Qsd, names: readonly string[]): Promise<void> {
  for (const name of names) await qsd.qmp.execute('blockdev-del', { 'node-name': name });
}

/** The size of a node in bytes. */
export async function nodeSize(qsd: Qsd, name: string): Promise<number> {
  const nodes = await qsd.qmp.execute('query-named-block-nodes', { flat: true });
  const found = nodes.find((each) => each['node-name'] === name);
  if (found === undefined) throw new DpuError('internal', `there is no node ${name}`);
  return found.image['virtual-size'];
}

/** A comma in a value of a QEMU option is written twice. */
function optionValue(value: string): string {
  return value.replaceAll(',', ',,');
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
