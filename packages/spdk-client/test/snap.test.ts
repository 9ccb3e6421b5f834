import { afterEach, describe, expect, it } from 'vitest';
import { createSpdkClient, type SpdkClient } from '../src/client.ts';
import { UnexpectedResultError } from '../src/errors.ts';
import { rbd } from '../src/methods/rbd.ts';
import { snap3 } from '../src/snap/snap3.ts';
import { snap4 } from '../src/snap/snap4.ts';
import { snap4Common } from '../src/snap/snap4-common.ts';
import { type ReplayServer, startReplay } from './replay-server.ts';

// no recording of these: the answers are put together after the vendors' documentation

let server: ReplayServer | undefined;
let client: SpdkClient | undefined;
afterEach(async () => {
  client?.close();
  await server?.close();
});

async function answering(answers: readonly (readonly [method: string, params: object | undefined, result: unknown])[]) {
  server = await startReplay(
    answers.map(([method, params, result]) => ({
      app: 'snap',
      note: null,
      request: { method, id: 0, ...(params && { params }) },
      response: { jsonrpc: '2.0', result },
    })),
  );
  client = createSpdkClient({ address: { path: server.path } });
  return client;
}

const vuid = 'MT2328XZ17DFNVMES0D0F2';
const pf = { hotplugged: true, emulation_type: 'NVME', pf_index: 2, pci_bdf: '26:00.2', vhca_id: 4, vuid };
const vf = { ...pf, hotplugged: false, vf_index: 0, pci_bdf: '26:0c.0', vuid: `${vuid}VF1` };

describe('SNAP-4', () => {
  it('goes from a function to a disk that the host sees', async () => {
    const nqn = 'nqn.2026-11.example:volume-1';
    const snap = await answering([
      ['nvme_function_create', undefined, { vhca_id: 4, vuid }],
      ['nvme_controller_create', { nqn, vuid, suspended: true }, { ctrl_id: 'NVMeCtrl1' }],
      ['nvme_controller_hotplug', { ctrl_id: 'NVMeCtrl1', wait_for_done: true }, true],
      ['emulation_function_list', { all: true }, [{ ...pf, ctrl_id: 'NVMeCtrl1', vfs: [vf] }]],
    ]);
    const made = await snap.call(snap4.createNvmeFunction);
    const { ctrl_id } = await snap.call(snap4Common.createNvmeController, { nqn, vuid: made.vuid, suspended: true });
    await snap.call(snap4.hotplugNvme, { ctrl_id, wait_for_done: true }, { timeoutMs: 5000 });
    const [listed] = await snap.call(snap4Common.functions, { all: true });
    expect(listed).toMatchObject({ vuid, pci_bdf: '26:00.2', ctrl_id, vfs: [{ vf_index: 0, vuid: `${vuid}VF1` }] });
    expect(server?.unknown).toEqual([]);
  });

  it('lists subsystems with the keys that they have', async () => {
    const namespace = { nsid: 1, bdev: 'b', nqn: 'n', uuid: 'u', ready: 'Yes', 'max inflights per weight': 1 };
    const snap = await answering([['nvme_subsystem_list', undefined, [{ nqn: 'n', namespaces: [namespace] }]]]);
    expect((await snap.call(snap4Common.subsystems))[0]?.namespaces?.[0]).toMatchObject({ nsid: 1, bdev: 'b' });
  });

  it('that gives a function without a vuid is not believed', async () => {
    const snap = await answering([['nvme_function_create', undefined, { vhca_id: 4 }]]);
    await expect(snap.call(snap4.createNvmeFunction)).rejects.toBeInstanceOf(UnexpectedResultError);
  });
});

it('SNAP 3 names controllers by a plain text, or by an object', async () => {
  const place = { emulation_manager: 'mlx5_0', pf_id: 0 };
  const functions = [
    {
      ...{ emulation_manager: 'mlx5_0', emulation_type: 'nvme', pci_index: 0, pci_bdf: '83:00.2', total_vf: 2 },
      virtual_functions: [{ vf_index: 0, vf_bdf: '83:00.3' }],
    },
  ];
  const snap = await answering([
    ['emulation_functions_list', undefined, functions],
    ['controller_virtio_blk_create', { ...place, bdev: 'b' }, 'VblkEmu0'],
    ['controller_nvme_create', place, { name: 'NvmeEmu0pf0', cntlid: 0 }],
  ]);
  expect(await snap.call(snap3.functions)).toEqual(functions);
  expect(await snap.call(snap3.createVirtioBlkController, { ...place, bdev: 'b' })).toBe('VblkEmu0');
  expect(await snap.call(snap3.createNvmeController, place)).toEqual({ name: 'NvmeEmu0pf0', cntlid: 0 });
});

it('RBD images share a cluster', async () => {
  const cluster = { name: 'ceph', user_id: 'cinder', config_param: { mon_host: '192.0.2.1', key: 'AQ==' } };
  const image = { pool_name: 'volumes', rbd_name: 'volume-1', block_size: 512, cluster_name: 'ceph', name: 'v1' };
  const spdk = await answering([
    ['bdev_rbd_register_cluster', cluster, 'ceph'],
    ['bdev_rbd_get_clusters_info', { name: 'ceph' }, { cluster_name: 'ceph', user_id: 'cinder' }],
    ['bdev_rbd_create', image, 'v1'],
    ['bdev_rbd_resize', { name: 'v1', new_size: 2048 }, true],
  ]);
  expect(await spdk.call(rbd.registerCluster, cluster)).toBe('ceph');
  expect(await spdk.call(rbd.clusters, { name: 'ceph' })).toMatchObject({ cluster_name: 'ceph' });
  expect(await spdk.call(rbd.create, image)).toBe('v1');
  expect(await spdk.call(rbd.resize, { name: 'v1', new_size: 2048 })).toBe(true);
  expect(server?.unknown).toEqual([]);
});
