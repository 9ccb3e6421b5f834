import { DpuError } from '../../../core/errors.ts';

/** A release of nova as it is seen on the wire. */
export interface Release {
  readonly name: ReleaseName;
  /** `SERVICE_VERSION` of nova/objects/service.py: the one announcement of what a compute service can do. */
  readonly serviceVersion: number;
  /** The lowest service version that the release works with (`OLDEST_SUPPORTED_SERVICE_VERSION`). */
  readonly oldestServiceVersion: number;
  readonly rpc: {
    /** Highest compute RPC that we serve. */
    readonly compute: string;
    /** With which we ask other compute services. */
    readonly computeSends: string;
    readonly conductor: string;
    readonly scheduler: string;
  };
  /** Class -> version of its objects. */
  readonly objects: Readonly<Record<string, string>>;
}

/** Releases that we know the numbers of: 2022.2, 2023.1, 2023.2, 2024.1. */
export type ReleaseName = 'zed' | 'antelope' | 'bobcat' | 'caracal';

/** Classes whose objects are part of an object of the class; they go into the manifest of a query; the same in all of our releases. */
const parts: Readonly<Record<string, readonly string[]>> = {
  BlockDeviceMapping: ['Instance'],
  BlockDeviceMappingList: ['BlockDeviceMapping'],
  ComputeNode: ['HVSpec', 'PciDevicePoolList'],
  ComputeNodeList: ['ComputeNode'],
  DeviceMetadata: ['DeviceBus'],
  Instance: [
    'ServiceList',
    'InstanceInfoCache',
    'SecurityGroupList',
    'InstanceFault',
    'PciDeviceList',
    'InstanceNUMATopology',
    'InstancePCIRequests',
    'InstanceDeviceMetadata',
    'TagList',
    'Flavor',
    'VirtCPUModel',
    'EC2Ids',
    'MigrationContext',
    'ResourceList',
    'KeyPairList',
    'TrustedCerts',
  ],
  InstanceDeviceMetadata: ['DeviceMetadata'],
  InstanceList: ['Instance'],
  InstanceNUMACell: ['VirtCPUTopology'],
  InstanceNUMATopology: ['InstanceNUMACell'],
  InstancePCIRequests: ['InstancePCIRequest'],
  KeyPairList: ['KeyPair'],
  MigrationContext: ['InstanceNUMATopology', 'PciDeviceList', 'InstancePCIRequests', 'ResourceList'],
  MigrationList: ['Migration'],
  PciDeviceList: ['PciDevice'],
  PciDevicePoolList: ['PciDevicePool'],
  Resource: ['ResourceMetadata'],
  ResourceList: ['Resource'],
  SecurityGroupList: ['SecurityGroup'],
  Service: ['ComputeNode'],
  ServiceList: ['Service'],
  TagList: ['Tag'],
  VirtCPUModel: ['VirtCPUTopology', 'VirtCPUFeature'],
  VirtualInterfaceList: ['VirtualInterface'],
};

const zedObjects: Readonly<Record<string, string>> = {
  BlockDeviceMapping: '1.21',
  BlockDeviceMappingList: '1.18',
  ComputeNode: '1.19',
  ComputeNodeList: '1.17',
  ConsoleAuthToken: '1.1',
  DeviceBus: '1.0',
  DeviceMetadata: '1.0',
  EC2Ids: '1.0',
  Flavor: '1.2',
  HVSpec: '1.2',
  ImageMeta: '1.8',
  ImageMetaProps: '1.34',
  Instance: '2.7',
  InstanceAction: '1.2',
  InstanceActionEvent: '1.4',
  InstanceDeviceMetadata: '1.0',
  InstanceExternalEvent: '1.5',
  InstanceFault: '1.2',
  InstanceGroup: '1.11',
  InstanceInfoCache: '1.5',
  InstanceList: '2.6',
  InstanceNUMACell: '1.6',
  InstanceNUMATopology: '1.3',
  InstancePCIRequest: '1.4',
  InstancePCIRequests: '1.1',
  KeyPair: '1.4',
  KeyPairList: '1.3',
  Migration: '1.7',
  MigrationContext: '1.2',
  MigrationList: '1.5',
  NetworkMetadata: '1.0',
  NetworkRequest: '1.3',
  NetworkRequestList: '1.1',
  PciDevice: '1.7',
  PciDeviceList: '1.3',
  PciDevicePool: '1.1',
  PciDevicePoolList: '1.1',
  RequestSpec: '1.14',
  Resource: '1.0',
  ResourceList: '1.0',
  ResourceMetadata: '1.0',
  SchedulerLimits: '1.0',
  SecurityGroup: '1.2',
  SecurityGroupList: '1.1',
  Service: '1.22',
  ServiceList: '1.19',
  Tag: '1.1',
  TagList: '1.1',
  TaskLog: '1.0',
  TrustedCerts: '1.0',
  VirtCPUFeature: '1.0',
  VirtCPUModel: '1.0',
  VirtCPUTopology: '1.0',
  VirtualInterface: '1.3',
  VirtualInterfaceList: '1.0',
};

