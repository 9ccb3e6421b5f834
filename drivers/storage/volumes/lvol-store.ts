import { open } from 'node:fs/promises';
import { aio, bdev, createIfAbsent, findBdev, lvol, type SpdkClient } from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';

/** A store of SPDK in a file. */
export interface LvolStoreOptions {
  readonly spdk: SpdkClient;
  readonly store: string;
  /** The file, and its size when it is made: sparse. */
  readonly file: string;
  readonly sizeBytes: number;
}

const headBytes = 1024 * 1024;

/**
 * The store is there when the call resolves, as after every restart of SPDK: the bdev is made over the file, and SPDK finds the store on it. A new
 * store is made only on a file that is empty: never over something that SPDK does not know.
 */
export function lvolStoreKeeper({ spdk, store, file, sizeBytes }: LvolStoreOptions): () => Promise<void> {
  const base = `${store}-base`;
  let running: Promise<void> | undefined;

  async function prepare(): Promise<void> {
    const has = async (): Promise<boolean> => (await spdk.call(lvol.stores, {})).some(({ name }) => name === store);
    if (await has()) return;
    const blank = await makeFile(file, sizeBytes);
    await createIfAbsent(
      () => spdk.call(aio.create, { name: base, filename: file, block_size: 4096 }),
      () => findBdev(spdk, base),
    );
    await spdk.call(bdev.waitForExamine);
    if (await has()) return;
    if (!blank) throw new DpuError('hardware', `SPDK finds no lvol store in ${file}, and something is there`);
    await createIfAbsent(
      () => spdk.call(lvol.createStore, { bdev_name: base, lvs_name: store, clear_method: 'none' }),
      async () => ((await has()) ? true : undefined),
    );
  }

  return () => {
    running ??= prepare().finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** Makes the file if it is not there. Answers whether its beginning is empty. */
async function makeFile(file: string, sizeBytes: number): Promise<boolean> {
  const handle = await open(file, 'a+', 0o600);
  try {
    const { size } = await handle.stat();
    if (size === 0) {
      await handle.truncate(sizeBytes);
      await handle.sync();
      return true;
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.subarray(0, bytesRead).every((byte) => byte === 0);
  } finally {
    await handle.close();
  }
}
