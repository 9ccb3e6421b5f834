import { beforeEach, describe, expect, it } from 'vitest';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { FunctionState } from '../../core/ports/snic-controller.ts';
import type { AttachSpec } from '../../core/ports/storage-target.ts';
import { asId, type VolumeId } from '../../core/units.ts';
import { snapFrontEnd } from '../../drivers/storage/front-snap.ts';
import { createSpdkStorageTarget, type SpdkStorageTarget } from '../../drivers/storage/spdk-storage-target.ts';
import { instance, markOf, rejection } from '../contract/samples.ts';
import { type FakeSpdk, fakeBdevs, fakeSpdk, type Params } from '../support/fake-spdk.ts';

const volume = asId<VolumeId>('70000000-0000-4000-8000-000000000001');
const functionId = diskFunctionId(instance, volume);
const vuids = { VBLK: 'MT2328XZ17DFVBLKS0D0F3', NVME: 'MT2328XZ17DFNVMES0D0F2' } as const;

interface Controller {
  ctrl_id: string;
  vuid: unknown;
  nqn?: unknown;
  state: string;
  namespaces: { nsid: unknown; bdev: string }[];
}

/** A SNAP-4 that answers with the shapes that NVIDIA and its users have shown, and forgets on demand. */
function snap(): { readonly spdk: FakeSpdk; restart(): void } {
  const bdevs = fakeBdevs();
  bdevs.add('disk');
  const controllers: Controller[] = [];
  const subsystems = new Map<
    unknown,
    { nqn: unknown; namespaces: { nsid: unknown; bdev: unknown; uuid: unknown }[] }
  >();
  const find = (id: unknown): Controller => {
    const found = controllers.find((each) => each.ctrl_id === id);
    if (!found) throw new Error(`no controller ${String(id)}`);
    return found;
  };
  const destroy = ({ ctrl_id, ctrl }: Params): true => {
    controllers.splice(controllers.indexOf(find(ctrl_id ?? ctrl)), 1);
    return true;
  };
  const create = (params: Params, id: string, state: string): Controller => {
    const made = { ctrl_id: id, vuid: params.vuid, nqn: params.nqn, state, namespaces: [] };
    controllers.push(made);
    return made;
  };
  const spdk = fakeSpdk({
    ...bdevs.methods,
    rpc_get_methods: () => ['nvme_function_create', 'virtio_blk_function_create', 'emulation_function_list'],
    framework_wait_init: () => true,
    emulation_function_list: () =>
      (['VBLK', 'NVME'] as const).map((type) => {
        const ctrl = controllers.find((each) => each.vuid === vuids[type]);
        const common = {
          hotplugged: true,
          emulation_type: type,
          pf_index: 0,
          pci_bdf: '00:00.0',
          vhca_id: 1,
          vuid: vuids[type],
        };
        return ctrl ? { ...common, ctrl_id: ctrl.ctrl_id } : common;
      }),
    virtio_blk_controller_create: (params) => create(params, String(params.ctrl), 'STARTED').ctrl_id,
    virtio_blk_controller_destroy: destroy,
    nvme_subsystem_create: ({ nqn }) => subsystems.set(nqn, { nqn, namespaces: [] }).size,
    nvme_subsystem_destroy: ({ nqn }) => subsystems.delete(nqn),
    nvme_subsystem_list: () =>
      [...subsystems.values()].map((each) => ({
        ...each,
        controllers: controllers.filter(({ nqn }) => nqn === each.nqn),
      })),
    nvme_namespace_create: ({ nqn, nsid, bdev_name, uuid }) =>
      subsystems.get(nqn)?.namespaces.push({ nsid, bdev: bdev_name, uuid }),
    nvme_namespace_destroy: ({ nqn }) => subsystems.get(nqn)?.namespaces.splice(0),
    nvme_controller_create: (params) => ({ ctrl_id: create(params, 'NVMeCtrl1', 'SUSPENDED').ctrl_id }),
    nvme_controller_attach_ns: ({ ctrl_id, nsid }) => find(ctrl_id).namespaces.push({ nsid, bdev: 'disk' }),
    nvme_controller_detach_ns: ({ ctrl_id }) => find(ctrl_id).namespaces.splice(0),
    nvme_controller_resume: ({ ctrl_id }) => {
      find(ctrl_id).state = 'STARTED';
      return true;
    },
    nvme_controller_destroy: destroy,
  });
  return {
    spdk,
    restart() {
      bdevs.all.clear();
      bdevs.add('disk');
      controllers.length = 0;
      subsystems.clear();
      spdk.calls.length = 0;
      spdk.reconnect();
    },
  };
}

