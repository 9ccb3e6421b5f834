import { RemoteError } from 'oslo-messaging';
import type { Json, JsonObject } from '../../../core/units.ts';
import type { TopicClients } from '../../../platform-adapter/openstack/wire/conductor.ts';

/** A message that was cast to another service of nova. */
export interface SentCast {
  readonly topic: string;
  readonly method: string;
  readonly args: JsonObject;
  /** The host that it is for; absent: any service of the topic. */
  readonly server?: string;
}

/** nova's database, as far as flows of one server see it. */
export interface FakeConductor {
  readonly clients: TopicClients;
  /** The server's record; null once it was destroyed. */
  instance: Record<string, Json> | null;
  readonly devices: Map<number, Record<string, Json>>;
  /** Migrations by number. */
  readonly migrations: Map<number, Record<string, Json>>;
  readonly virtualInterfaces: Map<string, Record<string, Json>>;
  networkInfo: string;
  readonly faults: JsonObject[];
  /** `start compute_stop_instance`, `finish compute_stop_instance` or `finish … : text`. */
  readonly events: string[];
  /** Actions that were made here, and not by nova's API. */
  readonly actions: string[];
  /** When each host's compute service was last seen; absent: just now. */
  readonly seen: Map<string, string>;
  /** What each Instance.save set. */
  readonly saves: JsonObject[];
  readonly casts: SentCast[];
  /** The server group of every hint; null: there is none. */
  group: { readonly policy: string; readonly members: readonly string[]; readonly rules?: JsonObject } | null;
  /** Other servers of a host, by host. */
  readonly others: Map<string, readonly string[]>;
  /** Called before each call; what it throws is the answer. */
  onCall: (name: string) => void | Promise<void>;
}

const primitive = (name: string, data: JsonObject): Json => ({
  'nova_object.name': name,
  'nova_object.namespace': 'nova',
  'nova_object.version': '1.0',
  'nova_object.data': data,
});

function fail(rpcClass: string, kwargs: JsonObject = {}): never {
  throw new RemoteError(rpcClass, 'nova.exception', rpcClass, kwargs);
}

