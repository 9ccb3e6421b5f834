import type { BiosSettings, HostBios } from '../../core/ports/host-bios.ts';
import type { Caller } from './call.ts';
import type { SimContext } from './context.ts';

/** BIOS settings of the simulated host. */
export interface BiosRow {
  readonly now: BiosSettings;
  readonly pending: BiosSettings;
  /** How often the host had been started when they were asked for. */
  readonly askedAtBoot: number;
}

/** Those of a host that nobody has touched. */
export const simBiosSettings: BiosSettings = {
  BootMode: 'Uefi',
  SriovEnabled: true,
  OptionRoms: true,
  SlotPower: true,
  NumaNodes: 1,
};

/** The settings as they are now: what was pending took effect if the host was started since. */
export function biosRow({ state, host }: Pick<SimContext, 'state' | 'host'>): BiosRow {
  const row = state.bios.get('bios') ?? { now: simBiosSettings, pending: {}, askedAtBoot: 0 };
  if (host.row().boots <= row.askedAtBoot) return row;
  return { ...row, now: { ...row.now, ...row.pending }, pending: {} };
}

/** The host's BIOS settings behind their port. */
export function simBios(context: SimContext, call: Caller): HostBios {
  return {
    read: (signal) =>
      call({
        method: 'readBios',
        key: 'host',
        signal,
        reads: true,
        effect: () => {
          const { now, pending } = biosRow(context);
          return { now, next: { ...now, ...pending }, readOnly: new Set<string>() };
        },
      }),
    write: (settings, signal) =>
      call({
        method: 'writeBios',
        key: 'host',
        signal,
        effect: () => {
          const { now, pending } = biosRow(context);
          const row = { now, pending: { ...pending, ...settings }, askedAtBoot: context.host.row().boots };
          context.state.bios.set('bios', row);
        },
      }),
  };
}
