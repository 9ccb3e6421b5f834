/** snic-controller's composition root: the only file of it that names a backend. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DpuError, toDpuError } from '../core/errors.ts';
import type { Log } from '../core/ports/log.ts';
import { systemClock } from '../kit/clock.ts';
import { createLog } from '../kit/log.ts';
import { createNotifier } from '../kit/sd-notify.ts';
import manifest from '../package.json' with { type: 'json' };
import type { Backend } from './backends/backend.ts';
import { type LoadedSnicConfig, loadSnicConfig } from './config.ts';
import { startProgram } from './program.ts';

const usage = `usage: snic-controller --config FILE [--check-config]
       snic-controller --version`;

/** Newest Node that the native parts were built for; better-sqlite3 crashes on older ones instead of refusing. */
const leastNode = 24;

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

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      'check-config': { type: 'boolean' },
      version: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.version || values.help) {
    console.log(values.version ? manifest.version : usage);
    return 0;
  }
  if (values.config === undefined) {
    console.error(usage);
    return 2;
  }
  const config = loadSnicConfig(values.config);
  const { socket } = config;
  if (values['check-config']) {
    console.log(`${config.file}: valid`);
    return 0;
  }
  const log = createLog(config.log.level, 'snic-controller');
  process.on('uncaughtException', (error) => {
    log.error('the program ends on an inner error and goes on at its next start', { error });
    process.exit(1);
  });
  const notifier = createNotifier(log);
  const stopRequested = new Promise<string>((answer) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => answer(signal));
  });
  const gid = socket.group === undefined ? null : groupId(socket.group);
  const program = await startProgram({
    stateDir: config.state_dir,
    address: { path: socket.path, mode: Number.parseInt(socket.mode, 8), gid },
    maxRequestBytes: socket.max_request_bytes,
    maxConnections: socket.max_connections,
    openBackend: () => openBackend(config, log),
    log,
  });
  notifier.ready();
  const signal = await stopRequested;
  log.info('snic-controller stops', { signal });
  notifier.stopping();
  await program.stop();
  log.info('snic-controller has stopped; what was under way goes on at the next start');
  return 0;
}

if (Number(process.versions.node.split('.')[0]) < leastNode) {
  console.error(`snic-controller needs Node ${leastNode} or later; this is ${process.version}`);
  process.exit(1);
}
try {
  process.exitCode = await main();
} catch (thrown) {
  const error = toDpuError(thrown, thrown instanceof Error ? thrown.message : 'starting failed');
  console.error(`snic-controller: ${error.message}`);
  process.exit(1);
}
