/** The BlueField backend under snic-controller passes the port's suite, on a pretended card. */

import { join } from 'node:path';
import { silentLog } from '../../core/ports/log.ts';
import type { FunctionId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createBluefieldBackend } from '../../snic-controller/backends/bluefield/backend.ts';
import { createSnicClient } from '../../snic-controller/client.ts';
import { startProgram } from '../../snic-controller/program.ts';
import { startBluefieldLab } from '../support/bluefield-card.ts';
import { snicControllerContract } from './snic-controller.suite.ts';

snicControllerContract('snic-controller with a pretended BlueField', async () => {
  const lab = await startBluefieldLab({ serves: true });
  const path = join(lab.folder, 'snic.sock');
  const start = () =>
    startProgram({
      stateDir: join(lab.folder, 'state'),
      address: { path, mode: 0o600, gid: null },
      maxRequestBytes: 65_536,
      maxConnections: 8,
      openBackend: async () => createBluefieldBackend({ ...lab.options(), hotplugPorts: 5 }),
      log: silentLog,
    });
  let program = await start();
  let snic = createSnicClient({ path, clock: systemClock });
  return {
    snic,
    host: { on: async () => lab.host({ on: true }), off: async () => lab.host({ on: false }) },
    holdDevices: () => lab.host({ holds: true }),
    plantForeign: () => {
      lab.plantStorage('MT2328XZ17DFFOREIGN', { plugged: true, ctrl: 'VblkCtrlTheirs' });
      return 'MT2328XZ17DFFOREIGN' as FunctionId;
    },
    reopen: async () => {
      snic.close();
      await program.stop();
      program = await start();
      snic = createSnicClient({ path, clock: systemClock });
      return snic;
    },
    close: async () => {
      snic.close();
      await program.stop();
      await lab.close();
    },
  };
});
