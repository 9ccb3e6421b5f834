/** What we write into `external_ids` of an Interface: OVN's and Neutron's keys, and our own that begin with `dpu-`. */

import type { BindSpec, QosSpec } from '../../core/ports/network-binder.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import { asId, type FunctionId, type InstanceId, type NodeId } from '../../core/units.ts';
import type { RepresentorIdentity } from './representors.ts';
import type { SecurityRule } from './security.ts';

type Ids = ReadonlyMap<string, string>;

const roles: readonly OwnershipMark['role'][] = ['nic', 'disk', 'boot'];

/** What a port of an instance carries. */
export interface PortIds {
  readonly spec: BindSpec;
  /** Number that meters and the conntrack zone follow from; no two ports of a bridge have the same. */
  readonly slot: number;
  readonly identity: RepresentorIdentity | null;
}

/** The keys of a port of an instance. An OpenFlow controller or ovn-controller works from the first four. */
export function writeIds({ spec, slot, identity }: PortIds): Readonly<Record<string, string>> {
  return {
    'iface-id': spec.portId,
    'attached-mac': spec.mac,
    'iface-status': 'active',
    'vm-uuid': spec.mark.instance,
    'dpu-owner': spec.mark.node,
    'dpu-function': spec.functionId,
    'dpu-representor': spec.representor,
    'dpu-slot': String(slot),
    'dpu-mark': JSON.stringify(spec.mark),
    ...(identity === null ? {} : { 'dpu-identity': JSON.stringify(identity) }),
  };
}

/** Whether the node made the interface. Only such are ever changed or removed. */
export function isOurs(ids: Ids, node: NodeId): boolean {
  return ids.get('dpu-owner') === node;
}

/** Number of a port of ours; null when it is not to be read. */
export function readSlot(ids: Ids): number | null {
  const slot = Number(ids.get('dpu-slot'));
  return Number.isInteger(slot) && slot > 0 && slot <= maxSlot ? slot : null;
}

/** Highest number of a port: four meters each fit below OVS' 262144, a zone each above those that OVN gives out first. */
export const maxSlot = 32_767;

/** The mark; one that is damaged is made anew from the other keys, so that what is ours can still be taken away. */
export function readMark(ids: Ids, node: NodeId): OwnershipMark | null {
  if (!isOurs(ids, node)) return null;
  const whole = readJson(ids.get('dpu-mark'));
  if (isMark(whole) && whole.node === node) return whole;
  const instance = ids.get('vm-uuid') ?? '00000000-0000-0000-0000-000000000000';
  return {
    node,
    instance: asId<InstanceId>(instance),
    role: 'nic',
    key: ids.get('iface-id') ?? '',
    name: instance,
    flavor: { name: 'unknown', vcpus: 1, memory_mib: 1 },
  };
}

/** The function that the port serves. */
export function readFunction(ids: Ids): FunctionId | null {
  const id = ids.get('dpu-function');
  return id === undefined ? null : asId<FunctionId>(id);
}

/** The limits that were set. */
export function readQos(ids: Ids): QosSpec | null {
  const value = readJson(ids.get('dpu-qos')) as Partial<QosSpec> | null;
  const { bitsPerSecond, packetsPerSecond, direction } = value ?? {};
  if (typeof bitsPerSecond !== 'number' || typeof packetsPerSecond !== 'number') return null;
  if (direction !== 'egress' && direction !== 'ingress' && direction !== 'both') return null;
  return { bitsPerSecond, packetsPerSecond, direction };
}

/** The security rules that were set; null: everything passes. Rules that are not to be read let nothing new pass. */
export function readRules(ids: Ids): readonly SecurityRule[] | null {
  const text = ids.get('dpu-rules');
  if (text === undefined) return null;
  const rules = readJson(text);
  return Array.isArray(rules) ? (rules as readonly SecurityRule[]) : [];
}

/** What the representor is known by, whatever its name. */
export function readIdentity(ids: Ids): RepresentorIdentity | null {
  return readJson(ids.get('dpu-identity')) as RepresentorIdentity | null;
}

function readJson(text: string | undefined): unknown {
  if (text === undefined) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null; // others may write into the database: what can't be read counts as absent
  }
}

function isMark(value: unknown): value is OwnershipMark {
  if (typeof value !== 'object' || value === null) return false;
  const mark = value as Partial<Record<keyof OwnershipMark, unknown>>;
  const flavor = mark.flavor as Partial<OwnershipMark['flavor']> | undefined;
  return (
    [mark.node, mark.instance, mark.key, mark.name, flavor?.name].every((each) => typeof each === 'string') &&
    [flavor?.vcpus, flavor?.memory_mib].every((each) => typeof each === 'number') &&
    roles.some((role) => role === mark.role)
  );
}
