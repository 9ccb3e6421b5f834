/** The network namespaces of a virtual DPU. Those of ip-netns(8), so that people find them with `ip netns`. */
import { existsSync } from 'node:fs';
import { DpuError, hasCode } from '../core/errors.ts';
import { runTool } from './process.ts';

/** The namespace of the SoC side: representors, bridges, QEMU. */
export function socNetns(name: string): string {
  return name;
}

/** The namespace of the tenant network's gateway. */
export function tenantNetns(name: string): string {
  return `${name}-t`;
}

/** The argv that runs another in a network namespace with that namespace's `/sys/class/net`: a mount namespace of its own, see ip-netns(8). */
export function ipNetnsExec(netns: string, argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  return ['ip', 'netns', 'exec', netns, ...argv];
}

/** Makes a namespace with its loopback up, or finds it. Answers whether it was made. @throws DpuError `denied` without the right to. */
export async function ensureNetns(netns: string): Promise<boolean> {
  if (await isUsable(netns)) return false;
  // After a reboot the name may be left, a file without a namespace behind it.
  if (existsSync(`/run/netns/${netns}`)) await runTool(['ip', 'netns', 'delete', netns]);
  try {
    await runTool(['ip', 'netns', 'add', netns]);
  } catch (error) {
    if (!hasCode(error, 'hardware')) throw error;
    throw new DpuError('denied', `network namespace ${netns} can't be made (are you root?)`, { cause: error });
  }
  await runTool(['ip', 'link', 'set', 'lo', 'up'], { netns });
  return true;
}

/** Removes a namespace and all interfaces in it. One that is not there is fine. */
export async function removeNetns(netns: string): Promise<void> {
  if (existsSync(`/run/netns/${netns}`)) await runTool(['ip', 'netns', 'delete', netns]);
}

async function isUsable(netns: string): Promise<boolean> {
  if (!existsSync(`/run/netns/${netns}`)) return false;
  try {
    await runTool(['true'], { netns });
    return true;
  } catch (error) {
    if (hasCode(error, 'hardware')) return false;
    throw error;
  }
}
