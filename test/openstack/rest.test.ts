import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../kit/clock.ts';
import { buildNetworkInfo } from '../../platform-adapter/openstack/rest/network-info.ts';
import { createNeutron, type Network, type Neutron } from '../../platform-adapter/openstack/rest/neutron.ts';
import { createPlacement, type Placement } from '../../platform-adapter/openstack/rest/placement.ts';
import {
  isGenerationConflict,
  refusalType,
  retryOnGenerationConflict,
} from '../../platform-adapter/openstack/rest/rest-errors.ts';
import { rejection } from '../contract/samples.ts';
import { chassis, controlPlane, signedIn, signIn, warnIfSkipped } from './control-plane.ts';

const plane = controlPlane();
warnIfSkipped(plane, 'the REST clients');

describe.skipIf(!plane)('on a control plane', () => {
  const { run, undo, service, user, us } = signedIn(plane);

  describe('Keystone', () => {
    it('gives a token with the roles of a compute service, and the endpoints', async () => {
      expect(us().roles).toContain('service');
      expect((await service().endpoint('placement')).href).toMatch(/^https?:/);
      expect(await service().isValid(user().token)).toBe(true);
      expect(await service().isValid('gAAAAABnonsense')).toBe(false);
    });

    it('refuses a wrong password without showing it', async () => {
      if (!plane) return;
      const { session } = signIn(plane, { ...plane.service, password: 'not-the-password' });
      const error = await rejection(session.token(), 'denied');
      expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain('not-the-password');
      session.close();
    });

    it('signs in by an application credential', async () => {
      if (!plane) return;
      const { http, session } = signIn(plane, plane.admin);
      const { id, userId } = await session.token();
      const url = new URL(`${plane.authUrl.replace(/\/v3$/, '')}/v3/users/${userId}/application_credentials`);
      const headers = { 'X-Auth-Token': id };
      const json = { application_credential: { name: run } };
      const made = await http.send({ doing: 'make one', service: 'keystone', method: 'POST', url, headers, json });
      const credential = (made.json as { application_credential: { id: string; secret: string } })
        .application_credential;
      const application = { kind: 'application_credential', id: credential.id, secret: credential.secret } as const;
      const other = signIn(plane, application).session;
      expect((await other.token()).userId).toBe(userId);
      // asked of Keystone: a loaded Neutron was seen to refuse a token that Keystone had just called good
      expect(await other.isValid((await other.token()).id)).toBe(true);
      other.close();
      await http.send({
        doing: 'delete it',
        service: 'keystone',
        method: 'DELETE',
        url: new URL(`${url.href}/${credential.id}`),
        headers,
      });
      session.close();
    });
  });

  describe('Placement', () => {
    const provider = { uuid: randomUUID(), name: `${run}-provider` };
    const vcpu = { total: 8, reserved: 0, minUnit: 1, maxUnit: 8, stepSize: 1, allocationRatio: 1 };
    let placement: Placement;

    beforeAll(() => {
      placement = createPlacement(service());
      undo.push(() => placement.deleteProvider(provider.uuid));
    });

    it('keeps a provider, found by uuid and by name', async () => {
      expect(await placement.providersInTree(provider.uuid)).toEqual([]);
      expect(await placement.findProviderByName(provider.name)).toBeNull();
      const made = await placement.ensureProvider(provider);
      expect(await placement.ensureProvider(provider)).toEqual(made);
      expect(made).toEqual({ ...provider, generation: 0, parentUuid: null, rootUuid: provider.uuid });
      expect(await placement.findProviderByName(provider.name)).toEqual(made);
      await rejection(placement.createProvider({ ...provider, uuid: randomUUID() }), 'conflict');
    });

    it('keeps inventories, traits and aggregates by generation', async () => {
      const { uuid } = provider;
      await placement.ensureResourceClass('CUSTOM_DPU_COMPUTE_TEST');
      await placement.ensureResourceClass('CUSTOM_DPU_COMPUTE_TEST');
      const before = await placement.getInventories(uuid);
      const inventories = { VCPU: vcpu, CUSTOM_DPU_COMPUTE_TEST: { ...vcpu, total: 1, maxUnit: 1 } };
      const after = await placement.putInventories(uuid, { ...before, inventories });
      expect(after).toEqual({ generation: before.generation + 1, inventories });
      expect(await placement.getInventories(uuid)).toEqual(after);
      const stale = placement.putInventories(uuid, { ...before, inventories });
      expect(isGenerationConflict(await rejection(stale, 'conflict'))).toBe(true);
      await retryOnGenerationConflict(async () => {
        await placement.putInventories(uuid, { ...(await placement.getInventories(uuid)), inventories });
      });

      await placement.ensureTrait('CUSTOM_DPU_COMPUTE_TEST');
      await placement.ensureTrait('CUSTOM_DPU_COMPUTE_TEST');
      const names = ['COMPUTE_NODE', 'CUSTOM_DPU_COMPUTE_TEST'];
      expect(await placement.knownTraits([...names, 'CUSTOM_NOBODY_MADE_THIS'])).toEqual(names);
      const traits = await placement.putTraits(uuid, { ...(await placement.getTraits(uuid)), traits: names });
      expect(await placement.getTraits(uuid)).toEqual(traits);
      const oldTraits = placement.putTraits(uuid, { generation: 0, traits: [] });
      expect(isGenerationConflict(await rejection(oldTraits, 'conflict'))).toBe(true);

      const aggregates = [randomUUID()];
      const set = await placement.putAggregates(uuid, { ...(await placement.getAggregates(uuid)), aggregates });
      expect(await placement.getAggregates(uuid)).toEqual({ ...set, aggregates });
      const oldSet = placement.putAggregates(uuid, { generation: 0, aggregates });
      expect(isGenerationConflict(await rejection(oldSet, 'conflict'))).toBe(true);
    });

    it('moves what a migration holds back to its instance', async () => {
      const [instance, migration] = [randomUUID(), randomUUID()];
      const held = (vcpus: number) => ({
        allocations: { [provider.uuid]: { VCPU: vcpus } },
        projectId: us().projectId,
        userId: us().userId,
        consumerGeneration: null,
      });
      await placement.putAllocations(migration, held(2));
      expect((await placement.getAllocations(migration)).allocations).toEqual({ [provider.uuid]: { VCPU: 2 } });
      expect(await placement.moveAllocations(migration, instance)).toBe(true);
      expect(await placement.moveAllocations(migration, instance)).toBe(false);
      expect((await placement.providerAllocations(provider.uuid)).allocations).toEqual({ [instance]: { VCPU: 2 } });
      const again = placement.putAllocations(instance, held(1));
      expect(isGenerationConflict(await rejection(again, 'conflict'))).toBe(true);
      await rejection(placement.putAllocations(randomUUID(), held(8)), 'exhausted');
      await rejection(placement.deleteProvider(provider.uuid), 'conflict');
      await placement.deleteAllocations(instance);
      await placement.deleteAllocations(instance);
      expect((await placement.getAllocations(instance)).allocations).toEqual({});
    });
  });

  describe('Neutron', () => {
    const instance = randomUUID();
    let asUser: Neutron;
    let asService: Neutron;
    let network: Network;

    beforeAll(async () => {
      asUser = createNeutron(service().withUserToken(user()), systemClock);
      asService = createNeutron(service(), systemClock);
      const networks = await asUser.listNetworks({ shared: true });
      const first = networks.find(({ external, subnets }) => !external && subnets.length > 0);
      if (!first) throw new Error('the control plane has no shared network with a subnet');
      network = first;
      undo.push(async () => {
        for (const { id } of await asService.listPorts({ deviceId: instance })) await asService.deletePort(id);
      });
    });

    /** What a live migration does with a port's bindings. */
    const migrateBinding = async (port: string, from: string, to: string): Promise<void> => {
      const inactive = { host: to, status: 'INACTIVE', vifType: 'ovs' };
      expect(await asService.ensureBinding(port, { host: to })).toMatchObject(inactive);
      expect(await asService.ensureBinding(port, { host: to })).toMatchObject(inactive);
      await asService.activateBinding(port, to);
      await asService.activateBinding(port, to);
      expect(await asService.showPort(port)).toMatchObject({ bindingHost: to, vifType: 'ovs' });
      expect(await asService.showBinding(port, from)).toMatchObject({ status: 'INACTIVE' });
      await asService.deleteBinding(port, from);
      await asService.deleteBinding(port, from);
      expect((await asService.listBindings(port)).map(({ host }) => host)).toEqual([to]);
    };

    it('shows networks, subnets and extensions', async () => {
      expect(await asUser.showNetwork(network.id)).toEqual(network);
      expect(await asUser.listNetworks({ ids: [network.id] })).toEqual([network]);
      const subnets = await asUser.listSubnets({ networkId: network.id });
      expect(subnets.map(({ id }) => id)).toEqual(network.subnets);
      expect(await asUser.listSubnets({ ids: network.subnets })).toEqual(subnets);
      expect(await asUser.extensions()).toContain('binding');
      await rejection(asUser.showNetwork(randomUUID()), 'not_found');
    });

    it('makes a port as the user, binds it as the service, and tells of it as nova does', async () => {
      const made = await asUser.createPort({
        networkId: network.id,
        projectId: user().projectId,
        deviceId: instance,
        adminStateUp: true,
      });
      const change = { deviceOwner: 'compute:nova', bindingHost: `${run}.nowhere`, dnsName: 'rest-live' };
      const bound = await asService.updatePort(made.id, change);
      expect(bound).toMatchObject({
        id: made.id,
        deviceOwner: 'compute:nova',
        bindingHost: `${run}.nowhere`,
        vifType: 'binding_failed',
      });
      expect(await asService.showPort(made.id)).toMatchObject({ id: made.id, macAddress: made.macAddress });
      expect(
        (await asService.listPorts({ deviceId: instance, projectId: user().projectId })).map(({ id }) => id),
      ).toEqual([made.id]);
      expect(await asUser.listFloatingIps({ portId: made.id })).toEqual([]);
      const [vif] = await buildNetworkInfo(asService, {
        instance,
        projectId: user().projectId,
        ports: [{ id: made.id, preserveOnDelete: false }],
      });
      expect(vif).toMatchObject({
        id: made.id,
        address: made.macAddress,
        type: 'binding_failed',
        devname: `tap${made.id.slice(0, 11)}`,
        network: { label: network.name, subnets: [{ ips: [{ address: made.fixedIps[0]?.ipAddress, type: 'fixed' }] }] },
      });
      const taken = asService.createPort({ networkId: network.id, macAddress: made.macAddress });
      expect(refusalType(await rejection(taken, 'conflict'))).toBe('MacAddressInUse');
      await rejection(asUser.createPort({ networkId: randomUUID() }), 'not_found');
      await asService.updatePort(made.id, {
        deviceId: '',
        deviceOwner: '',
        bindingHost: null,
        bindingProfile: {},
        dnsName: '',
      });
      expect(await asService.showPort(made.id)).toMatchObject({ deviceId: '', bindingHost: '', vifType: 'unbound' });
      await asService.deletePort(made.id);
      await asService.deletePort(made.id);
    });

    it('binds a port to the host with a chassis, and to another one for a migration', async () => {
      const [host = '', other] = chassis;
      const port = await asService.createPort({
        networkId: network.id,
        deviceId: instance,
        deviceOwner: 'compute:nova',
        bindingHost: host,
      });
      expect(port.vifType).toBe('ovs');
      expect(port.vifDetails.connectivity).toBe('l2');
      expect(await asService.showBinding(port.id, host)).toMatchObject({ host, status: 'ACTIVE', vifType: 'ovs' });
      // nobody has such a host: what nova sees when the destination has no agent
      const failed = await rejection(asService.ensureBinding(port.id, { host: `${run}.nowhere` }), 'unavailable');
      expect(refusalType(failed)).toBe('PortBindingError');
      expect((await asService.listBindings(port.id)).map((each) => each.host)).toEqual([host]);
      expect(await asService.ensureBinding(port.id, { host, vnicType: 'normal', profile: {} })).toMatchObject({ host });
      await asService.activateBinding(port.id, host);
      await asService.deleteBinding(port.id, `${run}.nowhere`);
      if (other !== undefined) await migrateBinding(port.id, host, other);
      await asService.deletePort(port.id);
    });
  });
});
