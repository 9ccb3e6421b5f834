import { DpuError } from '../../../core/errors.ts';
import type { Json } from '../../../core/units.ts';
import { retryOnGenerationConflict } from '../rest/rest-errors.ts';
import { listBlockDevices, saveBlockDevice } from '../wire/block-devices.ts';
import { saveInstance } from '../wire/instances.ts';
import { listMigrations, readMigration, saveMigration } from '../wire/migrations.ts';
import { novaError } from '../wire/nova-errors.ts';
import { flagArgument, rawArgument, readServer, textArgument } from './arguments.ts';
import { bracketed, errorOut, type FailurePolicy, revert, tellFailure } from './bracket.ts';
import { tellSchedulersStage } from './build.ts';
import { claimStage, spawnStage } from './build-stages.ts';
import { compute, destroyHere } from './compute.ts';
import { type Flow, type FlowDefinition, making, type Stage, sentInstance } from './flow.ts';
import { groupHint, withinGroup } from './group-policy.ts';
import { keepVolumesStage, keptPortsStage, keptVolumesStage } from './moved-server.ts';
import { hereNow, ifThere, novaNow, powerStates, saveStage } from './nova-record.ts';
import { pluggedStage, refreshInfoCache } from './ports.ts';

/** How long Cinder has to fill a volume with an image, in milliseconds; an image of a TiB at 100 MB/s takes 3 hours. */
const reimageMs = 3 * 3_600_000;

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** A rebuild on another host, since the server's own is down. */
const isEvacuation = (flow: Flow): boolean => flow.request.recreate === true;

/**
 * The boot disk is filled with the image again. Asked for by the API (2.93), or where the server was built from an image: what its user sees as such
 * is a volume of ours, and its rebuild means a new disk. One that was booted from a volume of its user's, though that was made of an image, has no image for
 * nova, and keeps what is on it.
 */
function reimageStage(flow: Flow): Stage {
  return {
    name: 'reimage',
    deadlineMs: reimageMs,
    async run({ signal }) {
      const conductor = flow.conductor(signal);
      const devices = await listBlockDevices(conductor, flow.instance);
      const root = devices.find(({ boot_index }) => boot_index === 0);
      const { image, reimage } = flow.request;
      if (root?.id == null || root.volume_id === null || typeof image !== 'string' || image === '') return undefined;
      if (reimage !== true && !(root.source_type === 'image' && sentInstance(flow).image_ref)) return undefined;
      const { cinder } = flow.parts.services;
      await cinder.waitForVolume(root.volume_id, ['reserved', 'available'], { signal, timeoutMs: reimageMs });
      await cinder.reimageVolume(root.volume_id, { imageId: image, reimageReserved: true }, making(flow));
      await cinder.waitForVolume(root.volume_id, ['reserved', 'available'], { signal, timeoutMs: reimageMs });
      await saveBlockDevice(conductor, root.id, { image_id: image });
      // nova-api takes a server whose disk is a volume for one that was booted from it, and leaves the image as it was
      if (sentInstance(flow).image_ref) await saveInstance(conductor, flow.instance, { image_ref: image });
      return undefined;
    },
  };
}

/** Whether the server is to be off after it: it was, or its caller says so (compute RPC 6.2, an evacuation by API 2.95). One in error becomes active. */
function endsStopped(flow: Flow): boolean {
  const before = sentInstance(flow).vm_state;
  return before === 'stopped' || (flow.request.target === 'stopped' && before !== 'error');
}

/** A server that was off is off again. */
function asBeforeStage(flow: Flow): Stage {
  return {
    name: 'as-before',
    async run({ signal }) {
      if (!endsStopped(flow)) return undefined;
      await compute(flow, 'stop', 'stop_instance', { uuid: flow.instance, timeout: 0 }, signal);
      return undefined;
    },
  };
}

/**
 * The task state, unless an evacuation that was asked for later has the server: this request may have waited for hours while its host was down, and two hosts
 * would make the server. @throws UnexpectedTaskStateError, also as nova's class.
 */
function beginStage(flow: Flow): Stage {
  const save = saveStage(flow, 'rebuilding', { task_state: 'rebuilding' }, ['rebuilding']);
  return {
    ...save,
    async run(context) {
      const { migration } = flow.request;
      if (isEvacuation(flow) && typeof migration === 'number') {
        const filters = {
          instance_uuid: flow.instance,
          migration_type: 'evacuation',
          status: ['accepted', 'pre-migrating'],
        };
        const open = await listMigrations(flow.adminConductor(context.signal), filters);
        if (open.some(({ id }) => id > migration)) throw novaError('UnexpectedTaskStateError');
      }
      return await save.run(context);
    },
    async undo({ signal }) {
      await evacuationFailed(flow, signal);
      if (isEvacuation(flow)) await freeHere(flow, signal); // no place is kept on this host
    },
    leaves: true,
  };
}

async function evacuationFailed(flow: Flow, signal: AbortSignal): Promise<void> {
  const { migration } = flow.request;
  if (typeof migration !== 'number') return;
  await ifThere(saveMigration(flow.adminConductor(signal), migration, { status: 'failed' }));
}

