/** Findings and states as lines for people. */
import type { VirtualDpu } from './description.ts';
import type { Finding } from './doctor.ts';
import type { VirtualDpuStatus } from './virtual-dpu.ts';

/** What `up` ends with: where everything is. */
export function showUp({ name, stateDir, host, network, storage, bmc }: VirtualDpu): string {
  const { tenant, ovn } = network;
  return table([
    ['name', `${name}, also its network namespace`],
    ['state', stateDir],
    [
      'server',
      `${host.arch}, ${host.accel}, ${host.cpus} CPU, ${host.memoryMib} MiB, serial number ${host.serialNumber}`,
    ],
    ['ovsdb', `${network.ovsdb}, bridge ${network.bridge}${ovn === null ? '' : ' under OVN'}`],
    ['tenant', tenant === null ? 'none' : `${tenant.subnet} in ${tenant.netns}, gateway ${tenant.gateway}`],
    ['storage', `${storage.spdk} (SPDK's JSON-RPC), ${storage.front.kind}`],
    ['redfish', bmc.redfish.url],
    ['ipmi', `${bmc.ipmi.address} port ${bmc.ipmi.port}, lanplus with cipher suite 3 (ipmitool -I lanplus -C 3)`],
    ['login', `${bmc.username}, password in ${bmc.passwordFile}`],
  ]);
}

/** What `status` prints. */
export function showStatus(status: VirtualDpuStatus): string {
  const head = `${status.name} (${status.stateDir}): ${status.state}`;
  if (status.state === 'down') return head;
  const parts = Object.entries(status.parts).map(
    ([part, alive]) => [part, alive ? 'up' : 'not all of it runs'] as const,
  );
  const processes = status.processes.map(
    ({ name, pid, alive }) => [`  ${name}`, alive ? `pid ${pid}` : `pid ${pid} is gone`] as const,
  );
  return [head, table(parts), 'processes', table(processes)].join('\n');
}

/** What `doctor` prints. */
export function showFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ id }) => id.length));
  return findings.map(({ id, level, text }) => `${level.padEnd(4)}  ${id.padEnd(width)}  ${text}`).join('\n');
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}
