import type { HostDevice } from '../devices.ts';
import type { Node } from './json.ts';
import { ENABLED, functionOf, type Paths, type Reference, type Snapshot, type TreeBuilder } from './model.ts';

/** PCI class codes of what a device is (PCI Code and ID Assignment: mass storage, network, other). */
const CLASSES = {
  disk: { DeviceClass: 'MassStorageController', ClassCode: '0x010000' },
  nic: { DeviceClass: 'NetworkController', ClassCode: '0x020000' },
  other: { DeviceClass: 'Other', ClassCode: '0xFF0000' },
} as const;

/** The box: Chassis, the cards in it, and its thermometer. */
export function chassisResources({ add, collect }: TreeBuilder, paths: Paths, snapshot: Snapshot): void {
  const { facts, persona, power, state, devices } = snapshot;
  const { chassis } = paths;
  const cards = devices.map((device) => pcieDevice({ add, collect }, paths, snapshot, device));
  const adapters = devices
    .filter(({ kind }) => kind === 'nic')
    .map((device) =>
      add(`${chassis}/NetworkAdapters/${device.id}`, 'NetworkAdapter.v1_10_0.NetworkAdapter', {
        Manufacturer: persona.vendor,
        Model: device.driver,
        Controllers: [
          {
            FirmwarePackageVersion: '1.0',
            Links: { PCIeDevices: [{ '@odata.id': `${chassis}/PCIeDevices/${device.id}` }] },
          },
        ],
        Status: ENABLED,
      }),
    );
  const inlet = add(`${chassis}/Sensors/Inlet`, 'Sensor.v1_9_0.Sensor', {
    Name: 'Inlet temperature',
    ReadingType: 'Temperature',
    ReadingUnits: 'Cel',
    Reading: 25,
    Status: ENABLED,
  });
  add(chassis, 'Chassis.v1_23_0.Chassis', {
    Name: 'Virtual chassis',
    ChassisType: 'RackMount',
    Manufacturer: persona.vendor,
    Model: 'virtual-server',
    SerialNumber: facts.serialNumber,
    AssetTag: state.assetTag,
    PowerState: power === 'Unknown' ? null : power,
    IndicatorLED: state.indicator,
    Status: ENABLED,
    PCIeDevices: collect(`${chassis}/PCIeDevices`, 'PCIeDevice', cards),
    NetworkAdapters: collect(`${chassis}/NetworkAdapters`, 'NetworkAdapter', adapters),
    Sensors: collect(`${chassis}/Sensors`, 'Sensor', [inlet]),
    Links: {
      ComputerSystems: [{ '@odata.id': paths.system }],
      ManagedBy: [{ '@odata.id': paths.manager }],
    },
  });
}

function pcieDevice({ add, collect }: TreeBuilder, paths: Paths, { persona }: Snapshot, device: HostDevice): Reference {
  const path = `${paths.chassis}/PCIeDevices/${device.id}`;
  const bus = device.port + 1;
  const one: Node = {
    FunctionId: 0,
    FunctionType: 'Physical',
    BusNumber: hex(bus),
    DeviceNumber: '0x00',
    FunctionNumber: '0',
    SegmentNumber: '0x0000',
    ...CLASSES[device.kind],
    Links: { PCIeDevice: { '@odata.id': path } },
    Status: ENABLED,
  };
  add(functionOf(paths, device)['@odata.id'], 'PCIeFunction.v1_5_0.PCIeFunction', one);
  return add(path, 'PCIeDevice.v1_13_0.PCIeDevice', {
    Manufacturer: persona.vendor,
    Model: device.driver,
    DeviceType: 'SingleFunction',
    FirmwareVersion: '1.0',
    Slot: { Location: { PartLocation: { ServiceLabel: `Slot ${device.port}` } }, SlotType: 'FullLength' },
    PCIeFunctions: collect(`${path}/PCIeFunctions`, 'PCIeFunction', [functionOf(paths, device)]),
    Status: ENABLED,
  });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
