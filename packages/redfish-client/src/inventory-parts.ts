import type { Resource } from './collection.ts';
import { arrayOf, isObject, linksOf, numberOf, objectAt, textOf, textsOf } from './json.ts';

/** What every part says of itself; `raw` is all that the service sent. Serial numbers come without blanks around. */
export type Part = {
  readonly path: string;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly manufacturer: string | undefined;
  readonly model: string | undefined;
  readonly partNumber: string | undefined;
  readonly serialNumber: string | undefined;
  /** Status.State, for example `Enabled` or `Absent`. */
  readonly state: string | undefined;
  readonly health: string | undefined;
  readonly raw: Resource;
};

/** Schema Processor. */
export type Processor = Part & {
  readonly socket: string | undefined;
  /** `CPU`, `GPU`, `FPGA`, … */
  readonly type: string | undefined;
  /** For example `x86` or `ARM`. */
  readonly architecture: string | undefined;
  readonly instructionSet: string | undefined;
  readonly cores: number | undefined;
  readonly threads: number | undefined;
  readonly maxSpeedMHz: number | undefined;
};

/** Schema Memory. */
export type MemoryModule = Part & {
  readonly capacityMiB: number | undefined;
  /** For example `DDR5`. */
  readonly type: string | undefined;
  readonly speedMHz: number | undefined;
  readonly locator: string | undefined;
};

/** Schema EthernetInterface. */
export type EthernetInterface = Part & {
  /** In lower case. */
  readonly mac: string | undefined;
  readonly permanentMac: string | undefined;
  readonly speedMbps: number | undefined;
  readonly linkStatus: string | undefined;
};

/** Schema PCIeDevice. */
export type PcieDevice = Part & {
  /** `SingleFunction`, `MultiFunction`, … */
  readonly type: string | undefined;
  readonly firmwareVersion: string | undefined;
  readonly slot: string | undefined;
};

/** Schema NetworkAdapter. */
export type NetworkAdapter = Part & {
  /** Firmware of the first controller. */
  readonly firmwareVersion: string | undefined;
  /** PCIe devices its controllers are. */
  readonly pcieDevices: readonly string[];
};

/** Schema Drive. */
export type Drive = Part & {
  readonly capacityBytes: number | undefined;
  readonly mediaType: string | undefined;
  readonly protocol: string | undefined;
  /** Durable names, for example NAA, EUI or NGUID (schema Resource, Identifier). */
  readonly identifiers: readonly string[];
};

/** Schema Storage. */
export type Storage = Part & {
  readonly protocols: readonly string[];
  /** Those that could be read. */
  readonly drives: readonly Drive[];
};

/** The part of a resource that every schema shares. */
export function toPart(raw: Resource): Part {
  const { body } = raw;
  return {
    path: raw.path,
    id: textOf(body, 'Id'),
    name: textOf(body, 'Name'),
    manufacturer: textOf(body, 'Manufacturer'),
    model: textOf(body, 'Model'),
    partNumber: textOf(body, 'PartNumber'),
    serialNumber: textOf(body, 'SerialNumber'),
    state: textOf(objectAt(body, 'Status'), 'State'),
    health: textOf(objectAt(body, 'Status'), 'Health'),
    raw,
  };
}

/** A resource as a processor. */
export function toProcessor(raw: Resource): Processor {
  const { body } = raw;
  return {
    ...toPart(raw),
    socket: textOf(body, 'Socket'),
    type: textOf(body, 'ProcessorType'),
    architecture: textOf(body, 'ProcessorArchitecture'),
    instructionSet: textOf(body, 'InstructionSet'),
    cores: numberOf(body, 'TotalCores'),
    threads: numberOf(body, 'TotalThreads'),
    maxSpeedMHz: numberOf(body, 'MaxSpeedMHz'),
  };
}

/** A resource as a memory module. */
export function toMemory(raw: Resource): MemoryModule {
  const { body } = raw;
  return {
    ...toPart(raw),
    capacityMiB: numberOf(body, 'CapacityMiB'),
    type: textOf(body, 'MemoryDeviceType'),
    speedMHz: numberOf(body, 'OperatingSpeedMhz'),
    locator: textOf(body, 'DeviceLocator') ?? textOf(objectAt(body, 'Location', 'PartLocation'), 'ServiceLabel'),
  };
}

/** A resource as an Ethernet interface. */
export function toEthernetInterface(raw: Resource): EthernetInterface {
  const { body } = raw;
  return {
    ...toPart(raw),
    mac: textOf(body, 'MACAddress')?.toLowerCase(),
    permanentMac: textOf(body, 'PermanentMACAddress')?.toLowerCase(),
    speedMbps: numberOf(body, 'SpeedMbps'),
    linkStatus: textOf(body, 'LinkStatus'),
  };
}

/** A resource as a PCIe device. */
export function toPcieDevice(raw: Resource): PcieDevice {
  const { body } = raw;
  return {
    ...toPart(raw),
    type: textOf(body, 'DeviceType'),
    firmwareVersion: textOf(body, 'FirmwareVersion'),
    slot: textOf(objectAt(body, 'Slot', 'Location', 'PartLocation'), 'ServiceLabel'),
  };
}

/** A resource as a network adapter. */
export function toNetworkAdapter(raw: Resource): NetworkAdapter {
  const controllers = arrayOf(raw.body, 'Controllers').filter(isObject);
  return {
    ...toPart(raw),
    firmwareVersion: controllers.map((one) => textOf(one, 'FirmwarePackageVersion')).find((one) => one !== undefined),
    pcieDevices: controllers.flatMap((one) => linksOf(objectAt(one, 'Links'), 'PCIeDevices')),
  };
}

/** A resource as a drive. */
export function toDrive(raw: Resource): Drive {
  const { body } = raw;
  return {
    ...toPart(raw),
    capacityBytes: numberOf(body, 'CapacityBytes'),
    mediaType: textOf(body, 'MediaType'),
    protocol: textOf(body, 'Protocol'),
    identifiers: arrayOf(body, 'Identifiers').flatMap((one) =>
      isObject(one) ? (textOf(one, 'DurableName') ?? []) : [],
    ),
  };
}

/** A resource as a storage subsystem, with those of its drives that could be read. */
export function toStorage(raw: Resource, drives: ReadonlyMap<string, Drive>): Storage {
  const [controller = {}] = arrayOf(raw.body, 'StorageControllers').filter(isObject);
  return {
    ...toPart(raw),
    protocols: textsOf(controller, 'SupportedDeviceProtocols'),
    drives: linksOf(raw.body, 'Drives').flatMap((path) => drives.get(path) ?? []),
  };
}
