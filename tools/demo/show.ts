import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { DemoError } from './demo-error.ts';
import { followOperation } from './follow.ts';
import { followGuest } from './guest.ts';
import { NODE } from './layout.ts';
import { amqpNode, type NodeClient, type RestNode } from './node-client.ts';
import { type Platform, startPlatform } from './platform.ts';
import { type Screen, tableLines } from './screen.ts';
import { type Traces, tracesOf } from './traces.ts';

/** Host name that user data gives the guest. */
const GUEST = 'web-1';

/** What the show plays on. */
export interface Stage {
  /** Null: over REST alone. */
  readonly transportUrl: string | null;
  readonly rest: RestNode;
  /** The server that is built on; null: simulated hardware, which boots nothing. */
  readonly dpu: VirtualDpu | null;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** Builds an instance as a platform would, shows it, takes it away, and shows that nothing is left. @throws DemoError */
export async function playShow(stage: Stage): Promise<void> {
  const { transportUrl, rest, dpu, screen, signal } = stage;
  const before = dpu === null ? null : await tracesOf(dpu);
  const platform = transportUrl === null ? undefined : await startPlatform(transportUrl, screen, signal);
  const node: NodeClient = transportUrl === null ? rest : amqpNode(transportUrl);
  try {
    screen.heading(`The node says what it has (report_node_status, ${node.way})`);
    for (const line of nodeTable(await node.status())) screen.line(line);
    await buildAndDestroy(node, platform, stage);
  } finally {
    await node.close();
    await platform?.close();
  }
  await showNothingLeft(stage);
  if (dpu !== null && before !== null) await showNoTraces(dpu, before, screen);
}

async function buildAndDestroy(node: NodeClient, platform: Platform | undefined, stage: Stage): Promise<void> {
  const { screen, signal } = stage;
  const uuid = randomUUID();
  const request = {
    uuid,
    name: 'first',
    image: NODE.image,
    flavor: NODE.flavor,
    networks: [{ subnet: NODE.subnet }],
    volumes: [{ volume_id: NODE.volume }],
    ...(stage.dpu === null ? {} : { userdata: `#cloud-config\nhostname: ${GUEST}\n` }),
  };
  const until = AbortSignal.any([signal, AbortSignal.timeout(600_000)]);

  screen.heading(`The platform asks for an instance (build_and_run_instance, ${node.way})`);
  screen.line(`  ${JSON.stringify({ ...request, uuid: uuid.slice(0, 8) })}`);
  const build = await followOperation(node, await node.build(request), screen, signal);
  if (build.state !== 'succeeded') throw new DemoError('the build did not succeed');
  await platform?.hears(uuid, 'active', until);
  screen.heading('The instance');
  for (const line of instanceTable(await node.instance(uuid))) screen.line(line);
  screen.heading('The node now');
  for (const line of nodeTable(await node.status())) screen.line(line);

  if (stage.dpu !== null) await liveOn(uuid, node, stage);

  screen.heading(`The platform takes it away (destroy_instance, ${node.way})`);
  const destroy = await followOperation(node, await node.destroy(uuid), screen, signal);
  if (destroy.state !== 'succeeded') throw new DemoError('the destroy did not succeed');
  await platform?.hears(uuid, 'deleted', until);
}

/** What only real parts can show: it boots, gets a NIC while it runs, is copied, and boots again. */
async function liveOn(uuid: string, node: NodeClient, { rest, screen, signal }: Stage): Promise<void> {
  const follow = async (first: Promise<Operation>): Promise<Operation> => {
    const operation = await followOperation(rest, await first, screen, signal);
    if (operation.state !== 'succeeded') throw new DemoError(`the ${operation.kind} did not succeed`);
    return operation;
  };
  const guest = followGuest(rest, uuid, screen, signal);
  const [nic] = (await node.instance(uuid)).interfaces;
  screen.heading('Its serial console, over the BMC');
  await guest.until(new RegExp(`${nic?.ips[0]?.replaceAll('.', '\\.')}/`), `its address ${nic?.ips[0]}`);
  await guest.until(new RegExp(`^${GUEST} login:`), 'its login prompt');

  screen.heading('A second NIC, while it runs');
  await follow(rest.attachInterface(uuid, NODE.subnet));
  const added = (await node.instance(uuid)).interfaces.find((each) => each.port_id !== nic?.port_id);
  await guest.until(
    new RegExp(`${added?.ips[0]?.replaceAll('.', '\\.')}/`),
    `the address ${added?.ips[0]} of its second NIC`,
  );

  screen.heading('A snapshot of its boot disk, in use');
  const boot = (await node.instance(uuid)).volumes.find((each) => each.boot);
  const { result } = await follow(rest.snapshot(uuid, boot?.volume_id ?? ''));
  screen.line(`  snapshot ${(result as { snapshot_id: string }).snapshot_id} of volume ${boot?.volume_id}`);

  screen.heading('A reboot');
  await follow(rest.reboot(uuid));
  await guest.until(new RegExp(`^${GUEST} login:`), 'its login prompt again');
}

async function showNoTraces(dpu: VirtualDpu, before: Traces, screen: Screen): Promise<void> {
  screen.heading('What is left in the parts themselves');
  const after = await tracesOf(dpu);
  const more = (kind: string): readonly string[] => (after[kind] ?? []).filter((name) => !before[kind]?.includes(name));
  const rows = Object.keys(after).map((kind) => [kind, more(kind).join(', ') || 'none']);
  for (const line of tableLines(rows)) screen.line(line);
  if (Object.keys(after).some((kind) => more(kind).length > 0))
    throw new DemoError('something is left of the instance');
}

async function showNothingLeft({ rest, screen, signal }: Stage): Promise<void> {
  screen.heading('What is left (REST: /v1/functions, /v1/bindings, /v1/instances)');
  let left: readonly (readonly string[])[] = [];
  for (let tries = 0; tries < 20; tries++) {
    const functions = (await rest.functions()).filter((each) => each.owner === 'ours');
    const counts = [functions.length, (await rest.bindings()).length, (await rest.instances()).length];
    left = ['functions', 'bindings', 'instances'].map((name, index) => [name, String(counts[index])]);
    if (counts.every((count) => count === 0)) break;
    await sleep(100, undefined, { signal });
  }
  for (const line of tableLines(left)) screen.line(line);
  if (left.some(([, count]) => count !== '0')) throw new DemoError('something is left of the instance');
}

/** The node status for people. */
export function nodeTable(node: NodeStatus): readonly string[] {
  const reasons = node.not_ready_reasons.map((each) => each.id).join(', ');
  return tableLines([
    ['hostname', node.hostname],
    ['uuid', node.uuid],
    ['ready', node.ready ? 'yes' : `no: ${reasons}`],
    ['type', `${node.node_type}, card ${node.DPU_model}, serial number ${node.serial_number ?? 'unknown'}`],
    ['CPUs', `${node.used_cpu} of ${node.total_cpu} used`],
    ['memory', `${node.used_mem} of ${node.total_mem} MiB used`],
    ['host power', node.host_power],
    ['instances', node.instances.map((each) => `${each.name} (${each.state})`).join(', ') || 'none'],
  ]);
}

/** An instance for people. */
export function instanceTable(instance: Instance): readonly string[] {
  const { flavor, interfaces, volumes } = instance;
  return tableLines([
    ['uuid', instance.uuid],
    ['name', instance.name],
    ['state', `${instance.state} (${instance.status})`],
    ['flavor', `${flavor.name}: ${flavor.vcpus} ${flavor.vcpus === 1 ? 'CPU' : 'CPUs'}, ${flavor.memory_mib} MiB`],
    ...interfaces.map((each) => [
      'NIC',
      `${each.mac ?? '-'}  ${each.ips.join(' ')}  bdf ${each.bdf ?? each.bdf_state}  representor ${each.representor ?? '-'}`,
    ]),
    ...volumes.map((each) => [
      each.boot ? 'boot disk' : 'disk',
      `${each.volume_id}  ${each.size_bytes === null ? '' : `${each.size_bytes / 1024 ** 2} MiB`}  bdf ${each.bdf ?? each.bdf_state}`,
    ]),
  ]);
}
