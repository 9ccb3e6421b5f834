import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../core/ports/clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { systemClock } from '../../../kit/clock.ts';
import { systemRandom } from '../../../kit/random.ts';
import { createExternalEvents } from '../../../platform-adapter/openstack/flows/external-events.ts';
import type { FlowParts, FlowSettings } from '../../../platform-adapter/openstack/flows/flow.ts';
import { type Cast, createFlowService, type FlowService } from '../../../platform-adapter/openstack/flows/service.ts';
import { flowTable } from '../../../platform-adapter/openstack/flows/table.ts';
import { type FlowStore, openFlowStore } from '../../../platform-adapter/openstack/store.ts';
import { createNovaRpc } from '../../../platform-adapter/openstack/wire/conductor.ts';
import { adminContext } from '../../../platform-adapter/openstack/wire/context.ts';
import { releaseOf } from '../../../platform-adapter/openstack/wire/releases.ts';
import { createFakeCompute, type FakeCompute } from './fake-compute.ts';
import { createFakeConductor, type FakeConductor } from './fake-conductor.ts';
import { createFakeServices, type FakeServices, network } from './fake-services.ts';

/** The server of a scene. */
export const server = 'bbbbbbbb-0000-4000-8000-000000000001';

/** The node's host in nova. */
export const host = 'dpu1';

const key = Buffer.alloc(32, 7);

const settings: FlowSettings = {
  host,
  node: host,
  nodeType: 'BM',
  vifPluggingTimeoutMs: 5_000,
  vifPluggingIsFatal: true,
  volumeType: null,
  availabilityZone: null,
  connector: { host, ip: '127.0.0.1', multipath: false, platform: 'x86_64', osType: 'linux' },
};

/** Flows on fake peers; lives follow one another on the same journal. */
export interface FlowScene {
  readonly nova: FakeConductor;
  readonly cloud: FakeServices;
  readonly compute: FakeCompute;
  readonly file: string;
  /** Flows of this life. */
  readonly flows: FlowService;
  readonly store: FlowStore;
  /** Journal writes of this life. */
  writes(): number;
  /** From the n-th write on (0 is the next) nothing happens any more; `applied`: the write itself is on the disk. */
  dieAt(write: number, applied: boolean): Promise<void>;
  /** Ends this life without a word, and begins the next on the same journal; `idle`: what is in it is not gone on with before `flows.start`. */
  nextLife(options?: { readonly idle?: boolean }): Promise<void>;
  /** Called with the number of each write before it is made. */
  onWrite: (count: number) => void | Promise<void>;
  /** A request of nova about the server; the same name is the same message. */
  cast(method: string, args?: JsonObject, name?: string): Promise<string>;
  /** Ends when nothing is under way for the server. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

/** How a scene begins. */
export interface SceneOptions {
  readonly devices?: readonly JsonObject[];
  readonly instance?: JsonObject;
  readonly settings?: Partial<FlowSettings>;
  readonly notifier?: NonNullable<FlowParts['notifier']>;
  readonly buildEnded?: NonNullable<FlowParts['buildEnded']>;
  /** The machine's unless told. */
  readonly clock?: Clock;
}

/** An object of nova. */
export const nova = (name: string, data: JsonObject, version = '1.0'): JsonObject => ({
  'nova_object.name': name,
  'nova_object.namespace': 'nova',
  'nova_object.version': version,
  'nova_object.data': data,
});

/** A mapping of the server's root disk to an image that a volume is to be made from. */
export const imageDevice: JsonObject = {
  id: 1,
  uuid: 'cccccccc-0000-4000-8000-000000000001',
  source_type: 'image',
  destination_type: 'local',
  image_id: 'image-1',
  boot_index: 0,
  delete_on_termination: true,
  volume_id: null,
  attachment_id: null,
};

const flavor = nova('Flavor', {
  id: 1,
  name: 'f',
  flavorid: '1',
  vcpus: 1,
  memory_mb: 1024,
  root_gb: 2,
  ephemeral_gb: 0,
});

/** Arguments of build_and_run_instance; `given` are ports of the user's. */
export function buildArguments(scene: FlowScene, more: JsonObject = {}, given: readonly string[] = []): JsonObject {
  const requests = [
    nova('NetworkRequest', { network_id: network, port_id: null, address: null }),
    ...given.map((port) => nova('NetworkRequest', { network_id: null, port_id: port, address: null })),
  ];
  return {
    image: { id: 'image-1', size: 1024, min_disk: 0 },
    requested_networks: nova('NetworkRequestList', { objects: requests }),
    security_groups: ['default'],
    block_device_mapping: nova('BlockDeviceMappingList', {
      objects: [...scene.nova.devices.values()].map((device) => nova('BlockDeviceMapping', device)),
    }),
    admin_password: 'admin-pass-secret',
    injected_files: [],
    filter_properties: {},
    request_spec: null,
    host_list: null,
    ...more,
  };
}

/** Makes a scene: a server that nova has, and a node that has nothing of it. */
export function createFlowScene(options: SceneOptions = {}): FlowScene {
  const dir = mkdtempSync(join(tmpdir(), 'dpu-flows-'));
  const file = join(dir, 'openstack.db');
  const record: JsonObject = {
    id: 1,
    uuid: server,
    project_id: 'project',
    user_id: 'user',
    hostname: 'life',
    display_name: 'life',
    availability_zone: 'nova',
    vm_state: 'building',
    task_state: 'scheduling',
    power_state: 0,
    host: null,
    node: null,
    system_metadata: {},
    metadata: { tier: 'gold' },
    key_data: 'ssh-ed25519 AAAA user\n',
    user_data: Buffer.from('#cloud-config\n').toString('base64'),
    flavor,
    ...options.instance,
  };
  const conductor = createFakeConductor(record, options.devices ?? [imageDevice]);
  const cloud = createFakeServices();
  const compute = createFakeCompute();
  const messages = new Map<string, Cast>();
  const { clock = systemClock } = options;
  let life = 0;
  let writes = 0;
  let dead = false;
  let cut: { readonly at: number; readonly applied: boolean; died(): void } | undefined;
  let store: FlowStore;
  let flows: FlowService;

  /** What was begun in a life that is over never answers. */
  function ofThisLife<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const mine = life;
    if (dead) return new Promise(() => {});
    return work().then(
      (answer) => (mine === life && !dead ? answer : new Promise<Answer>(() => {})),
      (error: unknown) => {
        if (mine === life && !dead) throw error;
        return new Promise<Answer>(() => {});
      },
    );
  }
  const guard = (): void | Promise<void> => {
    if (dead) return new Promise(() => {});
  };
  conductor.onCall = guard;
  cloud.onCall = guard;
  compute.onSubmit = guard;

