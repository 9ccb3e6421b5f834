import { loadavg, uptime } from 'node:os';
import { RpcFailure } from 'oslo-messaging';
import { hasCode } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import type { ExternalEvents } from '../flows/external-events.ts';
import type { FlowService } from '../flows/service.ts';
import { wantsConfigDrive } from '../flows/user-data.ts';
import { readInstance } from '../wire/instances.ts';
import { notImplemented, novaError } from '../wire/nova-errors.ts';
import { flag, listOf, text } from '../wire/objects.ts';
import { readExternalEvents } from '../wire/requests.ts';
import { diagnostics, requireRunning, shortDiagnostics } from './diagnostics.ts';
import type { CallHandler } from './server.ts';
import { uptimeText } from './uptime.ts';

/** What calls are answered with. */
export interface CallParts {
  readonly service: Pick<ComputeService, 'getInstance' | 'nodeStatus' | 'consoleLog' | 'diagnostics'>;
  readonly flows: Pick<FlowService, 'accept' | 'run'>;
  readonly events: ExternalEvents;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** nova's name of the driver. */
  readonly driver: string;
  /** Turns the node's service record on or off for the scheduler; answers what it is then. */
  setHostEnabled(enabled: boolean, signal: AbortSignal): Promise<'enabled' | 'disabled'>;
  /** get_serial_console, get_vnc_console and validate_console_port. */
  readonly consoles: Readonly<Record<string, CallHandler>>;
  /** Events beyond those of ports that are plugged: what they begin, by name. */
  readonly onEvent?: Readonly<Record<string, EventHandler>>;
}

/** What an event of Neutron or Cinder begins. */
export type EventHandler = (
  event: ReturnType<typeof readExternalEvents>[number],
  call: Parameters<CallHandler>[1],
) => Promise<void>;

/** Longest console output that a call answers, in bytes: nova-api shows it whole. */
const mostConsoleBytes = 100 * 1024;

/** A call that no node of ours can do, as a driver without it fails. */
const cannot =
  (what: string): CallHandler =>
  () =>
    Promise.reject(notImplemented(`${what} is not supported by this node`));

/** What nova's conductor takes as the end of this try, with nothing done: it asks the next host, or leaves the server as it is. */
const noLiveMigration: CallHandler = () =>
  Promise.reject(
    novaError('MigrationPreCheckError', { reason: 'a node of this kind moves no running server; migrate it cold' }),
  );

/** A call whose method this node does not have: nova takes the loss (cross-cell resize). */
const absent =
  (method: string): CallHandler =>
  () =>
    Promise.reject(
      new RpcFailure({
        rpcClass: 'NoSuchMethod',
        rpcModule: 'oslo_messaging.rpc.dispatcher',
        message: `Endpoint does not support RPC method ${method}`,
      }),
    );

