import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/ports/log.ts';
import { startTime } from '../process.ts';
import { createBdevs } from './bdevs.ts';
import { createExports } from './exports.ts';
import type { Face, FaceSettings } from './face.ts';
import { Later } from './later.ts';
import { METHODS } from './methods/table.ts';
import { openGate } from './nbd-gate.ts';
import { createNvmfTarget } from './nvmf-target.ts';
import { type Qsd, startQsd } from './qsd.ts';
import { RPC, RpcError } from './rpc-error.ts';
import { serveRpc } from './rpc-server.ts';

/** A face that answers. */
export interface RunningFace {
  readonly storageDaemon: number;
  /** Settles when the storage daemon has gone: the face is then of no use. */
  readonly ended: Promise<unknown>;
  end(): Promise<void>;
}

/**
 * Starts the storage daemon and serves SPDK's JSON-RPC. Nothing is remembered from before but the volumes of lvol stores, which come with the
 * bdevs that they lie on.
 * @throws DpuError `unavailable`; the socket's error
 */
export async function startFace(settings: FaceSettings, log: Log): Promise<RunningFace> {
  await mkdir(settings.runDir, { recursive: true, mode: 0o700 });
  await mkdir(settings.lvolDir, { recursive: true, mode: 0o700 });
  if (settings.front.kind === 'vhost-user') await mkdir(settings.front.dir, { recursive: true, mode: 0o700 });
  for (const file of await readdir(settings.runDir)) {
    if (/^malloc-.*\.img$/.test(file)) await rm(join(settings.runDir, file), { force: true });
  }
  const qsd = await startQsd({ qmp: join(settings.runDir, 'qsd.qmp'), nbd: join(settings.runDir, 'qsd.nbd') });
  try {
    return await serve(settings, log, qsd);
  } catch (error) {
    await qsd.end();
    throw error;
  }
}

async function serve(settings: FaceSettings, log: Log, qsd: Qsd): Promise<RunningFace> {
  const exports = createExports(qsd, log);
  const face: Face = {
    settings,
    log,
    qsd,
    exports,
    bdevs: createBdevs(),
    stores: new Map(),
    nvme: new Map(),
    nvmf: createNvmfTarget(exports, qsd.nbd),
    vhost: new Map(),
    rbdClusters: new Map(),
    inTurn: queue(),
  };
  if (settings.front.kind === 'nbd') {
    await rm(settings.front.socket, { force: true });
    await openGate({ path: settings.front.socket }, qsd.nbd, {
      resolve: (name) => face.vhost.get(name)?.served,
      list: () => [...face.vhost.keys()].map((name) => ({ name, description: '' })),
    });
  }
  if (settings.pidFile !== null) {
    // before anyone is answered, so that who was answered finds it
    await writeFile(settings.pidFile, `${qsd.pid} ${startTime(qsd.pid) ?? 'gone'}\n`, { mode: 0o600 });
  }
  await rm(settings.socket, { force: true });
  const server = await serveRpc(
    settings.socket,
    (method, params) => call(face, method, params),
    (error) => log.error('a request failed in an unexpected way', { error }),
  );
  return {
    storageDaemon: qsd.pid,
    ended: qsd.ended,
    async end() {
      server.close();
      await qsd.end();
    },
  };
}

async function call(face: Face, name: string, params: unknown): Promise<unknown> {
  const method = METHODS.get(name);
  const result = await face.inTurn(async () => {
    if (method === undefined) throw new RpcError(RPC.methodNotFound, 'Method not found');
    return await method(face, params);
  });
  return result instanceof Later ? await result.run() : result;
}

/** Runs one piece of work after the other. */
function queue(): Face['inTurn'] {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined); // told to who asked; the next one goes on
    return mine;
  };
}
