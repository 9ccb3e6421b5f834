import { resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { HostAgent } from '../core/ports/host-agent.ts';
import type { HostBios } from '../core/ports/host-bios.ts';
import type { HostConsole } from '../core/ports/host-console.ts';
import type { Log } from '../core/ports/log.ts';
import type { NetworkBinder } from '../core/ports/network-binder.ts';
import type { NodeStore } from '../core/ports/node-store.ts';
import type { PowerController } from '../core/ports/power-controller.ts';
import type { Random } from '../core/ports/random.ts';
import type { SnicController } from '../core/ports/snic-controller.ts';
import type { StorageTarget } from '../core/ports/storage-target.ts';
import type { VolumeService } from '../core/ports/volume-service.ts';
import type { NodeId } from '../core/units.ts';
import { checkNetwork } from '../drivers/network/settings.ts';
import { checkHost } from '../drivers/power/settings.ts';
import type { SimWorld } from '../drivers/sim/world.ts';
import type { LoadedConfig } from '../kit/config.ts';
import { readCredential, readSecretFile } from '../kit/credentials.ts';
import { localSource } from './service/local-source.ts';

/** All that the daemon drives. */
export interface Peers {
  readonly snic: SnicController;
  /** The switch, for the node whose marks it shall carry; once. */
  openNetwork(node: NodeId, store: NodeStore): Promise<NetworkBinder>;
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  readonly power: PowerController;
  /** Of a VM node. */
  readonly agent: HostAgent | null;
  /** The host's BIOS settings; null: none that could be reached. */
  readonly bios: HostBios | null;
  /** null: none that could be reached. */
  readonly console: HostConsole | null;
  /** Told when one of them was restarted and may have forgotten what it had; the answer ends that. */
  onPeerRestart(listener: () => void): () => void;
  close(): Promise<void>;
}

/** What a peer's driver may need. */
export interface PeerContext {
  readonly config: LoadedConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** To be called by a driver whose peer was restarted. */
  readonly restarted: () => void;
  /** To be called when the peers are closed, the last one first. */
  onClose(close: () => void | Promise<void>): void;
  /** The simulated hardware, made when something asks for it first. */
  sim(): Promise<SimWorld>;
}

const groups = ['functions', 'network', 'storage', 'host'] as const;

/** Refuses what a schema can't: a simulated part under a profile that has none. @throws DpuError `invalid`. */
export function checkPeers(config: LoadedConfig): void {
  checkHost(config.host);
  checkNetwork(config.network);
  const { kind, backing, wipe } = config.storage;
  if (kind === 'spdk' && backing === 'lvols' && wipe === 'zero') {
    throw new DpuError('invalid', 'storage.wipe zero is not done by an lvol store: discard is', {
      field: 'storage.wipe',
    });
  }
  if (config.node.type === 'VM' && config.host.kind !== 'sim') {
    throw new DpuError('invalid', 'a VM node needs host.kind sim: there is no agent for another host yet', {
      field: 'host.kind',
    });
  }
  for (const group of groups) {
    if (config.profile === 'sim' || config[group].kind !== 'sim') continue;
    throw new DpuError('invalid', `${group}.kind may not be sim with profile ${config.profile}`, {
      field: `${group}.kind`,
    });
  }
}

/** Makes the driver of each peer, as the configuration says, and loads no other. Part of the composition root. */
export async function openPeers(parts: Pick<PeerContext, 'config' | 'clock' | 'random' | 'log'>): Promise<Peers> {
  const listeners = new Set<() => void>();
  const closers: (() => void | Promise<void>)[] = [];
  let world: Promise<SimWorld> | undefined;
  const context: PeerContext = {
    ...parts,
    restarted: () => {
      for (const listener of listeners) listener();
    },
    onClose: (close) => void closers.push(close),
    sim: () => {
      world ??= openSim(context);
      return world;
    },
  };
  const snic = await openSnic(context);
  return {
    snic,
    openNetwork: (node, store) => openNetwork(context, node, store),
    ...(await openStorage(context, snic)),
    ...(await openHost(context)),
    onPeerRestart(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      for (const close of closers.reverse()) await close();
    },
  };
}

async function openSim(context: PeerContext): Promise<SimWorld> {
  const { config, clock, random } = context;
  const [{ createSimWorld }, { sqliteWorldStore }] = await Promise.all([
    import('../drivers/sim/world.ts'),
    import('../drivers/sim/sqlite-world-store.ts'),
  ]);
  const store = sqliteWorldStore(config.sim.world_file ?? resolve(config.state_dir, 'world.db'));
  const hypervisor = config.node.type === 'VM';
  const world = createSimWorld({ clock, random, store, options: config.sim, hypervisor });
  world.onPeerRestart(context.restarted);
  context.onClose(() => world.close());
  return world;
}

async function openSnic(context: PeerContext): Promise<SnicController> {
  const { config, clock, restarted } = context;
  switch (config.functions.kind) {
    case 'sim':
      return (await context.sim()).snic;
    case 'snic': {
      const { createSnicClient } = await import('../snic-controller/client.ts');
      const client = createSnicClient({ path: config.functions.socket, clock, restarted });
      context.onClose(() => client.close());
      return client;
    }
  }
}

async function openNetwork(context: PeerContext, node: NodeId, store: NodeStore): Promise<NetworkBinder> {
  const { config, clock, log, restarted } = context;
  switch (config.network.kind) {
    case 'sim':
      return (await context.sim()).network;
    case 'ovs': {
      const { network, catalogue } = config;
      const { subnets } = catalogue;
      const { openOvsNetwork } = await import('../drivers/network/open.ts');
      const opened = openOvsNetwork({
        network,
        subnets,
        node,
        source: localSource(store, clock),
        clock,
        log,
        restarted,
      });
      context.onClose(() => opened.close());
      return opened;
    }
  }
}

async function openStorage(
  context: PeerContext,
  snic: SnicController,
): Promise<{ storage: StorageTarget; volumes: VolumeService }> {
  const { storage } = context.config;
  switch (storage.kind) {
    case 'sim': {
      const { storage: target, volumes } = await context.sim();
      return { storage: target, volumes };
    }
    case 'spdk': {
      const { clock, log, restarted } = context;
      const { openSpdkStorage } = await import('../drivers/storage/open.ts');
      const opened = openSpdkStorage({ storage, snic, clock, log, restarted });
      context.onClose(() => opened.close());
      return { storage: opened.storage, volumes: opened.volumes };
    }
  }
}

async function openHost(context: PeerContext): Promise<Pick<Peers, 'power' | 'bios' | 'agent' | 'console'>> {
  const { config, clock, log } = context;
  switch (config.host.kind) {
    case 'sim': {
      const { power, bios, agent, console } = await context.sim();
      const common = { power, bios };
      return config.node.type === 'VM' ? { ...common, agent, console: null } : { ...common, agent: null, console };
    }
    case 'bmc': {
      const { openBmcHost } = await import('../drivers/power/open.ts');
      const opened = openBmcHost({ host: config.host, password: bmcPassword(config), clock, log });
      context.onClose(() => opened.close());
      return { ...opened, agent: null };
    }
  }
}

/** The password of the host's BMC. @throws DpuError. */
export function bmcPassword({ host }: LoadedConfig): string {
  const password =
    host.password_file === undefined ? readCredential('bmc-password') : readSecretFile(host.password_file);
  if (password !== null) return password;
  throw new DpuError('invalid', 'host needs password_file, or the systemd credential bmc-password', {
    field: 'host.password_file',
  });
}
