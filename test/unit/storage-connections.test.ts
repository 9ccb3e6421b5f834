import { describe, expect, it } from 'vitest';
import type { VolumeConnection } from '../../core/ports/storage-target.ts';
import { asId, type JsonObject, type VolumeId } from '../../core/units.ts';
import type { ConnectionContext } from '../../drivers/storage/connections/backend.ts';
import { backendOf } from '../../drivers/storage/connections/open.ts';
import { rejection } from '../contract/samples.ts';
import { type FakeSpdk, fakeBdevs, fakeSpdk, type Params, refuse } from '../support/fake-spdk.ts';

const volumeId = asId<VolumeId>('70000000-0000-4000-8000-000000000001');
const second = asId<VolumeId>('70000000-0000-4000-8000-000000000002');
const context: ConnectionContext = {
  volumeId,
  readOnly: false,
  localDirs: async () => [],
  cephSecret: async (uuid) => (uuid === 'known' ? 'KEY-OF-OPERATOR' : undefined),
  hostNqn: 'nqn.2026-01.test:soc',
  initiatorIqn: 'iqn.2026-01.test:soc',
};
const open = (spdk: FakeSpdk, protocol: string, data: JsonObject, more: Partial<ConnectionContext> = {}) =>
  backendOf({ protocol, data }, { ...context, ...more }).open(spdk.client, {});
const invalid = (connection: VolumeConnection) =>
  rejection(
    Promise.resolve().then(() => backendOf(connection, context)),
    'invalid',
  );
const paramsOf = ({ calls }: FakeSpdk, method: string): readonly Params[] =>
  calls.filter((each) => each.method === method).map(({ params }) => params);

describe('a Ceph image', () => {
  // as Cinder's RBD driver gives it (Zed), hosts and ports of different number
  const cinder = {
    name: 'volumes/volume-7000',
    hosts: ['10.0.0.1', '10.0.0.2', 'fd00::3'],
    ports: ['6789', '6790'],
    cluster_name: 'ceph',
    auth_enabled: true,
    auth_username: 'cinder',
    secret_type: 'ceph',
    secret_uuid: 'known',
    discard: true,
    keyring: null,
    encrypted: false,
  } as const;
  const ceph = () => {
    const bdevs = fakeBdevs();
    const clusters = new Set<unknown>();
    return fakeSpdk({
      ...bdevs.methods,
      bdev_rbd_register_cluster: ({ name }) => {
        if (clusters.has(name)) throw refuse('bdev_rbd_register_cluster', 1, 'Operation not permitted');
        clusters.add(name);
        return name;
      },
      bdev_rbd_get_clusters_info: () => [...clusters].map((name) => ({ cluster_name: name })),
      bdev_rbd_create: ({ name }) => bdevs.add(String(name)),
    });
  };

  it('shares one cluster with all images of the user', async () => {
    const spdk = ceph();
    expect((await open(spdk, 'rbd', cinder)).name).toBe(`vol-${volumeId}`);
    await open(spdk, 'rbd', { ...cinder, name: 'volumes/volume-2' }, { volumeId: second, readOnly: true });
    const [registered, again] = paramsOf(spdk, 'bdev_rbd_register_cluster');
    expect(registered).toMatchObject({
      user_id: 'cinder',
      config_param: { mon_host: '10.0.0.1:6789,10.0.0.2:6790,[fd00::3]:6790', key: 'KEY-OF-OPERATOR' },
    });
    expect(again).toEqual(registered);
    const cluster = registered?.name;
    expect(paramsOf(spdk, 'bdev_rbd_create')).toEqual([
      {
        name: `vol-${volumeId}`,
        pool_name: 'volumes',
        rbd_name: 'volume-7000',
        block_size: 512,
        cluster_name: cluster,
      },
      {
        name: `vol-${second}-ro`,
        pool_name: 'volumes',
        rbd_name: 'volume-2',
        block_size: 512,
        cluster_name: cluster,
      },
    ]);
  });

  it.each([
    ['a key', 'AQBkey==', 'AQBkey=='],
    ['a keyring', '[client.cinder]\n\tkey = AQBring==\n\tcaps mon = "x"\n', 'AQBring=='],
  ])('takes %s from the connection first', async (_what, keyring, key) => {
    const spdk = ceph();
    await open(spdk, 'rbd', { ...cinder, keyring });
    expect(paramsOf(spdk, 'bdev_rbd_register_cluster')[0]).toMatchObject({ config_param: { key } });
  });

  it('registers anew with another key: SPDK would go on with the first', async () => {
    const spdk = ceph();
    await open(spdk, 'rbd', cinder);
    await open(spdk, 'rbd', { ...cinder, name: 'volumes/volume-2', keyring: 'AQBnew==' }, { volumeId: second });
    const [first, other] = paramsOf(spdk, 'bdev_rbd_register_cluster');
    expect(other?.name).not.toBe(first?.name);
    expect(paramsOf(spdk, 'bdev_rbd_create').map(({ cluster_name }) => cluster_name)).toEqual([
      first?.name,
      other?.name,
    ]);
  });

  it('refuses a key that the operator did not give, and asks for none where Ceph wants none', async () => {
    const spdk = ceph();
    const { field, message } = await rejection(open(spdk, 'rbd', { ...cinder, secret_uuid: 'unknown' }), 'invalid');
    expect(field).toBe('connection_info.data.secret_uuid');
    expect(message).toMatch(/storage\.ceph_keys .*unknown$/);
    await rejection(open(spdk, 'rbd', { ...cinder, secret_uuid: null }), 'invalid');
    expect(spdk.calls).toEqual([]);
    await open(spdk, 'rbd', { ...cinder, auth_enabled: false, secret_uuid: 'unknown' });
    expect(paramsOf(spdk, 'bdev_rbd_register_cluster')[0]?.config_param).not.toHaveProperty('key');
  });

  it('has no secret in the name that is written down', () => {
    const { name } = backendOf({ protocol: 'rbd', data: { ...cinder, keyring: 'AQBkey==' } }, context);
    expect(name).toBe(`vol-${volumeId}`);
  });

  it('refuses what is not an image, naming the field', async () => {
    const { field } = await invalid({ protocol: 'rbd', data: { ...cinder, name: 'volume-7000' } });
    expect(field).toBe('connection_info.data.name');
    await invalid({ protocol: 'rbd', data: { ...cinder, hosts: [] } });
    await invalid({ protocol: 'rbd', data: { name: 'a/b', hosts: 'no list' } });
  });
});

