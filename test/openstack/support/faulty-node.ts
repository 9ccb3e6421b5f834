/** The node of VMs with a proxy on its way to each service, and one before its broker. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Relay, startRelay } from '../../../packages/oslo-messaging/test/relay.ts';
import type { PlatformRequest } from '../../../schemas/generated/rest.ts';
import { createClient } from '../../../soc-daemon/cli/client.ts';
import { type Node, openNode } from '../../../tools/openstack/node.ts';
import type { Cloud } from './cloud.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { NODES, nodeOptions } from './nodes.ts';

const { hostname } = NODES.vm;

/** Services by the names that they are known by. */
export type ServiceName = 'keystone' | 'placement' | 'neutron' | 'cinder' | 'glance';

/** The node, which does not run yet, and what is between it and its cloud. */
export interface FaultyNode {
  readonly node: Node;
  readonly services: Readonly<Record<ServiceName, FaultProxy>>;
  /** Before the broker. */
  readonly relay: Relay;
  /** Everything passes again. */
  pass(): void;
  /** Rules that have met nothing, by service. */
  unmet(): readonly string[];
  /** What nova asked the node for, as `dpuctl platform requests` has it. */
  requests(): Promise<readonly PlatformRequest[]>;
  /** Puts the node as it was in its place. */
  close(): Promise<void>;
}

/** Ends the node that the run has, and puts the other in its place. `openstack` is put over its `platform.openstack`. */
export async function openFaultyNode(
  cloud: Cloud,
  openstack: Readonly<Record<string, unknown>> = {},
): Promise<FaultyNode> {
  const { stack, admin } = cloud;
  const services = {
    keystone: await startFaultProxy(stack.authUrl),
    placement: await startFaultProxy(admin.endpoint('placement')),
    neutron: await startFaultProxy(admin.endpoint('network')),
    cinder: await startFaultProxy(admin.endpoint('volumev3').replace(/(\/v3)\/.*$/, '$1')),
    glance: await startFaultProxy(admin.endpoint('image')),
  };
  const { port } = new URL(stack.transportUrl);
  const relay = await startRelay(Number(port));
  const transport = join(stack.layout.dir, 'nodes', hostname, 'relayed-transport-url');
  writeFileSync(transport, `${stack.transportUrl.replace(`:${port}`, `:${relay.port}`)}\n`, { mode: 0o600 });
  await cloud.node('vm').stop();
  const node = await openNode({
    ...nodeOptions(stack, NODES.vm),
    openstack: {
      transport_url_file: transport,
      auth_url: services.keystone.url,
      endpoints: {
        placement: services.placement.url,
        network: services.neutron.url,
        volumev3: services.cinder.url,
        image: services.glance.url,
      },
      ...openstack,
    },
  });
  const all = Object.entries(services);
  return {
    node,
    services,
    relay,
    pass() {
      for (const [, proxy] of all) proxy.rules();
      relay.deaf = false;
    },
    unmet: () => all.flatMap(([name, proxy]) => proxy.unmet.map((rule) => `${name}: ${rule}`)),
    async requests() {
      const answer = await createClient({ socket: node.socket }).ask('GET', '/v1/platform/requests?limit=100');
      return (answer as { readonly requests: readonly PlatformRequest[] }).requests;
    },
    async close() {
      await node.stop();
      await (await openNode(nodeOptions(stack, NODES.vm))).start();
      for (const [, proxy] of all) await proxy.close();
      await relay.stop();
    },
  };
}
