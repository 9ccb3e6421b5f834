import { CMD } from './nbd-wire.ts';

/** What users of a bdev have asked of it. */
export interface Counters {
  bytes_read: number;
  num_read_ops: number;
  bytes_written: number;
  num_write_ops: number;
  bytes_unmapped: number;
  num_unmap_ops: number;
}

/** Ticks a second, as the recording has them. */
export const TICK_RATE = 2_600_000_000;

/** Counters that begin. */
export function noCounters(): Counters {
  return {
    bytes_read: 0,
    num_read_ops: 0,
    bytes_written: 0,
    num_write_ops: 0,
    bytes_unmapped: 0,
    num_unmap_ops: 0,
  };
}

/** Counts one NBD request. */
export function countRequest(counters: Counters, command: number, bytes: number): void {
  if (command === CMD.read) {
    counters.bytes_read += bytes;
    counters.num_read_ops += 1;
  } else if (command === CMD.write || command === CMD.writeZeroes) {
    counters.bytes_written += bytes;
    counters.num_write_ops += 1;
  } else if (command === CMD.trim) {
    counters.bytes_unmapped += bytes;
    counters.num_unmap_ops += 1;
  }
}

/** One bdev's line of `bdev_get_iostat`. Times are not measured: they are 0. */
export function describeCounters(name: string, counters: Counters): object {
  const times = ['read', 'write', 'unmap', 'copy'].flatMap((each) =>
    ['', 'max_', 'min_'].map((which) => [`${which}${each}_latency_ticks`, 0] as const),
  );
  return {
    name,
    ...counters,
    bytes_copied: 0,
    num_copy_ops: 0,
    ...Object.fromEntries(times),
    io_error: {},
    driver_specific: {},
  };
}