describe('an iSCSI volume', () => {
  const chap = { auth_method: 'CHAP', auth_username: 'user', auth_password: 'pass' } as const;
  const target = (works: (url: string) => boolean = () => true) => {
    const bdevs = fakeBdevs();
    return fakeSpdk({
      ...bdevs.methods,
      bdev_iscsi_create: ({ name, url }) => {
        if (!works(String(url))) throw refuse('bdev_iscsi_create', 111, 'Connection refused');
        return bdevs.add(String(name));
      },
    });
  };

  it('is reached by its portal, with CHAP', async () => {
    const spdk = target();
    await open(spdk, 'iscsi', {
      target_portal: '10.0.0.1:3260',
      target_iqn: 'iqn.2010-10.org.openstack:v',
      target_lun: 1,
      ...chap,
    });
    expect(paramsOf(spdk, 'bdev_iscsi_create')).toEqual([
      {
        name: `vol-${volumeId}`,
        initiator_iqn: 'iqn.2026-01.test:soc',
        url: 'iscsi://user%pass@10.0.0.1:3260/iqn.2010-10.org.openstack:v/1',
      },
    ]);
  });

  it('is reached by the first of several portals that answers', async () => {
    const spdk = target((url) => url.includes('10.0.0.2'));
    const data = {
      target_portal: 'ignored:3260',
      target_iqn: 'iqn.ignored',
      target_portals: ['10.0.0.1:3260', '10.0.0.2:3260', '10.0.0.3:3260'],
      target_iqns: ['iqn.a', 'iqn.b', 'iqn.c'],
      target_luns: [1, 2, 3],
    };
    await open(spdk, 'iscsi', data);
    expect(paramsOf(spdk, 'bdev_iscsi_create').map(({ url }) => url)).toEqual([
      'iscsi://10.0.0.1:3260/iqn.a/1',
      'iscsi://10.0.0.2:3260/iqn.b/2',
    ]);
    await expect(
      open(
        target(() => false),
        'iscsi',
        data,
      ),
    ).rejects.toThrow('Connection refused');
  });

  it('refuses a password that libiscsi would misread, without showing it', async () => {
    const data = { target_portal: 'a:1', target_iqn: 'iqn.a', ...chap, auth_password: 'p@ss/word' };
    const error = await invalid({ protocol: 'iscsi', data });
    expect(error.message).not.toContain('p@ss');
  });
});

