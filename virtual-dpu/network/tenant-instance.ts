/** What the tenant network knows of an instance: its address, and what the metadata service tells it. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import type { VirtualDpu } from '../description.ts';
import { livingProcess } from '../process.ts';

/** An instance's NIC on the tenant network. */
export interface TenantInstance {
  /** Lower case with colons. */
  readonly mac: string;
  /** The address that DHCP gives it; absent: any that is free. */
  readonly ip?: string;
  readonly hostname?: string;
  /** OpenStack's `meta_data.json`: `uuid`, `hostname`, `name`, `public_keys`, …; EC2's paths are answered from it too. */
  readonly metaData?: Readonly<Record<string, unknown>>;
  readonly userData?: string | Buffer;
}

/** Tells DHCP and the metadata service of an instance, in place of what they knew of its MAC. @throws DpuError `invalid`, `bad_state` without a tenant network. */
export async function setTenantInstance(dpu: VirtualDpu, instance: TenantInstance): Promise<void> {
  const { hostsDir, metadataDir } = tenantOf(dpu);
  const { mac, ip, hostname } = instance;
  checkMac(mac);
  if (ip !== undefined && !isIPv4(ip)) throw new DpuError('invalid', `${ip} is no IPv4 address`, { field: 'ip' });
  if (hostname !== undefined && !/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/.test(hostname)) {
    throw new DpuError('invalid', `${hostname} is no host name`, { field: 'hostname' });
  }
  const folder = join(metadataDir, mac);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await put(join(folder, 'meta_data.json'), JSON.stringify({ ...(hostname && { hostname }), ...instance.metaData }));
  if (instance.userData === undefined) await rm(join(folder, 'user_data'), { force: true });
  else await put(join(folder, 'user_data'), instance.userData);
  const words = [mac, ip, hostname].filter((word) => word !== undefined);
  if (words.length > 1) await put(join(hostsDir, fileOf(mac)), `${words.join(',')}\n`);
  else await rm(join(hostsDir, fileOf(mac)), { force: true });
  await readAnew(dpu);
}

/** Forgets an instance. One that is not known is fine. */
export async function removeTenantInstance(dpu: VirtualDpu, mac: string): Promise<void> {
  checkMac(mac);
  const { hostsDir, metadataDir } = tenantOf(dpu);
  await rm(join(metadataDir, mac), { recursive: true, force: true });
  await rm(join(hostsDir, fileOf(mac)), { force: true });
  await readAnew(dpu);
}

function tenantOf(dpu: VirtualDpu) {
  const { tenant } = dpu.network;
  if (tenant === null) throw new DpuError('bad_state', `${dpu.name} is up without a tenant network`);
  return tenant;
}

function checkMac(mac: string): void {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) {
    throw new DpuError('invalid', `${mac} is no MAC in lower case with colons`, { field: 'mac' });
  }
}

function fileOf(mac: string): string {
  return mac.replaceAll(':', '-');
}

/** dnsmasq reads new files by itself, and forgets those that are gone at SIGHUP (dnsmasq(8), --dhcp-hostsdir). */
async function readAnew(dpu: VirtualDpu): Promise<void> {
  const dnsmasq = await livingProcess(dpu.stateDir, 'dnsmasq');
  if (dnsmasq) process.kill(dnsmasq.pid, 'SIGHUP');
}

/** dnsmasq watches its directory, so the new file gets its name in one step from another. */
async function put(file: string, content: string | Buffer): Promise<void> {
  const made = join(file, '..', '..', `.new-${process.pid}`);
  await writeFile(made, content, { mode: 0o600 });
  await rename(made, file);
}
