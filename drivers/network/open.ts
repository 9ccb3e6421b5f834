import { readFileSync } from 'node:fs';
import { DpuError } from '../../core/errors.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeId } from '../../core/units.ts';
import type { LoadedConfig } from '../../kit/config.ts';
import { createOvsNetworkBinder, type OvsNetwork } from './binder.ts';
import { devlinkLookup } from './devlink.ts';
import { type LocalSource, localServiceOf, startLocalNetworks } from './local/local-networks.ts';
import { tellTroubles } from './troubles.ts';
import type { TunnelSpec } from './tunnels.ts';

/** What a configured switch is opened with. */
export interface OvsNetworkParts {
  readonly network: LoadedConfig['network'];
  readonly subnets: LoadedConfig['catalogue']['subnets'];
  readonly node: NodeId;
  readonly clock: Clock;
  readonly log: Log;
  /** What leases and metadata of local networks are made of. */
  readonly source: LocalSource;
  /** To be called when the switch may have forgotten what it had. */
  readonly restarted: () => void;
}

const retryMs = 5_000;

/** The switch as the configuration describes it, and what is kept up in it besides ports. @throws DpuError `invalid`. */
export function openOvsNetwork(parts: OvsNetworkParts): OvsNetwork {
  const { network: settings, subnets, node, source, clock, log, restarted } = parts;
  const network = createOvsNetworkBinder({
    ovsdb: settings.ovsdb,
    ...(settings.tls ? { tls: readTls(settings.tls) } : {}),
    bridge: settings.bridge,
    node,
    flows: settings.flows,
    waitOvnInstalled: settings.wait_ovn_installed,
    ...(settings.run_dir === undefined ? {} : { runDir: settings.run_dir }),
    segments: subnets,
    ...(settings.devlink ? { representors: devlinkLookup() } : {}),
    antiSpoof: settings.anti_spoof,
    ...(settings.local.enabled ? { localService: localServiceOf } : {}),
    bindTimeoutMs: settings.bind_timeout_s * 1000,
    clock,
    log,
  });
  const keeping = keepTunnels(network, settings.tunnels, clock, log);
  const local = startLocalNetworks({
    network,
    node,
    subnets: settings.local.enabled ? subnets : {},
    source,
    switchNetns: settings.local.netns,
    leaseSeconds: settings.local.lease_s,
    clock,
    log,
  });
  local.touch();
  network.onRestart(() => {
    keeping.again();
    local.touch();
    restarted();
  });
  return {
    ...network,
    async close() {
      keeping.stop();
      await local.remove();
      await network.close();
    },
  };
}

function readTls(tls: NonNullable<LoadedConfig['network']['tls']>) {
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new DpuError('not_found', `${file} can't be read`, { field: 'network.tls', cause });
    }
  };
  // ovs-pki's certificates carry no host name, and Open vSwitch itself checks none
  return { ca: read(tls.ca_file), cert: read(tls.cert_file), key: read(tls.key_file), verifyHost: false };
}

const unmade = 'tunnels could not be made yet';

/** Makes the bridge's tunnels these, again and again until it could be done, and after each restart of the switch. */
function keepTunnels(
  network: OvsNetwork,
  specs: readonly TunnelSpec[],
  clock: Clock,
  log: Log,
): { again(): void; stop(): void } {
  const stopping = new AbortController();
  const troubles = tellTroubles(log);
  let timer: Timer | undefined;

  function schedule(ms: number): void {
    timer?.cancel();
    if (!stopping.signal.aborted) timer = clock.timer(ms, () => void keep());
  }

  async function keep(): Promise<void> {
    try {
      await network.tunnels.replace(specs, stopping.signal);
      troubles.over(unmade);
    } catch (error) {
      if (stopping.signal.aborted) return;
      troubles.failed(unmade, error);
      schedule(retryMs);
    }
  }

  schedule(0);
  return {
    again: () => schedule(0),
    stop() {
      stopping.abort(new DpuError('unavailable', 'the switch was closed'));
      timer?.cancel();
    },
  };
}
