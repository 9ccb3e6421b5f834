import { DpuError } from '../../core/errors.ts';
import type { NodeId } from '../../core/units.ts';
import { isOurs } from './external-ids.ts';
import { addPort, removePort } from './port-transactions.ts';
import type { Switch } from './switch.ts';
import { isTaken, type SwitchPort } from './tables.ts';
import { awaitTaken } from './verdict.ts';

/** A tunnel to another switch. */
export interface TunnelSpec {
  /** Name of its port: at most 15 characters, no two alike. */
  readonly name: string;
  readonly kind: 'vxlan' | 'geneve';
  readonly remote: string;
  /** Our end's address; the routing table chooses unless told. */
  readonly local?: string;
  /** The network's number on the wire (VNI). */
  readonly key: number;
  /** Whether the outer UDP header has a checksum. */
  readonly checksum?: boolean;
}

/** A tunnel as the switch has it. */
export interface Tunnel extends TunnelSpec {
  readonly healthy: boolean;
}

/**
 * Tunnels of ours in the bridge. They are protected ports: what came in by one never leaves by another, so that a full mesh of
 * switches has no loop.
 */
export interface Tunnels {
  /** The same name with another specification is made anew. @throws `conflict` (the name is another's), `unavailable`, `timeout`. */
  ensure(spec: TunnelSpec, signal?: AbortSignal): Promise<Tunnel>;
  /** One that is not there is fine. @throws `denied` for one that is not ours. */
  remove(name: string, signal?: AbortSignal): Promise<void>;
  list(signal?: AbortSignal): Promise<readonly Tunnel[]>;
  /** Ensures these and removes all others of ours. */
  replace(specs: readonly TunnelSpec[], signal?: AbortSignal): Promise<void>;
}

/** Makes the tunnels' side of a bridge. */
export function createTunnels(of: Switch, bridge: string, node: NodeId): Tunnels {
  const { link, limits, ports } = of;

  async function find(name: string, signal?: AbortSignal): Promise<SwitchPort | undefined> {
    return (await ports(signal)).find((each) => each.port.name === name);
  }

  const tunnels: Tunnels = {
    async ensure(spec, signal) {
      signal?.throwIfAborted();
      const have = await find(spec.name, signal);
      if (have && !isTunnel(have, node)) throw new DpuError('conflict', `port ${spec.name} is not a tunnel of ours`);
      if (!have || !isSame(have, spec)) {
        // the same name can't leave and come in one transaction: names are unique
        if (have) await removePort(link.db, bridge, have.port._uuid, limits(signal));
        await addPort(
          link.db,
          {
            bridge,
            name: spec.name,
            type: spec.kind,
            options: optionsOf(spec),
            ids: { 'dpu-owner': node, 'dpu-tunnel': spec.kind },
            isProtected: true,
          },
          limits(signal),
        );
      }
      const cache = await link.cache(signal);
      const made = await find(spec.name, signal);
      if (!made) throw new DpuError('unavailable', `tunnel ${spec.name} was taken away while it was made`);
      await awaitTaken(cache, made, {
        timeoutMs: of.bindTimeoutMs,
        signal,
        waitOvnInstalled: false,
        representor: spec.name,
        mayBeOld: have !== undefined,
        isUp: of.isUp,
      });
      return { ...spec, healthy: true };
    },
    async remove(name, signal) {
      signal?.throwIfAborted();
      const have = await find(name, signal);
      if (!have) return;
      if (!isTunnel(have, node)) throw new DpuError('denied', `port ${name} is not a tunnel of ours`);
      await removePort(link.db, bridge, have.port._uuid, limits(signal));
    },
    list: async (signal) => (await ports(signal)).filter((each) => isTunnel(each, node)).map(viewOf),
    async replace(specs, signal) {
      const names = new Set(specs.map((each) => each.name));
      for (const each of await tunnels.list(signal)) if (!names.has(each.name)) await tunnels.remove(each.name, signal);
      for (const each of specs) await tunnels.ensure(each, signal);
    },
  };
  return tunnels;
}

function isTunnel({ nic }: SwitchPort, node: NodeId): boolean {
  return isOurs(nic.external_ids, node) && nic.external_ids.has('dpu-tunnel');
}

/** ovs-vswitchd.conf.db(5), Interface, tunnel options. */
function optionsOf({ remote, local, key, checksum }: TunnelSpec): Readonly<Record<string, string>> {
  return {
    remote_ip: remote,
    key: String(key),
    ...(local === undefined ? {} : { local_ip: local }),
    ...(checksum === undefined ? {} : { csum: String(checksum) }),
  };
}

function isSame({ nic }: SwitchPort, spec: TunnelSpec): boolean {
  const wanted = Object.entries(optionsOf(spec));
  return (
    nic.type === spec.kind &&
    nic.options.size === wanted.length &&
    wanted.every(([key, value]) => nic.options.get(key) === value)
  );
}

function viewOf({ port, nic }: SwitchPort): Tunnel {
  const local = nic.options.get('local_ip');
  const checksum = nic.options.get('csum');
  return {
    name: port.name,
    kind: nic.type === 'geneve' ? 'geneve' : 'vxlan',
    remote: nic.options.get('remote_ip') ?? '',
    key: Number(nic.options.get('key')),
    ...(local === undefined ? {} : { local }),
    ...(checksum === undefined ? {} : { checksum: checksum === 'true' }),
    healthy: isTaken(nic),
  };
}
