/** snic-controller's composition root: the only file of it that names a backend. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import type { Log } from '../core/ports/log.ts';
import { systemClock } from '../kit/clock.ts';
import { runProgram } from '../kit/program.ts';
import manifest from '../package.json' with { type: 'json' };
import type { Backend } from './backends/backend.ts';
import { type LoadedSnicConfig, loadSnicConfig } from './config.ts';
import { startProgram } from './program.ts';

/** The card's driver, loaded only where it is chosen. */
async function openBackend({ backend, state_dir }: LoadedSnicConfig, log: Log): Promise<Backend> {
  const clock = systemClock;
  switch (backend.kind) {
    case 'sim': {
      const { createSimBackend } = await import('./backends/sim/backend.ts');
      const { functions, model, host_power: hostPower } = backend.sim;
      return createSimBackend({ file: resolve(state_dir, 'card.db'), functions, model, hostPower, clock });
    }
    case 'virtual': {
      const { createVirtualBackend } = await import('./backends/virtual/backend.ts');
      if (backend.virtual === undefined) throw new DpuError('internal', 'backend.virtual was not checked');
      const { qmp, front, serial_number: serialNumber, root_ports: rootPorts, netns } = backend.virtual;
      return createVirtualBackend({
        qmp,
        front:
          front.kind === 'vhost-user' ? { kind: 'vhost-user', dir: front.path } : { kind: 'nbd', socket: front.path },
        clock,
        log,
        ...(serialNumber === undefined ? {} : { serialNumber }),
        ...(rootPorts === undefined ? {} : { rootPorts }),
        ...(netns === undefined ? {} : { netns }),
      });
    }
    case 'bluefield': {
      const { createBluefieldBackend } = await import('./backends/bluefield/backend.ts');
      if (backend.bluefield === undefined) throw new DpuError('internal', 'backend.bluefield was not checked');
      const { network, vfs, snap_socket: snapSocket = null, mst_device: mstDevice = null } = backend.bluefield;
      const { model, programs, hotplug_ports: hotplugPorts, serial_number: serialNumber = null } = backend.bluefield;
      return createBluefieldBackend({
        clock,
        log,
        programs,
        model,
        serialNumber,
        hotplugPorts,
        snapSocket,
        mstDevice,
        network: network
          ? {
              device: network.device,
              pfnum: network.pfnum,
              firstSf: network.first_sf,
              sfs: network.sfs,
              mtu: network.mtu,
              queues: network.queues,
              queueSize: network.queue_size,
            }
          : null,
        vfs: vfs ?? null,
      });
    }
  }
}

/** The number of a group. @throws DpuError `invalid` when there is none of that name. */
function groupId(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  const lines = readFileSync('/etc/group', 'utf8').split('\n');
  const found = lines.map((line) => line.split(':')).find(([each]) => each === name)?.[2];
  if (found === undefined) throw new DpuError('invalid', `there is no group ${name}`, { field: 'socket.group' });
  return Number(found);
}

await runProgram({
  name: 'snic-controller',
  version: manifest.version,
  load: loadSnicConfig,
  start: (config, log) => {
    const { socket } = config;
    const gid = socket.group === undefined ? null : groupId(socket.group);
    return startProgram({
      stateDir: config.state_dir,
      address: { path: socket.path, mode: Number.parseInt(socket.mode, 8), gid },
      maxRequestBytes: socket.max_request_bytes,
      maxConnections: socket.max_connections,
      openBackend: () => openBackend(config, log),
      log,
    });
  },
});