/** A conductor with one server and its mappings. */
export function createFakeConductor(instance: JsonObject, devices: readonly JsonObject[]): FakeConductor {
  const fake: FakeConductor = {
    clients: (topic) => ({
      async call(method, args) {
        const answer = await serve(method, JSON.parse(JSON.stringify(args)) as JsonObject);
        return JSON.parse(JSON.stringify(answer)) as unknown;
      },
      async cast(method, args, { server } = {}) {
        await fake.onCall(`${topic} ${method}`);
        const sent = { topic, method, args: JSON.parse(JSON.stringify(args)) as JsonObject };
        fake.casts.push(server === undefined ? sent : { ...sent, server });
      },
      async close() {},
    }),
    instance: { ...instance },
    devices: new Map(devices.map((device) => [Number(device.id), { ...device }])),
    migrations: new Map(),
    virtualInterfaces: new Map(),
    networkInfo: '[]',
    faults: [],
    events: [],
    actions: [],
    seen: new Map(),
    saves: [],
    casts: [],
    group: null,
    others: new Map(),
    onCall: () => {},
  };

  const there = (): Record<string, Json> => fake.instance ?? fail('InstanceNotFound', { instance_id: 'gone' });

  async function serve(method: string, args: JsonObject): Promise<Json> {
    if (method === 'object_action') {
      const object = args.objinst as JsonObject;
      const name = `${String(object['nova_object.name'])}.${String(args.objmethod)}`;
      await fake.onCall(name);
      const data = object['nova_object.data'] as JsonObject;
      const dirty = (object['nova_object.changes'] ?? []) as readonly string[];
      const changes = Object.fromEntries(dirty.map((field) => [field, data[field] ?? null]));
      if (name === 'InstanceGroup.get_hosts') return [{}, [...fake.others.keys()]];
      return [act(name, data, changes, args.kwargs as JsonObject), null];
    }
    const name = method === 'ping' ? method : `${String(args.objname)}.${String(args.objmethod)}`;
    await fake.onCall(name);
    if (method === 'ping') return null;
    return ask(name, args.args as readonly Json[], args.kwargs as JsonObject);
  }

  function act(name: string, data: JsonObject, changes: JsonObject, kwargs: JsonObject): JsonObject {
    switch (name) {
      case 'Instance.save': {
        const record = there();
        const expected = kwargs.expected_task_state;
        if ('expected_task_state' in kwargs) {
          const states = Array.isArray(expected) ? (expected as readonly Json[]) : [expected ?? null];
          if (!states.includes(record.task_state ?? null)) {
            fail(record.task_state === 'deleting' ? 'UnexpectedDeletingTaskStateError' : 'UnexpectedTaskStateError');
          }
        }
        fake.saves.push(changes);
        Object.assign(record, changes);
        return {};
      }
      case 'Instance.destroy':
        there();
        fake.instance = null;
        return {};
      case 'BlockDeviceMapping.save':
        Object.assign(fake.devices.get(Number(data.id)) ?? fail('VolumeBDMNotFound'), changes);
        return {};
      case 'BlockDeviceMapping.create': {
        const id = Math.max(0, ...fake.devices.keys()) + 1;
        fake.devices.set(id, { attachment_id: null, ...changes, id });
        return { id };
      }
      case 'BlockDeviceMapping.destroy':
        fake.devices.delete(Number(data.id));
        return {};
      case 'VirtualInterface.destroy':
        fake.virtualInterfaces.delete(String(data.uuid));
        return {};
      case 'Migration.save':
        Object.assign(fake.migrations.get(Number(data.id)) ?? fail('MigrationNotFound'), changes);
        return {};
      case 'InstanceFault.create':
        if (fake.instance === null) fail('DBReferenceError'); // a foreign key of nova's database
        fake.faults.push(changes);
        return {};
      case 'InstanceInfoCache.save':
        there();
        fake.networkInfo = String(changes.network_info);
        return {};
      case 'VirtualInterface.create':
        if (fake.virtualInterfaces.has(String(changes.uuid))) fail('VirtualInterfaceCreateException');
        fake.virtualInterfaces.set(String(changes.uuid), { ...changes, id: fake.virtualInterfaces.size + 1 });
        return {};
      default:
        throw new Error(`the fake conductor knows no ${name}`);
    }
  }

  function ask(name: string, args: readonly Json[], _kwargs: JsonObject): Json {
    switch (name) {
      case 'InstanceActionEvent.event_start':
        fake.events.push(`start ${String(args[1])}`);
        return null;
      case 'InstanceActionEvent.event_finish_with_failure': {
        const text = _kwargs.exc_val;
        fake.events.push(`finish ${String(args[1])}${typeof text === 'string' ? `: ${text}` : ''}`);
        return null;
      }
      case 'Instance.get_by_uuid': {
        const info = primitive('InstanceInfoCache', { network_info: fake.networkInfo });
        return primitive('Instance', { ...there(), info_cache: info });
      }
      case 'InstanceList.get_uuids_by_host':
        return [
          ...(fake.others.get(String(args[0])) ?? []),
          ...(fake.instance?.host === args[0] && fake.instance?.deleted !== true ? [fake.instance?.uuid ?? null] : []),
        ];
      case 'InstanceGroup.get_by_uuid':
      case 'InstanceGroup.get_by_name': {
        const { policy, members, rules = {} } = fake.group ?? fail('InstanceGroupNotFound');
        return primitive('InstanceGroup', { uuid: 'g', policy, members, _rules: rules });
      }
      case 'MigrationList.get_by_filters':
      case 'MigrationList.get_in_progress_by_host_and_node':
        return primitive('MigrationList', {
          objects: [...fake.migrations.values()].map((each) => primitive('Migration', each)),
        });
      case 'BlockDeviceMappingList.get_by_instance_uuid':
        return primitive('BlockDeviceMappingList', {
          objects: [...fake.devices.values()].map((device) => primitive('BlockDeviceMapping', device)),
        });
      case 'BlockDeviceMapping.get_by_volume_and_instance': {
        const found = [...fake.devices.values()].find(({ volume_id }) => volume_id === args[0]);
        return primitive('BlockDeviceMapping', found ?? fail('VolumeBDMNotFound'));
      }
      case 'InstanceAction.get_by_request_id':
        return fake.actions.length > 0 ? primitive('InstanceAction', { action: fake.actions[0] ?? null }) : null;
      case 'InstanceAction.action_start':
        fake.actions.push(String(args[1]));
        return null;
      case 'Service.get_by_host_and_binary': {
        const [host = ''] = args as readonly string[];
        const last_seen_up = fake.seen.get(host) ?? '2026-01-01T00:10:00Z';
        return primitive('Service', { id: 1, host, last_seen_up });
      }
      case 'Migration.get_by_id':
        return primitive('Migration', fake.migrations.get(Number(args[0])) ?? fail('MigrationNotFound'));
      case 'VirtualInterface.get_by_uuid': {
        const found = fake.virtualInterfaces.get(String(args[0]));
        return found ? primitive('VirtualInterface', found) : null;
      }
      case 'VirtualInterface.delete_by_instance_uuid':
        fake.virtualInterfaces.clear();
        return null;
      case 'InstanceInfoCache.get_by_instance_uuid':
        return primitive('InstanceInfoCache', { network_info: fake.networkInfo });
      case 'ConsoleAuthToken.clean_console_auths_for_instance':
        return null;
      default:
        throw new Error(`the fake conductor knows no ${name}`);
    }
  }

  return fake;
}