/** Calls of compute RPC, and the cast of external events, which is no flow: what it begins are flows. */
export function computeCalls(parts: CallParts): Readonly<Record<string, CallHandler>> {
  const serverOf = (args: Readonly<Record<string, unknown>>) => readInstance(args.instance, 'instance');

  /** @throws InstanceNotFound as nova's class. */
  function here(args: Readonly<Record<string, unknown>>) {
    const { uuid } = serverOf(args);
    try {
      return parts.service.getInstance(uuid);
    } catch (cause) {
      throw novaError('InstanceNotFound', { instance_id: uuid }, { cause });
    }
  }

  /** What the instance's machine used; null where an instance is the host. */
  async function countersOf(uuid: string) {
    try {
      return await parts.service.diagnostics(uuid);
    } catch (error) {
      if (hasCode(error, 'unsupported')) return null;
      throw error;
    }
  }

  /** A call that takes its time: a flow, and its end. */
  const awaited =
    (method: string): CallHandler =>
    (args, { received, uniqueId, signal }) =>
      parts.flows.run({ method, args, received, uniqueId }, signal);

  return {
    async external_instance_event(args, call) {
      for (const event of readExternalEvents(args.events)) {
        parts.events.tell(event);
        const own = parts.onEvent?.[event.name];
        if (own !== undefined) await own(event, call);
        else if (Object.hasOwn(eventFlows, event.name)) await eventFlow(parts, event, call);
      }
      return null;
    },
    async get_diagnostics(args) {
      const instance = here(args);
      requireRunning(instance);
      return shortDiagnostics(instance);
    },
    async get_instance_diagnostics(args) {
      const instance = here(args);
      requireRunning(instance);
      const configDrive = wantsConfigDrive(serverOf(args));
      return diagnostics(instance, { driver: parts.driver, configDrive, counters: await countersOf(instance.uuid) });
    },
    // of the machine that the compute service runs on, as nova's own: the DPU
    get_host_uptime: () => Promise.resolve(uptimeText({ upSec: uptime(), load: loadavg() }, parts.clock.wallMs())),
    set_host_enabled: async (args, { signal }) => parts.setHostEnabled(flag(args.enabled, 'enabled'), signal),
    host_power_action: cannot('a power action of a host'),
    host_maintenance_mode: cannot('the maintenance mode of nova'),
    async get_console_output(args) {
      const { uuid } = here(args);
      const tail = args.tail_length;
      const lines =
        typeof tail === 'number' ? tail : typeof tail === 'string' && /^\d+$/.test(tail) ? Number(tail) : -1;
      try {
        const text = (await parts.service.consoleLog(uuid, mostConsoleBytes)).toString('utf8');
        return lines < 0
          ? text
          : text
              .split('\n')
              .slice(-lines - 1)
              .join('\n');
      } catch (error) {
        throw novaError('ConsoleNotAvailable', {}, { cause: error });
      }
    },
    set_admin_password: awaited('set_admin_password'),
    // nova's API goes on without, unless the image says that it must not
    quiesce_instance: (args) =>
      Promise.reject(novaError('InstanceQuiesceNotSupported', { instance_id: serverOf(args).uuid })),
    cache_images: ({ image_ids: images }) =>
      Promise.resolve(Object.fromEntries(listOf(text)(images, 'image_ids').map((id) => [id, 'unsupported']))),
    check_instance_shared_storage: () => Promise.resolve(false),
    reserve_block_device_name: awaited('reserve_block_device_name'),
    remove_volume_connection: awaited('remove_volume_connection'),
    attach_interface: awaited('attach_interface'),
    get_spice_console: unavailable('spice-html5'),
    get_rdp_console: unavailable('rdp-html5'),
    get_mks_console: unavailable('webmks'),
    ...parts.consoles,
    check_can_live_migrate_destination: noLiveMigration,
    check_can_live_migrate_source: noLiveMigration,
    pre_live_migration: cannot('live migration'),
    post_live_migration_at_destination: cannot('live migration'),
    drop_move_claim_at_destination: () => Promise.resolve(null),
    ...Object.fromEntries(
      [
        'prep_snapshot_based_resize_at_dest',
        'prep_snapshot_based_resize_at_source',
        'finish_snapshot_based_resize_at_dest',
        'finish_revert_snapshot_based_resize_at_source',
        'confirm_snapshot_based_resize_at_source',
        'revert_snapshot_based_resize_at_dest',
      ].map((method) => [method, absent(method)]),
    ),
  };
}

const unavailable =
  (type: string): CallHandler =>
  () =>
    Promise.reject(novaError('ConsoleTypeUnavailable', { console_type: type }));

/** Events that begin a flow, which runs after whatever runs for the server. */
const eventFlows: Readonly<Record<string, string>> = {
  'network-changed': 'network_changed',
  'network-vif-deleted': 'vif_deleted',
  'volume-extended': 'volume_extended',
};

async function eventFlow(
  parts: CallParts,
  event: ReturnType<typeof readExternalEvents>[number],
  { received, uniqueId }: Parameters<CallHandler>[1],
): Promise<void> {
  await parts.flows.accept({
    method: eventFlows[event.name] ?? '',
    args: { instance: event.instance_uuid, key: event.tag ?? '' },
    received,
    uniqueId: uniqueId === null ? null : `${uniqueId}:${event.name}:${event.instance_uuid}:${event.tag ?? ''}`,
  });
}
