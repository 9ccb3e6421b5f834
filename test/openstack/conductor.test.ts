/** nova-conductor, asked directly: objects in the versions that a release knows. */
import { createTransport, type Transport } from 'oslo-messaging';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { createNovaRpc, type NovaRpc, topicClients } from '../../platform-adapter/openstack/wire/conductor.ts';
import { adminContext } from '../../platform-adapter/openstack/wire/context.ts';
import { getInstancePrimitive } from '../../platform-adapter/openstack/wire/instances.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { minimumServiceVersion } from '../../platform-adapter/openstack/wire/service-records.ts';
import { liveServers } from './support/live.ts';
import { PEER } from './support/nodes.ts';

describe.skipIf(PEER !== 'ours')('a node that is older than the control plane', () => {
  const { cloud, servers } = liveServers({ clean: 'all' });
  let transport: Transport;
  let today: NovaRpc;
  let older: NovaRpc;

  beforeAll(async () => {
    transport = createTransport({ url: cloud.stack.transportUrl });
    const flags = {};
    const zed = releaseOf('zed');
    today = createNovaRpc(zed, topicClients(transport, flags));
    // what a release would have been before these fields: 2.7 added `resources`, 1.21 `encrypted`
    const objects = { ...zed.objects, Instance: '2.6', BlockDeviceMapping: '1.20' };
    older = createNovaRpc({ ...zed, objects }, topicClients(transport, flags));
  });
  afterAll(async () => {
    await Promise.all([today.close(), older.close()]);
    await transport.close();
  });

  it('has a newer server brought back to its version', async () => {
    const id = await servers.create('vm', { networks: 'none' });
    await servers.until(id, 'ACTIVE');
    const scope = { context: adminContext({ clock: systemClock, random: systemRandom }) };
    const sent = await getInstancePrimitive(today.conductor(scope), id, ['flavor', 'resources']);
    expect(sent['nova_object.version']).toBe('2.7');
    expect(sent['nova_object.data']).toHaveProperty('resources');
    const known = await older.conductor(scope).readable(sent);
    expect(known).toMatchObject({ 'nova_object.name': 'Instance', 'nova_object.version': '2.6' });
    expect(known['nova_object.data']).not.toHaveProperty('resources');
    expect(known['nova_object.data']).toMatchObject({ uuid: id, vm_state: 'active' });
    // what it asks for itself comes in its version at once
    const own = await getInstancePrimitive(older.conductor(scope), id, ['flavor']);
    expect(own['nova_object.version']).toBe('2.6');
    expect(await older.conductor(scope).readable(own)).toBe(own);
  });

  it('can tell how old the control plane is', async () => {
    const scope = { context: adminContext({ clock: systemClock, random: systemRandom }) };
    const version = await minimumServiceVersion(today.conductor(scope), 'nova-conductor');
    expect(version).toBe(releaseOf('zed').serviceVersion);
  });
});
