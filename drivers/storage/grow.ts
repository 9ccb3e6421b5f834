import { aio, type Bdev, bdev, type CallOptions, lvol, rbd, type SpdkClient } from 'spdk-client';
import type { Note } from './note.ts';

const mib = 1024 * 1024;

/** Makes SPDK take over the new size of a volume that has grown; users of the bdev are told by SPDK. nvmeof and iSCSI tell it by themselves. */
export async function growBdev(
  spdk: SpdkClient,
  { kind }: Note,
  { name }: Bdev,
  sizeBytes: number,
  options: CallOptions,
): Promise<void> {
  switch (kind) {
    case 'aio':
      await spdk.call(aio.rescan, { name }, options);
      return;
    case 'rbd':
      await spdk.call(rbd.resize, { name, new_size: Math.ceil(sizeBytes / mib) }, options);
      return;
    case 'lvol':
      await spdk.call(lvol.resize, { name, size_in_mib: Math.ceil(sizeBytes / mib) }, options);
      return;
    case 'nvmeof':
    case 'iscsi':
    case 'bdev':
      await spdk.call(bdev.list, { name }, options);
      return;
  }
}
