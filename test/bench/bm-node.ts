/** A node of real parts for a benchmark: the virtual DPU, and beside it both programs as they ship. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import { type Client, createClient } from '../../soc-daemon/cli/client.ts';
import { controllerNodeFlags, daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { type Layout, layoutOf, makeDirectories, writeConfig } from '../../tools/demo/layout.ts';
import type { Screen } from '../../tools/demo/screen.ts';
import { endVirtual, ensureVirtual, localNetns } from '../../tools/demo/virtual.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { waitForSocket } from '../../virtual-dpu/process.ts';
import { endInSoc, ensureInSoc } from '../../virtual-dpu/soc.ts';

/** What is up. */
export interface BenchNode {
  readonly dpu: VirtualDpu;
  readonly layout: Layout;
  readonly rest: Client;
  readonly snicPid: number;
  daemonPid(): number;
  /** Starts the daemon and waits until it is ready; answers the node's id. */
  startDaemon(): Promise<string>;
  stopDaemon(): Promise<void>;
  close(): Promise<void>;
}

const root = join(import.meta.dirname, '../..');
const READY_MS = 60_000;
const silent: Screen = {
  terminal: false,
  line: () => undefined,
  heading: () => undefined,
  block: () => undefined,
  keepBlock: () => undefined,
  paint: (_style, text) => text,
};

/** Brings up all but the daemon, in a directory that is the caller's to remove. */
export async function startNode(dir: string, dist: string): Promise<BenchNode> {
  const layout = layoutOf(dir);
  const rest = createClient({ socket: layout.socket });
  let child: ChildProcess | undefined;
  let nodeId: string | undefined;

  async function stopDaemon(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }

  async function close(): Promise<void> {
    await stopDaemon();
    await endVirtual(layout, nodeId === undefined ? [] : [localNetns(nodeId)]);
  }

  async function bringUp(): Promise<{ dpu: VirtualDpu; snicPid: number }> {
    await makeDirectories(layout);
    const { dpu, config } = await ensureVirtual(layout, root, silent);
    await writeConfig(layout, { transportUrl: null, hardware: config, dashboard: false });
    await endInSoc(dpu, 'snic-controller'); // that runs from its sources
    const program = [...controllerNodeFlags, join(dist, 'snic-controller/main.js')];
    const { pid } = await ensureInSoc(dpu, {
      name: 'snic-controller',
      argv: [process.execPath, ...program, '--config', join(layout.dir, 'snic-controller.yaml')],
    });
    await waitForSocket(layout.snicSocket, { deadlineMs: READY_MS });
    return { dpu, snicPid: pid };
  }

  async function startDaemon(): Promise<string> {
    const log = openSync(layout.daemonLog, 'a', 0o600);
    const argv = [...daemonNodeFlags, join(dist, 'soc-daemon/main.js'), '--config', layout.config];
    child = spawn(process.execPath, argv, { stdio: ['ignore', log, log] });
    closeSync(log);
    const deadline = performance.now() + READY_MS;
    for (;;) {
      const { status } = await rest.askAny('GET', '/readyz').catch(() => ({ status: 0 })); // not listening yet
      if (status === 200) break;
      if (performance.now() > deadline || child.exitCode !== null) {
        throw new Error(`the daemon is not ready:\n${readFileSync(layout.daemonLog, 'utf8').slice(-2000)}`);
      }
      await sleep(20);
    }
    nodeId = ((await rest.ask('GET', '/v1/node')) as NodeStatus).uuid;
    return nodeId;
  }

  try {
    const up = await bringUp();
    return { ...up, layout, rest, daemonPid: () => child?.pid ?? 0, startDaemon, stopDaemon, close };
  } catch (error) {
    await close();
    throw error;
  }
}
