import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../core/ports/log.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { systemClock } from '../../../kit/clock.ts';
import { systemRandom } from '../../../kit/random.ts';
import { createExternalEvents } from '../../../platform-adapter/openstack/flows/external-events.ts';
import type { FlowSettings } from '../../../platform-adapter/openstack/flows/flow.ts';
import { createFlowService, type FlowService } from '../../../platform-adapter/openstack/flows/service.ts';
import { flowTable } from '../../../platform-adapter/openstack/flows/table.ts';
import type { ServerNotifier } from '../../../platform-adapter/openstack/notifications/notifier.ts';
import { type FlowStore, openFlowStore } from '../../../platform-adapter/openstack/store.ts';
import { createNovaRpc } from '../../../platform-adapter/openstack/wire/conductor.ts';
import { adminContext, type RequestContext } from '../../../platform-adapter/openstack/wire/context.ts';
import { releaseOf } from '../../../platform-adapter/openstack/wire/releases.ts';
import { createFakeCompute, type FakeCompute } from './fake-compute.ts';
import { createFakeConductor, type FakeConductor, type SentCast } from './fake-conductor.ts';
import { createFakeServices, type FakeServices } from './fake-services.ts';
import { nova, server } from './flow-scene.ts';

/** The migration of a scene: its number, and its uuid as Placement's consumer. */
export const migration = { id: 5, uuid: 'dddddddd-0000-4000-8000-000000000005' } as const;

/** One of the compute hosts. */
export interface Host {
  readonly name: string;
  readonly compute: FakeCompute;
  /** Journal writes so far, over all lives. */
  writes(): number;
  /** From the n-th write on (0 is the first) it is dead, until its next life, which the scene gives it; `applied`: the write is on the disk. */
  dieAt(write: number, applied: boolean): void;
  /** Flows that have not ended. */
  open(): ReturnType<FlowStore['unended']>;
}

interface RunningHost extends Host {
  accept(cast: SentCast, context: RequestContext, uniqueId: string): Promise<void>;
  settled(): Promise<void>;
  readonly died: Promise<void>;
  isDead(): boolean;
  nextLife(): Promise<void>;
  close(): Promise<void>;
}

/** A server with a port and a volume that is to move from one compute host to another, or to the same. */
export interface TwoHosts {
  readonly nova: FakeConductor;
  readonly cloud: FakeServices;
  readonly source: Host;
  readonly dest: Host;
  readonly port: string;
  readonly volume: string;
  /** As nova's API and conductor ask for it; ends when all hosts are idle, and what was cast between them is done. */
  resize(more?: JsonObject): Promise<void>;
  confirm(): Promise<void>;
  /** The destination finds that nobody has confirmed the move in time. */
  unconfirmed(): Promise<void>;
  revert(): Promise<void>;
  /** Casts to a host of any method, about the server as it now is. */
  cast(host: Host, method: string, args?: JsonObject, uniqueId?: string): Promise<void>;
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** How a scene begins. */
export interface TwoHostsOptions {
  readonly sameHost?: boolean;
  /** `stopped`: it is off. */
  readonly vmState?: 'active' | 'stopped';
  /** The flavors differ. Default true. */
  readonly resized?: boolean;
  readonly destType?: 'BM' | 'VM';
  /** What both tell notifications to. */
  readonly notifier?: ServerNotifier;
}

const flavor = (id: number, memory_mb: number): JsonObject =>
  nova('Flavor', { id, name: `f${id}`, flavorid: String(id), vcpus: id, memory_mb, root_gb: id, ephemeral_gb: 0 });

/** The flavor before the move, and the one after it. */
export const flavors = { old: flavor(1, 1024), new: flavor(2, 2048) } as const;

/** Who asked nova's API; each request is another, and its casts between hosts are of the same. */
const newRequest = (): RequestContext => ({
  ...adminContext({ clock: systemClock, random: systemRandom }),
  project_id: 'project',
  user_id: 'user',
});

function startHost(
  name: string,
  type: 'BM' | 'VM',
  dir: string,
  conductor: FakeConductor,
  cloud: FakeServices,
  notifier: ServerNotifier | null,
): RunningHost {
  const compute = createFakeCompute();
  const settings: FlowSettings = {
    host: name,
    node: name,
    nodeType: type,
    vifPluggingTimeoutMs: 5_000,
    vifPluggingIsFatal: true,
    volumeType: null,
    availabilityZone: null,
    connector: { host: name, ip: '127.0.0.1', multipath: false, platform: 'x86_64', osType: 'linux' },
  };
  let dead = false;
  let writes = 0;
  let cut: { readonly at: number; readonly applied: boolean } | undefined;
  let died = Promise.withResolvers<void>();
  let store: FlowStore;
  let flows: FlowService;

  async function write<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (dead) return new Promise(() => {});
    const here = writes;
    writes += 1;
    if (cut === undefined || here < cut.at) return await work();
    const { applied } = cut;
    cut = undefined;
    dead = true;
    if (applied) await work();
    died.resolve();
    return new Promise(() => {});
  }

