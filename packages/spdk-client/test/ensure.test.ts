import { afterEach, describe, expect, it } from 'vitest';
import { createSpdkClient, type SpdkClient } from '../src/client.ts';
import { findBdev } from '../src/ensure/find.ts';
import {
  deleteLvolIfExists,
  detachNvmeIfExists,
  ensureNvmeController,
  ensureRbdCluster,
  ensureSnapshot,
} from '../src/ensure/storage.ts';
import { deleteVhostController, ensureVhostBlkController } from '../src/ensure/vhost.ts';
import {
  ConflictError,
  ErrnoError,
  InternalError,
  InUseError,
  InvalidOptionsError,
  InvalidParamsError,
  MethodNotFoundError,
} from '../src/errors.ts';
import { checkReconnect } from '../src/methods/reconnect.ts';
import { type Exchange, exchanges } from './recordings.ts';
import { type ReplayServer, startReplay } from './replay-server.ts';

let server: ReplayServer | undefined;
let client: SpdkClient | undefined;
afterEach(async () => {
  client?.close();
  await server?.close();
});

async function replay(...recorded: readonly Exchange[]): Promise<SpdkClient> {
  server = await startReplay(recorded);
  client = createSpdkClient({ address: { path: server.path }, timeoutMs: 5000 });
  return client;
}

/** A recorded exchange by its method and, where there are several, by its note and part of its parameters. */
function pick(from: readonly Exchange[], method: string, note: string | null, part = ''): Exchange {
  const found = from.find(
    ({ request, note: each }) =>
      request.method === method && each === note && JSON.stringify(request.params ?? {}).includes(part),
  );
  if (found === undefined) throw new Error(`no recording of ${method}, ${note}`);
  return found;
}

/** An exchange that no recording has. */
function madeUp(method: string, params: object | undefined, response: Readonly<Record<string, unknown>>): Exchange {
  return {
    app: '',
    note: null,
    request: { method, id: 0, ...(params && { params }) },
    response: { jsonrpc: '2.0', ...response },
  };
}

const target = exchanges('lifecycle', 'nvmf_tgt');
const initiator = exchanges('lifecycle', 'spdk_tgt');
const guest = exchanges('vhost-qemu');
const restart = exchanges('restart-and-framing');
const noControllers = madeUp('vhost_get_controllers', undefined, { result: [] });
const theBdev = pick(initiator, 'bdev_get_bdevs', null, 'Nvme-an1');
const twoControllers = pick(initiator, 'vhost_get_controllers', null, '{}');
const noBdev = madeUp('bdev_get_bdevs', { name: 'nosuch' }, { error: { code: -19, message: 'x' } });

describe('ensureVhostBlkController', () => {
  const asked = { ctrlr: 'pf-blk-0', dev_name: 'Nvme-an1' };

  it('creates', async () => {
    const spdk = await replay(noControllers, theBdev, pick(initiator, 'vhost_create_blk_controller', null, 'pf-blk-0'));
    expect(await ensureVhostBlkController(spdk, asked)).toBe('created');
  });

  it('finds what is there, by any name of the bdev', async () => {
    const alias = 'e8d79c21-1255-4dc9-9d49-33e538aecfd9';
    const byAlias = { ...theBdev, request: { ...theBdev.request, params: { name: alias } } };
    const spdk = await replay(twoControllers, theBdev, byAlias);
    expect(await ensureVhostBlkController(spdk, asked)).toBe('existed');
    expect(await ensureVhostBlkController(spdk, { ...asked, dev_name: alias })).toBe('existed');
  });

  it('takes "exists" for success when a listing confirms it', async () => {
    const exists = pick(initiator, 'vhost_create_blk_controller', 'duplicate ctrlr');
    const spdk = await replay(noControllers, twoControllers, theBdev, exists);
    expect(await ensureVhostBlkController(spdk, asked)).toBe('existed');
    expect(server?.unknown).toEqual([]);
  });

  it('never does when a listing does not', async () => {
    const missing = pick(initiator, 'vhost_create_blk_controller', 'missing bdev');
    const spdk = await replay(noControllers, noBdev, missing);
    const call = ensureVhostBlkController(spdk, { ctrlr: 'pf-blk-2', dev_name: 'nosuch' });
    await expect(call).rejects.toBeInstanceOf(InvalidParamsError);
  });

  it('goes by code and listing whatever the text is', async () => {
    const odd = madeUp('vhost_create_blk_controller', asked, { error: { code: -32602, message: 'No such device' } });
    const spdk = await replay(noControllers, twoControllers, theBdev, odd);
    expect(await ensureVhostBlkController(spdk, asked)).toBe('existed');
  });

  it('refuses a controller of the same name with another mode', async () => {
    const spdk = await replay(twoControllers, theBdev);
    await expect(ensureVhostBlkController(spdk, { ...asked, readonly: true })).rejects.toBeInstanceOf(ConflictError);
  });

  it('refuses one whose back end has gone', async () => {
    const gone = pick(guest, 'vhost_get_controllers', null, '{}');
    const spdk = await replay(gone, noBdev);
    const call = ensureVhostBlkController(spdk, { ctrlr: 'pf-blk-r', dev_name: 'nosuch', readonly: true });
    await expect(call).rejects.toBeInstanceOf(ConflictError);
  });

  it('refuses a second writer of one bdev unless it is asked for', async () => {
    const second = { ctrlr: 'pf-blk-9', dev_name: 'Nvme-an1' };
    const create = madeUp('vhost_create_blk_controller', second, { result: true });
    const spdk = await replay(twoControllers, theBdev, create);
    await expect(ensureVhostBlkController(spdk, second)).rejects.toBeInstanceOf(ConflictError);
    expect(await ensureVhostBlkController(spdk, second, { allowShared: true })).toBe('created');
  });

  it('lets others read what one writes', async () => {
    const reader = { ctrlr: 'pf-blk-9', dev_name: 'Nvme-an1', readonly: true };
    const spdk = await replay(twoControllers, theBdev, madeUp('vhost_create_blk_controller', reader, { result: true }));
    expect(await ensureVhostBlkController(spdk, reader)).toBe('created');
  });

  it('lists nothing when the method is not there', async () => {
    const none = madeUp('vhost_create_blk_controller', asked, { error: { code: -32601, message: 'Method not found' } });
    const spdk = await replay(noControllers, theBdev, none);
    await expect(ensureVhostBlkController(spdk, asked)).rejects.toBeInstanceOf(MethodNotFoundError);
    const methods = ['bdev_get_bdevs', 'vhost_get_controllers', 'vhost_create_blk_controller'];
    expect(server?.requests).toEqual(methods);
  });
});

