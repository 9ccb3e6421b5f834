import type { BdfState } from '../../../core/ports/snic-controller.ts';

/** A function's address on the host, as far as the card knows it. */
export interface HostAddress {
  readonly bdf: string | null;
  readonly bdfState: Extract<BdfState, 'assigned' | 'pending' | 'unknown'>;
}

const spelling = /^(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])$/;

/**
 * Reads an address as virtnet and SNAP print it: `84:0.0`, `26:00.2`, `0000:26:00.2`. They tell no PCI domain, which the SoC can't see: 0000 is
 * taken. `00:00.0` is a function that the host has not enumerated (host off, in its firmware's start, or the hot-plug is under way).
 */
export function readAddress(text: string | null): HostAddress {
  const match = text === null ? null : spelling.exec(text.trim().toLowerCase());
  if (!match) return { bdf: null, bdfState: 'unknown' };
  const [, domain = '0', bus = '', device = '', fn = ''] = match;
  if ([bus, device, fn].every((each) => Number.parseInt(each, 16) === 0)) return { bdf: null, bdfState: 'pending' };
  return {
    bdf: `${domain.padStart(4, '0')}:${bus.padStart(2, '0')}:${device.padStart(2, '0')}.${fn}`,
    bdfState: 'assigned',
  };
}
