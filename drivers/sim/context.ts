import type { Clock } from '../../core/ports/clock.ts';
import type { Random } from '../../core/ports/random.ts';
import type { Faults, SimPeer } from './faults.ts';
import type { HostModel } from './host.ts';
import type { ResolvedOptions } from './options.ts';
import type { AttachmentRow, FunctionRow, PortRow, WorldState } from './rows.ts';

/** Called around every effect of a mutator: a crash test kills the process there. */
export interface WorldHooks {
  beforeEffect?: (port: SimPeer, method: string, key: string) => void | Promise<void>;
  afterEffect?: (port: SimPeer, method: string, key: string) => void | Promise<void>;
}

/** What the models share. */
export interface SimContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly options: ResolvedOptions;
  readonly state: WorldState;
  readonly faults: Faults;
  readonly hooks: WorldHooks;
  readonly host: HostModel;
  atomically<Result>(work: () => Result): Result;
  /** Records that a rule was broken. */
  violate(rule: string, subject: string, detail: string): void;
}

/** Whether the host runs and can see the function: nothing beneath it may change then. */
export function inUse(context: SimContext, row: FunctionRow | undefined): boolean {
  return row?.plugged === true && context.host.row().power === 'on';
}

/** Whether the function has its port or volume, or lost it only by a restart of the peer. */
export function isServed(state: WorldState, row: FunctionRow): boolean {
  if (row.class === 'virtio-net') {
    return state.ports.rows().some((port) => port.functionId === row.id) || lostPort(state, row.id) !== undefined;
  }
  return state.attachments.has(row.id) || state.lost.has(lostKey('attachment', row.id));
}

/** Key of what a peer forgot. */
export function lostKey(kind: 'port' | 'attachment', key: string): string {
  return `${kind}/${key}`;
}

/** The port that a function lost by a restart of the switch. */
export function lostPort(state: WorldState, functionId: string): PortRow | undefined {
  for (const lost of state.lost.rows()) if (lost.kind === 'port' && lost.row.functionId === functionId) return lost.row;
  return undefined;
}

/** The attachment that a function lost by a restart of the storage target. */
export function lostAttachment(state: WorldState, functionId: string): AttachmentRow | undefined {
  const lost = state.lost.get(lostKey('attachment', functionId));
  return lost?.kind === 'attachment' ? lost.row : undefined;
}