  function begin(): void {
    dead = false;
    died = Promise.withResolvers();
    const opened = openFlowStore({
      file: join(dir, `${name}.db`),
      key: Buffer.alloc(32, 7),
      clock: systemClock,
      durability: 'off',
    });
    store = {
      ...opened,
      accept: (flow) => write(() => opened.accept(flow)),
      write: (entries) => write(() => opened.write(entries)),
      supersede: (id) => write(() => opened.supersede(id)),
    };
    flows = createFlowService({
      store,
      flows: {
        nova: createNovaRpc(releaseOf('zed'), conductor.clients),
        services: cloud.services,
        asUser: () => cloud.services,
        placement: cloud.placement,
        compute: compute.service,
        settings,
        notifier,
        events: createExternalEvents(systemClock),
        resourcesChanged: () => {},
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      },
      table: flowTable,
      maxConcurrent: 8,
      onFatal: (error) => {
        throw error;
      },
    });
    flows.start();
  }

  begin();
  return {
    name,
    compute,
    writes: () => writes,
    dieAt(at, applied) {
      cut = { at, applied };
    },
    open: () => store.unended(),
    async accept({ method, args }, context, uniqueId) {
      const received = { context, credentials: { token: 'user-token-secret', serviceCatalog: [] } };
      await flows.accept({ method, args, received, uniqueId });
    },
    async settled() {
      for (const { id } of store.unended()) await flows.settled(id);
    },
    get died() {
      return died.promise;
    },
    isDead: () => dead,
    async nextLife() {
      await store.close();
      begin();
    },
    async close() {
      dead = true;
      await flows.stop(0);
      await store.close();
    },
  };
}

