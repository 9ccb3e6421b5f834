import { BOOT_TARGETS, bootReference } from '../boot.ts';
import {
  BIOS_REGISTRY,
  BIOS_SERIAL,
  ENABLED,
  functionOf,
  type Paths,
  type Reference,
  type Snapshot,
  shownBootOrder,
  type TreeBuilder,
  V1,
} from './model.ts';

/** The server: ComputerSystem and all that hangs on it. */
export function systemResources({ add, collect }: TreeBuilder, paths: Paths, snapshot: Snapshot): void {
  const { facts, persona, state, power, devices } = snapshot;
  const { system } = paths;
  const isX86 = facts.arch === 'x86_64';
  const cpuModel = isX86 ? 'QEMU Virtual CPU' : 'QEMU Virtual Arm CPU';
  const cpu = add(`${system}/Processors/CPU1`, 'Processor.v1_18_0.Processor', {
    Name: 'CPU 1',
    Socket: 'CPU 1',
    ProcessorType: 'CPU',
    ProcessorArchitecture: isX86 ? 'x86' : 'ARM',
    InstructionSet: isX86 ? 'x86-64' : 'ARM-A64',
    Manufacturer: persona.vendor,
    Model: cpuModel,
    TotalCores: facts.cpus,
    TotalThreads: facts.cpus,
    Status: ENABLED,
  });
  const memory = add(`${system}/Memory/DIMM1`, 'Memory.v1_18_0.Memory', {
    Name: 'DIMM 1',
    CapacityMiB: facts.memoryMib,
    MemoryDeviceType: 'DDR4',
    DeviceLocator: 'DIMM 1',
    Manufacturer: persona.vendor,
    Status: ENABLED,
  });
  const nics = devices.filter(({ kind }) => kind === 'nic');
  const disks = devices.filter(({ kind }) => kind === 'disk');
  const interfaces = nics.map(({ id, mac }) =>
    add(`${system}/EthernetInterfaces/${id}`, 'EthernetInterface.v1_11_0.EthernetInterface', {
      MACAddress: mac,
      PermanentMACAddress: mac,
      LinkStatus: power === 'On' ? 'LinkUp' : 'NoLink',
      Status: ENABLED,
    }),
  );
  const drives = disks.map((disk) =>
    add(`${system}/Storage/1/Drives/${disk.id}`, 'Drive.v1_18_0.Drive', {
      CapacityBytes: disk.sizeBytes,
      MediaType: 'SSD',
      Protocol: disk.driver === 'nvme' ? 'NVMe' : 'PCIe',
      SerialNumber: disk.serial,
      Links: { PCIeFunctions: [functionOf(paths, disk)] },
      Status: ENABLED,
    }),
  );
  const storage = add(`${system}/Storage/1`, 'Storage.v1_15_0.Storage', {
    Drives: drives,
    'Drives@odata.count': drives.length,
    StorageControllers: [{ '@odata.id': `${system}/Storage/1#/StorageControllers/0`, MemberId: '0', Name: 'DPU' }],
    Status: ENABLED,
  });
  add(system, 'ComputerSystem.v1_20_0.ComputerSystem', {
    Name: 'Virtual server',
    SystemType: 'Physical',
    UUID: facts.uuid,
    SerialNumber: facts.serialNumber,
    AssetTag: state.assetTag,
    Manufacturer: persona.vendor,
    Model: 'virtual-server',
    SKU: 'VDPU-1',
    BiosVersion: 'SeaBIOS',
    HostName: null,
    PowerState: power === 'Unknown' ? null : power,
    IndicatorLED: state.indicator,
    Status: power === 'Unknown' ? { State: 'Enabled', Health: 'Critical' } : ENABLED,
    MemorySummary: { TotalSystemMemoryGiB: facts.memoryMib / 1024, Status: ENABLED },
    ProcessorSummary: {
      Count: 1,
      CoreCount: facts.cpus,
      LogicalProcessorCount: facts.cpus,
      Model: cpuModel,
      Status: ENABLED,
    },
    Boot: bootBody(paths, snapshot),
    SerialConsole: {
      MaxConcurrentSessions: 1,
      SSH: { ServiceEnabled: false },
      Telnet: { ServiceEnabled: false },
      IPMI: { ServiceEnabled: true, Port: snapshot.ipmiPort },
    },
    Processors: collect(`${system}/Processors`, 'Processor', [cpu]),
    Memory: collect(`${system}/Memory`, 'Memory', [memory]),
    EthernetInterfaces: collect(`${system}/EthernetInterfaces`, 'EthernetInterface', interfaces),
    Storage: collect(`${system}/Storage`, 'Storage', [storage]),
    PCIeDevices: devices.map((device) => ({ '@odata.id': `${paths.chassis}/PCIeDevices/${device.id}` })),
    'PCIeDevices@odata.count': devices.length,
    Bios: bios(add, paths, snapshot),
    Actions: { '#ComputerSystem.Reset': resetAction(add, paths, snapshot) },
    Links: {
      Chassis: [{ '@odata.id': paths.chassis }],
      ManagedBy: [{ '@odata.id': paths.manager }],
    },
  });
  if (persona.bootOptions) bootOptions({ add, collect }, paths, snapshot);
}