describe('deleteVhostController', () => {
  it('deletes, and finds it gone the second time', async () => {
    const spdk = await replay(
      pick(guest, 'vhost_delete_controller', 'after unplug'),
      pick(guest, 'vhost_delete_controller', 'again'),
      pick(guest, 'vhost_get_controllers', null, '{}'),
    );
    expect(await deleteVhostController(spdk, 'pf-blk-0')).toBe('deleted');
    expect(await deleteVhostController(spdk, 'pf-blk-0')).toBe('absent');
  });

  it('says that a front end is connected', async () => {
    const busy = { ...pick(guest, 'vhost_delete_controller', 'while the host is connected') };
    const session = pick(guest, 'vhost_get_controllers', 'with QEMU session').response;
    const spdk = await replay(busy, madeUp('vhost_get_controllers', undefined, session));
    await expect(deleteVhostController(spdk, 'pf-blk-0')).rejects.toBeInstanceOf(InUseError);
  });

  it('throws what it cannot explain', async () => {
    const busy = pick(guest, 'vhost_delete_controller', 'while the host is connected');
    const spdk = await replay(busy, twoControllers);
    await expect(deleteVhostController(spdk, 'pf-blk-0')).rejects.toBeInstanceOf(InvalidParamsError);
  });
});

describe('NVMe controllers', () => {
  const path = { trtype: 'TCP', adrfam: 'IPv4', traddr: '127.0.0.1', subnqn: 'nqn.2016-06.io.spdk:vol-a' } as const;

  it('are attached once', async () => {
    const bdevs = madeUp('bdev_get_bdevs', undefined, {
      result: ['Nvme-an1', 'Nvme-an12', 'Nvme-anx', 'Nvme-b'].map((name) => ({
        ...{ name, aliases: [], product_name: '', block_size: 512, num_blocks: 1, claimed: false },
      })),
    });
    const spdk = await replay(
      ...initiator.filter((each) => each.request.method === 'bdev_nvme_attach_controller'),
      pick(initiator, 'bdev_nvme_get_controllers', null),
      bdevs,
    );
    const asked = { name: 'Nvme-a', ...path, trsvcid: '4421' };
    expect(await ensureNvmeController(spdk, asked)).toEqual({ outcome: 'created', bdevs: ['Nvme-an1'] });
    expect(await ensureNvmeController(spdk, asked)).toEqual({ outcome: 'existed', bdevs: ['Nvme-an1', 'Nvme-an12'] });
    const refused = ensureNvmeController(spdk, { name: 'Nvme-z', ...path, trsvcid: '4999' });
    await expect(refused).rejects.toMatchObject({ errno: 'ENODEV' });
  });

  it('with the name, but not the path, are not taken for those that were asked for', async () => {
    const asked = { name: 'Nvme-a', ...path, trsvcid: '4420' };
    const taken = madeUp('bdev_nvme_attach_controller', asked, { error: { code: -114, message: 'x' } });
    const spdk = await replay(taken, pick(initiator, 'bdev_nvme_get_controllers', null));
    await expect(ensureNvmeController(spdk, asked)).rejects.toMatchObject({ errno: 'EALREADY' });
  });

  it('are detached once', async () => {
    const list = madeUp('bdev_nvme_get_controllers', undefined, { result: [] });
    const spdk = await replay(...guest, list);
    expect(await detachNvmeIfExists(spdk, 'Nvme-a')).toBe('deleted');
    expect(await detachNvmeIfExists(spdk, 'Nvme-a')).toBe('absent');
  });

  it.each([
    [{}, true],
    [{ ctrlr_loss_timeout_sec: -1, reconnect_delay_sec: 2 }, true],
    [{ ctrlr_loss_timeout_sec: 30, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 10 }, true],
    [{ ctrlr_loss_timeout_sec: -1, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 100 }, true],
    [{ ctrlr_loss_timeout_sec: 2, reconnect_delay_sec: 2 }, true],
    [{ ctrlr_loss_timeout_sec: 1, reconnect_delay_sec: 2 }, false],
    [{ ctrlr_loss_timeout_sec: -1 }, false],
    [{ ctrlr_loss_timeout_sec: -2, reconnect_delay_sec: 2 }, false],
    [{ ctrlr_loss_timeout_sec: 30, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 1 }, false],
    [{ ctrlr_loss_timeout_sec: 30, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 30 }, false],
    [{ fast_io_fail_timeout_sec: 1 }, false],
  ])('reconnect as %o: %s', (options, fine) => {
    const check = () => checkReconnect(options);
    if (fine) expect(check).not.toThrow();
    else expect(check).toThrow(InvalidOptionsError);
  });
});

