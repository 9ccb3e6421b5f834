import type { NodeOptions } from '../../../tools/openstack/node.ts';
import type { Stack } from '../../../tools/openstack/stack.ts';

/** What takes the compute hosts' places. */
export type Peer = 'ours' | 'stock';

/** Whose hosts the run tests. */
export const PEER: Peer = process.env.DPU_COMPUTE_PEER === 'stock' ? 'stock' : 'ours';

/** The two nodes that every file finds; stock ones have other names, since nova keeps what it knows of a name. */
export const NODES = {
  bm: { hostname: PEER === 'ours' ? 'bm-1' : 'stock-1', type: 'BM' },
  vm: { hostname: PEER === 'ours' ? 'vm-1' : 'stock-2', type: 'VM' },
} as const satisfies Record<string, Pick<NodeOptions, 'hostname' | 'type'>>;

/** Which of the two. */
export type NodeName = keyof typeof NODES;

/** A node that only one suite has. */
export type SpareNode = Pick<NodeOptions, 'hostname' | 'type'>;

/** How they are started. */
export function nodeOptions(stack: Stack, node: SpareNode): NodeOptions {
  return { stack, ...node };
}
