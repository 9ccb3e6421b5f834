/** ipmi_sim's side of power and boot: the words that it gives its chassis program (ipmi_lan(5), `chassis_control`). */
import { DpuError } from '../../core/errors.ts';
import type { BootSettings } from './boot.ts';
import type { HostControl } from './host-control.ts';
import type { StateStore } from './state.ts';

/** The boot devices that ipmi_sim knows, and the override that each is. */
const BOOT_WORDS: Readonly<Record<string, Partial<BootSettings>>> = {
  none: { enabled: 'Disabled', target: 'None', next: null },
  pxe: { enabled: 'Once', target: 'Pxe', next: null },
  default: { enabled: 'Once', target: 'Hdd', next: null },
  cdrom: { enabled: 'Once', target: 'Cd', next: null },
  bios: { enabled: 'Once', target: 'BiosSetup', next: null },
};

const WORD_OF: Readonly<Record<string, string>> = {
  Pxe: 'pxe',
  Hdd: 'default',
  Cd: 'cdrom',
  UsbCd: 'cdrom',
  BiosSetup: 'bios',
};

/** Carries out one call: `0x20 get power boot`, `0x20 set power 1`. Answers the lines to print. @throws what the host rejects with. */
export async function chassisCall(words: readonly string[], host: HostControl, store: StateStore): Promise<string> {
  const [, verb, ...rest] = words;
  const lines: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const name = rest[at];
    if (verb === 'get') {
      if (name === 'power') {
        const power = await host.power();
        if (power === 'Unknown') throw new DpuError('unavailable', 'the host is away');
        lines.push(`power:${power === 'On' ? 1 : 0}`);
      }
      if (name === 'boot') lines.push(`boot:${bootWord(store.get().boot)}`);
    } else if (verb === 'set') {
      const value = rest[++at];
      if (name === 'power') await host.order(value === '1' ? 'On' : 'ForceOff');
      if (name === 'reset') await host.order('ForceRestart');
      if (name === 'shutdown') await host.order('GracefulShutdown');
      if (name === 'boot') await host.setBoot(BOOT_WORDS[value ?? ''] ?? {});
      if (name === 'identify') {
        const forced = rest[++at] === '1';
        store.set({ indicator: value === '0' && !forced ? 'Off' : 'Blinking' });
      }
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

function bootWord({ enabled, target }: BootSettings): string {
  return enabled === 'Disabled' ? 'none' : (WORD_OF[target] ?? 'default');
}
