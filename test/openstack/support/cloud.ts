/** What a test of the live suite works with: the control plane, who is signed in, the nodes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { NAMES } from '../../../tools/openstack/bootstrap.ts';
import { type Node, openNode, startNode, untilNodesUp } from '../../../tools/openstack/node.ts';
import { programEnvironment } from '../../../tools/openstack/programs.ts';
import { type Session, signIn } from '../../../tools/openstack/rest.ts';
import { openStack, type Stack } from '../../../tools/openstack/stack.ts';
import { untilChassisAlive } from './chassis-alive.ts';
import { NODES, type NodeName, nodeOptions, PEER, type Peer, type SpareNode } from './nodes.ts';

/** The control plane as tests see it. */
export interface Cloud {
  readonly stack: Stack;
  readonly peer: Peer;
  /** The administrator, in the project `admin`. */
  readonly admin: Session;
  /** Ours, spare ones by host name; empty with stock nova-computes in their places. */
  readonly nodes: Readonly<Record<string, Node>>;
  /** One of ours. @throws Error where the peer is stock */
  node(name: string): Node;
  /** Takes a host out of nova. */
  forgetHost(hostname: string): Promise<void>;
  /** Flavor that a node takes. */
  flavorFor(name: NodeName): string;
  readonly image: string;
  network(name: 'private' | 'second'): string;
  /** The stock `openstack` client; some two seconds a call. Answers its output as JSON. */
  client<Answer>(...words: readonly string[]): Promise<Answer>;
  /** The same where it prints nothing. */
  command(...words: readonly string[]): Promise<void>;
}

/** The control plane that the run brought up; `spares` are started, mapped to their cell, and ports can be bound to them. */
export async function openCloud(spares: readonly SpareNode[] = []): Promise<Cloud> {
  const stack = await openStack(inject('stackDir'));
  const admin = await signIn(stack.admin);
  const nodes: Record<string, Node> = {};
  if (PEER === 'ours') {
    for (const name of Object.keys(NODES) as NodeName[]) nodes[name] = await openNode(nodeOptions(stack, NODES[name]));
  }
  for (const spare of spares) nodes[spare.hostname] = await startNode(nodeOptions(stack, spare));
  const hostnames = spares.map(({ hostname }) => hostname);
  if (hostnames.length > 0) await untilNodesUp(stack, hostnames);
  for (const hostname of hostnames) await untilChassisAlive(stack, hostname);
  const { images } = await admin.call<{ images: readonly { id: string }[] }>('image', 'GET', '/v2/images?name=tiny');
  const { flavors } = await admin.call<{ flavors: readonly { id: string; name: string }[] }>(
    'compute',
    'GET',
    '/flavors',
  );
  const { networks } = await admin.call<{ networks: readonly { id: string; name: string }[] }>(
    'network',
    'GET',
    '/v2.0/networks',
  );
  const idOf = (all: readonly { readonly id: string; readonly name: string }[], name: string): string => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`the control plane has no ${name}`);
    return found.id;
  };
  const run = async (words: readonly string[]): Promise<string> =>
    (await promisify(execFile)('openstack', words, { env: programEnvironment(stack.shell), timeout: 120_000 })).stdout;
  return {
    stack,
    peer: PEER,
    admin,
    nodes,
    node(name) {
      const node = nodes[name];
      if (node === undefined) throw new Error('this needs nodes of ours');
      return node;
    },
    async forgetHost(hostname) {
      const path = `/os-services?binary=nova-compute&host=${hostname}`;
      const { services } = await admin.call<{ services: readonly { id: string }[] }>('compute', 'GET', path);
      for (const { id } of services) await admin.call('compute', 'DELETE', `/os-services/${id}`);
    },
    flavorFor: (name) => idOf(flavors, NAMES.flavors[name === 'bm' && PEER === 'ours' ? 'metal' : 'tiny']),
    image: images[0]?.id ?? '',
    network: (name) => idOf(networks, name),
    client: async <Answer>(...words: readonly string[]) => JSON.parse(await run([...words, '-f', 'json'])) as Answer,
    command: async (...words) => void (await run(words)),
  };
}