const rpc = { computeSends: '6.0', conductor: '3.0', scheduler: '4.5' } as const;

/** From here on a server and a migration say the id of their node's record, and a save of `node` without it is refused. */
const bobcatObjects = { ...zedObjects, Instance: '2.8', Migration: '1.8' } as const;

const caracalObjects = {
  ...bobcatObjects,
  ConsoleAuthToken: '1.2',
  ImageMetaProps: '1.37',
  RequestSpec: '1.15',
} as const;

/**
 * As nova's own tree has it (26.2.2, 27.5.1, 28.3.1, 29.2.0): SERVICE_VERSION, OLDEST_SUPPORTED_SERVICE_VERSION with its alias, the RPC target of
 * nova/compute/manager.py, and the classes' VERSION. What a later release asks of a compute service besides:
 * - 65: it keeps its node's identity over restarts, as ours does;
 * - 66 (compute RPC 6.2): `target_state` of rebuild_instance;
 * - 67 (compute RPC 6.3): `delete_attachment` of remove_volume_connection.
 */
const releases: Readonly<Record<ReleaseName, Release>> = {
  zed: {
    name: 'zed',
    serviceVersion: 64,
    oldestServiceVersion: 61,
    rpc: { ...rpc, compute: '6.1' },
    objects: zedObjects,
  },
  antelope: {
    name: 'antelope',
    serviceVersion: 66,
    oldestServiceVersion: 61,
    rpc: { ...rpc, compute: '6.2' },
    objects: zedObjects,
  },
  bobcat: {
    name: 'bobcat',
    serviceVersion: 66,
    oldestServiceVersion: 66,
    rpc: { ...rpc, compute: '6.2' },
    objects: bobcatObjects,
  },
  caracal: {
    name: 'caracal',
    serviceVersion: 67,
    oldestServiceVersion: 66,
    rpc: { ...rpc, compute: '6.3' },
    objects: caracalObjects,
  },
};

/** Whether objects of nova say the id of a node's record wherever they say its name. */
export function hasComputeIds(release: Release): boolean {
  return isNewer(versionOf(release, 'Instance'), '2.7');
}

/** Whether an object's version is beyond another; a third part is a backport's and tells nothing. */
export function isNewer(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split('.').map(Number);
  return major === otherMajor ? minor > otherMinor : major > otherMajor;
}

/**
 * Version of a class's objects that a control plane of this service version may know; undefined where it may be of a release beyond our table, or tells
 * no version, or does not have the class. Releases that count alike are taken for the later one.
 */
export function versionKnownAt(serviceVersion: number, name: string): string | undefined {
  const rows = Object.values(releases);
  const lowest = Math.min(
    ...rows.filter((each) => each.serviceVersion >= serviceVersion).map((each) => each.serviceVersion),
  );
  return serviceVersion <= 0 ? undefined : rows.findLast((each) => each.serviceVersion === lowest)?.objects[name];
}

/** The table's row of a release. */
export function releaseOf(name: ReleaseName): Release {
  return releases[name];
}

/** Version of a class's objects. @throws `internal` for a class that the release has no version of. */
export function versionOf(release: Release, name: string): string {
  const version = release.objects[name];
  if (version === undefined) throw new DpuError('internal', `nova's release ${release.name} has no version of ${name}`);
  return version;
}

const manifests = new WeakMap<Release, Map<string, Readonly<Record<string, string>>>>();

/** `object_versions` of a query: the class and every class beneath it. */
export function manifest(release: Release, name: string): Readonly<Record<string, string>> {
  const known = manifests.get(release) ?? new Map<string, Readonly<Record<string, string>>>();
  manifests.set(release, known);
  const found = known.get(name) ?? manifestOf(release, name);
  known.set(name, found);
  return found;
}

function manifestOf(release: Release, name: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  const visit = (each: string): void => {
    if (Object.hasOwn(found, each)) return;
    found[each] = versionOf(release, each);
    for (const part of parts[each] ?? []) visit(part);
  };
  visit(name);
  return found;
}