function stages(flow: Flow): readonly Stage[] {
  const stopped = endsStopped(flow);
  const here: readonly Stage[] = isEvacuation(flow)
    ? [claimStage(flow)]
    : [
        {
          name: 'destroy',
          async run({ signal }) {
            await destroyHere(flow, signal);
            return undefined;
          },
        },
      ];
  return [
    beginStage(flow),
    ...here,
    withinGroup(
      flow,
      isEvacuation(flow) && typeof flow.request.group === 'string' ? flow.request.group : null,
      saveStage(flow, 'mapping', { task_state: 'rebuild_block_device_mapping' }, ['rebuilding']),
    ),
    keepVolumesStage(flow),
    ...(isEvacuation(flow) ? [] : [reimageStage(flow)]),
    keptVolumesStage(flow),
    keptPortsStage(flow),
    {
      name: 'info-cache',
      async run({ signal }) {
        await refreshInfoCache(flow, signal);
        return undefined;
      },
    },
    saveStage(flow, 'spawning', { task_state: 'rebuild_spawning' }, ['rebuild_block_device_mapping']),
    spawnStage(flow),
    pluggedStage(flow),
    asBeforeStage(flow),
    ...(isEvacuation(flow) ? [saveStage(flow, 'moved', hereNow(flow))] : []),
    saveStage(
      flow,
      'active',
      () => ({
        vm_state: stopped ? 'stopped' : 'active',
        power_state: stopped ? powerStates.shutdown : powerStates.running,
        task_state: null,
        launched_at: novaNow(flow),
      }),
      ['rebuild_spawning'],
    ),
    migrationStage(flow),
    tellSchedulersStage(flow),
  ];
}

/** The migration of an evacuation is done: the old host removes what it has of the server when it comes back. */
function migrationStage(flow: Flow): Stage {
  return {
    name: 'migration',
    async run({ signal }) {
      const { migration } = flow.request;
      if (typeof migration !== 'number') return undefined;
      const { host, node } = flow.settings;
      const changes = { status: 'done', dest_compute: host, dest_node: node };
      await ifThere(saveMigration(flow.adminConductor(signal), migration, changes));
      return undefined;
    },
  };
}

/** The server is in error; one that nothing was done to yet is what it was, on the host that is down. */
const failure: FailurePolicy = {
  fault: true,
  async instead(flow, error, signal, wayBack) {
    const untouched = isEvacuation(flow) && !wayBack.reached('mapping');
    await tellFailure(flow, error, untouched ? revert : errorOut, signal, wayBack);
  },
};

/** The server's allocation on this node goes; what it holds elsewhere stays. */
export async function freeHere(flow: Flow, signal: AbortSignal): Promise<void> {
  const { placement, settings } = flow.parts;
  const provider = await placement.findProviderByName(settings.node, options(flow, signal));
  if (provider === null) return;
  await retryOnGenerationConflict(async () => {
    const { allocations, ...rest } = await placement.getAllocations(flow.instance, options(flow, signal));
    if (!Object.hasOwn(allocations, provider.uuid)) return;
    const { [provider.uuid]: _, ...others } = allocations;
    if (Object.keys(others).length === 0) await placement.deleteAllocations(flow.instance, options(flow, signal));
    else await placement.putAllocations(flow.instance, { ...rest, allocations: others }, options(flow, signal));
  });
}

/**
 * rebuild_instance: the instance is destroyed here and built again with its ports and volumes, its boot disk filled anew; with `recreate` (evacuate) it
 * is built here because its own host is down.
 */
const rebuild: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const recreate = flagArgument(args, 'recreate', false);
    if (recreate && args.on_shared_storage === true)
      throw new DpuError('unsupported', 'no host shares its disks', { field: 'on_shared_storage' });
    const migration = args.migration == null ? null : readMigration(args.migration, 'migration').id;
    return readServer(args, {
      recreate,
      migration,
      image: textArgument(args, 'image_ref'),
      imageBefore: textArgument(args, 'orig_image_ref'),
      metadataBefore: rawArgument(args, 'orig_sys_metadata'),
      reimage: flagArgument(args, 'reimage_boot_volume', false),
      target: textArgument(args, 'target_state'),
      group: groupHint({}, rawArgument(args, 'request_spec')),
      adminPassword: textArgument(args, 'new_pass', 1024),
      key: String(migration ?? ''),
    } satisfies Record<string, Json>);
  },
  plan(flow) {
    if (isEvacuation(flow) && sentInstance(flow).host === flow.settings.host)
      return bracketed(flow, [refusedStage(flow)], { failure });
    return bracketed(flow, stages(flow), { failure, pivot: 'active' });
  },
};

function refusedStage(flow: Flow): Stage {
  return {
    name: 'refuse',
    run: () => Promise.reject(novaError('InstanceExists', { name: flow.instance })),
    undo: ({ signal }) => evacuationFailed(flow, signal),
  };
}

/** Methods that make a server anew. */
export const rebuildFlows: Readonly<Record<string, FlowDefinition>> = { rebuild_instance: rebuild };
