import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { computeCalls } from '../../platform-adapter/openstack/rpc/calls.ts';
import { adminContext } from '../../platform-adapter/openstack/wire/context.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import type { Diagnostics } from '../../schemas/generated/rest.ts';
import { nova } from '../support/openstack/flow-scene.ts';

const uuid = 'bbbbbbbb-0000-4000-8000-000000000001';
const mac = 'fa:16:3e:00:00:01';

const used: Diagnostics = {
  state: 'running',
  uptime_s: 60,
  vcpus: 1,
  cpu_time_ms: 1500,
  memory_mib: 128,
  disks: [{ volume_id: 'v', read_bytes: 1, read_requests: 2, written_bytes: 3, write_requests: 4 }],
  nics: [{ port_id: 'p', mac, received_bytes: 5, received_packets: 6, sent_bytes: 7, sent_packets: 8 }],
};

/** What a call for diagnostics answers on a node; `counters` null: the node has no part in what an instance uses. */
function ask(method: string, counters: Diagnostics | null, { state = 'active', vcpus = 1 } = {}) {
  const calls = computeCalls({
    service: {
      getInstance: () => ({
        uuid,
        state,
        flavor: { name: 'f', vcpus, memory_mib: 128 },
        interfaces: [{ mac }],
        volumes: [{ volume_id: 'v' }],
      }),
      diagnostics: () =>
        counters === null ? Promise.reject(new DpuError('unsupported', 'bare metal')) : Promise.resolve(counters),
    } as never,
    flows: {} as never,
    events: {} as never,
    clock: systemClock,
    driver: 'libvirt',
    setHostEnabled: () => Promise.resolve('enabled'),
    consoles: {},
  });
  return calls[method]?.(
    { instance: nova('Instance', { uuid }, '2.7') },
    {
      received: { context: adminContext({ clock: systemClock, random: systemRandom }), credentials: null },
      uniqueId: null,
      signal: new AbortController().signal,
    },
  );
}

const dataOf = (value: unknown) => (value as Primitive)['nova_object.data'];

describe('a server’s diagnostics', () => {
  it('have what its machine used', async () => {
    const all = dataOf(await ask('get_instance_diagnostics', used));
    expect(all).toMatchObject({
      state: 'running',
      driver: 'libvirt',
      uptime: 60,
      num_cpus: 1,
      num_nics: 1,
      num_disks: 1,
    });
    const [cpu, disk, nic] = ['cpu_details', 'disk_details', 'nic_details'].map((name) =>
      dataOf((all[name] as readonly unknown[])[0]),
    );
    expect(cpu).toEqual({ id: 0, time: 1_500_000_000, utilisation: null });
    expect(disk).toEqual({ read_bytes: 1, read_requests: 2, write_bytes: 3, write_requests: 4, errors_count: null });
    expect(nic).toMatchObject({ mac_address: mac, rx_octets: 5, rx_packets: 6, tx_octets: 7, tx_packets: 8 });
    expect(nic).toMatchObject({ rx_errors: null, rx_drop: null, tx_errors: null, tx_drop: null });
    expect(dataOf(all.memory_details)).toEqual({ maximum: 128, used: 128 });
  });

  it('say of several CPUs that they are there, since their time is counted together', async () => {
    const { cpu_details: cpus } = dataOf(await ask('get_instance_diagnostics', used, { vcpus: 2 }));
    expect((cpus as readonly unknown[]).map((each) => dataOf(each))).toEqual([
      { id: 0, time: null, utilisation: null },
      { id: 1, time: null, utilisation: null },
    ]);
  });

  it('have no counters where the instance is the host', async () => {
    const all = dataOf(await ask('get_instance_diagnostics', null));
    expect(all).toMatchObject({ uptime: null, cpu_details: [], disk_details: [], num_disks: 1 });
    expect(dataOf((all.nic_details as readonly unknown[])[0])).toMatchObject({ mac_address: mac, rx_octets: null });
  });

  it.each(['get_diagnostics', 'get_instance_diagnostics'])('are refused while it is off: %s', async (method) => {
    await expect(ask(method, used, { state: 'stopped' })).rejects.toMatchObject({
      details: { nova_class: 'InstanceInvalidState', nova_kwargs: { attr: 'power state', state: 'shutdown' } },
    });
    expect(await ask(method, used, { state: 'rescued' })).toBeDefined();
  });
});
