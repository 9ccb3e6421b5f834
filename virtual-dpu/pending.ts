/** Stands in for parts that are not in the tree yet: they do nothing. */
import { join } from 'node:path';
import type { StoragePart } from './description.ts';
import type { PartContext } from './part.ts';

/** Nothing yet. */
export async function startStorage({ stateDir, front }: PartContext): Promise<StoragePart> {
  return {
    spdk: join(stateDir, 'storage/spdk.sock'),
    front:
      front === 'nbd'
        ? { kind: 'nbd', socket: join(stateDir, 'storage/nbd.sock') }
        : { kind: 'vhost-user', dir: join(stateDir, 'storage/vhost') },
    volumesDir: join(stateDir, 'storage/volumes'),
    pids: { face: 0, storageDaemon: 0 },
  };
}

/** Nothing yet. */
export async function stopStorage(_: PartContext): Promise<void> {}

/** Nothing yet. */
export async function storageAlive(_: PartContext): Promise<boolean> {
  return true;
}