describe.each(['VBLK', 'NVME'] as const)('SNAP-4, a %s function', (type) => {
  let card: ReturnType<typeof snap>;
  let storage: SpdkStorageTarget;
  const spec: AttachSpec = {
    functionId,
    volumeId: volume,
    connection: { protocol: 'local', data: { bdev: 'disk' } },
    readOnly: false,
    mark: markOf('disk', volume),
  };
  const made = { id: functionId, vuid: vuids[type] } as FunctionState;
  beforeEach(() => {
    card = snap();
    storage = createSpdkStorageTarget({
      spdk: card.spdk.client,
      front: snapFrontEnd(card.spdk.client, { listFunctions: async () => [made] }),
      connections: {
        localDirs: async () => [],
        cephSecret: async () => undefined,
        hostNqn: undefined,
        initiatorIqn: 'iqn.x',
      },
      log: silentLog,
    });
  });
  const methods = (): readonly string[] => card.spdk.calls.map(({ method }) => method);
  const order = {
    VBLK: ['bdev_malloc_create', 'virtio_blk_controller_create'],
    NVME: [
      ...['bdev_malloc_create', 'nvme_subsystem_create', 'nvme_namespace_create'],
      ...['nvme_controller_create', 'nvme_controller_attach_ns', 'nvme_controller_resume'],
    ],
  } as const;

  it('is served in the order that the card wants, once', async () => {
    const attached = await storage.attach(spec);
    expect(attached).toMatchObject({ functionId, volumeId: volume, bdev: 'disk', mark: spec.mark });
    expect(methods()).toEqual(order[type]);
    expect(await storage.attach(spec)).toEqual(attached);
    expect(await storage.list()).toEqual([attached]);
    expect(methods()).toEqual(order[type]);
  });

  it('is taken back in the opposite order', async () => {
    await storage.attach(spec);
    card.spdk.calls.length = 0;
    await storage.detach(functionId);
    expect(methods()).toEqual(
      {
        VBLK: ['virtio_blk_controller_destroy', 'bdev_malloc_delete'],
        NVME: [
          ...[
            'nvme_controller_detach_ns',
            'nvme_controller_destroy',
            'nvme_namespace_destroy',
            'nvme_subsystem_destroy',
          ],
          'bdev_malloc_delete',
        ],
      }[type],
    );
    expect(await storage.list()).toEqual([]);
  });

  it('is the same disk to the host after SNAP was restarted', async () => {
    const attached = await storage.attach(spec);
    const before = card.spdk.calls.map((each) => each);
    card.restart();
    await storage.settled();
    expect(card.spdk.calls).toEqual(before);
    expect(await storage.list()).toEqual([attached]);
  });
});

it('says that a plain SPDK, SNAP 3 or a card without such a function can not be driven so', async () => {
  const front = (methods: readonly string[], vuid: string | null = null) => {
    const { client } = fakeSpdk({
      ...fakeBdevs().methods,
      rpc_get_methods: () => methods,
      emulation_function_list: () => [],
    });
    return snapFrontEnd(client, { listFunctions: async () => [{ id: functionId, vuid } as FunctionState] });
  };
  await rejection(front(['vhost_create_blk_controller']).list({}), 'unsupported');
  await rejection(front(['emulation_functions_list']).list({}), 'unsupported');
  const note = {
    functionId,
    volumeId: volume,
    readOnly: false,
    shared: false,
    mark: markOf('disk', volume),
    kind: 'bdev',
    backend: 'disk',
  } as const;
  await rejection(front(['nvme_function_create']).serve(note, 'disk', {}), 'not_found');
  await rejection(front(['nvme_function_create'], 'MTx').serve(note, 'disk', {}), 'not_found');
});
