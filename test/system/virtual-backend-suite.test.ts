/** snic-controller as a process of its own, with the virtual backend and a real guest, passes the port's suite through its client. */

import { describe, vi } from 'vitest';
import type { FunctionId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createSnicClient } from '../../snic-controller/client.ts';
import { diskSpec } from '../contract/samples.ts';
import { snicControllerContract } from '../contract/snic-controller.suite.ts';
import { type GuestConsole, openGuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualHosts, startVirtualHost } from '../support/virtual-host.ts';
import { startVirtualSnic } from '../support/virtual-snic.ts';

vi.setConfig({ testTimeout: 240_000 });
const what = 'snic-controller with the virtual backend';

describe.skipIf(!canHaveVirtualHosts(what))('with a guest', () => {
  snicControllerContract(what, async () => {
    const lab = await startVirtualHost({ kernel: true, memoryMib: 192 });
    const snic = await startVirtualSnic(lab);
    await lab.storage.serve(diskSpec().id);
    const guest: GuestConsole = await openGuestConsole(lab.host.serial);
    let client = createSnicClient({ path: snic.socket, clock: systemClock });
    return {
      snic: client,
      fixedBdf: true,
      host: {
        on: async () => {
          await lab.powerOn();
          await guest.expect('guest: ready');
        },
        off: () => lab.powerOff(),
      },
      // a guest whose processors stand still lets go of nothing
      holdDevices: async () => {
        await lab.qmp.execute('stop');
      },
      plantForeign: async () => {
        await lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'theirs', bus: 'rp9' });
        return 'rp9.theirs' as FunctionId;
      },
      reopen: async () => {
        client.close();
        await snic.kill('SIGKILL');
        await snic.start();
        client = createSnicClient({ path: snic.socket, clock: systemClock });
        return client;
      },
      close: async () => {
        client.close();
        guest.close();
        await snic.kill('SIGKILL');
        await lab.close();
      },
    };
  });
});
