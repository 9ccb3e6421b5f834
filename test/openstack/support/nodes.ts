import type { NodeOptions } from '../../../tools/openstack/node.ts';
import type { Stack } from '../../../tools/openstack/stack.ts';

/** What takes the compute hosts' places. */
export type Peer = 'ours' | 'stock';

/** The two nodes that every file finds. */
export const NODES = {
  bm: { hostname: 'bm-1', type: 'BM' },
  vm: { hostname: 'vm-1', type: 'VM' },
} as const satisfies Record<string, Pick<NodeOptions, 'hostname' | 'type'>>;

/** Which of the two. */
export type NodeName = keyof typeof NODES;

/** How they are started. */
export function nodeOptions(stack: Stack, node: Pick<NodeOptions, 'hostname' | 'type'>): NodeOptions {
  return { stack, ...node };
}
