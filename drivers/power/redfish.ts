import {
  type CallOptions,
  connectRedfish,
  findSystem,
  type Inventory,
  type RedfishClient,
  type RedfishOptions,
  type ResetType,
  readInventory,
  readResetOffer,
  readSystem,
  resetSystem,
  type System,
  type SystemKey,
} from 'redfish-client';
import { DpuError } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { PowerState } from '../../core/ports/power-controller.ts';
import type { Mac } from '../../core/units.ts';
import { bootFromFunction } from './boot-option.ts';
import { exchange } from './errors.ts';
import type { BmcProtocol, PartialInventory, PowerOrder } from './protocol.ts';

/** A Redfish service, and which of its systems is the host. */
export interface RedfishParts extends Pick<RedfishOptions, 'url' | 'auth' | 'tls'> {
  readonly system?: SystemKey;
  /** Limit of one exchange. */
  readonly callMs: number;
}

/**
 * What does each order, the best first (schema Resource, ResetType). PowerCycle and FullPowerCycle are not among them: the latter takes
 * the mains away (AC) by definition, the former on some machines.
 */
const RESETS: Readonly<Record<PowerOrder, readonly ResetType[]>> = {
  on: ['On', 'ForceOn'],
  off: ['ForceOff'],
  'soft-off': ['GracefulShutdown'],
  reset: ['ForceRestart'],
};

/** The host behind a Redfish service. */
export interface RedfishHost {
  /** Works on the host's system. Rejects as BmcProtocol does. */
  call<Result>(
    doing: string,
    signal: AbortSignal | undefined,
    work: (client: RedfishClient, system: System, limits: CallOptions) => Promise<Result>,
  ): Promise<Result>;
}

/** Speaks Redfish (DSP0266). */
export function redfishProtocol({ system: key, callMs, ...options }: RedfishParts): BmcProtocol & RedfishHost {
  const client: RedfishClient = connectRedfish({ ...options, timeoutMs: callMs });
  let path: string | undefined;

  /** The host's system; where it is found once is where it is looked for from then on, until it is not there. */
  async function host(limits: CallOptions): Promise<System> {
    if (path !== undefined) {
      try {
        return await readSystem(client, path, limits);
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'not-found') throw error;
      }
    }
    const system = await findSystem(client, key, limits);
    path = system.path;
    return system;
  }
  const ask = <Result>(
    doing: string,
    signal: AbortSignal | undefined,
    work: (limits: CallOptions) => Promise<Result>,
  ): Promise<Result> => exchange(doing, signal, () => work({ signal, timeoutMs: callMs }));

  return {
    call: (doing, signal, work) => ask(doing, signal, async (limits) => work(client, await host(limits), limits)),
    power: (signal) =>
      ask("reading the host's power by Redfish", signal, async (limits) => toPower((await host(limits)).powerState)),
    order: (order, signal) =>
      ask(`ordering ${order} by Redfish`, signal, async (limits) => {
        const system = await host(limits);
        const offer = await readResetOffer(client, system, limits);
        const type = RESETS[order].find((one) => offer.types.includes(one));
        if (type === undefined) throw new DpuError('unsupported', `the BMC offers nothing for ${order}`);
        await resetSystem(client, system, type, limits);
      }),
    setBoot: (target, signal) =>
      ask('choosing the boot disk by Redfish', signal, async (limits) =>
        bootFromFunction(client, await host(limits), target, limits),
      ),
    inventory: (signal) =>
      ask('reading the inventory by Redfish', signal, async (limits) =>
        toInventory(await readInventory(client, (await host(limits)).path, limits)),
      ),
    close: () => client.close(),
  };
}

/** Schema ComputerSystem, PowerState. A host on its way is what it was: it may yet stay so. */
function toPower(state: string | undefined): PowerState {
  if (state === 'On' || state === 'PoweringOff' || state === 'Paused') return 'on';
  return state === 'Off' || state === 'PoweringOn' ? 'off' : 'unknown';
}

function toInventory(found: Inventory): PartialInventory {
  const { system } = found;
  const cpus = found.processors.filter(({ type, state }) => (type ?? 'CPU') === 'CPU' && state !== 'Absent');
  const threads = sum(cpus.map(({ threads, cores }) => threads ?? cores));
  const summary = system.raw.body.ProcessorSummary as { LogicalProcessorCount?: unknown; CoreCount?: unknown };
  const counted = [summary?.LogicalProcessorCount, summary?.CoreCount].find((count) => typeof count === 'number');
  const modules = sum(found.memory.map(({ capacityMiB }) => capacityMiB));
  const total = system.memoryGiB === undefined ? undefined : Math.round(system.memoryGiB * 1024);
  return {
    serialNumber: system.serialNumber,
    model: system.model,
    manufacturer: system.manufacturer,
    // A part that could not be read would make the sum too small.
    cpus: failed(found, 'Processor') ? (counted ?? threads) : (threads ?? counted),
    memoryMib: failed(found, 'Memory') ? (total ?? modules) : (modules ?? total),
    nics: found.ethernetInterfaces.map(({ id, mac, permanentMac }) => ({
      name: id ?? '',
      mac: macOf(permanentMac ?? mac),
    })),
    disks: found.storage.flatMap(({ drives }) =>
      drives.map(({ id, serialNumber, capacityBytes }) => ({
        name: id ?? '',
        serialNumber: serialNumber ?? null,
        sizeBytes: capacityBytes ?? null,
      })),
    ),
  };
}

function failed({ problems }: Inventory, part: string): boolean {
  return problems.some(({ path }) => path.includes(`/${part}`));
}

/** Undefined where nothing is counted. */
function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0);
}

/** Null where a service says what is no MAC of an interface. */
function macOf(text: string | undefined): Mac | null {
  try {
    return text === undefined ? null : parseMac(text);
  } catch {
    return null;
  }
}
