import { existsSync } from 'node:fs';
import type { NetworkPart, OvnPart } from '../description.ts';
import { socNetns, tenantNetns } from '../netns.ts';
import type { PartContext } from '../part.ts';
import { livingProcess } from '../process.ts';
import { startOvn, stopOvn } from './ovn.ts';
import { BRIDGE, ovsOf, startOvs, stopOvs } from './ovs.ts';
import { startTenant, stopTenant } from './tenant.ts';

/** What the network has beyond a bridge. */
export interface NetworkOptions {
  readonly ovn: boolean;
  readonly tenant: boolean;
}

/** The names of the network's processes. */
export function networkProcesses(options: NetworkOptions): readonly string[] {
  return [
    ...['ovsdb-server', 'ovs-vswitchd'],
    ...(options.tenant ? ['dnsmasq', 'metadata'] : []),
    ...(options.ovn ? ['ovn-nb', 'ovn-sb', 'ovn-northd', 'ovn-controller'] : []),
  ];
}

/** Starts what does not run of the network. The SoC's namespace must be there. */
export async function startNetwork(context: PartContext, options: NetworkOptions): Promise<NetworkPart> {
  const pids = await startOvs(context, { secure: options.ovn });
  const tenant = options.tenant ? await startTenant(context) : null;
  const ovn: OvnPart | null = options.ovn ? await startOvn(context, { tenant: options.tenant }) : null;
  const { db, runDir } = ovsOf(context.stateDir);
  return { ovsdb: db, runDir, bridge: BRIDGE, netns: socNetns(context.name), tenant, ovn, pids };
}

/** Ends the network and removes the tenant's namespace. What is not there is fine. */
export async function stopNetwork(context: Pick<PartContext, 'stateDir' | 'name'>): Promise<void> {
  await stopOvn(context);
  await stopTenant(context);
  await stopOvs(context);
}

/** Whether the namespaces are there, and all of the network's processes run. */
export async function networkAlive(
  context: Pick<PartContext, 'stateDir' | 'name'>,
  options: NetworkOptions,
): Promise<boolean> {
  const { name } = context;
  const namespaces = [socNetns(name), ...(options.tenant ? [tenantNetns(name)] : [])];
  if (!namespaces.every((netns) => existsSync(`/run/netns/${netns}`))) return false;
  for (const name of networkProcesses(options)) {
    if ((await livingProcess(context.stateDir, name)) === undefined) return false;
  }
  return true;
}