describe('a namespace by NVMe over fabrics', () => {
  const uuid = '10000000-0000-4000-8000-00000000000a';
  const fabric = (works: (address: string) => boolean = () => true) => {
    const bdevs = fakeBdevs();
    const controllers = new Map<string, object[]>();
    return fakeSpdk({
      ...bdevs.methods,
      bdev_nvme_attach_controller: ({ name, traddr, trsvcid, trtype, subnqn }) => {
        if (!works(String(traddr))) throw refuse('bdev_nvme_attach_controller', 19, 'No such device');
        const paths = controllers.get(String(name)) ?? [];
        controllers.set(String(name), [...paths, { state: 'enabled', trid: { trtype, traddr, trsvcid, subnqn } }]);
        bdevs.add(`${name}n1`, { uuid: '10000000-0000-4000-8000-000000000001' });
        return [bdevs.add(`${name}n2`, { uuid })];
      },
      bdev_nvme_get_controllers: () => [...controllers].map(([name, ctrlrs]) => ({ name, ctrlrs })),
    });
  };
  const portals = [
    ['10.0.0.1', 4420, 'tcp'],
    ['fd00::2', '4421', 'RoCEv2'],
  ] as const;
  const data = { target_nqn: 'nqn.target', portals, vol_uuid: uuid, ns_id: 1 };

  it('takes every portal as a path that is waited for without end, the host NQN with the first', async () => {
    const spdk = fabric();
    const found = await open(spdk, 'nvmeof', data);
    const [first, second] = paramsOf(spdk, 'bdev_nvme_attach_controller');
    const common = { name: first?.name, subnqn: 'nqn.target', multipath: 'multipath' };
    const waits = { ctrlr_loss_timeout_sec: -1, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 0 };
    expect(first).toEqual({
      ...common,
      ...waits,
      trtype: 'TCP',
      adrfam: 'IPv4',
      traddr: '10.0.0.1',
      trsvcid: '4420',
      hostnqn: context.hostNqn,
    });
    expect(second).toEqual({ ...common, ...waits, trtype: 'RDMA', adrfam: 'IPv6', traddr: 'fd00::2', trsvcid: '4421' });
    expect(found.name).toBe(`${first?.name}n2`);
  });

  it.each([
    ['its uuid', { vol_uuid: uuid, volume_nguid: '10000000000040008000000000000001', ns_id: 1 }, 'n2'],
    ['its NGUID', { volume_nguid: '1000000000004000800000000000000a', ns_id: 1 }, 'n2'],
    ['its number', { ns_id: 1 }, 'n1'],
  ])('is found by %s', async (_what, names, suffix) => {
    const found = await open(fabric(), 'nvmeof', { target_nqn: 'nqn.target', portals, ...names });
    expect(found.name.endsWith(suffix)).toBe(true);
  });

  it('is not guessed', async () => {
    await rejection(open(fabric(), 'nvmeof', { target_nqn: 'nqn.target', portals }), 'unavailable');
    const gone = { target_nqn: 'nqn.target', portals, vol_uuid: '10000000-0000-4000-8000-0000000000ff', ns_id: 1 };
    await rejection(open(fabric(), 'nvmeof', gone), 'unavailable');
  });

  it('is there with one path, and not with none', async () => {
    await open(
      fabric((address) => address === 'fd00::2'),
      'nvmeof',
      data,
    );
    await expect(
      open(
        fabric(() => false),
        'nvmeof',
        data,
      ),
    ).rejects.toThrow('No such device');
  });

  it('is known in the older form too', async () => {
    const spdk = fabric();
    await open(spdk, 'nvmeof', {
      nqn: 'nqn.old',
      transport_type: 'rdma',
      target_portal: '10.0.0.9',
      target_port: 4420,
      ns_id: 2,
    });
    expect(paramsOf(spdk, 'bdev_nvme_attach_controller')[0]).toMatchObject({
      subnqn: 'nqn.old',
      trtype: 'RDMA',
      traddr: '10.0.0.9',
    });
  });
});

it('refuses volumes that it would have to decrypt, and protocols that it has not', async () => {
  const of = (connection: VolumeConnection) => Promise.resolve().then(() => backendOf(connection, context));
  await rejection(of({ protocol: 'rbd', data: { name: 'a/b', hosts: ['h'], encrypted: true } }), 'unsupported');
  await rejection(of({ protocol: 'fibre_channel', data: {} }), 'unsupported');
});
