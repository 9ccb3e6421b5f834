/** The storage of a virtual DPU: the SPDK face and its storage daemon. */
import { mkdir, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import type { StoragePart } from '../description.ts';
import { hostPaths } from '../host/machine.ts';
import type { PartContext } from '../part.ts';
import { runDir, socketPath } from '../paths.ts';
import {
  endNamed,
  endProcess,
  isAlive,
  livingProcess,
  type ProcessRecord,
  readProcess,
  spawnDetached,
  waitFor,
  waitForSocket,
} from '../process.ts';
import type { FaceSettings } from './face.ts';

const FACE = 'spdk-face';
const DAEMON = 'storage-daemon';

/**
 * Starts the face, or finds it running. One that was started anew knows of no bdev: whoever made them makes them again, as with SPDK.
 * @throws DpuError `invalid` for a path that is too long, `unavailable`, `timeout`
 */
export async function startStorage(
  context: Pick<PartContext, 'stateDir' | 'front'>,
  _options: Readonly<Record<never, never>> = {},
): Promise<StoragePart> {
  const { stateDir } = context;
  const settings = settingsOf(context);
  const volumesDir = join(stateDir, 'storage/volumes');
  await mkdir(volumesDir, { recursive: true, mode: 0o700 });
  let record = await lastingFace(stateDir);
  if (record === undefined) {
    // one whose face was killed a moment ago has the files still open
    await endProcess(await readProcess(stateDir, DAEMON));
    await rm(settings.socket, { force: true });
    const program = join(import.meta.dirname, `face-main${extname(import.meta.filename)}`);
    const argv = [process.execPath, program, JSON.stringify(settings)] as const;
    record = await spawnDetached({ stateDir, name: FACE, argv });
  }
  await waitForSocket(settings.socket, { owner: { stateDir, name: FACE, record } });
  const daemon = await readProcess(stateDir, DAEMON);
  if (daemon === undefined) throw new DpuError('unavailable', 'the SPDK face has no storage daemon');
  return {
    spdk: settings.socket,
    front: settings.front,
    volumesDir,
    pids: { face: record.pid, storageDaemon: daemon.pid },
  };
}

/** Ends the face and the storage daemon. What they served stays on disk. May be called twice. */
export async function stopStorage(context: Pick<PartContext, 'stateDir'>): Promise<void> {
  await endNamed(context.stateDir, FACE);
  await endNamed(context.stateDir, DAEMON);
  await rm(socketPath(context.stateDir, 'storage/spdk.sock'), { force: true });
}

/** Whether both run. */
export async function storageAlive(context: Pick<PartContext, 'stateDir'>): Promise<boolean> {
  const both = await Promise.all([FACE, DAEMON].map((name) => livingProcess(context.stateDir, name)));
  return both.every((each) => each !== undefined);
}

/** The face that runs. One whose storage daemon does not either starts it now, or ends because that has ended: it is waited for which. */
async function lastingFace(stateDir: string): Promise<ProcessRecord | undefined> {
  const face = await livingProcess(stateDir, FACE);
  if (face === undefined) return undefined;
  const settled = async () => !isAlive(face) || (await livingProcess(stateDir, DAEMON)) !== undefined;
  await waitFor(settled, { what: 'the storage daemon of the SPDK face' });
  return isAlive(face) ? face : undefined;
}

function settingsOf({ stateDir, front }: Pick<PartContext, 'stateDir' | 'front'>): FaceSettings {
  const dir = join(stateDir, 'storage');
  socketPath(dir, 'run/qsd.qmp');
  return {
    socket: socketPath(dir, 'spdk.sock'),
    front:
      front === 'nbd'
        ? { kind: 'nbd', socket: socketPath(dir, 'nbd.sock') }
        : { kind: 'vhost-user', dir: join(dir, 'vhost') },
    runDir: join(dir, 'run'),
    lvolDir: join(dir, 'lvols'),
    hostQmp: hostPaths(stateDir).qmp.storage,
    pidFile: join(runDir(stateDir), `${DAEMON}.pid`),
  };
}
