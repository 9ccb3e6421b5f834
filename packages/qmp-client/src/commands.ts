/** A command without arguments. */
export type None = undefined;

/** One command: its arguments and what it returns. */
export interface Command<Args, Returns> {
  readonly args: Args;
  readonly returns: Returns;
}

/** Nothing: QMP answers an empty object. */
export type Empty = Readonly<Record<string, never>>;

/** QAPI StatusInfo. */
export interface StatusInfo {
  readonly running: boolean;
  /** QAPI RunState, such as `running`, `paused`, `prelaunch`, `shutdown`. */
  readonly status: string;
}

/** A device to plug: `driver`, mostly `id` and `bus`, and the driver's properties. */
export interface DeviceAdd {
  readonly driver: string;
  readonly id?: string;
  readonly bus?: string;
  readonly addr?: string;
  readonly [property: string]: unknown;
}

/** A network back end to make: `type`, `id`, and the type's options (QAPI Netdev). */
export interface NetdevAdd {
  readonly type: string;
  readonly id: string;
  readonly [option: string]: unknown;
}

/** An object to make: `qom-type`, `id`, and its properties (QAPI ObjectOptions). */
export interface ObjectAdd {
  readonly 'qom-type': string;
  readonly id: string;
  readonly [property: string]: unknown;
}

/** A block node: `driver`, `node-name`, and the driver's options (QAPI BlockdevOptions). */
export interface BlockdevOptions {
  readonly driver: string;
  readonly 'node-name'?: string;
  readonly [option: string]: unknown;
}

/** Where a server listens or is found (QAPI SocketAddress). */
export type SocketAddress =
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'inet'; readonly host: string; readonly port: string }
  | { readonly type: 'fd'; readonly str: string };

/** A node to export (QAPI BlockExportOptions). */
export interface BlockExportAdd {
  readonly type: 'nbd' | 'vhost-user-blk' | 'fuse' | 'vduse-blk';
  readonly id: string;
  readonly 'node-name': string;
  readonly writable?: boolean;
  /** Of NBD: the name that clients ask for. */
  readonly name?: string;
  /** Of vhost-user-blk: its socket. */
  readonly addr?: SocketAddress;
  readonly [option: string]: unknown;
}

/** QAPI BlockExportInfo. */
export interface BlockExportInfo {
  readonly id: string;
  readonly type: string;
  readonly 'node-name': string;
  readonly 'shutting-down': boolean;
}

/** A part of QAPI BlockDeviceInfo. */
export interface BlockNodeInfo {
  readonly 'node-name'?: string;
  readonly drv: string;
  readonly ro: boolean;
  readonly file: string;
  readonly image: { readonly filename: string; readonly format: string; readonly 'virtual-size': number };
}

/** A bus and what is on it (QAPI PciInfo). */
export interface PciBus {
  readonly bus: number;
  readonly devices: readonly PciDevice[];
}

/** A function of a bus (a part of QAPI PciDeviceInfo). */
export interface PciDevice {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  /** The `id` of device_add, empty when there was none. */
  readonly qdev_id: string;
  readonly id: { readonly vendor: number; readonly device: number };
  readonly class_info: { readonly class: number; readonly desc?: string };
  readonly pci_bridge?: {
    /** 0 until the firmware has numbered the buses. */
    readonly bus: { readonly number: number; readonly secondary: number; readonly subordinate: number };
    readonly devices?: readonly PciDevice[];
  };
}

/** QAPI JobInfo. */
export interface JobInfo {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly 'current-progress': number;
  readonly 'total-progress': number;
  readonly error?: string;
}

type Id = { readonly id: string };

/** The commands that `execute` knows by type (QEMU QMP Reference Manual); `executeAny` takes all the others. */
export interface QmpCommands {
  'query-version': Command<
    None,
    { readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number } }
  >;
  'query-commands': Command<None, readonly { readonly name: string }[]>;
  'query-name': Command<None, { readonly name?: string }>;
  'query-status': Command<None, StatusInfo>;
  stop: Command<None, Empty>;
  cont: Command<None, Empty>;
  system_powerdown: Command<None, Empty>;
  system_reset: Command<None, Empty>;
  quit: Command<None, Empty>;
  device_add: Command<DeviceAdd, Empty>;
  /** Only asks: `deviceDel` waits until the device is gone. */
  device_del: Command<Id, Empty>;
  'query-pci': Command<None, readonly PciBus[]>;
  netdev_add: Command<NetdevAdd, Empty>;
  netdev_del: Command<Id, Empty>;
  set_link: Command<{ readonly name: string; readonly up: boolean }, Empty>;
  'object-add': Command<ObjectAdd, Empty>;
  'object-del': Command<Id, Empty>;
  'qom-list': Command<{ readonly path: string }, readonly { readonly name: string; readonly type: string }[]>;
  'qom-get': Command<{ readonly path: string; readonly property: string }, unknown>;
  'qom-set': Command<{ readonly path: string; readonly property: string; readonly value: unknown }, Empty>;
  'blockdev-add': Command<BlockdevOptions, Empty>;
  'blockdev-del': Command<{ readonly 'node-name': string }, Empty>;
  'blockdev-reopen': Command<{ readonly options: readonly BlockdevOptions[] }, Empty>;
  'blockdev-snapshot': Command<{ readonly node: string; readonly overlay: string }, Empty>;
  'blockdev-backup': Command<
    {
      readonly 'job-id': string;
      readonly device: string;
      readonly target: string;
      readonly sync: 'full' | 'top' | 'none';
    },
    Empty
  >;
  block_resize: Command<{ readonly 'node-name': string; readonly size: number }, Empty>;
  /** Takes a block node's connection away, so that what waits for its server fails instead (QEMU 6.0). */
  yank: Command<
    { readonly instances: readonly { readonly type: 'block-node'; readonly 'node-name': string }[] },
    Empty
  >;
  'query-named-block-nodes': Command<{ readonly flat?: boolean }, readonly BlockNodeInfo[]>;
  'block-export-add': Command<BlockExportAdd, Empty>;
  'block-export-del': Command<Id & { readonly mode?: 'safe' | 'hard' }, Empty>;
  'query-block-exports': Command<None, readonly BlockExportInfo[]>;
  'nbd-server-start': Command<
    {
      readonly addr: { readonly type: 'unix'; readonly data: { readonly path: string } };
      readonly 'max-connections'?: number;
    },
    Empty
  >;
  'nbd-server-stop': Command<None, Empty>;
  'query-jobs': Command<None, readonly JobInfo[]>;
  'job-dismiss': Command<Id, Empty>;
  'job-cancel': Command<Id, Empty>;
}

/** The functions of all buses, those behind bridges included. */
export function pciFunctions(buses: readonly PciBus[]): readonly PciDevice[] {
  const flatten = (devices: readonly PciDevice[]): readonly PciDevice[] =>
    devices.flatMap((each) => [each, ...flatten(each.pci_bridge?.devices ?? [])]);
  return buses.flatMap((bus) => flatten(bus.devices));
}
