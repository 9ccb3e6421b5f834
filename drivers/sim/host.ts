import type { Clock } from '../../core/ports/clock.ts';
import type { BootTarget } from '../../core/ports/power-controller.ts';
import type { Faults } from './faults.ts';
import { loseMachines } from './machines.ts';
import type { ResolvedOptions } from './options.ts';
import type { FunctionRow, HostRow, WorldState } from './rows.ts';

/**
 * The host: power, and what it finds on its PCIe bus. What takes it time is settled when somebody looks, so that it
 * needs no timer and goes on while the daemon is dead.
 */
export interface HostModel {
  row(): HostRow;
  /** Brings everything up to now. */
  settle(): void;
  /** Power on; it finds what is plugged, and boots. */
  switchOn(): void;
  /** Power away, at once. */
  switchOff(): void;
  /** It begins to shut down and is off after `ms`. */
  beginShutdown(ms: number): void;
  /** Milliseconds until a shutdown that runs is over; null where none runs. */
  shutdownEndsInMs(): number | null;
  setNextBoot(target: BootTarget): void;
  /** A function was plugged: a running host finds it after a while. */
  plugged(row: FunctionRow): void;
}

const initialHost: HostRow = { power: 'off', shuttingDown: false, nextBoot: null, bootedFrom: null, boots: 0 };

interface HostParts {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly options: ResolvedOptions;
  readonly state: WorldState;
}

/** The host as the store has it; a shutdown that ran when the process ended is over. */
export function createHost(parts: HostParts): HostModel {
  const { clock, faults, state } = parts;
  const findAt = new Map<string, number>();
  let offAt: number | null = null;

  const row = (): HostRow => state.host.get('host') ?? initialHost;
  const patch = (change: Partial<HostRow>): void => state.host.set('host', { ...row(), ...change });
  const at = (id: string) => ({ port: 'snic', method: 'enumerate', key: id }) as const;

  const find = (each: FunctionRow): void => {
    const changed = each.bdf === null && faults.take(at(each.id), 'bdf-changes') !== undefined;
    const bdf = slotAddress(changed ? each.slot + parts.options.functions : each.slot);
    state.functions.set(each.id, { ...each, bdf, bdfState: changed ? 'changed' : 'assigned' });
  };
  const findLater = (each: FunctionRow, ms: number): void => {
    const late = faults.peek(at(each.id), 'not-enumerated');
    findAt.set(each.id, clock.monotonicMs() + ms + (late?.ms ?? 0));
  };
  const switchOff = (): void => {
    offAt = null;
    findAt.clear();
    loseMachines(state);
    if (row().power !== 'off') patch({ power: 'off', shuttingDown: false, bootedFrom: null });
  };

  if (row().shuttingDown) switchOff();
  if (row().power === 'on') {
    for (const each of state.functions.rows()) if (each.plugged && each.bdf === null) findLater(each, 0);
  }

  return {
    row,
    settle: () => {
      if (offAt !== null && clock.monotonicMs() >= offAt) switchOff();
      for (const [id, due] of findAt) {
        if (clock.monotonicMs() < due) continue;
        const never = faults.peek(at(id), 'not-enumerated');
        if (never && never.ms === undefined) continue;
        findAt.delete(id);
        const each = state.functions.get(id);
        if (each?.plugged && each.bdf === null) find(each);
      }
    },
    switchOn: () => {
      if (row().power === 'on') return;
      for (const each of state.functions.rows()) {
        if (!each.plugged || each.bdf !== null) continue;
        if (faults.peek(at(each.id), 'not-enumerated')) findLater(each, 0);
        else find(each);
      }
      patch({ power: 'on', shuttingDown: false, bootedFrom: bootDisk(state, row().nextBoot), boots: row().boots + 1 });
    },
    switchOff,
    beginShutdown: (ms) => {
      if (row().power === 'off' || offAt !== null) return;
      offAt = clock.monotonicMs() + ms;
      patch({ shuttingDown: true });
      if (ms <= 0) switchOff();
    },
    shutdownEndsInMs: () => (offAt === null ? null : Math.max(0, offAt - clock.monotonicMs())),
    setNextBoot: (target) => patch({ nextBoot: target }),
    plugged: (each) => {
      if (row().power === 'on') findLater(each, parts.options.timing.enumerationMs);
    },
  };
}

/** A disk boots if the host can see it and it is served: the chosen one, else the one that is marked as boot disk. */
function bootDisk(state: WorldState, target: BootTarget | null): FunctionRow['id'] | null {
  const disks = state.functions
    .rows()
    .filter((each) => each.class !== 'virtio-net' && each.plugged && state.attachments.has(each.id));
  const chosen = disks.find((each) => each.id === target?.functionId);
  return (chosen ?? disks.find((each) => each.mark?.role === 'boot'))?.id ?? null;
}

/** Address of a slot: buses from 0x3b on. */
function slotAddress(slot: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `0000:${hex(0x3b + (slot >> 8))}:${hex((slot >> 3) & 31)}.${slot & 7}`;
}
