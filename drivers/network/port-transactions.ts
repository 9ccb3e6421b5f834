/** The transactions on ports of a bridge: RFC 7047 operations, each list carried out whole or not at all. */

import { namedUuid, OperationError, type Uuid } from 'ovsdb-client';
import { DpuError } from '../../core/errors.ts';
import { ovsError } from './ovs-link.ts';
import type { OvsDatabase, SwitchPort } from './tables.ts';

/** How a port of the bridge is configured besides its identity. */
export interface Segment {
  /** VLAN of the provider network; the instance sends and gets untagged frames. */
  readonly vlan?: number;
  /** VLANs that the instance may use itself, tagged. */
  readonly trunks?: readonly number[];
  readonly mtu?: number;
}

/** What to add. */
export interface NewPort extends Segment {
  readonly bridge: string;
  readonly name: string;
  readonly ids: Readonly<Record<string, string>>;
  /** No other interface may have it. */
  readonly ifaceId?: string;
  readonly type?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly isProtected?: boolean;
  /** Removed in the same transaction. */
  readonly instead?: Uuid;
}

const reconfigure = { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] } as const;

/** Waits of a call: its signal and the longest time. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const optionsOf = ({ timeoutMs, signal }: CallLimits) => ({ timeoutMs, ...(signal ? { signal } : {}) });

/**
 * Adds a port with its interface to the bridge; answers the interface's row.
 * @throws DpuError `unavailable` (no bridge, no database), `conflict` (the name or the iface-id is in another port).
 */
export async function addPort(db: OvsDatabase, port: NewPort, limits: CallLimits): Promise<Uuid> {
  const { bridge, name, ids, ifaceId, type = '', options = {}, vlan, trunks = [], mtu, isProtected, instead } = port;
  const others = ifaceId === undefined ? [] : ([['external_ids', 'includes', { 'iface-id': ifaceId }]] as const);
  try {
    const results = await db.transact(
      [
        {
          op: 'wait',
          table: 'Bridge',
          where: [['name', '==', bridge]],
          columns: ['name'],
          until: '==',
          rows: [{ name: bridge }],
          timeout: 0,
        },
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', bridge]],
          mutations: [['ports', 'delete', instead === undefined ? [] : [instead]]],
        },
        instead === undefined && ifaceId !== undefined
          ? {
              op: 'wait',
              table: 'Interface',
              where: others,
              columns: ['name'],
              until: '==',
              rows: [],
              timeout: 0,
            }
          : { op: 'comment', comment: `dpu-compute: port ${name}` },
        {
          op: 'insert',
          table: 'Interface',
          row: { name, type, options, external_ids: ids, mtu_request: mtu ?? null },
          uuidName: 'nic',
        },
        {
          op: 'insert',
          table: 'Port',
          row: { name, interfaces: [namedUuid('nic')], tag: vlan ?? null, trunks, protected: isProtected ?? false },
          uuidName: 'port',
        },
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', bridge]],
          mutations: [['ports', 'insert', [namedUuid('port')]]],
        },
        reconfigure,
      ],
      optionsOf(limits),
    );
    return results[3].uuid;
  } catch (cause) {
    if (!(cause instanceof OperationError)) throw ovsError(cause, 'adding a port', limits.signal);
    if (cause.index === 0) throw new DpuError('unavailable', `Open vSwitch has no bridge ${bridge}`, { cause });
    if (cause.index === 2) throw new DpuError('conflict', `another interface has iface-id ${ifaceId}`, { cause });
    if (cause.peerCode === 'constraint violation' && cause.operation === 'commit') {
      throw new DpuError('conflict', `${name} is in another port`, { field: 'representor', cause });
    }
    throw ovsError(cause, 'adding a port', limits.signal);
  }
}

/** Takes a port and its interface out of the bridge. */
export async function removePort(db: OvsDatabase, bridge: string, port: Uuid, limits: CallLimits): Promise<void> {
  try {
    await db.transact(
      [
        { op: 'mutate', table: 'Bridge', where: [['name', '==', bridge]], mutations: [['ports', 'delete', [port]]] },
        reconfigure,
      ],
      optionsOf(limits),
    );
  } catch (cause) {
    throw ovsError(cause, 'removing a port', limits.signal);
  }
}

/** Sets keys of an interface's external_ids; null takes one away. Others' keys stay. */
export async function setIds(
  db: OvsDatabase,
  nic: Uuid,
  ids: Readonly<Record<string, string | null>>,
  limits: CallLimits,
): Promise<void> {
  const kept = Object.entries(ids).filter((entry): entry is [string, string] => entry[1] !== null);
  const where = [['_uuid', '==', nic]] as const;
  try {
    await db.transact(
      [
        {
          op: 'mutate',
          table: 'Interface',
          where,
          mutations: [
            ['external_ids', 'delete', Object.keys(ids)],
            ['external_ids', 'insert', Object.fromEntries(kept)],
          ],
        },
      ],
      optionsOf(limits),
    );
  } catch (cause) {
    throw ovsError(cause, 'changing a port', limits.signal);
  }
}

/** Gives a port the VLANs and MTU that it shall have, where it has others, and lets the switch look at it again. */
export async function alignPort(
  db: OvsDatabase,
  { port, nic }: SwitchPort,
  { vlan, trunks = [], mtu }: Segment,
  limits: CallLimits,
): Promise<void> {
  try {
    await db.transact(
      [
        { op: 'update', table: 'Port', where: [['_uuid', '==', port._uuid]], row: { tag: vlan ?? null, trunks } },
        { op: 'update', table: 'Interface', where: [['_uuid', '==', nic._uuid]], row: { mtu_request: mtu ?? null } },
        reconfigure,
      ],
      optionsOf(limits),
    );
  } catch (cause) {
    throw ovsError(cause, 'changing a port', limits.signal);
  }
}
