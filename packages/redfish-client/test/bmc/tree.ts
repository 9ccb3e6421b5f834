import type { BmcOptions } from './options.ts';

/** A resource of the simulated BMC. */
export type Node = Record<string, unknown>;

/** All resources by path. */
export type Tree = Map<string, Node>;

const V1 = '/redfish/v1';
export const SYSTEM = `${V1}/Systems/host`;
export const MANAGER = `${V1}/Managers/bmc`;
export const CHASSIS = `${V1}/Chassis/rack`;
export const CD = `${MANAGER}/VirtualMedia/Cd`;
export const RESETS = ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart', 'PowerCycle'];

const ref = (path: string) => ({ '@odata.id': path });

/** Makes the resources: names from the DMTF's schemas, values of our own. */
export function makeTree(options: BmcOptions): Tree {
  const tree: Tree = new Map();
  const add = (path: string, type: string, body: Node) => {
    const id = path.split('/').at(-1) ?? '';
    tree.set(path, { '@odata.id': path, '@odata.type': `#${type}`, Id: id, Name: id, ...body });
    return ref(path);
  };
  const collect = (path: string, type: string, members: readonly Node[]) =>
    add(path, `${type}Collection.${type}Collection`, { Members: members, 'Members@odata.count': members.length });
  const many = (path: string, type: string, bodies: readonly Node[]) =>
    collect(
      path,
      type,
      bodies.map((body, at) => add(`${path}/${body['Id'] ?? at + 1}`, `${type}.v1_10_0.${type}`, body)),
    );
  const ok = { State: 'Enabled', Health: 'OK' };

  const info = `${SYSTEM}/ResetActionInfo`;
  const action = {
    inline: { 'ResetType@Redfish.AllowableValues': RESETS },
    'action-info': { '@Redfish.ActionInfo': info },
    nowhere: {},
  }[options.resetTypes ?? 'inline'];
  add(info, 'ActionInfo.v1_3_0.ActionInfo', {
    Parameters: [{ Name: 'ResetType', Required: true, DataType: 'String', AllowableValues: RESETS }],
  });
  const boot = {
    BootSourceOverrideEnabled: 'Disabled',
    BootSourceOverrideTarget: 'None',
    BootSourceOverrideMode: 'UEFI',
    'BootSourceOverrideTarget@Redfish.AllowableValues': ['None', 'Pxe', 'Hdd', 'Cd', 'UefiHttp', 'UefiBootNext'],
    'BootSourceOverrideMode@Redfish.AllowableValues': ['UEFI'],
    BootNext: null,
    BootOrder: ['Boot0001', 'Boot0002'],
    BootOptions: ref(`${SYSTEM}/BootOptions`),
  };
  const biosSettings = `${SYSTEM}/Bios/${options.biosSettings ?? 'Settings'}`;
  const settings = (path: string) => ({
    '@odata.type': '#Settings.v1_3_0.Settings',
    SettingsObject: ref(path),
    SupportedApplyTimes: ['OnReset', 'Immediate'],
  });
  add(SYSTEM, 'ComputerSystem.v1_20_0.ComputerSystem', {
    Name: 'Host',
    SystemType: 'Physical',
    Manufacturer: 'Simulated',
    Model: 'Server One',
    SerialNumber: ' SN-0001 ',
    SKU: 'SRV-1',
    UUID: '6F9619FF-8B86-D011-B42D-00C04FC964FF',
    HostName: 'host-1',
    BiosVersion: '1.2.3',
    PowerState: 'Off',
    Status: ok,
    MemorySummary: { TotalSystemMemoryGiB: 64, Status: { HealthRollup: 'OK' } },
    ProcessorSummary: { Count: 2, Model: 'Simulated 9000' },
    Boot: boot,
    SerialConsole: {
      MaxConcurrentSessions: 1,
      SSH: { ServiceEnabled: true, Port: 2200, ConsoleEntryCommand: 'start console', HotKeySequenceDisplay: '~.' },
      IPMI: { ServiceEnabled: false, Port: 623 },
    },
    Processors: many(`${SYSTEM}/Processors`, 'Processor', [
      ...[1, 2].map((at) => ({
        Id: `CPU${at}`,
        Socket: `CPU ${at}`,
        ProcessorType: 'CPU',
        ProcessorArchitecture: 'x86',
        InstructionSet: 'x86-64',
        Manufacturer: 'Simulated',
        Model: 'Simulated 9000',
        TotalCores: 16,
        TotalThreads: 32,
        MaxSpeedMHz: 3200,
        Status: ok,
      })),
    ]),
    Memory: many(
      `${SYSTEM}/Memory`,
      'Memory',
      [1, 2, 3, 4].map((at) => ({
        Id: `DIMM${at}`,
        CapacityMiB: 16384,
        MemoryDeviceType: 'DDR5',
        OperatingSpeedMhz: 4800,
        DeviceLocator: `A${at}`,
        SerialNumber: `M-${at}`,
        Status: ok,
      })),
    ),
    EthernetInterfaces: many(`${SYSTEM}/EthernetInterfaces`, 'EthernetInterface', [
      {
        Id: 'nic1',
        MACAddress: '02:00:00:AA:00:01',
        PermanentMACAddress: '02:00:00:AA:00:01',
        SpeedMbps: 25000,
        Status: ok,
      },
    ]),
    Storage: many(`${SYSTEM}/Storage`, 'Storage', [
      {
        Id: 'nvme',
        Drives: [
          add(`${SYSTEM}/Storage/nvme/Drives/d0`, 'Drive.v1_18_0.Drive', {
            CapacityBytes: 960197124096,
            MediaType: 'SSD',
            Protocol: 'NVMe',
            SerialNumber: 'D-0',
            Identifiers: [{ DurableName: 'eui.0011223344556677', DurableNameFormat: 'EUI' }],
            Status: ok,
          }),
        ],
        'Drives@odata.count': 1,
        StorageControllers: [{ MemberId: '0', Name: 'NVMe', SupportedDeviceProtocols: ['NVMe'] }],
        Status: ok,
      },
    ]),
    PCIeDevices: [
      add(`${CHASSIS}/PCIeDevices/dpu`, 'PCIeDevice.v1_13_0.PCIeDevice', {
        Manufacturer: 'Simulated',
        Model: 'DPU',
        SerialNumber: 'DPU-77 ',
        DeviceType: 'MultiFunction',
        FirmwareVersion: '32.1',
        Slot: { Location: { PartLocation: { ServiceLabel: 'Slot 3' } } },
        Status: ok,
      }),
    ],
    Bios: add(`${SYSTEM}/Bios`, 'Bios.v1_2_1.Bios', {
      AttributeRegistry: 'BiosRegistry.v1_0_0',
      Attributes: { BootMode: 'Uefi', SriovEnabled: false, NumaNodes: 2 },
      ...(options.biosAnnotated === false ? {} : { '@Redfish.Settings': settings(biosSettings) }),
      Actions: { '#Bios.ResetBios': { target: `${SYSTEM}/Bios/Actions/Bios.ResetBios` } },
    }),
    Actions: { '#ComputerSystem.Reset': { target: `${SYSTEM}/Actions/ComputerSystem.Reset`, ...action } },
    Links: { Chassis: [ref(CHASSIS)], ManagedBy: [ref(MANAGER)] },
    ...(options.bootInSettings === true ? { '@Redfish.Settings': settings(`${SYSTEM}/SD`) } : {}),
  });
  if (options.bootInSettings === true)
    add(`${SYSTEM}/SD`, 'ComputerSystem.v1_20_0.ComputerSystem', { Boot: { ...boot } });
  add(biosSettings, 'Bios.v1_2_1.Bios', { Attributes: { BootMode: 'Uefi', SriovEnabled: false, NumaNodes: 2 } });
  many(`${SYSTEM}/BootOptions`, 'BootOption', [
    { Id: '1', BootOptionReference: 'Boot0001', DisplayName: 'PXE slot 3', Alias: 'Pxe', BootOptionEnabled: true },
    {
      Id: '2',
      BootOptionReference: 'Boot0002',
      DisplayName: 'NVMe disk',
      UefiDevicePath: 'PciRoot(0x0)/Pci(0x1,0x0)/NVMe(0x1,00-11)',
      BootOptionEnabled: true,
      RelatedItem: [ref(`${SYSTEM}/Storage/nvme/Drives/d0`)],
    },
  ]);

  add(CHASSIS, 'Chassis.v1_23_0.Chassis', {
    ChassisType: 'RackMount',
    SerialNumber: 'CH-1',
    Status: ok,
    PowerState: 'On',
    NetworkAdapters: many(`${CHASSIS}/NetworkAdapters`, 'NetworkAdapter', [
      {
        Id: 'dpu',
        Manufacturer: 'Simulated',
        Model: 'DPU',
        SerialNumber: 'DPU-77',
        Controllers: [{ FirmwarePackageVersion: '32.1', Links: { PCIeDevices: [ref(`${CHASSIS}/PCIeDevices/dpu`)] } }],
        Status: ok,
      },
    ]),
    PCIeDevices: collect(`${CHASSIS}/PCIeDevices`, 'PCIeDevice', [ref(`${CHASSIS}/PCIeDevices/dpu`)]),
    Links: { ComputerSystems: [ref(SYSTEM)], ManagedBy: [ref(MANAGER)] },
  });
  const mediaActions = {
    Actions: {
      '#VirtualMedia.InsertMedia': { target: `${CD}/Actions/VirtualMedia.InsertMedia` },
      '#VirtualMedia.EjectMedia': { target: `${CD}/Actions/VirtualMedia.EjectMedia` },
    },
  };
  add(MANAGER, 'Manager.v1_19_0.Manager', {
    ManagerType: 'BMC',
    UUID: '11111111-2222-3333-4444-555555555555',
    FirmwareVersion: '9.9',
    Status: ok,
    SerialConsole: { ServiceEnabled: true, MaxConcurrentSessions: 2, ConnectTypesSupported: ['SSH', 'IPMI'] },
    VirtualMedia: many(`${MANAGER}/VirtualMedia`, 'VirtualMedia', [
      {
        Id: 'Cd',
        MediaTypes: ['CD', 'DVD'],
        Image: null,
        Inserted: false,
        WriteProtected: true,
        ...(options.mediaActions === false ? {} : mediaActions),
      },
    ]),
    Actions: {},
    Links: { ManagerForServers: [ref(SYSTEM)] },
  });

  add(V1, 'ServiceRoot.v1_16_0.ServiceRoot', {
    Id: 'RootService',
    Name: 'Simulated BMC',
    RedfishVersion: '1.20.0',
    UUID: '99999999-2222-3333-4444-555555555555',
    ...(options.vendor === undefined ? {} : { Vendor: options.vendor }),
    Product: options.product ?? 'Simulated BMC',
    Systems: collect(`${V1}/Systems`, 'ComputerSystem', [ref(SYSTEM)]),
    Chassis: collect(`${V1}/Chassis`, 'Chassis', [ref(CHASSIS)]),
    Managers: collect(`${V1}/Managers`, 'Manager', [ref(MANAGER)]),
    Tasks: add(`${V1}/TaskService`, 'TaskService.v1_2_0.TaskService', { Tasks: ref(`${V1}/TaskService/Tasks`) }),
    EventService: add(`${V1}/EventService`, 'EventService.v1_10_0.EventService', {
      ServiceEnabled: true,
      ...(options.events === false ? {} : { ServerSentEventUri: `${V1}/EventService/SSE` }),
      Subscriptions: collect(`${V1}/EventService/Subscriptions`, 'EventDestination', []),
    }),
    ...(options.sessions === false
      ? {}
      : {
          SessionService: add(`${V1}/SessionService`, 'SessionService.v1_1_9.SessionService', {
            SessionTimeout: 300,
            Sessions: collect(`${V1}/SessionService/Sessions`, 'Session', []),
          }),
          Links: { Sessions: ref(`${V1}/SessionService/Sessions`) },
        }),
  });
  return tree;
}
