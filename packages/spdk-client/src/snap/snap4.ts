import { isAnything, isObject, method } from '../method.ts';
import type { NewFunction } from './functions.ts';

/**
 * Plugging, named by the controller. `wait_for_done` answers when the host has taken note, or was found unable to: give a
 * long deadline, and after a time-out list before anything is repeated.
 */
export interface Hotplug {
  readonly ctrl_id: string;
  readonly wait_for_done?: boolean;
}

const isFunction = isObject<NewFunction>({ vuid: 'string' });
type Vuid = { readonly vuid: string };

/**
 * SNAP-4 of DOCA 3.x, on top of `snap4Common`: a function is made unseen, gets its controller, and is plugged last, so that
 * a disk is served from the moment it appears (NVIDIA DOCA, "SNAP-4 Service RPC Commands"). Not met in a recording.
 */
export const snap4 = {
  /** Makes an NVMe function. Write its vuid down before anything else. */
  createNvmeFunction: method<Record<never, never>, NewFunction>('nvme_function_create', isFunction),
  /** Removes one that is unplugged. */
  destroyNvmeFunction: method<Vuid, unknown>('nvme_function_destroy', isAnything),
  /** Shows it to the host; it needs a controller. */
  hotplugNvme: method<Hotplug, unknown>('nvme_controller_hotplug', isAnything),
  /** Takes it from the host. */
  hotunplugNvme: method<Hotplug, unknown>('nvme_controller_hotunplug', isAnything),
  /** Makes a virtio-blk function. */
  createVirtioBlkFunction: method<Record<never, never>, NewFunction>('virtio_blk_function_create', isFunction),
  /** Removes one that is unplugged. */
  destroyVirtioBlkFunction: method<Vuid, unknown>('virtio_blk_function_destroy', isAnything),
  /** Shows it to the host. */
  hotplugVirtioBlk: method<Hotplug, unknown>('virtio_blk_controller_hotplug', isAnything),
  /** Takes it from the host. */
  hotunplugVirtioBlk: method<Hotplug, unknown>('virtio_blk_controller_hotunplug', isAnything),
} as const;
