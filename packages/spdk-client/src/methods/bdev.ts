import { isList, isObject, isString, isTrue, method, type None } from '../method.ts';

/** Limits as `bdev_get_bdevs` shows them; 0 is without a limit. */
export interface RateLimits {
  readonly rw_ios_per_sec: number;
  readonly rw_mbytes_per_sec: number;
  readonly r_mbytes_per_sec: number;
  readonly w_mbytes_per_sec: number;
}

/** A block device, as far as every kind of it has the same. */
export interface Bdev {
  readonly name: string;
  /** Other names that every method takes, such as `lvstore/lvol`. */
  readonly aliases: readonly string[];
  readonly product_name: string;
  /** Bytes. */
  readonly block_size: number;
  readonly num_blocks: number;
  readonly uuid?: string;
  readonly claimed: boolean;
  readonly assigned_rate_limits?: RateLimits;
  readonly driver_specific?: Readonly<Record<string, unknown>>;
}

/** Counters of one bdev since its start; latencies are in ticks. */
export interface BdevIostat {
  readonly name: string;
  readonly bytes_read: number;
  readonly num_read_ops: number;
  readonly bytes_written: number;
  readonly num_write_ops: number;
  readonly bytes_unmapped?: number;
  readonly num_unmap_ops?: number;
  readonly read_latency_ticks: number;
  readonly write_latency_ticks: number;
  readonly io_error?: Readonly<Record<string, number>>;
}

/** Answer of `bdev_get_iostat`. */
export interface Iostat {
  readonly tick_rate: number;
  readonly ticks: number;
  readonly bdevs: readonly BdevIostat[];
}

/** Limits to set: what is left out stays as it is, 0 takes it away. At least one must be given (-22 otherwise). */
export interface QosLimits extends Partial<RateLimits> {
  readonly name: string;
}

/** What SPDK rounds limits up to: it takes 1 I/O per second for 1,000, without a word (seen with v24.01). */
export const QOS_FLOOR = { iosPerSec: 1000, mbytesPerSec: 1 } as const;

/** Block devices of any kind (SPDK doc/jsonrpc.md, "Block Device Abstraction Layer"). */
export const bdev = {
  /** All bdevs, or one by name or alias (-19 when it is not there); `timeout` in ms waits for it to appear. */
  list: method<{ readonly name?: string; readonly timeout?: number }, readonly Bdev[]>(
    'bdev_get_bdevs',
    isList({ name: 'string', aliases: 'array', block_size: 'number', num_blocks: 'number', claimed: 'boolean' }),
  ),
  /** Counters of one bdev or of all. Releases after 24.01 know `names` too. */
  iostat: method<{ readonly name?: string; readonly per_channel?: boolean }, Iostat>(
    'bdev_get_iostat',
    isObject({ tick_rate: 'number', bdevs: 'array' }),
  ),
  /** Rate limits; see {@link QOS_FLOOR} for what small values turn into. */
  setQos: method<QosLimits, true>('bdev_set_qos_limit', isTrue),
  /** Lets the modules look at a bdev for what lies on it, such as an lvol store. */
  examine: method<{ readonly name: string }, true>('bdev_examine', isTrue),
  /** Answers when every bdev has been examined. */
  waitForExamine: method<None, true>('bdev_wait_for_examine', isTrue),
} as const;

/** Bdevs in memory (SPDK doc/jsonrpc.md, "bdev_malloc_create"). A name that is taken answers -12, as does a lack of memory. */
export const malloc = {
  /** Makes one and gives its name. */
  create: method<
    { readonly num_blocks: number; readonly block_size: number; readonly name?: string; readonly uuid?: string },
    string
  >('bdev_malloc_create', isString),
  /** Removes one. */
  remove: method<{ readonly name: string }, true>('bdev_malloc_delete', isTrue),
} as const;

/** Bdevs over a file or a kernel block device by Linux AIO (SPDK doc/jsonrpc.md, "bdev_aio_create"). */
export const aio = {
  /** Makes one and gives its name. */
  create: method<
    {
      readonly name: string;
      readonly filename: string;
      readonly block_size?: number;
      readonly readonly?: boolean;
      readonly fallocate?: boolean;
    },
    string
  >('bdev_aio_create', isString),
  /** Takes over the file's new size. */
  rescan: method<{ readonly name: string }, true>('bdev_aio_rescan', isTrue),
  /** Removes the bdev; the file stays. */
  remove: method<{ readonly name: string }, true>('bdev_aio_delete', isTrue),
} as const;

/** Bdevs over libiscsi (SPDK doc/jsonrpc.md, "bdev_iscsi_create"). Not met in a recording. */
export const iscsi = {
  /** Makes one and gives its name; `url` is libiscsi's, `iscsi://user%password@host:port/iqn/lun`, and is kept out of errors. */
  create: method<{ readonly name: string; readonly initiator_iqn: string; readonly url: string }, string>(
    'bdev_iscsi_create',
    isString,
  ),
  /** Removes one. */
  remove: method<{ readonly name: string }, true>('bdev_iscsi_delete', isTrue),
} as const;
