/**
 * Brings the control plane up once for the whole run, with two nodes of ours; afterwards only the logs are left. With
 * `DPU_COMPUTE_STACK=DIR` it is that directory's, brought up where it does not run and left running: quick to come back to.
 * `DPU_COMPUTE_PEER=stock` puts stock nova-computes in our nodes' places, to see what they do.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startChassis } from '../../../tools/openstack/chassis.ts';
import { startNode, untilNodesUp } from '../../../tools/openstack/node.ts';
import { type Stack, stackDown, stackUp } from '../../../tools/openstack/stack.ts';
import { startStockCompute } from '../../../tools/openstack/stock-compute.ts';
import { ROOT } from '../../architecture/project-files.ts';
import { NODES, nodeOptions, PEER } from './nodes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The control plane's directory. */
    stackDir: string;
  }
}

const LOGS = join(ROOT, '.cache/openstack-test-logs');

/** Vitest's global set-up; answers the teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kept = process.env.DPU_COMPUTE_STACK;
  if (kept !== undefined) delete process.env.DPU_COMPUTE_RUN; // what is kept is not the run's
  const dir = kept ?? (await mkdtemp(join(tmpdir(), 'ost-')));
  const teardown = async (): Promise<void> => {
    if (kept !== undefined) return;
    await stackDown(dir);
    await rm(LOGS, { recursive: true, force: true });
    await cp(join(dir, 'log'), LOGS, { recursive: true });
    await stackDown(dir, { purge: true });
  };
  try {
    const say = (line: string): void => void process.stderr.write(`control plane: ${line}\n`);
    const ceph = process.env.WITH_CEPH === '1';
    const stack = await stackUp({ dir, ceph, cache: join(ROOT, '.cache/openstack'), say });
    const begun = performance.now();
    await startPeers(stack);
    await untilNodesUp(
      stack,
      Object.values(NODES).map(({ hostname }) => hostname),
    );
    say(`nodes up after ${((performance.now() - begun) / 1000).toFixed(1)} s; logs: ${kept ? join(dir, 'log') : LOGS}`);
    project.provide('stackDir', dir);
    process.env.DPU_COMPUTE_OPENSTACK = stack.openrc;
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

async function startPeers(stack: Stack): Promise<void> {
  for (const node of Object.values(NODES)) {
    if (PEER === 'ours') await startNode(nodeOptions(stack, node));
    else {
      await startChassis({ stack, hostname: node.hostname });
      startStockCompute(stack, node.hostname);
    }
  }
}