describe('volumes', () => {
  it('are snapshot once', async () => {
    const spdk = await replay(...target);
    const asked = { store: 'pool', volume: 'vol-a', snapshot: 'snap-1' };
    const uuid = 'b10a42cf-47ee-497c-99e6-979bf2c4d561';
    expect(await ensureSnapshot(spdk, asked)).toEqual({ outcome: 'created', uuid });
    expect(await ensureSnapshot(spdk, asked)).toEqual({ outcome: 'existed', uuid });
    const missing = ensureSnapshot(spdk, { store: 'pool', volume: 'none', snapshot: 'snap-2' });
    await expect(missing).rejects.toBeInstanceOf(ErrnoError);
  });

  it('keep a name that is no snapshot', async () => {
    const request = { lvol_name: 'pool/vol-a', snapshot_name: 'clone-1' };
    const exists = madeUp('bdev_lvol_snapshot', request, { error: { code: -32602, message: 'File exists' } });
    const spdk = await replay(exists, pick(target, 'bdev_lvol_get_lvols', null));
    const call = ensureSnapshot(spdk, { store: 'pool', volume: 'vol-a', snapshot: 'clone-1' });
    await expect(call).rejects.toBeInstanceOf(ConflictError);
  });

  it('that have clones stay', async () => {
    const spdk = await replay(...target);
    await expect(deleteLvolIfExists(spdk, 'pool/snap-1')).rejects.toBeInstanceOf(InternalError);
  });

  it('that are gone are gone', async () => {
    const gone = madeUp('bdev_lvol_delete', { name: 'pool/x' }, { error: { code: -19, message: 'No such device' } });
    const spdk = await replay(gone, pick(target, 'bdev_lvol_get_lvols', null));
    expect(await deleteLvolIfExists(spdk, 'pool/x')).toBe('absent');
  });
});

it('a Ceph connection is registered once', async () => {
  const asked = { name: 'ceph', user_id: 'cinder' };
  const list = madeUp('bdev_rbd_get_clusters_info', undefined, { result: [{ cluster_name: 'ceph' }] });
  const exists = madeUp('bdev_rbd_register_cluster', asked, { error: { code: -17, message: 'x' } });
  const other = madeUp('bdev_rbd_register_cluster', { name: 'b' }, { error: { code: -22, message: 'x' } });
  const spdk = await replay(exists, list, other);
  expect(await ensureRbdCluster(spdk, asked)).toBe('existed');
  await expect(ensureRbdCluster(spdk, { name: 'b' })).rejects.toMatchObject({ errno: 'EINVAL' });
});

it('a bdev is found, or not', async () => {
  const spdk = await replay(...initiator, ...restart);
  expect((await findBdev(spdk, 'Nvme-an1'))?.num_blocks).toBe(65536);
  expect(await findBdev(spdk, 'nosuch')).toBeUndefined();
});
