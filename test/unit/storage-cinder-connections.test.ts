import { expect, it } from 'vitest';
import { asId, type JsonObject, type VolumeId } from '../../core/units.ts';
import { backendOf } from '../../drivers/storage/connections/open.ts';
import { asInitiator, connectorOf } from '../../platform-adapter/openstack/connector.ts';
import { readAttachment } from '../../platform-adapter/openstack/rest/cinder-records.ts';
import { rejection } from '../contract/samples.ts';
import { fakeBdevs, fakeSpdk } from '../support/fake-spdk.ts';

/*
 * From what Cinder answers to what SPDK is asked. Each `data` was made by the drivers of Cinder 21 (Zed) themselves: NVMET and TgtAdm of
 * cinder.volume.targets, RBDDriver, FakeLoggingVolumeDriver; `common` is what the volume manager adds to each.
 */
const common = { qos_specs: null, access_mode: 'rw', encrypted: false, cacheable: false };
const id = '70000000-0000-4000-8000-000000000001';
const uuid = '90000000-0000-4000-8000-000000000009';
const connector = connectorOf({ host: 'node-1', ip: '192.0.2.1', hostNqn: null, uuid });

/** Opens the volume of an attachment; answers what SPDK was asked to make. */
async function opened(type: string, data: JsonObject): Promise<readonly (readonly [string, unknown])[]> {
  const flat = { ...data, ...common, driver_volume_type: type, attachment_id: 'a' };
  const fields = {
    id: 'a',
    volume_id: id,
    instance: 'i',
    status: 'attaching',
    attach_mode: 'rw',
    attached_at: '',
    detached_at: '',
  };
  const { connectionInfo } = readAttachment({ attachment: { ...fields, connection_info: flat } });
  if (connectionInfo === null) throw new Error('the attachment has no connection_info');
  const { driver_volume_type, data: named } = asInitiator(connectionInfo, connector);
  const bdevs = fakeBdevs();
  const clusters: unknown[] = [];
  const controllers: unknown[] = [];
  const spdk = fakeSpdk({
    ...bdevs.methods,
    bdev_iscsi_create: ({ name }) => bdevs.add(String(name)),
    bdev_rbd_register_cluster: ({ name }) => clusters.push({ cluster_name: name }) && name,
    bdev_rbd_get_clusters_info: () => clusters,
    bdev_rbd_create: ({ name }) => bdevs.add(String(name)),
    bdev_nvme_attach_controller: ({ name, trtype, traddr, trsvcid, subnqn }) => {
      controllers.push({ name, ctrlrs: [{ state: 'enabled', trid: { trtype, traddr, trsvcid, subnqn } }] });
      return [bdevs.add(`${name}n10`)];
    },
    bdev_nvme_get_controllers: () => controllers,
  });
  const context = {
    volumeId: asId<VolumeId>(id),
    readOnly: false,
    localDirs: async () => [],
    cephSecret: async () => 'KEY',
    hostNqn: undefined,
    initiatorIqn: 'iqn.2016-06.io.spdk:init',
  };
  await backendOf({ protocol: driver_volume_type, data: named }, context).open(spdk.client, {});
  return spdk.calls
    .filter(({ method }) => /create|attach|register/.test(method))
    .map(({ method, params }) => [method, params]);
}

it('opens an iSCSI volume of tgt or LIO, with CHAP, by the name that Cinder let in', async () => {
  const calls = await opened('iscsi', {
    target_discovered: false,
    target_portals: ['10.0.0.1:3260', '10.0.0.2:3260'],
    target_iqns: ['iqn.2010-10.org.openstack:volume-7', 'iqn.2010-10.org.openstack:volume-7'],
    target_luns: [0, 0],
    target_portal: '10.0.0.1:3260',
    target_iqn: 'iqn.2010-10.org.openstack:volume-7',
    target_lun: 0,
    volume_id: id,
    auth_method: 'CHAP',
    auth_username: 'user',
    auth_password: 'secret',
  });
  const url = 'iscsi://user%secret@10.0.0.1:3260/iqn.2010-10.org.openstack:volume-7/0';
  expect(calls).toEqual([['bdev_iscsi_create', { name: `vol-${id}`, initiator_iqn: connector.initiator, url }]]);
});

it('opens a namespace of nvmet, whose numbers are text, by the name that Cinder let in', async () => {
  const [[method, params] = []] = await opened('nvmeof', {
    target_portal: '10.0.0.1',
    target_port: '4420',
    nqn: 'nqn.2014-08.org.nvmexpress:uuid:70000000',
    transport_type: 'tcp',
    ns_id: '10',
  });
  expect(method).toBe('bdev_nvme_attach_controller');
  expect(params).toMatchObject({
    trtype: 'TCP',
    traddr: '10.0.0.1',
    trsvcid: '4420',
    subnqn: 'nqn.2014-08.org.nvmexpress:uuid:70000000',
    hostnqn: `nqn.2014-08.org.nvmexpress:uuid:${uuid}`,
  });
});

it('opens an image of Ceph with the key that the operator gave', async () => {
  const calls = await opened('rbd', {
    name: `volumes/volume-${id}`,
    hosts: ['127.0.0.1'],
    ports: ['16789'],
    cluster_name: 'ceph',
    auth_enabled: true,
    auth_username: 'cinder',
    secret_type: 'ceph',
    secret_uuid: '457eb676-33da-42ec-9a8c-9293d545c337',
    volume_id: id,
    discard: true,
  });
  expect(calls).toMatchObject([
    ['bdev_rbd_register_cluster', { user_id: 'cinder', config_param: { mon_host: '127.0.0.1:16789', key: 'KEY' } }],
    ['bdev_rbd_create', { pool_name: 'volumes', rbd_name: `volume-${id}` }],
  ]);
});

it('says what is missing in a connection that leads nowhere', async () => {
  expect((await rejection(opened('iscsi', {}), 'invalid')).field).toBe('connection_info.data.target_portal');
});

it('refuses a name that could be more than a name', async () => {
  const data = { target_portal: 'a:1', target_iqn: 'iqn.a', initiator_iqn: 'iqn.x y' };
  const context = {
    volumeId: asId<VolumeId>(id),
    readOnly: false,
    localDirs: async () => [],
    cephSecret: async () => undefined,
    hostNqn: undefined,
    initiatorIqn: 'iqn.a',
  };
  await rejection(
    Promise.resolve().then(() => backendOf({ protocol: 'iscsi', data }, context)),
    'invalid',
  );
});
