/** The tenant network: a namespace with its gateway, DHCP and metadata service, joined to the bridge by a veth pair. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { hasCode } from '../../core/errors.ts';
import type { TenantPart } from '../description.ts';
import { ensureNetns, removeNetns, socNetns, tenantNetns } from '../netns.ts';
import type { PartContext } from '../part.ts';
import { socketPath } from '../paths.ts';
import { endNamed, ensureProcess, type ProcessOwner, runTool, waitFor, waitForSocket } from '../process.ts';
import { BRIDGE, vsctl } from './ovs.ts';

/** The tenant network in numbers. Each virtual DPU has the same: their namespaces keep them apart. */
export const TENANT = {
  subnet: '192.168.77.0/24',
  prefix: 24,
  gateway: '192.168.77.1',
  /** Addresses below are for reservations. */
  firstLease: '192.168.77.100',
  lastLease: '192.168.77.250',
  metadata: '169.254.169.254',
  mtu: 1500,
} as const;

/** The veth's end on the bridge, and the iface-id that OVN knows it by. */
export const TENANT_PORT = { interface: 'tenant0', ifaceId: 'tenant-gateway' } as const;

/** The gateway's MAC, the same each time for a virtual DPU. */
export function gatewayMac(name: string): string {
  const hash = createHash('sha256').update(name).digest('hex');
  return ['02', ...[0, 2, 4, 6, 8].map((at) => hash.slice(at, at + 2))].join(':');
}

/** Starts what does not run of the tenant network. The bridge must be there. */
export async function startTenant(context: PartContext): Promise<TenantPart> {
  const netns = tenantNetns(context.name);
  const paths = tenantPaths(context.stateDir);
  await mkdir(paths.hostsDir, { recursive: true, mode: 0o700 });
  await mkdir(paths.metadataDir, { recursive: true, mode: 0o700 });
  if (await ensureNetns(netns)) await endServices(context);
  if (!(await hasInterface(netns, 'eth0'))) await connectToBridge(context, netns);
  await vsctl(
    context,
    ...['--may-exist', 'add-port', BRIDGE, TENANT_PORT.interface],
    ...['--', 'set', 'Interface', TENANT_PORT.interface, `external_ids:iface-id=${TENANT_PORT.ifaceId}`],
  );
  const [dnsmasq, metadata] = await Promise.all([startDnsmasq(context, netns), startMetadata(context, netns)]);
  return {
    netns,
    subnet: TENANT.subnet,
    gateway: TENANT.gateway,
    leases: paths.leases,
    hostsDir: paths.hostsDir,
    metadataDir: paths.metadataDir,
    pids: { dnsmasq, metadata },
  };
}

/** Ends the tenant network. One that is not there is fine; reservations, leases and metadata stay. */
export async function stopTenant(context: Pick<PartContext, 'stateDir' | 'name'>): Promise<void> {
  await endServices(context);
  await rm(tenantPaths(context.stateDir).metadataSocket, { force: true });
  await removeNetns(tenantNetns(context.name));
}

/** Ends what runs in the namespace, or in one that had its name. */
async function endServices({ stateDir }: Pick<PartContext, 'stateDir'>): Promise<void> {
  await Promise.all([endNamed(stateDir, 'dnsmasq'), endNamed(stateDir, 'metadata')]);
}

/** Where the tenant network keeps its files. */
function tenantPaths(stateDir: string) {
  const dir = join(stateDir, 'tenant');
  return {
    dir,
    leases: join(dir, 'leases'),
    hostsDir: join(dir, 'hosts'),
    metadataDir: join(dir, 'metadata'),
    config: join(dir, 'dnsmasq.conf'),
    metadataSocket: socketPath(dir, 'metadata.sock'),
  };
}

