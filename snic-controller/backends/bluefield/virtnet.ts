import { DpuError } from '../../../core/errors.ts';
import type { Mac } from '../../../core/units.ts';
import { type HostAddress, readAddress } from './address.ts';
import { asFields, asList, countOf, type Fields, macOf, textOf } from './fields.ts';
import type { BluefieldNetwork } from './options.ts';
import type { Program } from './run.ts';

/** A device of virtio-net-controller. */
export interface VirtnetDevice {
  readonly vuid: string | null;
  readonly pfId: number | null;
  readonly vfId: number | null;
  readonly kind: 'static' | 'hotplug' | 'vf';
  readonly mac: Mac | null;
  readonly address: HostAddress;
  /** Number of the SF that carries it. */
  readonly sf: number | null;
  /** RDMA device of the SF's port. */
  readonly device: string | null;
  readonly representor: string | null;
}

/** Everything that virtnet lists. */
export interface VirtnetView {
  readonly devices: readonly VirtnetDevice[];
  /** Bits of the features that the controllers have; null where it is not told. */
  readonly features: bigint | null;
}

/** What is told of a new device. */
export interface VirtnetHotplug {
  readonly network: BluefieldNetwork;
  readonly mac: Mac;
  readonly sf: number;
  readonly features: bigint;
}

/** The CLI of NVIDIA's virtio-net-controller (NVIDIA, "Virtnet CLI Commands"). All reject as `Program.run` does. */
export interface Virtnet {
  list(signal?: AbortSignal): Promise<VirtnetView>;
  /** Makes a device and shows it to the host. What it answers is for `list` to tell. */
  hotplug(what: VirtnetHotplug, timeoutMs: number, signal?: AbortSignal): Promise<void>;
  /** Asks the host to let go of a device. */
  unplug(device: VirtnetDevice, timeoutMs: number, signal?: AbortSignal): Promise<void>;
  /** Sets a MAC; the host's driver may not be bound. */
  setMac(device: VirtnetDevice, mac: Mac, signal?: AbortSignal): Promise<void>;
}

/** Wraps the program. */
export function createVirtnet(program: Program): Virtnet {
  return {
    list: async (signal) => readVirtnet(await program.json('virtnet could not be asked', ['list'], { signal })),
    hotplug: async ({ network, mac, sf, features }, timeoutMs, signal) => {
      const { device, mtu, queues, queueSize } = network;
      const args = ['-i', device, '-m', mac, '-t', `${mtu}`, '-n', `${queues}`, '-s', `${queueSize}`, '-u', `${sf}`];
      const bits = features === 0n ? [] : ['-f', `0x${features.toString(16)}`];
      await program.run(`SF ${sf} could not be plugged`, ['hotplug', ...args, ...bits], { timeoutMs, signal });
    },
    unplug: async (device, timeoutMs, signal) => {
      const doing = `${nameOf(device)} could not be unplugged`;
      await program.run(doing, ['unplug', ...selectorOf(device)], { timeoutMs, signal });
    },
    setMac: async (device, mac, signal) => {
      const doing = `MAC of ${nameOf(device)} could not be set`;
      await program.run(doing, ['modify', ...selectorOf(device), 'device', '-m', mac], { signal });
    },
  };
}

/** Reads `virtnet list` or `virtnet query`: tolerantly, but nothing that might be no list of devices at all. @throws `hardware`. */
export function readVirtnet(answer: unknown): VirtnetView {
  const fields = asFields(answer);
  const controllers = asList(fields?.controllers);
  const devices =
    asList(answer) ?? asList(fields?.devices) ?? (controllers && !('devices' in (fields ?? {})) ? [] : null);
  if (devices === null) throw new DpuError('hardware', 'virtnet did not answer a list of devices');
  return { devices: devices.map(readDevice), features: featuresOf(controllers ?? []) };
}

function readDevice(fields: Fields): VirtnetDevice {
  const vuid = textOf(fields, 'vuid', 'VUID');
  const pfId = countOf(fields, 'pf_id', 'id');
  const vfId = countOf(fields, 'vf_id');
  if (vuid === null && pfId === null && vfId === null) {
    throw new DpuError('hardware', 'virtnet listed a device that nothing identifies');
  }
  const type = textOf(fields, 'function_type', 'device_type')?.toLowerCase() ?? '';
  const isVf = vfId !== null || /\bvf\b/.test(type);
  return {
    vuid,
    pfId,
    vfId,
    kind: isVf ? 'vf' : type.includes('static') ? 'static' : 'hotplug',
    mac: macOf(fields, 'mac'),
    address: readAddress(textOf(fields, 'pci_bdf', 'bdf')),
    sf: countOf(fields, 'sf_num'),
    device: textOf(fields, 'sf_parent_device', 'port_ib_dev'),
    representor: textOf(fields, 'sf_rep_net_device'),
  };
}

/** The bits that every controller has. */
function featuresOf(controllers: readonly Fields[]): bigint | null {
  const values = controllers.map((each) => textOf(asFields(each.supported_features) ?? {}, 'value'));
  const bits = values.flatMap((value) => (value !== null && /^0x[0-9a-f]+$/i.test(value) ? [BigInt(value)] : []));
  return bits.length === 0 ? null : bits.reduce((all, each) => all & each);
}

function selectorOf({ vuid, pfId, vfId }: VirtnetDevice): readonly string[] {
  if (vuid !== null) return ['-u', vuid];
  return ['-p', `${pfId ?? ''}`, ...(vfId === null ? [] : ['-v', `${vfId}`])];
}

function nameOf({ vuid, pfId }: VirtnetDevice): string {
  return vuid ?? `virtnet device ${pfId}`;
}
