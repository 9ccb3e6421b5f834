import { DpuError } from '../../core/errors.ts';
import type { NodeId } from '../../core/units.ts';
import { isOurs } from './external-ids.ts';
import { addPort, type Segment } from './port-transactions.ts';
import type { Switch } from './switch.ts';
import type { SwitchPort } from './tables.ts';
import { awaitTaken } from './verdict.ts';

/** A port of ours that is no instance's: behind it a subnet's DHCP and metadata are answered. */
export interface ServicePort {
  readonly name: string;
  readonly subnet: string;
}

/** Such ports in the bridge. */
export interface Services {
  /** Puts one in; the device is there already. @throws `conflict` (the name is another's), `not_found`, `unavailable`, `timeout`. */
  add(service: ServicePort & { readonly segment: Segment }, signal?: AbortSignal): Promise<void>;
  list(signal?: AbortSignal): Promise<readonly ServicePort[]>;
  /** Takes one out; one that is not there is fine. @throws `denied` for one that is not ours. */
  remove(name: string, signal?: AbortSignal): Promise<void>;
}

/** Makes the services' side of a bridge; `removePort` takes a port out with its flows. */
export function createServices(
  of: Switch,
  bridge: string,
  node: NodeId,
  removePort: (port: SwitchPort, signal?: AbortSignal) => Promise<void>,
): Services {
  const { link, limits } = of;

  async function find(name: string, signal?: AbortSignal): Promise<SwitchPort | undefined> {
    return (await of.ports(signal)).find((each) => each.port.name === name);
  }

  function subnetOf({ nic }: SwitchPort): string | undefined {
    return isOurs(nic.external_ids, node) ? nic.external_ids.get('dpu-local') : undefined;
  }

  return {
    async add({ name, subnet, segment: { vlan, mtu } }, signal) {
      signal?.throwIfAborted();
      const have = await find(name, signal);
      if (have && subnetOf(have) !== subnet) {
        throw new DpuError('conflict', `port ${name} is not the service of subnet ${subnet}`);
      }
      const segment = { ...(vlan === undefined ? {} : { vlan }), ...(mtu === undefined ? {} : { mtu }) };
      if (!have) {
        const ids = { 'dpu-owner': node, 'dpu-local': subnet };
        await addPort(link.db, { bridge, name, ids, isProtected: true, ...segment }, limits(signal));
      }
      const cache = await link.cache(signal);
      const made = await find(name, signal);
      if (!made) throw new DpuError('unavailable', `port ${name} was taken away while it was made`);
      await awaitTaken(cache, made, {
        waitOvnInstalled: false,
        timeoutMs: of.bindTimeoutMs,
        signal,
        representor: name,
        mayBeOld: have !== undefined,
        isUp: of.isUp,
      });
      await of.applyFlows(signal);
    },
    async list(signal) {
      signal?.throwIfAborted();
      return (await of.ports(signal)).flatMap((each) => {
        const subnet = subnetOf(each);
        return subnet === undefined ? [] : [{ name: each.port.name, subnet }];
      });
    },
    async remove(name, signal) {
      signal?.throwIfAborted();
      const have = await find(name, signal);
      if (!have) return;
      if (subnetOf(have) === undefined) throw new DpuError('denied', `port ${name} is not ours`);
      await removePort(have, signal);
    },
  };
}
