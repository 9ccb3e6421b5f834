/** What a fresh control plane is given: identities and endpoints, then flavors, images, networks and volume types. All of it is an ensure. */
import { randomBytes } from 'node:crypto';
import { type StackLayout, urlOf } from './layout.ts';
import { RestError, type ServiceName, type Session } from './rest.ts';

/** Names of what is there to be used. */
export const NAMES = {
  flavors: { tiny: 'm1.tiny', small: 'm1.small', medium: 'm1.medium', metal: 'bm.whole' },
  images: ['tiny', 'tiny-alt'],
  networks: ['private', 'second', 'public'],
} as const;

/** The class that a bare-metal node offers one of, as Ironic's users know it: a flavor asks for one, and for nothing else. */
export const METAL_CLASS = 'CUSTOM_BAREMETAL_DPU';

/** Makes the service users and the catalogue. */
export async function bootstrapIdentity(layout: StackLayout, admin: Session): Promise<void> {
  const project = await ensure(admin, 'projects', 'project', { name: 'service', domain_id: 'default' });
  const roles = new Map<string, string>();
  for (const name of ['service', 'admin', 'member', 'reader']) {
    roles.set(name, await ensure(admin, 'roles', 'role', { name }));
  }
  const users = ['nova', 'placement', 'glance', 'neutron', 'cinder'].map(async (name) => {
    const user = await ensure(admin, 'users', 'user', { name, domain_id: 'default' }, { password: layout.password });
    for (const role of ['service', 'admin']) {
      await admin.call('identity', 'PUT', `/projects/${project}/users/${user}/roles/${roles.get(role)}`);
    }
  });
  const services = catalogue(layout).map(async ([name, type, url]) => {
    const service = await ensure(admin, 'services', 'service', { type }, { name });
    for (const each of ['public', 'internal', 'admin']) {
      const what = { service_id: service, interface: each };
      await ensure(admin, 'endpoints', 'endpoint', what, { url, region_id: layout.region });
    }
  });
  await Promise.all([...users, ...services]);
}

function catalogue(layout: StackLayout): readonly (readonly [string, string, string])[] {
  return [
    ['nova', 'compute', `${urlOf(layout, 'nova')}/v2.1`],
    ['placement', 'placement', urlOf(layout, 'placement')],
    ['glance', 'image', urlOf(layout, 'glance')],
    ['neutron', 'network', urlOf(layout, 'neutron')],
    ['cinderv3', 'volumev3', `${urlOf(layout, 'cinder')}/v3/%(project_id)s`],
  ];
}

/** Makes what servers are made of, and takes the quotas away. The services must answer. */
export async function bootstrapResources(layout: StackLayout, admin: Session): Promise<void> {
  const quotas = async (): Promise<void> => {
    const { projectId: id } = admin;
    await admin.call('compute', 'PUT', `/os-quota-sets/${id}`, {
      body: { quota_set: { instances: -1, cores: -1, ram: -1 } },
      microversion: '2.56',
    });
    const network = { port: -1, network: -1, subnet: -1, security_group: -1 };
    await admin.call('network', 'PUT', `/v2.0/quotas/${id}`, { body: { quota: network } });
    const volume = { volumes: -1, gigabytes: -1, snapshots: -1, backups: -1 };
    await admin.call('volumev3', 'PUT', `/os-quota-sets/${id}`, { body: { quota_set: volume } });
  };
  await Promise.all([flavors(admin), images(admin), networks(admin), volumeTypes(layout, admin), quotas()]);
}

async function flavors(admin: Session): Promise<void> {
  const { tiny, small, medium, metal } = NAMES.flavors;
  const sizes = [
    [tiny, 1, 128, 1],
    [small, 1, 256, 1],
    [medium, 2, 512, 2],
    [metal, 1, 256, 1],
  ] as const;
  for (const [index, [name, vcpus, ram, disk]] of sizes.entries()) {
    const flavor = { id: String(index + 1), name, vcpus, ram, disk };
    await unlessThere(admin.call('compute', 'POST', '/flavors', { body: { flavor } }));
  }
  const extra = { 'resources:VCPU': '0', 'resources:MEMORY_MB': '0', 'resources:DISK_GB': '0' };
  const extra_specs = { ...extra, [`resources:${METAL_CLASS}`]: '1' };
  await admin.call('compute', 'POST', `/flavors/${sizes.length}/os-extra_specs`, { body: { extra_specs } });
}

async function images(admin: Session): Promise<void> {
  for (const name of NAMES.images) {
    const { images: have } = await admin.call<{ images: readonly { status: string }[] }>(
      'image',
      'GET',
      `/v2/images?name=${name}&status=active`,
    );
    if (have.length > 0) continue;
    const { id } = await admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: { name, disk_format: 'raw', container_format: 'bare', visibility: 'public' },
    });
    await admin.call('image', 'PUT', `/v2/images/${id}/file`, { body: randomBytes(1024 * 1024) });
  }
}

async function networks(admin: Session): Promise<void> {
  const external = {
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'physnet1',
  };
  const wanted = [
    ['private', { shared: true }, '10.10.0.0/16'],
    ['second', { shared: true }, '10.20.0.0/16'],
    ['public', external, '10.99.0.0/16'],
  ] as const;
  for (const [name, more, cidr] of wanted) {
    const { networks: have } = await admin.call<{ networks: readonly object[] }>(
      'network',
      'GET',
      `/v2.0/networks?name=${name}`,
    );
    if (have.length > 0) continue;
    const { network } = await admin.call<{ network: { id: string } }>('network', 'POST', '/v2.0/networks', {
      body: { network: { name, ...more } },
    });
    const subnet = { network_id: network.id, name: `${name}-v4`, ip_version: 4, cidr, enable_dhcp: true };
    await admin.call('network', 'POST', '/v2.0/subnets', { body: { subnet } });
  }
}

async function volumeTypes({ ceph }: StackLayout, admin: Session): Promise<void> {
  for (const name of ceph ? ['fake', 'ceph'] : ['fake']) {
    const volume_type = { name, extra_specs: { volume_backend_name: name } };
    await unlessThere(admin.call('volumev3', 'POST', '/types', { body: { volume_type } }));
  }
}

async function unlessThere(made: Promise<unknown>): Promise<void> {
  try {
    await made;
  } catch (error) {
    if (!(error instanceof RestError) || error.status !== 409) throw error;
  }
}

/** The id of the thing that matches, which is made with `more` on top where there is none. */
async function ensure(
  admin: Session,
  collection: string,
  key: string,
  match: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const identity: ServiceName = 'identity';
  const query = new URLSearchParams(match).toString();
  const found = await admin.call<Record<string, readonly { readonly id: string }[]>>(
    identity,
    'GET',
    `/${collection}?${query}`,
  );
  const [first] = found[collection] ?? [];
  if (first !== undefined) return first.id;
  const made = await admin.call<Record<string, { readonly id: string }>>(identity, 'POST', `/${collection}`, {
    body: { [key]: { ...match, ...more } },
  });
  return made[key]?.id ?? '';
}
