import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Args } from '../../../core/ports/compute-service.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { novaError } from '../wire/nova-errors.ts';
import { compute, destroyHere } from './compute.ts';
import { type Flow, type Stage, sentInstance } from './flow.ts';
import { portsOf } from './ports.ts';
import { refuseUncarried, userDataOf, wantsConfigDrive } from './user-data.ts';
import { volumesOf } from './volumes.ts';

/** How long a build waits for a node that is not ready yet, in milliseconds; then it is for another host. */
const readyMs = 60_000;

/**
 * The stage `claim`: whether this node may have the server. A bare-metal node has one instance at most.
 * @throws ComputeResourcesUnavailable, BuildAbortException (what no node can do) as nova's classes.
 */
export function claimStage(flow: Flow): Stage {
  return {
    name: 'claim',
    deadlineMs: readyMs,
    async run() {
      refuseUncarried(flow);
      const status = flow.parts.compute.nodeStatus();
      const known = status.instances.some(({ uuid }) => uuid === flow.instance);
      const others = status.instances.filter(
        ({ uuid, state }) => uuid !== flow.instance && state !== 'deleted' && state !== 'error',
      );
      if (flow.settings.nodeType === 'BM' && others.length > 0)
        throw novaError('ComputeResourcesUnavailable', { reason: 'the node has an instance already' });
      if (!status.ready && !known) throw new DpuError('unavailable', 'the node takes no new instance now');
      return undefined;
    },
  };
}

/** What the node's use case is asked for. */
export function buildArguments(
  flow: Flow,
  output: (stage: string) => Json,
): Omit<Args<'build_and_run_instance'>, 'request_id' | 'wait'> {
  const server = sentInstance(flow);
  const { flavor, hostname, display_name, metadata, key_data } = server;
  const data = userDataOf(flow);
  const password = flow.request.adminPassword;
  const pass = typeof password === 'string' && password !== '' ? password : undefined;
  const userdata = pass === undefined ? data : { ...(data === undefined ? {} : { user_data: data }), admin_pass: pass };
  return {
    uuid: flow.instance,
    name: display_name ?? hostname ?? flow.instance,
    flavor: {
      name: flavor?.name ?? 'flavor',
      vcpus: flavor?.vcpus ?? server.vcpus ?? 1,
      memory_mib: flavor?.memory_mb ?? server.memory_mb ?? 1,
    },
    networks: portsOf(output).map(({ id, mac }) => ({ port_id: id, mac })),
    volumes: volumesOf(output).map(({ volume, boot, connection }) => ({
      volume_id: volume,
      bootable: boot,
      connection_info: connection as JsonObject as Record<string, unknown>,
    })),
    ...(metadata === null ? {} : { metadata }),
    ...(key_data === null || key_data === '' ? {} : { ssh_keys: [key_data.trim()] }),
    ...(userdata === undefined ? {} : { userdata }),
    ...(wantsConfigDrive(server) ? { config_drive: true } : {}),
  };
}

/** The stage `spawn`: the node builds the instance. Its undo destroys it. */
export function spawnStage(flow: Flow): Stage {
  return {
    name: 'spawn',
    async run({ signal, output }) {
      try {
        await compute(flow, 'spawn', 'build_and_run_instance', buildArguments(flow, output), signal);
      } catch (error) {
        const taken = hasCode(error, 'conflict') && error.details?.instance !== undefined;
        throw taken
          ? novaError('ComputeResourcesUnavailable', { reason: 'the node has an instance already' }, { cause: error })
          : error;
      }
      flow.parts.resourcesChanged();
      return undefined;
    },
    async undo({ signal }) {
      await destroyHere(flow, signal);
      flow.parts.resourcesChanged();
    },
  };
}
