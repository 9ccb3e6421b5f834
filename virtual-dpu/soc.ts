/** Running other programs where a virtual DPU's SoC side is: in its network namespace, beside Open vSwitch and the representors. */
import type { VirtualDpu } from './description.ts';
import { ipNetnsExec } from './netns.ts';
import { endNamed, GUEST_PREFIX, livingProcess, type ProcessRecord, runTool, spawnDetached } from './process.ts';

/** What leads ovs-vsctl, ovs-ofctl, ovn-nbctl and the like to this virtual DPU. */
export function socEnvironment(dpu: VirtualDpu): Readonly<Record<string, string>> {
  const { runDir, ovsdb, ovn } = dpu.network;
  return {
    VIRTUAL_DPU: dpu.stateDir,
    OVS_RUNDIR: runDir,
    OVS_DB: ovsdb,
    ...(ovn === null ? {} : { OVN_NB_DB: ovn.northbound, OVN_SB_DB: ovn.southbound }),
  };
}

/**
 * Starts a program that goes on in the background, or finds it: its log is `log/in-<name>.log`. It sees the namespace's `/sys/class/net`. `down`
 * ends it before anything else. It may not be ready when this resolves: see `waitForSocket`.
 */
export async function ensureInSoc(
  dpu: VirtualDpu,
  options: {
    readonly name: string;
    readonly argv: readonly [string, ...string[]];
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  },
): Promise<ProcessRecord> {
  const name = `${GUEST_PREFIX}${options.name}`;
  const living = await livingProcess(dpu.stateDir, name);
  if (living) return living;
  return await spawnDetached({
    stateDir: dpu.stateDir,
    name,
    argv: ipNetnsExec(dpu.network.netns, options.argv),
    env: { ...socEnvironment(dpu), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}

/** Ends what `ensureInSoc` started. What is not there is fine. */
export async function endInSoc(dpu: VirtualDpu, name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  await endNamed(dpu.stateDir, `${GUEST_PREFIX}${name}`, { signal });
}

/** Runs a tool to its end in the namespace, with OVS' environment, and answers what it printed. @throws as `runTool`. */
export async function runInSoc(
  dpu: VirtualDpu,
  argv: readonly [string, ...string[]],
  options: { readonly timeoutMs?: number } = {},
): Promise<string> {
  return await runTool(ipNetnsExec(dpu.network.netns, argv), { ...options, env: socEnvironment(dpu) });
}
