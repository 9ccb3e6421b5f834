import { isAnything, isObject, method } from '../method.ts';
import type { NewFunction } from './functions.ts';

const isFunction = isObject<NewFunction>({ vuid: 'string' });
type Vuid = { readonly vuid: string };

/**
 * The first releases of SNAP-4, on top of `snap4Common`: making a function shows it to the host at once, and taking it away
 * has two steps (NVIDIA DOCA, "SNAP-4 Service RPC Commands"). Not met in a recording.
 */
export const snap4Early = {
  /** Plugs an NVMe function. */
  attachNvme: method<Record<never, never>, NewFunction>('nvme_emulation_device_attach', isFunction),
  /** Asks the host to let go of it. */
  prepareDetachNvme: method<Vuid, unknown>('nvme_emulation_device_detach_prepare', isAnything),
  /** Unplugs it. */
  detachNvme: method<Vuid, unknown>('nvme_emulation_device_detach', isAnything),
  /** Plugs a virtio-blk function. */
  attachVirtioBlk: method<Record<never, never>, NewFunction>('virtio_blk_emulation_device_attach', isFunction),
  /** Asks the host to let go of it. */
  prepareDetachVirtioBlk: method<Vuid, unknown>('virtio_blk_emulation_device_detach_prepare', isAnything),
  /** Unplugs it. */
  detachVirtioBlk: method<Vuid, unknown>('virtio_blk_emulation_device_detach', isAnything),
} as const;
