import { isIPv4 } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import type { NetworkPort } from '../../core/ports/network-service.ts';
import type { AllocationRequest, NodeIdentity } from '../../core/ports/node-store.ts';
import type { Mac } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import type { CommandTable } from './commands.ts';
import { portOf, unended } from './rows.ts';

/** Lines of the audit log that are kept for each operation that is kept. */
const auditPerOperation = 10;

/** Gives out the lowest free address and a MAC that no other port has, or answers what was given before. */
export function applyAllocation(sql: Sql, { request, macStart }: CommandTable['allocate-port']['args']): NetworkPort {
  const row = sql('SELECT * FROM ports WHERE id = ?').get(request.portId);
  if (row !== undefined) return givenBefore(portOf(row), request);
  const mac = request.mac ?? freeMac(sql, request.macPrefix, macStart);
  const port: NetworkPort = {
    portId: request.portId,
    subnet: request.subnet,
    mac,
    ips: [dotted(freeAddress(sql, request))],
    instance: request.instance,
    madeForInstance: true,
  };
  applyPort(sql, port);
  return port;
}

/** Takes in a port as it is; one that is there already is kept. @throws DpuError `conflict` (MAC or address in use). */
export function applyPort(sql: Sql, port: NetworkPort): void {
  if (sql('SELECT 1 FROM ports WHERE id = ?').get(port.portId) !== undefined) return;
  const ip = port.ips.map(numberOf).find((each) => each !== null) ?? null;
  const taken = sql('SELECT mac FROM ports WHERE mac = ? OR (subnet = ? AND ip = ?)').get(port.mac, port.subnet, ip);
  if (taken !== undefined) {
    const field = (taken as { mac: string }).mac === port.mac ? 'mac' : 'ips';
    throw new DpuError('conflict', `another port has the ${field} of port ${port.portId}`, { field });
  }
  sql(`
    INSERT INTO ports (id, subnet, instance, mac, ip, ips, made_for_instance) VALUES (?, ?, ?, ?, ?, ?, ?)
  `).run(port.portId, port.subnet, port.instance, port.mac, ip, JSON.stringify(port.ips), port.madeForInstance ? 1 : 0);
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** An IPv4 address as a number; null for any other. */
function numberOf(text: string): number | null {
  if (!isIPv4(text)) return null;
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function givenBefore(port: NetworkPort, request: AllocationRequest): NetworkPort {
  if (port.instance !== request.instance) {
    throw new DpuError('conflict', `port ${request.portId} is another instance's`, { field: 'port_id' });
  }
  if (port.subnet !== request.subnet) {
    throw new DpuError('conflict', `port ${request.portId} is on another subnet`, { field: 'subnet' });
  }
  if (request.mac !== null && request.mac !== port.mac) {
    throw new DpuError('conflict', `port ${request.portId} has another MAC`, { field: 'mac' });
  }
  return port;
}

function freeMac(sql: Sql, prefix: string, start: number): Mac {
  for (let offset = 0; offset < 2 ** 24; offset += 1) {
    const hex = ((start + offset) % 2 ** 24).toString(16).padStart(6, '0');
    const mac = `${prefix}:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}` as Mac;
    if (sql('SELECT 1 FROM ports WHERE mac = ?').get(mac) === undefined) return mac;
  }
  throw new DpuError('exhausted', `no MAC is left under ${prefix}`);
}

function freeAddress(sql: Sql, { subnet, first, last, except }: AllocationRequest): number {
  const rows = sql('SELECT ip FROM ports WHERE subnet = ? AND ip BETWEEN ? AND ?').all(subnet, first, last);
  const taken = new Set([...except, ...(rows as { ip: number }[]).map((row) => row.ip)]);
  for (let address = first; address <= last; address += 1) if (!taken.has(address)) return address;
  throw new DpuError('exhausted', `subnet ${subnet} has no address left`);
}

/** Fixes who the node is. The same again is fine. @throws DpuError `conflict`. */
export function applyIdentity(sql: Sql, { uuid, hostname }: NodeIdentity): void {
  const row = sql('SELECT uuid, hostname FROM identity').get() as NodeIdentity | undefined;
  if (!row) {
    sql('INSERT INTO identity (only, uuid, hostname) VALUES (1, ?, ?)').run(uuid, hostname);
    return;
  }
  if (row.uuid !== uuid || row.hostname !== hostname) {
    throw new DpuError('conflict', `the store belongs to node ${row.hostname} (${row.uuid})`, {
      field: row.uuid === uuid ? 'hostname' : 'uuid',
    });
  }
}

/** Sets or, with null, removes a setting. */
export function applySetting(sql: Sql, name: string, value: string | null): void {
  if (value === null) sql('DELETE FROM settings WHERE name = ?').run(name);
  else {
    sql('INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value').run(
      name,
      value,
    );
  }
}

/**
 * Removes what is old or too much: ended operations, then deleted instances that nothing hangs on, and audit lines.
 * Never an operation that has not ended, nor the build of an instance that lives: it answers a repeat.
 */
export function applyPrune(sql: Sql, limits: CommandTable['prune']['args'], atMs: number): void {
  const before = atMs - limits.olderThanMs;
  sql(`
    DELETE FROM operations WHERE state NOT IN ${unended}
      AND (updated_at < ? OR seq <= coalesce(
        (SELECT seq FROM operations WHERE state NOT IN ${unended} ORDER BY seq DESC LIMIT 1 OFFSET ?), 0))
      AND NOT (kind = 'build' AND (SELECT state FROM instances WHERE id = operations.instance) <> 'deleted')
  `).run(before, limits.maxOperations);
  sql(`
    DELETE FROM instances WHERE state = 'deleted'
      AND NOT EXISTS (SELECT 1 FROM operations WHERE instance = instances.id)
      AND NOT EXISTS (SELECT 1 FROM functions WHERE instance = instances.id)
      AND NOT EXISTS (SELECT 1 FROM bindings WHERE instance = instances.id)
  `).run();
  sql(`
    DELETE FROM audit WHERE at_ms < ?
      OR seq <= coalesce((SELECT seq FROM audit ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)
  `).run(before, limits.maxOperations * auditPerOperation);
}
