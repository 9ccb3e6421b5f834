/** The host as its BMC sees it, over the QMP socket that is the BMC's own. */

import { connectQmp, type QmpClient, type QmpCommands, type QmpEvent, QmpTimeoutError } from 'qmp-client';
import { DpuError } from '../../core/errors.ts';
import { FIRST_INDEX } from './boot.ts';
import { type HostDevice, type QmpExecute, readDevices } from './devices.ts';

/** Whether the host runs. `Unknown` while its QEMU is away. */
export type MachinePower = 'On' | 'Off' | 'Unknown';

/** The host. Every call that changes power is an ensure; all reject with DpuError `unavailable` while QEMU is away. */
export interface Machine {
  power(): Promise<MachinePower>;
  on(): Promise<void>;
  /** At once: the machine stops and is reset, and QEMU stays. */
  off(): Promise<void>;
  /** Presses the power button (ACPI); the guest may not listen. */
  pressPowerButton(): Promise<void>;
  /** Resets a running host. */
  reset(): Promise<void>;
  /** What is plugged into the root ports. */
  devices(): Promise<readonly HostDevice[]>;
  /** Makes the firmware try these devices in this order from the next reset on, and no other. */
  setBootOrder(deviceIds: readonly string[]): Promise<void>;
  close(): void;
}

/** Run states in which a host is off: it has not been started, was reset while it was stopped, or powered itself down (QAPI RunState). */
const OFF_STATES: readonly string[] = ['prelaunch', 'shutdown', 'preconfig', 'inmigrate'];

const CALL_MS = 5000;
const RECONNECT_MS = 500;

/** Opens the host; it need not be there yet. `event` hears what QEMU tells; `up` when the session with it was made. */
export function openMachine(
  path: string,
  heard: { readonly event: (event: QmpEvent) => void; readonly up: () => void },
): Machine {
  let session: Promise<QmpClient> | undefined;
  let closed = false;
  let again: NodeJS.Timeout | undefined;

  function connected(): Promise<QmpClient> {
    session ??= connectQmp({ path }, { connectTimeoutMs: 2000 }).then(
      (client) => {
        void listen(client);
        void client.closed.then(() => {
          session = undefined;
          later();
        });
        heard.up();
        return client;
      },
      (cause: unknown) => {
        session = undefined;
        later();
        throw new DpuError('unavailable', "the host's QEMU does not answer", { cause });
      },
    );
    return session;
  }
  function later(): void {
    clearTimeout(again);
    if (!closed) again = setTimeout(() => connected().catch(() => {}), RECONNECT_MS);
  }
  async function listen(client: QmpClient): Promise<void> {
    try {
      for await (const event of client.events()) heard.event(event);
    } catch {
      // The session is over: `closed` sees to it.
    }
  }
  const execute: QmpExecute = async (name, args) => {
    const client = await connected();
    try {
      return await client.executeAny(name, args, { timeoutMs: CALL_MS });
    } catch (cause) {
      if (cause instanceof QmpTimeoutError) throw new DpuError('timeout', `${name}: QEMU is silent`, { cause });
      throw new DpuError('unavailable', `${name}: QEMU refused or went away`, { cause });
    }
  };
  const status = async (): Promise<QmpCommands['query-status']['returns']> =>
    (await execute('query-status')) as QmpCommands['query-status']['returns'];
  const isOff = async (): Promise<boolean> => OFF_STATES.includes((await status()).status);

  connected().catch(() => {});
  return {
    async power() {
      try {
        return (await isOff()) ? 'Off' : 'On';
      } catch {
        return 'Unknown';
      }
    },
    async on() {
      // Always by a reset: QEMU hands the boot order to the firmware, and lets go of what was unplugged, at a reset alone.
      if (!(await isOff())) return;
      await execute('system_reset');
      await execute('cont');
    },
    async off() {
      if (await isOff()) return;
      await execute('stop');
      await execute('system_reset');
    },
    async pressPowerButton() {
      if (!(await isOff())) await execute('system_powerdown');
    },
    async reset() {
      if (!(await isOff())) await execute('system_reset');
    },
    devices: () => readDevices(execute),
    async setBootOrder(deviceIds) {
      const found = (await readDevices(execute)).filter((device) => device.bootIndex !== null);
      const wanted = new Map(deviceIds.map((id, position) => [id, FIRST_INDEX + position]));
      const set = (id: string, value: number): Promise<unknown> =>
        execute('qom-set', { path: `/machine/peripheral/${id}`, property: 'bootindex', value });
      const changed = found.filter((device) => device.bootIndex !== (wanted.get(device.id) ?? -1));
      // Two devices never have the same index, not even in passing.
      for (const device of changed) if (device.bootIndex !== -1) await set(device.id, -1);
      for (const device of changed) {
        const index = wanted.get(device.id);
        if (index !== undefined) await set(device.id, index);
      }
    },
    close() {
      closed = true;
      clearTimeout(again);
      void session?.then((client) => client.close()).catch(() => {});
    },
  };
}
