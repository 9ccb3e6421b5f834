/** What a test of the live suite works with: the control plane, who is signed in, the two nodes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { NAMES } from '../../../tools/openstack/bootstrap.ts';
import { type Node, openNode } from '../../../tools/openstack/node.ts';
import { programEnvironment } from '../../../tools/openstack/programs.ts';
import { type Session, signIn } from '../../../tools/openstack/rest.ts';
import { openStack, type Stack } from '../../../tools/openstack/stack.ts';
import { NODES, type NodeName, nodeOptions, PEER, type Peer } from './nodes.ts';

/** The control plane as tests see it. */
export interface Cloud {
  readonly stack: Stack;
  readonly peer: Peer;
  /** The administrator, in the project `admin`. */
  readonly admin: Session;
  /** Ours; empty with stock nova-computes in their places. */
  readonly nodes: Readonly<Partial<Record<NodeName, Node>>>;
  /** One of ours. @throws Error where the peer is stock */
  node(name: NodeName): Node;
  /** Flavor that a node takes. */
  flavorFor(name: NodeName): string;
  readonly image: string;
  network(name: 'private' | 'second'): string;
  /** The stock `openstack` client; some two seconds a call. Answers its output as JSON. */
  client<Answer>(...words: readonly string[]): Promise<Answer>;
  /** The same where it prints nothing. */
  command(...words: readonly string[]): Promise<void>;
}

/** The control plane that the run brought up. */
export async function openCloud(): Promise<Cloud> {
  const stack = await openStack(inject('stackDir'));
  const admin = await signIn(stack.admin);
  const nodes: Partial<Record<NodeName, Node>> = {};
  if (PEER === 'ours') {
    for (const name of Object.keys(NODES) as NodeName[]) nodes[name] = await openNode(nodeOptions(stack, NODES[name]));
  }
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
    flavorFor: (name) => idOf(flavors, NAMES.flavors[name === 'bm' && PEER === 'ours' ? 'metal' : 'tiny']),
    image: images[0]?.id ?? '',
    network: (name) => idOf(networks, name),
    client: async <Answer>(...words: readonly string[]) => JSON.parse(await run([...words, '-f', 'json'])) as Answer,
    command: async (...words) => void (await run(words)),
  };
}
