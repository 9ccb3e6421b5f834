import type { CallOptions, SpdkClient } from '../client.ts';
import { ConflictError, MethodNotFoundError, RpcError } from '../errors.ts';
import { bdev } from '../methods/bdev.ts';
import { lvol } from '../methods/lvol.ts';
import { type AttachController, nvme } from '../methods/nvme.ts';
import { type RbdCluster, rbd } from '../methods/rbd.ts';
import { checkReconnect } from '../methods/reconnect.ts';
import { findLvol, findNvmeController } from './find.ts';
import { createIfAbsent, type Deleted, deleteIfExists, type Ensured } from './objects.ts';

/**
 * The controller is attached by this path when it resolves with the names of its bdevs; may be called again. SPDK answers
 * -114 for a path that is there, which is confirmed by the listing.
 * @throws InvalidOptionsError for a combination of time-outs that SPDK refuses
 * @throws RpcError when it could not be attached
 */
export async function ensureNvmeController(
  client: SpdkClient,
  params: AttachController,
  options: CallOptions = {},
): Promise<{ readonly outcome: Ensured; readonly bdevs: readonly string[] }> {
  // a value that is left out is the module's (bdev_nvme_set_options), which is not known here
  if (params.reconnect_delay_sec !== undefined && params.ctrlr_loss_timeout_sec !== undefined) checkReconnect(params);
  const made = await createIfAbsent(
    () => client.call(nvme.attach, params, options),
    async () => {
      const found = await findNvmeController(client, params.name, options);
      const there = found?.ctrlrs.some(
        ({ trid }) =>
          trid.traddr === params.traddr &&
          trid.trtype.toLowerCase() === params.trtype.toLowerCase() &&
          (params.trsvcid === undefined || trid.trsvcid === params.trsvcid) &&
          (params.subnqn === undefined || trid.subnqn === params.subnqn),
      );
      return there === true ? namespacesOf(client, params.name, options) : undefined;
    },
  );
  return made.outcome === 'created'
    ? { outcome: 'created', bdevs: made.result }
    : { outcome: 'existed', bdevs: made.found };
}

/** The controller is gone when it resolves; may be called again. Look at its front ends first: SPDK does not. */
export function detachNvmeIfExists(client: SpdkClient, name: string, options: CallOptions = {}): Promise<Deleted> {
  return deleteIfExists(
    () => client.call(nvme.detach, { name }, options),
    async () => (await findNvmeController(client, name, options)) !== undefined,
  );
}

/**
 * A snapshot of this name is there when it resolves with its uuid; may be called again, and then says nothing of when the
 * snapshot was taken.
 * @throws ConflictError when the name belongs to a volume that is no snapshot
 */
export async function ensureSnapshot(
  client: SpdkClient,
  params: { readonly store: string; readonly volume: string; readonly snapshot: string },
  options: CallOptions = {},
): Promise<{ readonly outcome: Ensured; readonly uuid: string }> {
  const alias = `${params.store}/${params.snapshot}`;
  const request = { lvol_name: `${params.store}/${params.volume}`, snapshot_name: params.snapshot };
  const made = await createIfAbsent(
    () => client.call(lvol.snapshot, request, options),
    async () => {
      const found = await findLvol(client, alias, options);
      if (found !== undefined && !found.is_snapshot) throw new ConflictError(`${alias} is there and is no snapshot`);
      return found;
    },
  );
  return made.outcome === 'created'
    ? { outcome: 'created', uuid: made.result }
    : { outcome: 'existed', uuid: made.found.uuid };
}

/** The volume or snapshot is gone when it resolves; may be called again. A snapshot with clones stays: the RpcError is thrown. */
export function deleteLvolIfExists(client: SpdkClient, name: string, options: CallOptions = {}): Promise<Deleted> {
  return deleteIfExists(
    () => client.call(lvol.remove, { name }, options),
    async () => (await findLvol(client, name, options)) !== undefined,
  );
}

/**
 * The shared Ceph connection is registered when it resolves; may be called again. The rest of its options is not compared. SPDK has -1 for every
 * failure here, a name that is taken too, and an error for a list that is empty (module/bdev/rbd/bdev_rbd.c).
 */
export async function ensureRbdCluster(
  client: SpdkClient,
  params: RbdCluster,
  options: CallOptions = {},
): Promise<Ensured> {
  try {
    await client.call(rbd.registerCluster, params, options);
    return 'created';
  } catch (error) {
    if (!(error instanceof RpcError) || error instanceof MethodNotFoundError) throw error;
    if (!(await hasCluster(client, params.name, options))) throw error;
    return 'existed';
  }
}

async function hasCluster(client: SpdkClient, name: string, options: CallOptions): Promise<boolean> {
  try {
    const listed = [await client.call(rbd.clusters, {}, options)].flat();
    return listed.some((each) => each.cluster_name === name);
  } catch (error) {
    if (error instanceof RpcError) return false; // the caller throws what it had before
    throw error;
  }
}

/** The bdevs of a controller are its name, `n`, and the namespace's id. */
async function namespacesOf(client: SpdkClient, name: string, options: CallOptions): Promise<readonly string[]> {
  const all = await client.call(bdev.list, {}, options);
  return all
    .map((each) => each.name)
    .filter((each) => each.startsWith(`${name}n`) && /^\d+$/.test(each.slice(name.length + 1)));
}
