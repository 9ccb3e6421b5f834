import type { Conductor } from './conductor.ts';
import { isPrimitive, listOf, nullable, objectOf, orElse, type Primitive, text, texts } from './objects.ts';

const read = objectOf('InstanceGroup', {
  members: orElse(listOf(text), []),
  policy: nullable(text),
  _rules: orElse(texts, {}),
});

/** A server group (InstanceGroup 1.11). */
export interface InstanceGroup {
  readonly members: readonly string[];
  /** `affinity`, `anti-affinity`, or one of the soft ones, which nobody is kept to. */
  readonly policy: string | null;
  /** Servers of a group with anti-affinity that one host may have. */
  readonly mostPerHost: number;
  /** As nova sent it. */
  readonly primitive: Primitive;
}

const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** A server group by its id or its name. @throws `not_found` (InstanceGroupNotFound). */
export async function getInstanceGroup(conductor: Conductor, hint: string): Promise<InstanceGroup> {
  const method = uuid.test(hint) ? 'get_by_uuid' : 'get_by_name';
  const primitive = await conductor.classAction('InstanceGroup', method, [hint]);
  const { members, policy, _rules: rules } = read(primitive, 'group');
  const most = Number(rules.max_server_per_host ?? 1);
  return {
    members,
    policy,
    mostPerHost: Number.isSafeInteger(most) ? most : 1,
    primitive: primitive as unknown as Primitive,
  };
}

/** Hosts of the group's other servers. */
export async function groupHosts(conductor: Conductor, group: InstanceGroup, but: string): Promise<readonly string[]> {
  const { result } = await conductor.objectAction(group.primitive, 'get_hosts', [], { exclude: [but] });
  return isPrimitive(result) ? [] : listOf(text)(result, 'group.hosts');
}
