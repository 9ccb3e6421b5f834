import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../core/units.ts';
import { objectIn } from '../../platform-adapter/openstack/rest/fields.ts';
import type { HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import { buildNetworkInfo, type VifParts, vifOf } from '../../platform-adapter/openstack/rest/network-info.ts';
import { createNeutron, type Neutron } from '../../platform-adapter/openstack/rest/neutron.ts';
import { refusalType } from '../../platform-adapter/openstack/rest/rest-errors.ts';
import { rejection } from '../contract/samples.ts';
import {
  type Answer,
  callerOf,
  type Exchange,
  quickClock,
  recorded,
  type Seen,
  startService,
  type TestService,
  testClient,
} from './openstack-rest/service.ts';

const instance = 'a6218903-869c-429a-bd9b-9951c64d9bc7';
const projectId = '7a2323605f6c4f44994a2d93e7cc62e0';
const first = 'cdc6f594-f350-4401-950e-b8c87d5681c2';
const second = '52ad42d9-d3b7-4e4f-9332-6580af82e0f0';

let service: TestService;
let http: HttpClient;
let clock: ReturnType<typeof quickClock>;
let neutron: Neutron;

beforeEach(async () => {
  service = await startService();
  clock = quickClock();
  http = testClient(clock);
  neutron = createNeutron(callerOf(service.url, http), clock);
});

afterEach(async () => {
  http.close();
  await service[Symbol.asyncDispose]();
});

/** Answers from everything that Neutron told in the exchanges; the last word wins. */
function replay(...exchanges: readonly Exchange[]): (request: Seen) => Answer {
  const known = new Map<string, Map<string, JsonObject>>();
  const learn = (kind: string, thing: JsonObject): void => {
    const things = known.get(kind) ?? new Map<string, JsonObject>();
    known.set(kind, things.set(String(thing.id), thing));
  };
  for (const { response } of exchanges) {
    for (const [kind, value] of Object.entries((response ?? {}) as JsonObject)) {
      if (Array.isArray(value)) for (const each of value as readonly JsonObject[]) learn(kind, each);
    }
  }
  return ({ url }) => {
    const [, , kind = '', id] = url.pathname.split('/');
    const things = known.get(kind) ?? new Map<string, JsonObject>();
    const found = id === undefined ? undefined : things.get(id);
    if (id !== undefined) return found ? { status: 200, json: { [kind.slice(0, -1)]: found } } : { status: 404 };
    const asked = [...new Set(url.searchParams.keys())].filter((name) => name !== 'limit');
    const matching = [...things.values()].filter((thing) =>
      asked.every((name) => url.searchParams.getAll(name).includes(String(thing[name]))),
    );
    return { status: 200, json: { [kind]: matching } };
  };
}

describe('network_info', () => {
  it('of a build is what nova-compute saved', async () => {
    service.answer = replay(...recorded.build.neutron);
    const ports = [{ id: first, preserveOnDelete: false }];
    expect(await buildNetworkInfo(neutron, { instance, projectId, ports })).toEqual(recorded.build.networkInfo);
  });

  it('after a second port was attached is what nova-compute saved, but for the MTU that it forgot', async () => {
    service.answer = replay(...recorded.build.neutron, ...recorded.attachInterface.neutron);
    const ports = [
      { id: first, preserveOnDelete: false },
      { id: second, preserveOnDelete: true },
    ];
    const made = await buildNetworkInfo(neutron, { instance, projectId, ports });
    const [one, two] = recorded.attachInterface.networkInfo;
    const network = one?.network as JsonObject;
    const meta = { ...(network.meta as JsonObject), mtu: 1442 };
    expect(made).toEqual([{ ...one, network: { ...network, meta } }, two]);
  });

  it('has ports in order, those that nobody named last and kept, and none that are gone', async () => {
    service.answer = replay(...recorded.build.neutron, ...recorded.attachInterface.neutron);
    const ports = [
      { id: 'gone', preserveOnDelete: false },
      { id: second, preserveOnDelete: false },
    ];
    const made = await buildNetworkInfo(neutron, { instance, projectId, ports });
    expect(made.map(({ id, preserve_on_delete }) => [id, preserve_on_delete])).toEqual([
      [second, false],
      [first, true],
    ]);
  });

  it('is empty without ports', async () => {
    service.answer = () => ({ status: 200, json: { ports: [] } });
    expect(
      await buildNetworkInfo(neutron, { instance, projectId, ports: [{ id: first, preserveOnDelete: true }] }),
    ).toEqual([]);
    expect(service.seen).toHaveLength(1);
  });

  it('fails where Neutron does not answer', async () => {
    service.answer = ({ url }) =>
      url.pathname.endsWith('/subnets') ? { status: 503 } : replay(...recorded.build.neutron)({ url } as Seen);
    await rejection(buildNetworkInfo(neutron, { instance, projectId, ports: [] }), 'unavailable');
  });
});

describe('a VIF', () => {
  const port: VifParts['port'] = {
    id: first,
    name: '',
    networkId: '0674c65e-904d-4913-a271-292aa18f8244',
    projectId: 'port-project',
    macAddress: 'fa:16:3e:00:00:01',
    adminStateUp: true,
    status: 'ACTIVE',
    deviceId: instance,
    deviceOwner: 'compute:nova',
    fixedIps: [
      { subnetId: 's6', ipAddress: '2001:db8::5' },
      { subnetId: 's4', ipAddress: '192.0.2.5' },
    ],
    securityGroups: [],
    dnsName: null,
    portSecurityEnabled: true,
    vnicType: 'remote-managed',
    bindingHost: 'h',
    vifType: 'ovs',
    vifDetails: {},
    bindingProfile: { vf_num: 3 },
    resourceRequest: null,
  };
  const subnet: VifParts['subnets'][number] = {
    id: 's4',
    name: '',
    networkId: port.networkId,
    ipVersion: 4,
    cidr: '192.0.2.0/24',
    gatewayIp: null,
    enableDhcp: false,
    dnsNameservers: ['192.0.2.53', '192.0.2.53'],
    hostRoutes: [{ destination: '198.51.100.0/24', nexthop: '192.0.2.9' }],
    ipv6RaMode: null,
    ipv6AddressMode: null,
  };
  const parts: VifParts = {
    port,
    network: null,
    subnets: [subnet],
    floatingIps: [],
    dhcpPorts: [],
    preserveOnDelete: true,
    bridge: 'br-int',
  };
  const network = (more: Partial<VifParts['port']>) =>
    vifOf({ ...parts, port: { ...port, ...more } }).network as JsonObject;

  it('has addresses by subnet, with floating ones, routes, name servers and who answers DHCP', () => {
    const six = {
      ...subnet,
      id: 's6',
      ipVersion: 6,
      cidr: '2001:db8::/64',
      gatewayIp: '2001:db8::1',
      enableDhcp: true,
      ipv6AddressMode: 'slaac',
    } as const;
    const floatingIps = [{ id: 'f', floatingIpAddress: '203.0.113.7', fixedIpAddress: '192.0.2.5', portId: first }];
    const dhcpPorts = [{ ...port, fixedIps: [{ subnetId: 's6', ipAddress: '2001:db8::2' }] }];
    const { subnets } = vifOf({ ...parts, subnets: [six, subnet], floatingIps, dhcpPorts }).network as {
      readonly subnets: readonly Json[];
    };
    expect(subnets).toMatchObject([
      {
        version: 6,
        gateway: { address: '2001:db8::1', version: 6 },
        ips: [{ address: '2001:db8::5', version: 6, floating_ips: [] }],
        meta: { ipv6_address_mode: 'slaac', dhcp_server: '2001:db8::2' },
      },
      {
        dns: [{ address: '192.0.2.53', type: 'dns', version: 4, meta: {} }],
        gateway: { address: null, type: 'gateway', version: null, meta: {} },
        ips: [
          { address: '192.0.2.5', floating_ips: [{ address: '203.0.113.7', type: 'floating', version: 4, meta: {} }] },
        ],
        routes: [
          { cidr: '198.51.100.0/24', gateway: { address: '192.0.2.9', type: 'gateway' }, interface: null, meta: {} },
        ],
        meta: {},
      },
    ]);
  });

  it.each<[string, JsonObject, string | null, boolean]>([
    ['ovs', {}, 'br-int', true],
    ['ovs', { bridge_name: 'br-of-a-long-name' }, 'br-of-a-long-n', true],
    ['vhostuser', { vhostuser_ovs_plug: true }, 'br-int', true],
    ['vhostuser', { vhostuser_fp_plug: true }, 'brq0674c65e-90', false],
    ['vhostuser', {}, null, false],
    ['bridge', {}, 'brq0674c65e-90', false],
    ['hw_veb', {}, null, false],
    ['unbound', {}, null, false],
  ])('of type %s with %j is on bridge %s', (vifType, vifDetails, bridge, ovs) => {
    expect(network({ vifType, vifDetails }).bridge).toBe(bridge);
    expect(vifOf({ ...parts, port: { ...port, vifType, vifDetails } }).ovs_interfaceid).toBe(ovs ? first : null);
  });

  it('is active when its port is, or is down by will', () => {
    const active = (status: string, adminStateUp: boolean) =>
      vifOf({ ...parts, port: { ...port, status, adminStateUp } }).active;
    expect([active('ACTIVE', true), active('DOWN', true), active('DOWN', false)]).toEqual([true, false, true]);
  });

  it("has a network's physical name and tunnel; of several segments the first physical one", () => {
    const meta = (more: Partial<NonNullable<VifParts['network']>>) => {
      const seen: VifParts['network'] = {
        id: port.networkId,
        name: 'n',
        projectId: 'network-project',
        mtu: 1500,
        shared: true,
        external: false,
        portSecurityEnabled: true,
        subnets: [],
        networkType: 'vlan',
        physicalNetwork: 'physnet1',
        segmentationId: 7,
        segments: [],
        ...more,
      };
      return (vifOf({ ...parts, network: seen }).network as JsonObject).meta;
    };
    const vxlan = { networkType: 'vxlan', physicalNetwork: null, segmentationId: 1 };
    const vlan = { networkType: 'vlan', physicalNetwork: 'physnet2', segmentationId: 2 };
    expect(meta({})).toEqual({
      injected: false,
      tenant_id: 'network-project',
      mtu: 1500,
      physical_network: 'physnet1',
      tunneled: false,
    });
    expect(meta(vxlan)).toMatchObject({ physical_network: null, tunneled: true });
    expect(meta({ segments: [vxlan, vlan] })).toMatchObject({ physical_network: 'physnet2', tunneled: false });
    expect(() => meta({ segments: [vxlan] })).toThrow('no segment');
    expect(network({}).meta).toMatchObject({ tenant_id: 'port-project', mtu: null });
  });
});

describe('a port', () => {
  const [made, bound] = recorded.build.neutron.filter(({ method }) => method !== 'GET');

  it('is made and bound with the requests of nova-compute', async () => {
    service.next.push({ status: 201, json: made?.response ?? null }, { status: 200, json: bound?.response ?? null });
    const { id, vifType } = await neutron.createPort({
      networkId: '0674c65e-904d-4913-a271-292aa18f8244',
      projectId,
      deviceId: instance,
      adminStateUp: true,
    });
    expect([id, vifType]).toEqual([first, 'unbound']);
    const port = await neutron.updatePort(id, {
      deviceId: instance,
      deviceOwner: 'compute:nova',
      bindingHost: 'fake1',
      dnsName: 'life',
    });
    expect(port).toMatchObject({ vifType: 'ovs', bindingHost: 'fake1', vifDetails: { connectivity: 'l2' } });
    // tenant_id is the old name of project_id
    const { tenant_id, ...asked } = objectIn(made?.request ?? null, 'port');
    expect(service.seen.map(({ method, path, json }) => [method, path, json])).toEqual([
      ['POST', '/v2.0/ports', { port: { ...asked, project_id: tenant_id } }],
      ['PUT', `/v2.0/ports/${first}`, bound?.request],
    ]);
  });

  it('is not made twice where the answer was lost', async () => {
    service.next.push('reset');
    await rejection(neutron.createPort({ networkId: 'n' }), 'unavailable');
    expect(service.seen).toHaveLength(1);
  });

  it('is unbound with what empties, and what is not named stays', async () => {
    service.next.push({ status: 200, json: bound?.response ?? null });
    await neutron.updatePort(first, { deviceId: '', deviceOwner: '', bindingHost: null, bindingProfile: {} });
    expect(service.seen[0]?.json).toEqual({
      port: { device_id: '', device_owner: '', 'binding:host_id': null, 'binding:profile': {} },
    });
  });

  it('that is half told is no port', async () => {
    service.next.push({ status: 200, json: { port: { id: first } } });
    expect((await rejection(neutron.showPort(first), 'unavailable')).field).toBe('network_id');
  });

  it('has its id in the path and nothing else', async () => {
    await rejection(neutron.showPort('../networks?x=/'), 'not_found');
    expect(service.seen[0]?.path).toBe('/v2.0/ports/..%2Fnetworks%3Fx%3D%2F');
  });
});

describe('a binding', () => {
  const binding = {
    host: 'h2',
    vif_type: 'ovs',
    vnic_type: 'normal',
    status: 'INACTIVE',
    profile: {},
    vif_details: {},
  };
  const conflict: Answer = { status: 409, json: { NeutronError: { type: 'PortBindingAlreadyExists', message: 'x' } } };

  it('is made once, however often it is asked for', async () => {
    service.next.push('reset', conflict, { status: 200, json: { binding } });
    expect(await neutron.ensureBinding(first, { host: 'h2' })).toMatchObject({ host: 'h2', status: 'INACTIVE' });
    expect(service.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `POST /v2.0/ports/${first}/bindings`,
      `POST /v2.0/ports/${first}/bindings`,
      `GET /v2.0/ports/${first}/bindings/h2`,
    ]);
  });

  it('is activated without a body, and once is enough', async () => {
    service.next.push({ status: 200, json: { binding } }, conflict);
    await neutron.activateBinding(first, 'h2');
    await neutron.activateBinding(first, 'h2');
    expect(service.seen).toMatchObject([
      { method: 'PUT', path: `/v2.0/ports/${first}/bindings/h2/activate`, json: '' },
      {},
    ]);
    service.next.push({ status: 404, json: { NeutronError: { type: 'PortBindingNotFound', message: 'x' } } });
    expect(refusalType(await rejection(neutron.activateBinding(first, 'h3'), 'not_found'))).toBe('PortBindingNotFound');
  });
});

it('asks for the extensions once in ten minutes', async () => {
  const extensions = (...aliases: readonly string[]): Answer => ({
    status: 200,
    json: { extensions: aliases.map((alias) => ({ alias })) },
  });
  service.next.push(extensions('binding'), extensions('binding', 'binding-extended'));
  expect(await neutron.extensions()).toEqual(new Set(['binding']));
  clock.skip(599_000);
  expect(await neutron.extensions()).toEqual(new Set(['binding']));
  clock.skip(2_000);
  expect(await neutron.extensions()).toContain('binding-extended');
});

it('lists nothing where nothing is named', async () => {
  expect(await neutron.listNetworks({ ids: [] })).toEqual([]);
  expect(await neutron.listSubnets({ ids: [] })).toEqual([]);
  expect(await neutron.listFloatingIps({ portId: first })).toEqual([]);
  expect(service.seen.map(({ path }) => path)).toEqual([`/v2.0/floatingips?port_id=${first}`]);
});
