/** What a node looks at itself for, by stable ids: the one table of checks, reasons, warnings and what to do about each. */

/** Stable ids of what is looked at. */
export type CheckId =
  | 'bmc'
  | 'agent'
  | 'snic'
  | 'ovs'
  | 'storage'
  | 'volumes'
  | 'networks'
  | 'card-access'
  | 'disk'
  | 'clock'
  | 'bios'
  | 'broker';

/** Stable ids of why a node takes no instances. */
export type NotReadyId =
  | 'starting'
  | 'readopting'
  | 'maintenance'
  | 'leaving'
  | 'bmc-unreachable'
  | 'agent-unreachable'
  | 'snic-unreachable'
  | 'ovs-unreachable'
  | 'storage-unreachable'
  | 'volumes-unreachable'
  | 'networks-unreachable'
  | 'clock-unsynchronised'
  | 'disk-full'
  | 'disk-read-only'
  | 'host-unrestricted'
  | 'bios-unsafe';

/** Stable ids of what keeps no instance away and should be looked at. */
export type WarningId = 'disk-low' | 'host-unrestricted' | 'bios-uncontrolled' | 'bios-changed';

/** What a look at one thing came to. Only `fail` keeps instances away. */
export interface Finding {
  readonly check: CheckId;
  readonly state: 'ok' | 'warn' | 'fail' | 'unknown';
  /** Of a `fail` its NotReadyId, of a `warn` its WarningId. */
  readonly id?: NotReadyId | WarningId;
  /** For people: what was found. */
  readonly found: string;
}

/** Looks at one thing. Never rejects; what can't be told is `unknown`. */
export type HealthProbe = () => Promise<Finding>;

/** Check -> the reasons and warnings that it may set. */
export const checkIds: Readonly<Record<CheckId, readonly (NotReadyId | WarningId)[]>> = {
  bmc: ['bmc-unreachable'],
  agent: ['agent-unreachable'],
  snic: ['snic-unreachable'],
  ovs: ['ovs-unreachable'],
  storage: ['storage-unreachable'],
  volumes: ['volumes-unreachable'],
  networks: ['networks-unreachable'],
  'card-access': ['host-unrestricted'],
  disk: ['disk-full', 'disk-read-only', 'disk-low'],
  clock: ['clock-unsynchronised'],
  bios: ['bios-unsafe', 'bios-changed', 'bios-uncontrolled'],
  broker: [],
};

/** Reason or warning -> what to do about it. */
export const advice: Readonly<Record<NotReadyId | WarningId, string>> = {
  starting: 'wait: the node compares what it finds with its store',
  readopting: 'look at `dpuctl function list` and at the log',
  maintenance: '`dpuctl maintenance off` when it is over',
  leaving: '`dpuctl node join` takes it back',
  'bmc-unreachable': 'look at host.redfish or host.ipmi, the account, and the way to the BMC',
  'agent-unreachable': 'start the host, and the agent of its machines',
  'snic-unreachable': 'start snic-controller, or look at its log',
  'ovs-unreachable': 'start ovsdb-server and ovs-vswitchd; the bridge must be there',
  'storage-unreachable': 'start SPDK or SNAP; look at storage.socket',
  'volumes-unreachable': 'look at what makes the volumes, and at its directory',
  'networks-unreachable': 'look at what gives out ports and addresses',
  'clock-unsynchronised': 'mend chrony or systemd-timesyncd, or set clock.check: off',
  'disk-full': 'make space on the file system of state_dir; destroying instances goes on',
  'disk-low': 'make space on the file system of state_dir',
  'disk-read-only': 'look at the kernel log: the file system of state_dir takes no writes',
  'host-unrestricted': 'restrict the host: `mlxprivhost -d DEVICE r`, then restart the host',
  'bios-unsafe': '`dpuctl bios show`; set those back at the BMC, or release and build again',
  'bios-changed': '`dpuctl bios show`; `dpuctl bios restore`, or `dpuctl bios capture` where they shall be so',
  'bios-uncontrolled': 'give the BMC by host.redfish, or check BIOS settings by hand when an instance goes',
};
