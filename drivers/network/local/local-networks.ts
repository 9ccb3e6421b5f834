import { DpuError } from '../../../core/errors.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { NetworkPort } from '../../../core/ports/network-service.ts';
import type { InstanceId, NodeId } from '../../../core/units.ts';
import type { GuestPassword } from '../../../kit/guest-documents.ts';
import type { OvsNetwork } from '../binder.ts';
import type { LocalService } from '../pipeline.ts';
import type { Segment } from '../port-transactions.ts';
import { isTaken, type OvsCache } from '../tables.ts';
import { tellTroubles } from '../troubles.ts';
import { parseRequest } from './dhcp-message.ts';
import { answerDhcp, type Lease } from './dhcp-server.ts';
import { metadataOf } from './documents.ts';
import { serveMetadata } from './metadata-server.ts';
import {
  ensureNamespace,
  type LocalNamespace,
  type LocalSockets,
  namespaceOf,
  openSockets,
  pinNeighbour,
  removeNamespace,
} from './namespace.ts';

/** A subnet whose DHCP and metadata are answered here. */
export interface LocalSubnet extends Segment {
  /** IPv4 in CIDR form. */
  readonly cidr: string;
  readonly gateway?: string;
  readonly dns?: readonly string[];
}

/** What an instance may know of itself. */
export interface LocalInstance {
  readonly id: InstanceId;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  readonly userData: string | null;
  /** A password that it has still to take over. */
  readonly password: GuestPassword | null;
}

/** Where leases and metadata come from: the daemon's own allocation. */
export interface LocalSource {
  ports(): readonly NetworkPort[];
  instance(id: InstanceId): Promise<LocalInstance | null>;
  /** The password was handed out: from now on its time runs. */
  passwordTaken(id: InstanceId): Promise<void>;
}

