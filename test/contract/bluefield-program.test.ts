/** snic-controller as a process of its own on a pretended BlueField, killed in the middle of what it does. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../kit/clock.ts';
import { createSnicClient, type SnicClient } from '../../snic-controller/client.ts';
import { type BluefieldLab, startBluefieldLab } from '../support/bluefield-card.ts';
import { until } from '../support/wait.ts';
import { diskSpec, nicSpec, rejection } from './samples.ts';

const main = fileURLToPath(new URL('../../snic-controller/main.ts', import.meta.url));

let lab: BluefieldLab;
let child: ChildProcess | undefined;
let snic: SnicClient;

async function start(): Promise<void> {
  const started = spawn(process.execPath, [main, '--config', join(lab.folder, 'snic.yaml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child = started;
  let said = '';
  await new Promise<void>((resolve, reject) => {
    started.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('snic-controller listens')) resolve();
    });
    started.once('exit', (code) => reject(new Error(`snic-controller ended with ${code}: ${said}`)));
  });
  snic = createSnicClient({ path: join(lab.folder, 'snic.sock'), clock: systemClock });
}

async function kill(): Promise<void> {
  snic.close();
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

beforeEach(async () => {
  lab = await startBluefieldLab();
  const { virtnet, devlink, ip, mlxprivhost } = lab.programs;
  writeFileSync(
    join(lab.folder, 'snic.yaml'),
    `state_dir: state
socket: { path: snic.sock }
backend:
  kind: bluefield
  bluefield:
    hotplug_ports: 6
    network: { device: mlx5_0, first_sf: 2000, sfs: 100 }
    snap_socket: snap.sock
    mst_device: /dev/mst/mt41692_pciconf0
    programs: { virtnet: ${virtnet}, devlink: ${devlink}, ip: ${ip}, mlxprivhost: ${mlxprivhost} }
`,
  );
  await start();
});
afterEach(async () => {
  await kill();
  await lab.close();
});

/** Kills the program once the card shows what it had begun, and starts it again. */
async function killWhen(what: string, begun: Promise<unknown>, seen: () => boolean): Promise<void> {
  begun.catch(() => {}); // its connection goes
  await until(what, async () => seen());
  await kill();
  await start();
}

describe('snic-controller on a BlueField', () => {
  it('describes the card of its configuration', async () => {
    expect(await snic.describe()).toEqual({ model: 'BF3', capacity: 6, free: 6, hostRestricted: true });
  });

  it('adopts a storage function whose VUID it could not write down', async () => {
    lab.fault('virtio_blk_function_create', 'hang-after');
    await killWhen('function', snic.ensureFunction(diskSpec()), () => lab.state().storage.length === 1);
    const [made] = lab.state().storage;
    expect(await snic.listFunctions()).toMatchObject([{ id: diskSpec().id, vuid: made?.vuid, plugged: false }]);
    expect((await snic.ensureFunction(diskSpec())).vuid).toBe(made?.vuid);
    expect(lab.state().storage).toHaveLength(1);
  });

  it('finds a network function that was plugged while it was killed', async () => {
    lab.fault('virtnet hotplug', 'hang-after');
    await killWhen('device', snic.ensureFunction(nicSpec()), () => lab.state().net.length === 1);
    const [made] = lab.state().net;
    expect(await snic.listFunctions()).toMatchObject([{ id: nicSpec().id, vuid: made?.vuid, plugged: false }]);
    expect((await snic.plugFunction(nicSpec().id)).representor).toBe(made?.rep);
    expect(lab.state().net).toHaveLength(1);
  });

  it('goes on with an unplug that the host had not acknowledged', async () => {
    lab.host({ on: true });
    const { id } = await snic.ensureFunction(nicSpec());
    await snic.plugFunction(id);
    lab.host({ holds: true });
    const asked = (): boolean => lab.state().calls.some((each) => each.startsWith('virtnet unplug'));
    await killWhen('unplug', snic.unplugFunction(id, { deadlineMs: 60_000 }), asked);
    expect(await snic.listFunctions()).toMatchObject([{ id, plugged: true }]);
    lab.host({ holds: false });
    await snic.unplugFunction(id, { deadlineMs: 1000 });
    await snic.releaseFunction(id);
    expect(lab.state().net).toEqual([]);
  });

  it('says that the host gave another address than before', async () => {
    lab.host({ on: true });
    const { id, vuid } = await snic.ensureFunction(diskSpec());
    lab.serve(vuid, id);
    expect(await snic.plugFunction(id)).toMatchObject({ bdf: '0000:84:00.2', bdfState: 'assigned' });
    lab.host({ on: false, shift: 3 });
    expect(await snic.listFunctions()).toMatchObject([{ bdf: null, bdfState: 'pending', plugged: true }]);
    lab.host({ on: true });
    expect(await snic.listFunctions()).toMatchObject([{ bdf: '0000:87:00.2', bdfState: 'changed' }]);
    await kill();
    await start();
    expect(await snic.listFunctions()).toMatchObject([{ bdf: '0000:87:00.2', bdfState: 'changed' }]);
  });

  it('plugs again what a cold start of the card took, on the same representor', async () => {
    const { id } = await snic.ensureFunction(nicSpec());
    const { representor } = await snic.plugFunction(id);
    await kill();
    lab.change((state) => ({ ...state, net: [], links: {} }));
    await start();
    expect(await snic.listFunctions()).toMatchObject([{ id, representor, plugged: true }]);
  });

  it('starts while the card is away, and takes up what was unfinished when it is back', async () => {
    lab.fault('virtio_blk_function_create', 'hang-after');
    await killWhen('function', snic.ensureFunction(diskSpec()), () => lab.state().storage.length === 1);
    await kill();
    await lab.snap.stop();
    await start();
    await rejection(snic.listFunctions(), 'unavailable');
    await lab.snap.start();
    // it finds SNAP again at its next try; until then it says `unavailable`, which callers try again
    await vi.waitFor(() => snic.listFunctions(), { timeout: 30_000, interval: 50 });
    expect((await snic.ensureFunction(diskSpec())).vuid).toBe(lab.state().storage[0]?.vuid);
    expect(lab.state().storage).toHaveLength(1);
  });
});