  async function write<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (dead) return new Promise(() => {});
    const here = writes;
    writes += 1;
    await scene.onWrite(here);
    if (cut && here >= cut.at) {
      const { applied, died } = cut;
      dead = true;
      if (applied) await work();
      died();
      return new Promise(() => {});
    }
    return await ofThisLife(work);
  }

  function begin(idle = false): void {
    life += 1;
    writes = 0;
    dead = false;
    cut = undefined;
    const opened = openFlowStore({ file, key, clock: systemClock, durability: 'off' });
    store = {
      ...opened,
      accept: (flow) => write(() => opened.accept(flow)),
      write: (entries) => write(() => opened.write(entries)),
      supersede: (id) => write(() => opened.supersede(id)),
    };
    const parts: FlowParts = {
      nova: createNovaRpc(releaseOf('zed'), conductor.clients),
      services: cloud.services,
      asUser: () => cloud.services,
      placement: cloud.placement,
      compute: compute.service,
      settings: { ...settings, ...options.settings },
      notifier: options.notifier ?? null,
      ...(options.buildEnded === undefined ? {} : { buildEnded: options.buildEnded }),
      events: createExternalEvents(clock),
      resourcesChanged: () => {},
      clock,
      random: systemRandom,
      log: silentLog,
    };
    flows = createFlowService({
      store,
      flows: parts,
      table: flowTable,
      maxConcurrent: 8,
      onFatal: (error) => {
        throw error;
      },
    });
    if (!idle) flows.start();
  }

  const scene: FlowScene = {
    nova: conductor,
    cloud,
    compute,
    file,
    get flows() {
      return flows;
    },
    get store() {
      return store;
    },
    writes: () => writes,
    dieAt(at, applied) {
      return new Promise((resolve) => {
        cut = { at, applied, died: resolve };
      });
    },
    async nextLife({ idle } = {}) {
      dead = true;
      await store.close();
      begin(idle);
    },
    onWrite: () => {},
    async cast(method, args = {}, name = randomUUID()) {
      const message = messages.get(name) ?? {
        method,
        args: { instance: nova('Instance', { ...(conductor.instance ?? record) }) as Json, ...args },
        received: {
          context: {
            ...adminContext({ clock: systemClock, random: systemRandom }),
            project_id: 'project',
            user_id: 'user',
          },
          credentials: { token: 'user-token-secret', serviceCatalog: [] },
        },
        uniqueId: name,
      };
      messages.set(name, message);
      return (await flows.accept(message)).id;
    },
    async quiet() {
      for (let open = store.unendedOf(server); open.length > 0; open = store.unendedOf(server)) {
        for (const { id } of open) await flows.settled(id);
        if (store.unendedOf(server).every(({ state }) => state === 'stuck')) return;
      }
    },
    async close() {
      dead = true;
      await flows.stop(0);
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  begin();
  return scene;
}

/** What of the server is left anywhere, by name; empty when nothing is. Ports and volumes in `keep` may be there, but nobody's. */
export function leftovers(scene: FlowScene, keep: readonly string[] = []): readonly string[] {
  const { cloud, compute, nova: records } = scene;
  return [
    ...[...cloud.ports.values()].flatMap(({ id, deviceId, bindingHost }) =>
      keep.includes(id) && deviceId === '' && bindingHost === '' ? [] : [`port ${id} of ${deviceId || 'nobody'}`],
    ),
    ...[...cloud.volumes.keys()].flatMap((id) => (keep.includes(id) ? [] : [`volume ${id}`])),
    ...[...cloud.attachments.values()].map(({ volumeId }) => `attachment of ${volumeId}`),
    ...[...compute.instances].flatMap(([id, state]) => (state === 'deleted' ? [] : [`instance ${id} ${state}`])),
    ...[...cloud.allocations].map((consumer) => `allocation of ${consumer}`),
    ...[...records.virtualInterfaces.keys()].map((port) => `virtual interface of ${port}`),
  ];
}
