/** snic-controller as a process of its own passes the port's suite through its client. */

import type { FunctionId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createSnicClient } from '../../snic-controller/client.ts';
import { startSnicProgram } from '../support/snic-program.ts';
import { snicControllerContract } from './snic-controller.suite.ts';

snicControllerContract('snic-controller with a simulated card', async () => {
  const program = await startSnicProgram();
  const { card } = program;
  let client = createSnicClient({ path: program.socket, clock: systemClock });
  return {
    snic: client,
    host: { on: async () => card.switch('on'), off: async () => card.switch('off') },
    holdDevices: () => card.hold(true),
    plantForeign: () => {
      const plugged = { plugged: true, enumerated: false, unplugPending: false };
      card.put({ slot: 4, id: null, type: 'PF', class: 'virtio-blk', mac: null, ...plugged });
      return 'sim-4' as FunctionId;
    },
    reopen: async () => {
      client.close();
      await program.kill('SIGTERM');
      await program.start();
      client = createSnicClient({ path: program.socket, clock: systemClock });
      return client;
    },
    close: async () => {
      client.close();
      await program.close();
    },
  };
});
