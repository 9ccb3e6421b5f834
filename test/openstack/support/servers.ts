/** Servers over the compute API, as any client sees them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RestError } from '../../../tools/openstack/rest.ts';
import type { Cloud } from './cloud.ts';
import { NODES, type NodeName } from './nodes.ts';

/** What tests look at in a server (compute API 2.93). */
export interface Server {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly created: string;
  readonly addresses: Readonly<Record<string, readonly Address[]>>;
  readonly fault?: { readonly code: number; readonly message: string };
  readonly 'OS-EXT-STS:vm_state': string;
  readonly 'OS-EXT-STS:task_state': string | null;
  readonly 'OS-EXT-STS:power_state': number;
  readonly 'OS-EXT-SRV-ATTR:host': string | null;
  readonly 'OS-EXT-SRV-ATTR:hypervisor_hostname': string | null;
  readonly 'OS-EXT-SRV-ATTR:root_device_name': string | null;
  readonly 'os-extended-volumes:volumes_attached': readonly { readonly id: string }[];
  readonly 'OS-SRV-USG:launched_at': string | null;
}

/** An address of a server. */
export interface Address {
  readonly version: 4 | 6;
  readonly addr: string;
  readonly 'OS-EXT-IPS-MAC:mac_addr': string;
  readonly 'OS-EXT-IPS:type': string;
}

/** A port at Neutron. */
export interface Port {
  readonly id: string;
  readonly status: string;
  readonly mac_address: string;
  readonly device_id: string;
  readonly device_owner: string;
  readonly 'binding:host_id': string;
  readonly 'binding:vif_type': string;
  readonly 'binding:vnic_type': string;
  readonly fixed_ips: readonly { readonly ip_address: string }[];
}

/** One of a server's actions with its events. */
export interface ServerAction {
  readonly action: string;
  readonly request_id: string;
  readonly message: string | null;
  readonly events: readonly {
    readonly event: string;
    readonly result: string | null;
    readonly start_time: string;
    readonly finish_time: string | null;
    readonly host?: string;
  }[];
}

/** The compute API for one control plane; what it made is remembered, for `removeAll`. */
export interface Servers {
  /** Asks for a server on a node; `more` is put over what is asked for, `hints` are the scheduler's. Answers its id at once. */
  create(
    name: NodeName,
    more?: Readonly<Record<string, unknown>>,
    hints?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  show(id: string): Promise<Server>;
  /** Waits until it has this status and no task. @throws Error as soon as it is in ERROR, with its fault, or after `ms` */
  until(id: string, status: string, ms?: number): Promise<Server>;
  /** POST /servers/ID/action */
  act<Answer = unknown>(id: string, body: Readonly<Record<string, unknown>>): Promise<Answer>;
  remove(id: string): Promise<void>;
  /** Waits until nova knows it no more. */
  untilGone(id: string, ms?: number): Promise<void>;
  ports(id: string): Promise<readonly Port[]>;
  actions(id: string): Promise<readonly ServerAction[]>;
  /** Removes every server that was made and is still there; ends when they are gone. */
  removeAll(): Promise<void>;
}

/** How long a server may take to become what was asked for, where the machine has more to do. */
const PATIENCE_MS = 90_000;

/** Servers of a control plane. */
export function serversOf({ admin, image, flavorFor, network }: Cloud): Servers {
  const made = new Set<string>();
  const show = async (id: string): Promise<Server> =>
    (await admin.call<{ server: Server }>('compute', 'GET', `/servers/${id}`)).server;

  async function remove(id: string): Promise<void> {
    await admin.call('compute', 'DELETE', `/servers/${id}`);
  }

  async function untilGone(id: string, ms = PATIENCE_MS): Promise<void> {
    const end = performance.now() + ms;
    for (;;) {
      try {
        const { status, 'OS-EXT-STS:task_state': task } = await show(id);
        if (performance.now() > end) throw new Error(`server ${id} is still there: ${status}, ${task}`);
      } catch (error) {
        if (error instanceof RestError && error.status === 404) break;
        throw error;
      }
      await sleep(100);
    }
    made.delete(id);
  }

  return {
    show,
    async create(name, more = {}, hints = undefined) {
      const server = {
        name: `${name}-server`,
        flavorRef: flavorFor(name),
        imageRef: image,
        networks: [{ uuid: network('private') }],
        host: NODES[name].hostname,
        ...more,
      };
      const answer = await admin.call<{ server: { id: string } }>('compute', 'POST', '/servers', {
        body: { server, ...(hints === undefined ? {} : { 'os:scheduler_hints': hints }) },
      });
      made.add(answer.server.id);
      return answer.server.id;
    },
    async until(id, status, ms = PATIENCE_MS) {
      const end = performance.now() + ms;
      for (;;) {
        const server = await show(id);
        const task = server['OS-EXT-STS:task_state'];
        if (server.status === status && task === null) return server;
        if (server.status === 'ERROR') throw new Error(`server ${id} is in ERROR: ${server.fault?.message}`);
        if (performance.now() > end) throw new Error(`server ${id} is ${server.status} (${task}) and not ${status}`);
        await sleep(100);
      }
    },
    act: async (id, body) => await admin.call('compute', 'POST', `/servers/${id}/action`, { body }),
    remove,
    untilGone,
    ports: async (id) =>
      (await admin.call<{ ports: readonly Port[] }>('network', 'GET', `/v2.0/ports?device_id=${id}`)).ports,
    async actions(id) {
      const path = `/servers/${id}/os-instance-actions`;
      const list = await admin.call<{ instanceActions: readonly ServerAction[] }>('compute', 'GET', path);
      const all = list.instanceActions.map(async ({ request_id: request }) => {
        const one = await admin.call<{ instanceAction: ServerAction }>('compute', 'GET', `${path}/${request}`);
        return one.instanceAction;
      });
      return await Promise.all(all);
    },
    async removeAll() {
      const left = [...made];
      for (const id of left) {
        try {
          await remove(id);
        } catch (error) {
          if (!(error instanceof RestError) || error.status !== 404) throw error;
        }
      }
      await Promise.all(left.map((id) => untilGone(id)));
    },
  };
}
