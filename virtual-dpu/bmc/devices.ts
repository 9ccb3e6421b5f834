/** What is plugged into the host, read from QEMU's object tree. */

/** Runs a QMP command. */
export type QmpExecute = (name: string, args?: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** A device that was plugged into a root port. */
export interface HostDevice {
  /** QEMU's id of it. */
  readonly id: string;
  readonly kind: 'disk' | 'nic' | 'other';
  /** QEMU's name of its type, such as `virtio-blk-pci`. */
  readonly driver: string;
  /** Index of its root port. */
  readonly port: number;
  /** Address on the host: the bus that firmware gives to root port i is i+1. */
  readonly bdf: string;
  readonly mac: string | null;
  /** Of a disk, as it was plugged with. */
  readonly serial: string | null;
  readonly sizeBytes: number | null;
  /** Place in the boot order; -1 is none, null is for devices that nothing can be booted from. */
  readonly bootIndex: number | null;
}

/** Devices in the order of their root ports. */
export async function readDevices(execute: QmpExecute): Promise<readonly HostDevice[]> {
  const entries = (await execute('qom-list', { path: '/machine/peripheral' })) as readonly Entry[];
  const plugged = entries.flatMap(({ name, type }) => {
    const driver = /^child<(.+)>$/.exec(type)?.[1];
    return driver === undefined || driver === 'pcie-root-port' ? [] : [{ id: name, driver }];
  });
  if (plugged.length === 0) return [];
  const blocks = (await execute('query-block')) as readonly Block[];
  const found = await Promise.all(plugged.map(({ id, driver }) => readDevice(execute, blocks, id, driver)));
  return found.filter((device) => device !== null).sort((a, b) => a.port - b.port);
}

type Entry = { readonly name: string; readonly type: string };
type Block = {
  readonly qdev?: string;
  readonly inserted?: { readonly image?: { readonly 'virtual-size'?: number } };
};

async function readDevice(
  execute: QmpExecute,
  blocks: readonly Block[],
  id: string,
  driver: string,
): Promise<HostDevice | null> {
  const path = `/machine/peripheral/${id}`;
  const get = async (property: string): Promise<unknown> => {
    try {
      return await execute('qom-get', { path, property });
    } catch {
      return null; // A device without that property, or one that goes away just now.
    }
  };
  const kind = kindOf(driver);
  const [bus, bootIndex, mac, serial] = await Promise.all([
    get('parent_bus'),
    kind === 'other' ? null : get('bootindex'),
    kind === 'nic' ? get('mac') : null,
    kind === 'disk' ? get('serial') : null,
  ]);
  const port = /\/rp(\d+)$/.exec(String(bus))?.[1];
  if (port === undefined) return null;
  const size = blocks.find(({ qdev }) => qdev === path || qdev?.startsWith(`${path}/`))?.inserted?.image;
  return {
    id,
    kind,
    driver,
    port: Number(port),
    bdf: `0000:${(Number(port) + 1).toString(16).padStart(2, '0')}:00.0`,
    mac: typeof mac === 'string' ? mac.toLowerCase() : null,
    serial: typeof serial === 'string' && serial !== '' ? serial : null,
    sizeBytes: size?.['virtual-size'] ?? null,
    bootIndex: typeof bootIndex === 'number' ? bootIndex : null,
  };
}

function kindOf(driver: string): HostDevice['kind'] {
  if (/^(virtio-blk|vhost-user-blk|nvme|virtio-scsi)/.test(driver)) return 'disk';
  return /^(virtio-net|vhost-user-net|e1000|igb)/.test(driver) ? 'nic' : 'other';
}
