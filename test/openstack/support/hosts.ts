/** Compute hosts as an operator sees and drives them. */
import { expect } from 'vitest';
import type { Node } from '../../../tools/openstack/node.ts';
import { untilNodesUp } from '../../../tools/openstack/node.ts';
import { RestError } from '../../../tools/openstack/rest.ts';
import type { Cloud } from './cloud.ts';
import { cloudTraces } from './leaks.ts';

/** A compute service (compute API 2.93). */
export interface Service {
  readonly id: string;
  readonly host: string;
  readonly state: string;
  readonly status: string;
  readonly disabled_reason: string | null;
  readonly forced_down: boolean;
}

/** Hosts of a control plane. */
export interface Hosts {
  /** @throws Error where nova has none there */
  service(host: string): Promise<Service>;
  /** PUT /os-services/ID */
  put(host: string, body: Readonly<Record<string, unknown>>): Promise<void>;
  /** What a host still has of any server. */
  tracesOn(host: string): Promise<readonly string[]>;
  /** Has `work` done while the node, killed, is down for nova; then starts it, and ends when nova lets go of it and it is up. */
  whileDown(node: Node, work: () => Promise<void>): Promise<void>;
}

/** Hosts of a control plane. */
export function hostsOf(cloud: Cloud): Hosts {
  const { call } = cloud.admin;

  async function service(host: string): Promise<Service> {
    const path = `/os-services?binary=nova-compute&host=${host}`;
    const [found] = (await call<{ services: readonly Service[] }>('compute', 'GET', path)).services;
    if (found === undefined) throw new Error(`nova has no compute service on ${host}`);
    return found;
  }

  const put = async (host: string, body: Readonly<Record<string, unknown>>): Promise<void> => {
    await call('compute', 'PUT', `/os-services/${(await service(host)).id}`, { body });
  };

  /** Whether nova does: it refuses until the host has removed what was evacuated. */
  async function letsGo(host: string): Promise<boolean> {
    try {
      await put(host, { forced_down: false });
      return true;
    } catch (error) {
      if (error instanceof RestError) return false;
      throw error;
    }
  }

  return {
    service,
    put,
    async tracesOn(host) {
      const all = await cloudTraces(cloud);
      return [
        ...(all.allocations ?? []).filter((each) => each.endsWith(` on ${host}`)),
        ...Object.entries(all).flatMap(([kind, names]) => (kind.startsWith(`${host} `) ? names : [])),
      ];
    },
    async whileDown(node, work) {
      const { hostname } = node;
      await node.kill();
      try {
        await put(hostname, { forced_down: true });
        expect(await service(hostname)).toMatchObject({ state: 'down', forced_down: true });
        await work();
      } finally {
        await node.start();
        await expect.poll(() => letsGo(hostname)).toBe(true);
        await untilNodesUp(cloud.stack, [hostname]);
      }
    },
  };
}
