import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { readBlockDevices } from '../wire/block-devices.ts';
import { getInstancePrimitive } from '../wire/instances.ts';
import { isPrimitive, type Primitive } from '../wire/objects.ts';
import { type RequestedNetwork, readImageMeta, readRequestedNetworks } from '../wire/requests.ts';
import { tellInstances } from '../wire/scheduler.ts';
import { type Arguments, rawArgument, readServer, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { buildFailure } from './build-failure.ts';
import { claimStage, spawnStage } from './build-stages.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { groupHint, withinGroup } from './group-policy.ts';
import { novaNow, powerStates, saveStage } from './nova-record.ts';
import { infoCacheStage, pluggedStage, portsStage } from './ports.ts';
import { wantsConfigDrive } from './user-data.ts';
import { volumesStage } from './volumes.ts';

/** Security groups by name or id, as `build_and_run_instance` gives them: texts, or objects of a SecurityGroupList. */
function securityGroups(value: unknown): readonly string[] {
  const objects = isPrimitive(value) ? value['nova_object.data'].objects : value;
  if (!Array.isArray(objects)) return [];
  return (objects as readonly unknown[]).flatMap((each) => {
    if (typeof each === 'string') return [each];
    if (!isPrimitive(each)) return [];
    const { uuid, name } = each['nova_object.data'];
    return typeof uuid === 'string' ? [uuid] : typeof name === 'string' ? [name] : [];
  });
}

function read(args: Arguments): ReturnType<FlowDefinition['read']> {
  return readServer(args, {
    image: readImageMeta(args.image ?? {}) as unknown as Json,
    networks: readRequestedNetworks(args.requested_networks) as unknown as Json,
    devices: readBlockDevices(args.block_device_mapping, 'block_device_mapping') as unknown as Json,
    securityGroups: securityGroups(args.security_groups),
    adminPassword: textArgument(args, 'admin_password', 1024),
    files: Array.isArray(args.injected_files) && args.injected_files.length > 0,
    // as they came: what the conductor gets back where the build is to be tried elsewhere
    reschedule: {
      instance: rawArgument(args, 'instance'),
      image: rawArgument(args, 'image'),
      filter_properties: rawArgument(args, 'filter_properties'),
      admin_password: rawArgument(args, 'admin_password'),
      injected_files: rawArgument(args, 'injected_files'),
      requested_networks: rawArgument(args, 'requested_networks'),
      security_groups: rawArgument(args, 'security_groups'),
      block_device_mapping: rawArgument(args, 'block_device_mapping'),
      request_spec: rawArgument(args, 'request_spec'),
      host_list: rawArgument(args, 'host_list'),
    },
  });
}

/** Tells the schedulers of the server that is on this host now: as nova has it, or, where its caller knows that, as it is told. */
export function tellSchedulersStage(flow: Flow, known?: () => Primitive | undefined): Stage {
  return {
    name: 'schedulers',
    async run({ signal }) {
      const instance = known?.() ?? (await askedFor(flow, signal));
      if (instance === undefined) return undefined;
      const scope = { context: flow.context, signal };
      await tellInstances(flow.parts.nova, scope, flow.settings.host, [instance]);
      return undefined;
    },
  };
}

/** The server as nova has it; undefined: a delete has it by now. */
async function askedFor(flow: Flow, signal: AbortSignal): Promise<Primitive | undefined> {
  try {
    return await getInstancePrimitive(flow.conductor(signal), flow.instance, ['flavor', 'info_cache', 'metadata']);
  } catch (error) {
    if (error instanceof DpuError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** The server as it came with the request, and what was saved of it since. */
function builtInstance(flow: Flow, saved: JsonObject): Primitive | undefined {
  const { instance } = flow.request.reschedule as JsonObject;
  if (!isPrimitive(instance)) return undefined;
  return { ...instance, 'nova_object.data': { ...instance['nova_object.data'], ...saved } };
}

function active(flow: Flow): JsonObject {
  const server = sentInstance(flow);
  // one that its image needs is nobody's wish, and what the server has all the same
  const drive: JsonObject = server.config_drive === '' && wantsConfigDrive(server) ? { config_drive: 'True' } : {};
  const state = { vm_state: 'active', power_state: powerStates.running, task_state: null };
  return { ...state, launched_at: novaNow(flow), ...drive };
}

function activeStage(flow: Flow): Stage {
  const save = saveStage(flow, 'active', () => active(flow), ['spawning']);
  return {
    ...save,
    async run(context) {
      await save.run(context);
      flow.parts.buildEnded?.(true);
      return undefined;
    },
  };
}

function stages(flow: Flow, version: number): readonly Stage[] {
  const requested = flow.request.networks as unknown as readonly RequestedNetwork[] | null;
  const groups = flow.request.securityGroups as readonly string[];
  const reschedule = flow.request.reschedule as JsonObject;
  const { system_metadata, root_device_name } = sentInstance(flow);
  const { host, node } = flow.settings;
  const claimed: JsonObject = {
    host,
    node,
    launched_on: host,
    system_metadata: { ...system_metadata, boot_roles: flow.context.roles.join(',') },
  };
  return [
    saveStage(flow, 'accepted', { vm_state: 'building', task_state: null }, ['scheduling', null]),
    claimStage(flow),
    // version 1 saved the host by itself
    ...(version === 1 ? [saveStage(flow, 'claimed', claimed)] : []),
    withinGroup(
      flow,
      groupHint(reschedule.filter_properties, reschedule.request_spec),
      saveStage(flow, 'networking', { ...(version === 1 ? {} : claimed), task_state: 'networking' }, [null]),
    ),
    portsStage(flow, requested, groups),
    infoCacheStage(flow),
    saveStage(
      flow,
      'mapping',
      { vm_state: 'building', task_state: 'block_device_mapping', root_device_name: root_device_name ?? '/dev/vda' },
      ['networking'],
    ),
    volumesStage(flow),
    saveStage(flow, 'spawning', { vm_state: 'building', task_state: 'spawning' }, ['block_device_mapping']),
    spawnStage(flow),
    pluggedStage(flow),
    activeStage(flow),
    tellSchedulersStage(flow, () => builtInstance(flow, { ...claimed, ...active(flow) })),
  ];
}

/**
 * build_and_run_instance. States as nova's: building, networking, block_device_mapping, spawning, active; each a compare-and-set, so that a delete ends
 * the build. Disks are Cinder's always: that of an image is made into a volume first.
 */
export const build: FlowDefinition = {
  planVersion: 2,
  event: 'compute__do_build_and_run_instance',
  read,
  plan: (flow, version) => bracketed(flow, stages(flow, version), { failure: buildFailure, pivot: 'schedulers' }),
};
