import { dirname } from 'node:path';
import type { TlsOptions } from 'ovsdb-client';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeId } from '../../core/units.ts';
import { watchBridge } from './bridge-watch.ts';
import { readRules, readSlot } from './external-ids.ts';
import { createFlowKeeper } from './flow-keeper.ts';
import { openFlowTool } from './openflow-tool.ts';
import { bridgeOf, type OvsLink, openOvsLink } from './ovs-link.ts';
import { type LocalService, type Pipeline, type PipelinePort, pipelineOf } from './pipeline.ts';
import type { CallLimits, Segment } from './port-transactions.ts';
import { bindingOf, isInstancePort } from './port-view.ts';
import type { RepresentorLookup } from './representors.ts';
import { isTaken, type OvsCache, portsOf, type SwitchPort } from './tables.ts';

/** A bridge and how it is reached and used. */
export interface SwitchOptions {
  /** `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`. */
  readonly ovsdb: string;
  readonly tls?: TlsOptions;
  /** The integration bridge; it is there already. */
  readonly bridge: string;
  readonly node: NodeId;
  /** Whose the bridge's flows are: `controller` means that none of ours is ever written. */
  readonly flows: 'ours' | 'controller';
  /** Whether a port is good only when ovn-controller has said so (`ovn-installed`). */
  readonly waitOvnInstalled?: boolean;
  /** Where the bridge's management socket is. Default: the folder of the database's socket; null: not to be reached. */
  readonly runDir?: string | null;
  /** VLANs and MTU by subnet. */
  readonly segments?: Readonly<Record<string, Segment>>;
  /** Finds representors whatever their name; without it the switch alone tells whether there is one. */
  readonly representors?: RepresentorLookup;
  /** Whether instances may send with their own addresses only. With `flows: ours`. */
  readonly antiSpoof?: boolean;
  /** Where a subnet's DHCP and metadata are answered. With `flows: ours`. */
  readonly localService?: (cache: OvsCache, node: NodeId, subnet: string) => LocalService | null;
  /** How long the switch has to take a port, in milliseconds; default 15000. */
  readonly bindTimeoutMs?: number;
  /** How long a call waits for a database that is away, in milliseconds; default 5000. */
  readonly connectTimeoutMs?: number;
  /** How often ovs-vswitchd is asked whether it is there, in milliseconds; default 5000. */
  readonly probeMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A bridge: its database, the life of its ovs-vswitchd, and its flows where they are ours. */
export interface Switch {
  readonly link: OvsLink;
  readonly bindTimeoutMs: number;
  /** The bridge's ports now, without its own. @throws DpuError `unavailable`. */
  ports(signal?: AbortSignal): Promise<readonly SwitchPort[]>;
  /** Deadline of one exchange with the database. */
  limits(signal?: AbortSignal): CallLimits;
  /** Whether ovs-vswitchd is there, as far as can be told. */
  isUp(): boolean;
  /** Waits for ovs-vswitchd when we have not met it yet. @throws DpuError `unavailable`. */
  requireUp(signal?: AbortSignal): Promise<void>;
  readonly ownsFlows: boolean;
  /** Whether the bridge has the flows that it shall have; true where they are another's. */
  hasFlows(): boolean;
  /** Ends when the bridge has them; at once where they are another's. @throws DpuError `unavailable`, `timeout`. */
  applyFlows(signal?: AbortSignal): Promise<void>;
  /** They are looked at again soon. */
  touch(): void;
  /** Calls back when the switch or its database was restarted and may have forgotten things. Answers the stop. */
  onRestart(listener: () => void): () => void;
  close(): Promise<void>;
}

/** Opens a bridge; one that is away is no error yet. @throws DpuError `invalid`. */
export function openSwitch(options: SwitchOptions): Switch {
  const { bridge, flows, clock, log, bindTimeoutMs = 15_000, connectTimeoutMs = 5_000 } = options;
  const runDir = runDirOf(options);
  const socketPath = runDir === null ? null : `${runDir}/${bridge}.mgmt`;
  if (flows === 'ours' && socketPath === null) {
    throw new DpuError('invalid', 'flows: ours needs the folder of the management sockets', {
      field: 'network.run_dir',
    });
  }
  const listeners = new Set<() => void>();
  let lives = 0;
  const restarted = (): void => {
    for (const listener of listeners) listener();
  };
  const link = openOvsLink({
    ovsdb: options.ovsdb,
    ...(options.tls ? { tls: options.tls } : {}),
    connectTimeoutMs,
    resynced: restarted,
    updated: () => keeper?.touch(),
  });
  const changed = (isUp: boolean): void => {
    log.info('ovs-vswitchd came or went', { bridge, isUp });
    keeper?.forget();
    if (!isUp) return;
    keeper?.touch();
    lives += 1;
    if (lives > 1) restarted();
  };
  const watch =
    socketPath === null ? null : watchBridge({ path: socketPath, clock, probeMs: options.probeMs ?? 5_000, changed });
  const keeper =
    flows === 'controller' || socketPath === null
      ? null
      : createFlowKeeper({
          tool: openFlowTool(socketPath),
          wanted: () => wantedFlows(link.known, options),
          clock,
          log,
          intervalMs: 60_000,
        });

  return {
    link,
    bindTimeoutMs,
    async ports(signal) {
      const cache = await link.cache(signal);
      return portsOf(cache, bridgeOf(cache, bridge)).filter((each) => each.port.name !== bridge);
    },
    limits: (signal) => ({ timeoutMs: connectTimeoutMs, signal }),
    isUp: () => watch === null || watch.isUp,
    async requireUp(signal) {
      if (watch && !(await watch.awaitFirst(connectTimeoutMs, signal))) {
        throw new DpuError('unavailable', 'ovs-vswitchd is away');
      }
    },
    ownsFlows: keeper !== null,
    hasFlows: () => keeper === null || keeper.isApplied,
    applyFlows: async (signal) => keeper?.apply(signal),
    touch: () => keeper?.touch(),
    onRestart(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      keeper?.close();
      watch?.close();
      await link.close();
    },
  };
}

function runDirOf({ runDir, ovsdb }: SwitchOptions): string | null {
  if (runDir !== undefined) return runDir;
  return ovsdb.startsWith('unix:') ? dirname(ovsdb.slice('unix:'.length)) : null;
}

/** What the bridge's flows shall be by what is known of the database; null while nothing is. */
function wantedFlows(cache: OvsCache | undefined, options: SwitchOptions): Pipeline | null {
  const row = cache?.table('Bridge').first('name', options.bridge);
  if (!cache || !row) return null;
  const ports = portsOf(cache, row).flatMap((each) => pipelinePort(cache, each, options) ?? []);
  return pipelineOf(ports, { antiSpoof: options.antiSpoof ?? false });
}

function pipelinePort(cache: OvsCache, each: SwitchPort, options: SwitchOptions): PipelinePort | null {
  const { port, nic } = each;
  const slot = readSlot(nic.external_ids);
  const { mac, mark, qos } = bindingOf(each, options.node, true);
  if (!isInstancePort(each, options.node) || slot === null || mac === null || !isTaken(nic)) return null;
  const subnet = mark?.port?.subnet ?? null;
  const local: LocalService | null =
    subnet === null ? null : (options.localService?.(cache, options.node, subnet) ?? null);
  const trunk = port.trunks.size > 0;
  const ips = mark?.port?.ips ?? [];
  return { slot, ofport: nic.ofport ?? 0, mac, ips, trunk, qos, rules: readRules(nic.external_ids), local };
}