/** The veth pair. Userspace OVS does not complete partial checksums, so neither end may leave them to be completed. */
async function connectToBridge(context: PartContext, netns: string): Promise<void> {
  const soc = socNetns(context.name);
  const port = TENANT_PORT.interface;
  const ip = (where: string, ...args: string[]) => runTool(['ip', '-n', where, ...args]);
  await removeInterface(soc, port);
  await ip(soc, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
  await Promise.all([
    runTool(['ethtool', '-K', port, 'tx', 'off'], { netns: soc }),
    runTool(['ethtool', '-K', 'eth0', 'tx', 'off'], { netns }),
  ]);
  await ip(netns, 'link', 'set', 'eth0', 'address', gatewayMac(context.name), 'mtu', String(TENANT.mtu));
  await ip(netns, 'address', 'add', `${TENANT.gateway}/${TENANT.prefix}`, 'dev', 'eth0');
  await ip(netns, 'address', 'add', `${TENANT.metadata}/32`, 'dev', 'eth0');
  await ip(soc, 'link', 'set', port, 'mtu', String(TENANT.mtu), 'up');
  await ip(netns, 'link', 'set', 'eth0', 'up');
}

/** What is left of a pair goes away by itself, a little after the namespace of its other end: perhaps just now. */
async function removeInterface(netns: string, name: string): Promise<void> {
  if (!(await hasInterface(netns, name))) return;
  try {
    await runTool(['ip', '-n', netns, 'link', 'delete', name]);
  } catch (error) {
    if (await hasInterface(netns, name)) throw error;
  }
}

async function hasInterface(netns: string, name: string): Promise<boolean> {
  try {
    await runTool(['ip', '-n', netns, 'link', 'show', name]);
    return true;
  } catch (error) {
    if (hasCode(error, 'hardware')) return false;
    throw error;
  }
}

async function startDnsmasq(context: PartContext, netns: string): Promise<number> {
  const { stateDir } = context;
  const { config } = tenantPaths(stateDir);
  await writeFile(config, dnsmasqConfig(stateDir));
  const record = await ensureProcess(
    { stateDir, name: 'dnsmasq', netns, argv: ['dnsmasq', '--keep-in-foreground', `--conf-file=${config}`] },
    (owner) => waitFor(async () => listensOn67(owner), { what: 'a DHCP server', owner }),
  );
  return record.pid;
}

function dnsmasqConfig(stateDir: string): string {
  const { leases, hostsDir } = tenantPaths(stateDir);
  return [
    ...['interface=eth0', 'except-interface=lo', 'bind-interfaces', 'no-resolv', 'no-hosts', 'user=root'],
    ...['pid-file=', 'log-facility=-', 'log-dhcp', 'domain=tenant.internal', 'local=/tenant.internal/'],
    // Without the ping the answer comes at once; addresses are nobody else's.
    ...['dhcp-authoritative', 'dhcp-rapid-commit', 'no-ping', `dhcp-leasefile=${leases}`, `dhcp-hostsdir=${hostsDir}`],
    `dhcp-range=${TENANT.firstLease},${TENANT.lastLease},255.255.255.0,1h`,
    `dhcp-option=option:router,${TENANT.gateway}`,
    `dhcp-option=option:dns-server,${TENANT.gateway}`,
    `dhcp-option=option:mtu,${TENANT.mtu}`,
    // RFC 3442: who takes option 121 ignores the router, so the default route is in it too.
    `dhcp-option=121,${TENANT.metadata}/32,${TENANT.gateway},0.0.0.0/0,${TENANT.gateway}`,
    '',
  ].join('\n');
}

/** Whether a UDP socket of the process' namespace is bound to port 67 (0x43). */
function listensOn67(owner: ProcessOwner): boolean {
  try {
    return /^\s*\d+: [0-9A-F]{8}:0043 /m.test(readFileSync(`/proc/${owner.record.pid}/net/udp`, 'utf8'));
  } catch {
    return false; // it died: whoever waits sees that by itself
  }
}

async function startMetadata(context: PartContext, netns: string): Promise<number> {
  const { stateDir } = context;
  const { metadataDir, metadataSocket } = tenantPaths(stateDir);
  const program = join(import.meta.dirname, `metadata-service${extname(import.meta.filename)}`);
  const record = await ensureProcess(
    {
      ...{ stateDir, name: 'metadata', netns },
      argv: [process.execPath, program, TENANT.metadata, '80', metadataDir, metadataSocket],
    },
    (owner) => waitForSocket(metadataSocket, { owner }),
  );
  return record.pid;
}