function bootBody({ system }: Paths, snapshot: Snapshot) {
  const { persona, state } = snapshot;
  const { boot } = state;
  const targets: readonly string[] = persona.bootTargets;
  return {
    BootSourceOverrideEnabled: boot.enabled,
    BootSourceOverrideTarget: boot.target,
    BootSourceOverrideMode: boot.mode,
    'BootSourceOverrideTarget@Redfish.AllowableValues': BOOT_TARGETS.filter((target) => targets.includes(target)),
    'BootSourceOverrideMode@Redfish.AllowableValues': ['UEFI', 'Legacy'],
    ...(persona.bootOptions
      ? {
          BootOptions: { '@odata.id': `${system}/BootOptions` },
          BootOrder: shownBootOrder(snapshot),
          BootNext: boot.next,
        }
      : {}),
  };
}

function bootOptions({ add, collect }: TreeBuilder, paths: Paths, { devices }: Snapshot): void {
  const path = `${paths.system}/BootOptions`;
  const options = devices
    .filter((device) => device.bootIndex !== null)
    .map((device) =>
      add(`${path}/${bootReference(device)}`, 'BootOption.v1_0_6.BootOption', {
        Name: `Boot option ${bootReference(device)}`,
        BootOptionReference: bootReference(device),
        DisplayName: `${device.kind === 'disk' ? `Disk ${device.serial ?? ''}` : `NIC ${device.mac}`} at ${device.bdf}`,
        BootOptionEnabled: true,
        UefiDevicePath: `PciRoot(0x0)/Pci(0x${(0x10 + device.port).toString(16)},0x0)/Pci(0x0,0x0)`,
        ...(device.kind === 'nic' ? { Alias: 'Pxe' } : {}),
        RelatedItem: [
          functionOf(paths, device),
          device.kind === 'disk'
            ? { '@odata.id': `${paths.system}/Storage/1/Drives/${device.id}` }
            : { '@odata.id': `${paths.system}/EthernetInterfaces/${device.id}` },
        ],
      }),
    );
  collect(path, 'BootOption', options);
}

function resetAction(add: TreeBuilder['add'], paths: Paths, { persona }: Snapshot) {
  if (persona.resetTypesAt === 'nowhere') return { target: paths.reset };
  if (persona.resetTypesAt === 'inline') {
    return { target: paths.reset, 'ResetType@Redfish.AllowableValues': persona.resetTypes };
  }
  const info = add(`${paths.system}/ResetActionInfo`, 'ActionInfo.v1_4_0.ActionInfo', {
    Parameters: [{ Name: 'ResetType', Required: true, DataType: 'String', AllowableValues: persona.resetTypes }],
  });
  return { target: paths.reset, '@Redfish.ActionInfo': info['@odata.id'] };
}

/** Describes the BIOS attributes (schemas MessageRegistryFile, AttributeRegistry). */
export function biosRegistry({ add, collect }: TreeBuilder, { state }: Snapshot): Reference {
  const uri = `${V1}/Registries/${BIOS_REGISTRY}.json`;
  const types = { string: 'String', number: 'Integer', boolean: 'Boolean' } as const;
  const attributes = Object.entries(state.bios).map(([name, value]) => ({
    AttributeName: name,
    Type: types[typeof value as keyof typeof types],
    ReadOnly: false,
    ResetRequired: true,
  }));
  add(uri, 'AttributeRegistry.v1_3_8.AttributeRegistry', {
    Id: BIOS_REGISTRY,
    Name: 'BIOS attributes',
    Language: 'en',
    OwningEntity: 'VDPU',
    RegistryVersion: '1.0.0',
    RegistryEntries: { Attributes: [...attributes, { AttributeName: BIOS_SERIAL, Type: 'String', ReadOnly: true }] },
  });
  const file = add(`${V1}/Registries/${BIOS_REGISTRY}`, 'MessageRegistryFile.v1_1_3.MessageRegistryFile', {
    Name: 'BIOS attributes',
    Registry: BIOS_REGISTRY,
    Languages: ['en'],
    Location: [{ Language: 'en', Uri: uri }],
  });
  return collect(`${V1}/Registries`, 'MessageRegistryFile', [file]);
}

function bios(add: TreeBuilder['add'], paths: Paths, { facts, persona, state }: Snapshot): Reference {
  add(paths.biosSettings, 'Bios.v1_2_1.Bios', {
    Name: 'BIOS attributes after the next reset',
    Attributes: { ...state.bios, ...state.biosPending, [BIOS_SERIAL]: facts.serialNumber },
  });
  const settings = {
    '@odata.type': '#Settings.v1_3_5.Settings',
    SettingsObject: { '@odata.id': paths.biosSettings },
    SupportedApplyTimes: ['OnReset'],
  };
  return add(paths.bios, 'Bios.v1_2_1.Bios', {
    Name: 'BIOS attributes',
    Attributes: { ...state.bios, [BIOS_SERIAL]: facts.serialNumber },
    AttributeRegistry: BIOS_REGISTRY,
    ...(persona.biosSettings.announced ? { '@Redfish.Settings': settings } : {}),
    Actions: { '#Bios.ResetBios': { target: paths.resetBios } },
  });
}
