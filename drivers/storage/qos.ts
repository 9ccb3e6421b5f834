import { type Bdev, bdev, type CallOptions, QOS_FLOOR, type SpdkClient } from 'spdk-client';
import { DpuError } from '../../core/errors.ts';
import type { StorageQos } from '../../core/ports/storage-target.ts';

const mib = 1024 * 1024;

/**
 * Limits a bdev; nothing to limit asks nothing of SPDK. Bytes are rounded up to whole MiB, as SPDK counts.
 * @throws DpuError `invalid` for less than SPDK keeps: it would round up without a word.
 */
export async function applyQos(spdk: SpdkClient, target: Bdev, qos: StorageQos, options: CallOptions): Promise<void> {
  const { iosPerSecond, bytesPerSecond } = qos;
  if (iosPerSecond !== undefined && iosPerSecond > 0 && iosPerSecond < QOS_FLOOR.iosPerSec) {
    throw new DpuError('invalid', `a limit is at least ${QOS_FLOOR.iosPerSec} I/Os per second, or 0 for none`, {
      field: 'iosPerSecond',
    });
  }
  if (bytesPerSecond !== undefined && bytesPerSecond > 0 && bytesPerSecond < QOS_FLOOR.mbytesPerSec * mib) {
    throw new DpuError(
      'invalid',
      `a limit is at least ${QOS_FLOOR.mbytesPerSec * mib} bytes per second, or 0 for none`,
      {
        field: 'bytesPerSecond',
      },
    );
  }
  const limits = {
    ...(iosPerSecond === undefined ? {} : { rw_ios_per_sec: Math.ceil(iosPerSecond / 1000) * 1000 }),
    ...(bytesPerSecond === undefined ? {} : { rw_mbytes_per_sec: Math.ceil(bytesPerSecond / mib) }),
  };
  if (Object.keys(limits).length === 0) return;
  await spdk.call(bdev.setQos, { name: target.name, ...limits }, options);
}
