import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSpdkClient, type SpdkClient } from '../../packages/spdk-client/src/index.ts';
import type { StoragePart } from '../../virtual-dpu/description.ts';
import { makeStateDir } from '../../virtual-dpu/paths.ts';
import { startStorage, stopStorage } from '../../virtual-dpu/storage/part.ts';

/** A virtual DPU's storage alone, in a state directory of its own. */
export interface TestStorage {
  readonly stateDir: string;
  readonly part: StoragePart;
  /** One that connects again soon. */
  client(): SpdkClient;
  /** Kills face and storage daemon without a word, and starts them anew: SPDK forgets everything. */
  restart(): Promise<void>;
  kill(): void;
  close(): Promise<void>;
}

/** What of Debian it needs, for `havePrograms`. */
export const facePrograms = { '/usr/bin/qemu-storage-daemon': 'qemu-system-common', '/usr/bin/qemu-img': 'qemu-utils' };

/** Starts it; may be called side by side. */
export async function startTestStorage(): Promise<TestStorage> {
  const stateDir = await makeStateDir(await mkdtemp(join(tmpdir(), 'face-')));
  const context = { stateDir, front: 'nbd' } as const;
  let part = await startStorage(context);
  const clients: SpdkClient[] = [];
  const kill = (): void => {
    for (const pid of [part.pids.storageDaemon, part.pids.face]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  };
  return {
    stateDir,
    get part() {
      return part;
    },
    client() {
      const client = createSpdkClient({ address: { path: part.spdk }, timeoutMs: 20_000, backoff: { maxMs: 200 } });
      clients.push(client);
      return client;
    },
    kill,
    async restart() {
      kill();
      await stopStorage(context);
      part = await startStorage(context);
    },
    async close() {
      for (const client of clients) client.close();
      await stopStorage(context);
      await rm(stateDir, { recursive: true });
    },
  };
}
