/** How long a function takes from the order to the answer, and to the guest that sees it. */
import { connectQmp } from 'qmp-client';
import { systemClock } from '../../kit/clock.ts';
import { createRpcClient } from '../../kit/json-rpc/client.ts';
import { bmcFiles } from '../../virtual-dpu/bmc/files.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { type GuestConsole, openGuestConsole } from '../support/guest-console.ts';

/** Milliseconds of each turn. */
export interface PlugTimes {
  /** `create_pf`: answered; and seen by the guest. */
  readonly answered: number[];
  readonly seen: number[];
  /** QMP's `device_add` alone, of a device without any backend: seen by the guest. */
  readonly bareSeen: number[];
}

const LOGIN_MS = 240_000;

/** A loop of the shell's own words, so that a look costs no process. */
const watch =
  'set -- /sys/bus/pci/devices/*; n=$#; echo armed; while set -- /sys/bus/pci/devices/*; [ $# = $n ]; do :; done; echo seen-it';

/** Plugs by snic-controller and by hand, in turns, into the guest that runs. */
export async function measurePlugs(dpu: VirtualDpu, snicSocket: string, turns: number): Promise<PlugTimes> {
  const guest = await openGuestConsole(bmcFiles(dpu.stateDir).serialSocket);
  const snic = createRpcClient({ path: snicSocket, peer: 'snic-controller', clock: systemClock, timeoutMs: 60_000 });
  const qmp = await connectQmp({ path: dpu.host.qmp.debug });
  const times: PlugTimes = { answered: [], seen: [], bareSeen: [] };
  const bus = dpu.host.rootPorts.at(-1)?.id ?? '';
  try {
    guest.send('\n');
    await guest.login({ ms: LOGIN_MS });
    for (let turn = 0; turn < turns; turn += 1) {
      const id = `bench-${turn}`;
      const { answered, seen } = await plug(guest, () => snic.call('create_pf', { id }));
      times.answered.push(answered);
      times.seen.push(seen);
      await snic.call('unplug_function', { id, deadline_ms: 30_000 });
      await snic.call('delete_pf', { id });
      const bare = await plug(guest, () =>
        qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'bench-rng', bus }),
      );
      times.bareSeen.push(bare.seen);
      await qmp.execute('device_del', { id: 'bench-rng' });
      await guest.until('ls /sys/bus/pci/devices | wc -l', (text) => Number(text) === bare.before);
    }
    return times;
  } finally {
    await qmp.close();
    snic.close();
    guest.close();
  }
}

async function plug(guest: GuestConsole, order: () => Promise<unknown>) {
  const before = Number(await guest.run('ls /sys/bus/pci/devices | wc -l'));
  guest.send(`${watch}\n`);
  await guest.expect(/^armed\n/m);
  const begun = performance.now();
  const since = (): number => performance.now() - begun;
  const [answered, seen] = await Promise.all([order().then(since), guest.expect(/^seen-it\n/m).then(since)]);
  return { before, answered, seen };
}
