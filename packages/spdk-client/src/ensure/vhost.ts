import type { CallOptions, SpdkClient } from '../client.ts';
import { ConflictError, InUseError } from '../errors.ts';
import { type CreateVhostBlk, type VhostController, vhost } from '../methods/vhost.ts';
import { findBdev, findVhostController } from './find.ts';
import { createIfAbsent, type Deleted, type Ensured, needsListing } from './objects.ts';

/**
 * A vhost-blk controller on this bdev is there when it resolves; may be called again. It refuses a second writable
 * controller on one bdev, which SPDK itself accepts and which corrupts the guests' data (`allowShared` for clustered disks).
 * Two callers at the same moment are not kept apart: SPDK has no lock.
 * @throws ConflictError when the name is taken by a controller of another bdev or mode, or the bdev by another controller
 * @throws RpcError when SPDK refuses and no listing explains it, for example because the bdev is missing
 */
export async function ensureVhostBlkController(
  client: SpdkClient,
  params: CreateVhostBlk,
  options: CallOptions & { readonly allowShared?: boolean } = {},
): Promise<Ensured> {
  const names = await namesOf(client, params.dev_name, options);
  const before = await client.call(vhost.list, {}, options);
  const own = before.find((each) => each.ctrlr === params.ctrlr);
  if (own !== undefined) return confirm(own, params, names);
  const rival = before.find((each) => writes(each, names));
  if (rival !== undefined && params.readonly !== true && options.allowShared !== true) {
    throw new ConflictError(`${params.dev_name} is written by the vhost controller ${rival.ctrlr}`);
  }
  const made = await createIfAbsent(
    () => client.call(vhost.createBlk, params, options),
    async () => {
      const found = await findVhostController(client, params.ctrlr, options);
      return found === undefined ? undefined : confirm(found, params, names);
    },
  );
  return made.outcome;
}

/**
 * The controller is gone when it resolves; may be called again. Give a deadline: some releases hold the request open for as
 * long as a front end is connected.
 * @throws InUseError when a front end is connected
 */
export async function deleteVhostController(
  client: SpdkClient,
  ctrlr: string,
  options: CallOptions = {},
): Promise<Deleted> {
  try {
    await client.call(vhost.remove, { ctrlr }, options);
    return 'deleted';
  } catch (error) {
    if (!needsListing(error)) throw error;
    const found = await findVhostController(client, ctrlr, options);
    if (found === undefined) return 'absent';
    if ((found.sessions ?? []).length > 0) {
      throw new InUseError(`a front end is connected to the vhost controller ${ctrlr}`, { cause: error });
    }
    throw error;
  }
}

function confirm(found: VhostController, params: CreateVhostBlk, names: ReadonlySet<string>): 'existed' {
  const block = found.backend_specific.block;
  const same =
    block !== undefined &&
    block.bdev !== null &&
    names.has(block.bdev) &&
    block.readonly === (params.readonly ?? false);
  if (!same) throw new ConflictError(`the vhost controller ${params.ctrlr} is there with another back end or mode`);
  return 'existed';
}

function writes(controller: VhostController, names: ReadonlySet<string>): boolean {
  const block = controller.backend_specific.block;
  return block !== undefined && !block.readonly && block.bdev !== null && names.has(block.bdev);
}

/** The bdev's name and aliases: vhost lists the name, whatever it was given. */
async function namesOf(client: SpdkClient, name: string, options: CallOptions): Promise<ReadonlySet<string>> {
  const found = await findBdev(client, name, options);
  return new Set(found === undefined ? [name] : [name, found.name, ...found.aliases]);
}
