import type { CallOptions, SpdkClient } from '../client.ts';
import { isErrno, RpcError } from '../errors.ts';
import type { Bdev } from '../methods/bdev.ts';
import { bdev } from '../methods/bdev.ts';
import { type Lvol, lvol } from '../methods/lvol.ts';
import { type NvmeController, nvme } from '../methods/nvme.ts';
import { type VhostController, vhost } from '../methods/vhost.ts';

/**
 * A bdev by name or alias, undefined when there is none. SPDK says -19 for that; any other error is confirmed by the whole
 * list, and thrown when the bdev is in it.
 */
export async function findBdev(client: SpdkClient, name: string, options?: CallOptions): Promise<Bdev | undefined> {
  try {
    return (await client.call(bdev.list, { name }, options))[0];
  } catch (error) {
    if (isErrno(error, 'ENODEV')) return undefined;
    if (!(error instanceof RpcError)) throw error;
    const all = await client.call(bdev.list, {}, options);
    if (all.some((each) => each.name === name || each.aliases.includes(name))) throw error;
    return undefined;
  }
}

/** A vhost controller out of the whole list: asked for by name, SPDK answers -32603 for "missing" and for what is broken. */
export async function findVhostController(
  client: SpdkClient,
  ctrlr: string,
  options?: CallOptions,
): Promise<VhostController | undefined> {
  return (await client.call(vhost.list, {}, options)).find((each) => each.ctrlr === ctrlr);
}

/** An NVMe controller out of the whole list, undefined when there is none. */
export async function findNvmeController(
  client: SpdkClient,
  name: string,
  options?: CallOptions,
): Promise<NvmeController | undefined> {
  return (await client.call(nvme.controllers, {}, options)).find((each) => each.name === name);
}

/** A logical volume or snapshot by `store/name`, or by uuid, out of the list of its store or of all; undefined when there is none. */
export async function findLvol(client: SpdkClient, name: string, options?: CallOptions): Promise<Lvol | undefined> {
  const slash = name.indexOf('/');
  try {
    const all = await client.call(lvol.list, slash < 0 ? {} : { lvs_name: name.slice(0, slash) }, options);
    return all.find((each) => each.alias === name || each.uuid === name);
  } catch (error) {
    // the store itself is missing
    if (isErrno(error, 'ENODEV')) return undefined;
    throw error;
  }
}
