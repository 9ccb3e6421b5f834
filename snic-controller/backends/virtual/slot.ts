/** What everything about a slot is called: root port, representor, QEMU's ids. A reservation is a slot, and all follows from it. */
import { DpuError } from '../../../core/errors.ts';
import type { FunctionType } from '../../../core/ports/snic-controller.ts';
import type { FunctionId, JsonObject } from '../../../core/units.ts';

/** Root ports that a host may have: q35 leaves no room for more beside its own chips. */
export const maxSlots = 16;

/** Every slot, ascending. */
export const allSlots: readonly number[] = Array.from({ length: maxSlots }, (_, slot) => slot);

/** The slot of a reservation that this backend gave. @throws `internal` for any other. */
export function slotOf(reservation: JsonObject): number {
  const { slot } = reservation;
  if (typeof slot === 'number' && Number.isInteger(slot) && slot >= 0 && slot < maxSlots) return slot;
  throw new DpuError('internal', 'reservation is not of the virtual backend');
}

/** The root port's qdev id, and the key that a function in it is listed under. */
export function portName(slot: number): string {
  return `rp${slot}`;
}

/** The slot of a root port's qdev id; null for any other. */
export function slotOfPort(name: string): number | null {
  const digits = /^rp(0|[1-9]\d?)$/.exec(name)?.[1];
  if (digits === undefined || Number(digits) >= maxSlots) return null;
  return Number(digits);
}

/**
 * The host's address of a slot's function. Firmware numbers the buses in the order of the root ports, so that port i leads to bus i+1,
 * whatever is plugged; `secondary` is what it really chose, 0 before its first run.
 */
export function bdfOf(slot: number, secondary = 0): string {
  const bus = secondary === 0 ? slot + 1 : secondary;
  return `0000:${bus.toString(16).padStart(2, '0')}:00.0`;
}

/** Name of the tap that is a network function's representor. */
export function representorName(type: FunctionType, slot: number): string {
  return `${type.toLowerCase()}${slot}rep0`;
}

/** What a tap with this name represents; null when it is no representor's name. */
export function representedBy(name: string): { readonly type: FunctionType; readonly slot: number } | null {
  const match = /^(pf|vf)(0|[1-9]\d?)rep0$/.exec(name);
  if (!match || Number(match[2]) >= maxSlots) return null;
  return { type: match[1] === 'pf' ? 'PF' : 'VF', slot: Number(match[2]) };
}

/** QEMU's id of a function's device: it bears the function's id, so that QEMU itself is the witness. */
export function deviceName(id: FunctionId): string {
  return `fn-${id}`;
}

/** The function that a device's id names; null for a device of somebody else. */
export function functionOfDevice(name: string): FunctionId | null {
  return name.startsWith('fn-') && name.length > 3 ? (name.slice(3) as FunctionId) : null;
}

/** QEMU's id of a slot's netdev, block node or chardev. A block node's name may have 31 bytes, too few for a function's id. */
export function backEndName(type: FunctionType, slot: number): string {
  return `${type.toLowerCase()}-${portName(slot)}`;
}

/** QEMU's id of the object that says that an unplug was asked for in a slot. */
export function pendingName(slot: number): string {
  return `unplug-${portName(slot)}`;
}

/** @throws `invalid` for an id that QEMU could not carry in a device's id, or the kernel in a tap's alias (255 bytes). */
export function requireUsableId(id: FunctionId): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(id)) return;
  throw new DpuError('invalid', 'function id may have letters, digits, dots, underscores and hyphens only', {
    field: 'id',
  });
}