/** Makes a scene; the server is on the source, with its port bound and its volume attached there. */
export function createTwoHosts(options: TwoHostsOptions = {}): TwoHosts {
  const { sameHost = false, vmState = 'active', resized = true, destType = 'VM', notifier = null } = options;
  const dir = mkdtempSync(join(tmpdir(), 'dpu-move-'));
  const cloud = createFakeServices();
  const port = cloud.addPort({ deviceId: server, bindingHost: 'src', vifType: 'ovs', status: 'ACTIVE' });
  const volume = cloud.addVolume({ status: 'in-use' });
  const attachment = cloud.addAttachment(volume.id, server);
  cloud.attachments.set(attachment.id, { ...attachment, status: 'attached', connectionInfo: {} as never });
  const record: JsonObject = {
    id: 1,
    uuid: server,
    project_id: 'project',
    user_id: 'user',
    hostname: 'life',
    display_name: 'life',
    availability_zone: 'nova',
    vm_state: vmState,
    task_state: null,
    power_state: vmState === 'active' ? 1 : 4,
    host: 'src',
    node: 'src',
    launched_on: 'src',
    system_metadata: { boot_roles: 'member' },
    metadata: {},
    flavor: flavors.old,
    old_flavor: null,
    new_flavor: null,
    memory_mb: 1024,
  };
  const conductor = createFakeConductor(record, [
    {
      id: 1,
      uuid: 'cccccccc-0000-4000-8000-000000000001',
      source_type: 'volume',
      destination_type: 'volume',
      boot_index: 0,
      volume_id: volume.id,
      attachment_id: attachment.id,
      device_name: '/dev/vda',
      connection_info: '{}',
    },
  ]);
  conductor.networkInfo = JSON.stringify([{ id: port.id, preserve_on_delete: false }]);
  conductor.virtualInterfaces.set(port.id, {
    id: 1,
    uuid: port.id,
    instance_uuid: server,
    address: `${port.macAddress}/${port.id}`,
    tag: null,
  });
  const source = startHost('src', 'VM', dir, conductor, cloud, notifier);
  const dest = sameHost ? source : startHost('dst', destType, dir, conductor, cloud, notifier);
  const hosts = new Set([source, dest]);
  source.compute.instances.set(server, vmState);
  const delivered = new Set<SentCast>();
  let told = 0;
  let request = newRequest();

  /** Gives every dead host its next life; a host that dies does nothing until then. */
  async function revive(): Promise<void> {
    for (const host of hosts) if (host.isDead()) await host.nextLife();
  }

  /** At least once: a host that died before its journal had it is given it again. */
  async function deliver(host: RunningHost, sent: SentCast, uniqueId = `cast-${told++}`): Promise<void> {
    for (let accepted = false; !accepted; ) {
      await revive();
      const { died } = host;
      accepted = await Promise.race([host.accept(sent, request, uniqueId).then(() => true), died.then(() => false)]);
    }
  }

  async function idle(): Promise<void> {
    for (;;) {
      await revive();
      const next = conductor.casts.find((each) => each.topic === 'compute' && !delivered.has(each));
      if (next !== undefined) {
        delivered.add(next);
        const host = [...hosts].find(({ name }) => name === next.server);
        if (host === undefined) throw new Error(`nobody is ${next.server}`);
        await deliver(host, next);
        continue;
      }
      const open = [...hosts].flatMap((host) => host.open());
      if (open.every(({ state }) => state === 'stuck')) return;
      await Promise.race([
        Promise.all([...hosts].map((host) => host.settled())),
        ...[...hosts].map(({ died }) => died),
      ]);
    }
  }

  const asked = (): JsonObject => ({
    instance: nova('Instance', conductor.instance ?? record) as Json,
    migration: nova('Migration', conductor.migrations.get(migration.id) ?? {}) as Json,
    request_spec: nova('RequestSpec', { instance_uuid: server }),
  });
  const set = (changes: JsonObject): void => void Object.assign(conductor.instance ?? {}, changes);
  const mark = (status: string): void => void Object.assign(conductor.migrations.get(migration.id) ?? {}, { status });

  return {
    nova: conductor,
    cloud,
    source,
    dest,
    port: port.id,
    volume: volume.id,
    async resize(more = {}) {
      request = newRequest();
      set({ task_state: 'resize_prep' });
      conductor.migrations.set(migration.id, {
        ...migration,
        status: 'accepted',
        migration_type: resized ? 'resize' : 'migration',
        source_compute: 'src',
        source_node: 'src',
        instance_uuid: server,
        old_instance_type_id: 1,
        new_instance_type_id: resized ? 2 : 1,
      });
      // the source's by the migration, the destination's by the server
      cloud.allocations.add(migration.uuid).add(server);
      const sent = {
        topic: 'compute',
        method: 'prep_resize',
        args: {
          ...asked(),
          image: { id: 'image-1' },
          flavor: resized ? flavors.new : flavors.old,
          filter_properties: {},
          node: dest.name,
          clean_shutdown: true,
          host_list: [],
          ...more,
        },
      };
      await deliver(dest, sent);
      await idle();
    },
    async confirm() {
      request = newRequest();
      mark('confirming');
      await deliver(source, { topic: 'compute', method: 'confirm_resize', args: asked() });
      await idle();
    },
    async unconfirmed() {
      request = newRequest();
      const args = { instance: server, migration: migration.id };
      await deliver(dest, { topic: 'compute', method: 'confirm_window', args });
      await idle();
    },
    async revert() {
      request = newRequest();
      set({ task_state: 'resize_reverting' });
      mark('reverting');
      await deliver(dest, { topic: 'compute', method: 'revert_resize', args: asked() });
      await idle();
    },
    async cast(host, method, args = {}, uniqueId = randomUUID()) {
      const running = host === source ? source : dest;
      await deliver(running, { topic: 'compute', method, args: { ...asked(), ...args } }, uniqueId);
    },
    idle,
    async close() {
      for (const host of hosts) await host.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
