import {
  type BootOption,
  type BootRequest,
  bootStateOf,
  type CallOptions,
  HttpError,
  type JsonObject,
  listBootOptions,
  type RedfishClient,
  type System,
  setBoot,
} from 'redfish-client';
import { DpuError } from '../../core/errors.ts';
import type { BootTarget } from '../../core/ports/power-controller.ts';

/**
 * Makes the host start from the disk that a function of the card is: by the boot option that belongs to its address.
 * @throws DpuError `unsupported` where no boot option, or more than one, can be told to be that function's; `hardware` when the BMC takes the change
 * and does not show it.
 */
export async function bootFromFunction(
  client: RedfishClient,
  system: System,
  { bdf, lasts = 'always' }: BootTarget,
  limits: CallOptions,
): Promise<void> {
  if (bdf === null) throw new DpuError('unsupported', "the boot disk's address is not known yet");
  const { items } = await listBootOptions(client, system, limits);
  const matches = await Promise.all(items.map((option) => belongsTo(client, option, bdf, limits)));
  const [found, ...more] = items.filter((_, at) => matches[at]);
  if (found === undefined) throw new DpuError('unsupported', `the BMC has no boot option for ${bdf}`);
  if (more.length > 0) throw new DpuError('unsupported', `the BMC has several boot options for ${bdf}`);
  const set = async (request: BootRequest): Promise<void> => {
    const { seen } = await setBoot(client, system.path, request, limits);
    if (seen === 'no') throw new DpuError('hardware', 'the BMC took a change of the boot order and does not show it');
  };
  const option = found.reference;
  const state = bootStateOf(system);
  if (lasts === 'next') return await set({ option });
  if (state.order[0] !== option) {
    try {
      await set({ option, enabled: 'Continuous' });
    } catch (error) {
      // A BMC whose boot order can't be changed may still take one boot.
      if (!(error instanceof HttpError) || ![400, 405, 501].includes(error.status)) throw error;
      return await set({ option });
    }
  }
  // An override that somebody left behind would win over the order.
  if (state.enabled !== undefined && state.enabled !== 'Disabled') await set({ enabled: 'Disabled' });
}

async function belongsTo(
  client: RedfishClient,
  option: BootOption,
  bdf: string,
  limits: CallOptions,
): Promise<boolean> {
  const functions = option.related.filter((path) => path.includes('/PCIeFunctions/'));
  for (const path of functions) {
    try {
      if (addressOf((await client.get(path, limits)).body) === bdf) return true;
    } catch (error) {
      if (!(error instanceof HttpError) || error.status !== 404) throw error;
    }
  }
  // Some firmware puts the address into the option's name; a whole word of it, so that 1:00.0 is not found in 11:00.0.
  const words = `${option.displayName ?? ''} ${option.uefiDevicePath ?? ''}`.toLowerCase().split(/[^0-9a-f:.]+/);
  return functions.length === 0 && (words.includes(bdf) || words.includes(bdf.slice(5)));
}

/** A PCIe function's address, where its resource tells (schema PCIeFunction: hex texts, or numbers as some services have them). */
function addressOf(body: JsonObject): string | null {
  const read = (name: string, otherwise?: number): number | null => {
    const value = body[name];
    if (typeof value === 'number') return value;
    if (typeof value === 'string' && /^(0x)?[0-9a-f]+$/i.test(value))
      return Number.parseInt(value.replace(/^0x/i, ''), 16);
    return otherwise ?? null;
  };
  const [segment, bus, device] = [read('SegmentNumber', 0), read('BusNumber'), read('DeviceNumber')];
  const number = read('FunctionNumber') ?? read('FunctionId');
  if (segment === null || bus === null || device === null || number === null) return null;
  const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0');
  return `${hex(segment, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${number.toString(16)}`;
}