/** How local networks are answered. */
export interface LocalNetworkOptions {
  readonly network: OvsNetwork;
  readonly node: NodeId;
  readonly subnets: Readonly<Record<string, LocalSubnet>>;
  readonly source: LocalSource;
  /** Namespace that Open vSwitch runs in; undefined: ours. */
  readonly switchNetns: string | undefined;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** DHCP and metadata of the catalogue's subnets, answered on this SoC. */
export interface LocalNetworks {
  /** Ends when all subnets are served as far as it can be done now; what can't is tried again by itself. */
  ensure(): Promise<void>;
  /** Looks at the bridge again soon. */
  touch(): void;
  /** Ends it, and takes ports and namespaces away; where the switch is away its port stays, until the next start finds it. */
  remove(): Promise<void>;
}

interface Served {
  readonly stop: () => void;
}

const retryMs = 5_000;
const lookMs = 60_000;
const unseen = 'local networks could not be looked at';
const unserved = 'a local network is not served yet';

/** Where a subnet is answered, by what the database says; null while it is not. */
export function localServiceOf(cache: OvsCache, node: NodeId, subnet: string): LocalService | null {
  const { port, mac } = namespaceOf(node, subnet);
  const nic = cache.table('Interface').first('name', port);
  if (!nic || !isTaken(nic) || nic.external_ids.get('dpu-local') !== subnet) return null;
  return { ofport: nic.ofport ?? 0, mac };
}

/** Serves local networks from now on. */
export function startLocalNetworks(options: LocalNetworkOptions): LocalNetworks {
  const { network, node, subnets, clock, log, switchNetns } = options;
  const served = new Map<string, Served>();
  const places = new Map(Object.keys(subnets).map((subnet) => [subnet, namespaceOf(node, subnet)]));
  const stopping = new AbortController();
  const troubles = tellTroubles(log);
  let timer: Timer | undefined;
  let running: Promise<void> = Promise.resolve();

  async function ensureSubnet(subnet: string, place: LocalNamespace, of: LocalSubnet): Promise<void> {
    const made = await ensureNamespace(place, switchNetns, stopping.signal);
    if (made) {
      served.get(subnet)?.stop();
      served.delete(subnet);
      // a switch in userspace holds on to a device that is gone, whatever has its name now
      await network.services.remove(place.port, stopping.signal);
    }
    await network.services.add({ name: place.port, subnet, segment: of }, stopping.signal);
    if (served.has(subnet)) return;
    const sockets = await openSockets(place, clock);
    served.set(subnet, serve(options, subnet, place, sockets));
  }

  /** Takes away what subnets had that are no longer served. */
  async function sweep(): Promise<void> {
    for (const { name, subnet } of await network.services.list(stopping.signal)) {
      if (places.has(subnet)) continue;
      await network.services.remove(name, stopping.signal);
      await removeNamespace(namespaceOf(node, subnet), switchNetns);
      log.info('a local network is served no longer', { subnet });
    }
  }

  async function pass(): Promise<void> {
    let whole = true;
    try {
      await sweep();
      troubles.over(unseen);
    } catch (error) {
      if (stopping.signal.aborted) return;
      whole = false;
      troubles.failed(unseen, error);
    }
    for (const [subnet, place] of places) {
      const of = subnets[subnet];
      if (!of || stopping.signal.aborted) return;
      try {
        await ensureSubnet(subnet, place, of);
        troubles.over(unserved, subnet);
      } catch (error) {
        if (stopping.signal.aborted) return;
        whole = false;
        troubles.failed(unserved, error, subnet);
      }
    }
    schedule(whole ? lookMs : retryMs);
  }

  function run(): Promise<void> {
    running = running.then(pass);
    return running;
  }

  function schedule(ms: number): void {
    timer?.cancel();
    if (!stopping.signal.aborted) timer = clock.timer(ms, () => void run());
  }

  async function close(): Promise<void> {
    stopping.abort(new DpuError('unavailable', 'local networks are closed'));
    timer?.cancel();
    await running;
    for (const each of served.values()) each.stop();
    served.clear();
  }

  return {
    ensure: run,
    touch: () => schedule(0),
    async remove() {
      await close();
      for (const place of places.values()) {
        try {
          await network.services.remove(place.port);
        } catch (error) {
          log.warn('the port of a local network stays', { port: place.port, error });
        }
        await removeNamespace(place, switchNetns);
      }
    },
  };
}

/** Answers on a subnet's sockets. */
function serve(options: LocalNetworkOptions, subnet: string, place: LocalNamespace, sockets: LocalSockets): Served {
  const { source, log } = options;
  const pinned = new Map<string, string>();
  const portBy = (is: (port: NetworkPort) => boolean): NetworkPort | undefined =>
    source.ports().find((port) => port.subnet === subnet && is(port));

  async function onMessage(message: Buffer): Promise<void> {
    const mac = parseRequest(message)?.mac;
    const port = portBy((each) => each.mac === mac);
    if (!port) return;
    const name = port.instance ? ((await source.instance(port.instance))?.name ?? null) : null;
    const answer = answerDhcp(message, () => leaseFor(options, subnet, port, name));
    if (!answer) return;
    const address = port.ips.find(isIpv4);
    if (address !== undefined && pinned.get(address) !== answer.mac) {
      await pinNeighbour(place, address, answer.mac);
      pinned.set(address, answer.mac);
    }
    sockets.dhcp.send(answer.message, 68, answer.to, (error) => {
      if (error) log.warn('a DHCP answer could not be sent', { subnet, error });
    });
  }

  sockets.dhcp.on('message', (message) => {
    onMessage(message).catch((error: unknown) => log.warn('a DHCP message could not be answered', { subnet, error }));
  });
  sockets.dhcp.on('error', (error) => log.warn('DHCP has a broken socket', { subnet, error }));
  const stopMetadata = serveMetadata(
    sockets.http,
    async (address, path) => {
      const port = portBy((each) => each.ips.includes(address));
      const instance = port?.instance ? await source.instance(port.instance) : null;
      if (instance?.password && /\/(meta|vendor)_data\.json$/.test(path)) await source.passwordTaken(instance.id);
      return port && instance ? metadataOf(instance, port, address, options.subnets[subnet]) : null;
    },
    log,
  );
  return {
    stop() {
      stopMetadata();
      sockets.dhcp.close();
    },
  };
}

function leaseFor(
  { subnets, leaseSeconds }: LocalNetworkOptions,
  subnet: string,
  port: NetworkPort,
  name: string | null,
): Lease | null {
  const of = subnets[subnet];
  const address = port.ips.find(isIpv4);
  if (!of || address === undefined) return null;
  return {
    address,
    prefix: Number(of.cidr.split('/')[1]),
    gateway: of.gateway ?? null,
    dns: of.dns ?? [],
    mtu: of.mtu ?? null,
    hostName: name !== null && /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name) ? name : null,
    seconds: leaseSeconds,
  };
}

function isIpv4(address: string): boolean {
  return !address.includes(':');
}
