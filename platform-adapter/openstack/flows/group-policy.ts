/** Server groups: two servers of a group may be scheduled at once, so each host looks again before it takes one (nova's late check). */

import { hasCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { getInstanceGroup, groupHosts, type InstanceGroup } from '../wire/instance-groups.ts';
import { listInstanceUuids } from '../wire/instances.ts';
import { listMigrationsTo } from '../wire/migrations.ts';
import { isNova, novaError } from '../wire/nova-errors.ts';
import { isPrimitive } from '../wire/objects.ts';
import type { Flow, Stage } from './flow.ts';

const recordOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** The group that a server is to be in, as its user named it; null: none. The request spec says it, or else the scheduler's properties. */
export function groupHint(properties: Json | undefined, requestSpec: Json | undefined): string | null {
  const spec = isPrimitive(requestSpec) ? requestSpec['nova_object.data'].scheduler_hints : undefined;
  return hintOf(spec) ?? hintOf(recordOf(properties).scheduler_hints);
}

/** A spec's hints are lists. */
function hintOf(hints: Json | undefined): string | null {
  const { group } = recordOf(hints);
  const [first] = Array.isArray(group) ? (group as readonly Json[]) : [group];
  return typeof first === 'string' && first !== '' ? first : null;
}

/**
 * A stage behind the late check of its group: of one group one after the other, so that of two servers that come here at once the first is here when
 * the second is looked at. `hint` null: the stage as it is. @throws GroupAffinityViolation as nova's class.
 */
export function withinGroup(flow: Flow, hint: string | null, stage: Stage): Stage {
  if (hint === null) return stage;
  return {
    ...stage,
    exclusive: `group:${hint}`,
    async run(context) {
      await checkGroup(flow, hint, context.signal);
      return await stage.run(context);
    },
  };
}

/** The group; null where nova has none (any more), or its cell can't ask for it (nova's disable_group_policy_check_upcall). */
async function groupOf(flow: Flow, hint: string, signal: AbortSignal): Promise<InstanceGroup | null> {
  try {
    return await getInstanceGroup(flow.conductor(signal), hint);
  } catch (error) {
    if (isNova(error, 'InstanceGroupNotFound')) return null;
    if (!hasCode(error, 'internal')) throw error;
    flow.parts.log.warn("a server group's policy is not looked at again", { flow: flow.id, error });
    return null;
  }
}

async function checkGroup(flow: Flow, hint: string, signal: AbortSignal): Promise<void> {
  const { host, node } = flow.settings;
  const group = await groupOf(flow, hint, signal);
  const conductor = flow.conductor(signal);
  if (group?.policy === 'anti-affinity') {
    const there = await listInstanceUuids(conductor, host);
    const coming = await listMigrationsTo(conductor, host, node);
    const others = new Set([...there, ...coming]);
    others.delete(flow.instance);
    const members = group.members.filter((each) => others.has(each));
    if (members.length >= group.mostPerHost) throw novaError('GroupAffinityViolation', { policy: 'Anti-affinity' });
  }
  if (group?.policy === 'affinity') {
    const hosts = await groupHosts(conductor, group, flow.instance);
    if (hosts.length > 0 && !hosts.includes(host)) throw novaError('GroupAffinityViolation', { policy: 'Affinity' });
  }
}
