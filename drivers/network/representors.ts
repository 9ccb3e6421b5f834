import { DpuError } from '../../core/errors.ts';

/**
 * What a representor is known by whatever its name is, which udev changes and which differs between generations of cards:
 * the devlink port's attributes (kernel, networking/devlink/devlink-port.rst).
 */
export interface RepresentorIdentity {
  /** The switch: `phys_switch_id` where the kernel tells it, else the devlink handle (`pci/0000:03:00.0`). */
  readonly switchId: string;
  /** 0: the SoC's own; 1 and up: a host's. */
  readonly controller: number;
  readonly flavour: string;
  readonly pfnum: number;
  readonly vfnum: number | null;
  readonly sfnum: number | null;
}

/** A representor as it is now. */
export interface Representor {
  readonly netdev: string;
  readonly identity: RepresentorIdentity;
}

/** Tells which representors there are now. Absent where only the switch itself can tell. */
export interface RepresentorLookup {
  list(signal?: AbortSignal): Promise<readonly Representor[]>;
}

const represented: readonly string[] = ['pcipf', 'pcivf', 'pcisf'];

/** Reads `devlink -j port show`, with the switch ids of `ip -d -j link show` by netdev. @throws DpuError `hardware`. */
export function parseDevlinkPorts(
  json: string,
  switchIds: ReadonlyMap<string, string> = new Map(),
): readonly Representor[] {
  const { port } = parseObject(json, 'devlink') as { readonly port?: Readonly<Record<string, DevlinkPort>> };
  return Object.entries(port ?? {}).flatMap(([handle, each]) => {
    const { netdev, flavour, pfnum } = each;
    if (!netdev || !flavour || pfnum === undefined || !represented.includes(flavour)) return [];
    const identity: RepresentorIdentity = {
      switchId: switchIds.get(netdev) ?? handle.slice(0, handle.lastIndexOf('/')),
      controller: each.controller ?? 0,
      flavour,
      pfnum,
      vfnum: each.vfnum ?? null,
      sfnum: each.sfnum ?? null,
    };
    return [{ netdev, identity }];
  });
}

interface DevlinkPort {
  readonly netdev?: string;
  readonly flavour?: string;
  readonly controller?: number;
  readonly pfnum?: number;
  readonly vfnum?: number;
  readonly sfnum?: number;
}

/** Reads `phys_switch_id` by netdev out of `ip -d -j link show`. @throws DpuError `hardware`. */
export function parseSwitchIds(json: string): ReadonlyMap<string, string> {
  const links = parseObject(json, 'ip link') as readonly {
    readonly ifname?: string;
    readonly phys_switch_id?: string;
  }[];
  return new Map(
    links.flatMap(({ ifname, phys_switch_id: id }) => (ifname !== undefined && id ? [[ifname, id] as const] : [])),
  );
}

function parseObject(json: string, program: string): object {
  try {
    const value: unknown = JSON.parse(json.trim() === '' ? '{}' : json);
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new DpuError('hardware', `${program} did not answer JSON`, { cause });
  }
  throw new DpuError('hardware', `${program} did not answer an object`);
}

/**
 * The kernel's name of a port that no udev rule has touched: `pf0vf1`, with `c1` before it for a port of a host
 * (net/devlink, `devlink_nl_phys_port_name_get`).
 */
export function physPortName({ controller, pfnum, vfnum, sfnum }: RepresentorIdentity): string {
  const part = vfnum !== null ? `vf${vfnum}` : sfnum !== null ? `sf${sfnum}` : '';
  return `${controller > 0 ? `c${controller}` : ''}pf${pfnum}${part}`;
}

/** Finds a representor by its netdev's name, by its physical port name, or by what it was known by before. */
export function findRepresentor(
  all: readonly Representor[],
  name: string,
  known: RepresentorIdentity | null,
): Representor | undefined {
  const byIdentity = known === null ? undefined : all.find((each) => isSame(each.identity, known));
  if (byIdentity) return byIdentity;
  const byName = all.find((each) => each.netdev === name);
  if (byName) return byName;
  const byPort = all.filter((each) => physPortName(each.identity) === name);
  return byPort.length === 1 ? byPort[0] : undefined; // with two cards the name alone does not tell
}

/** Whether both are the same function's. */
export function isSame(one: RepresentorIdentity, other: RepresentorIdentity): boolean {
  return (
    one.switchId === other.switchId &&
    one.controller === other.controller &&
    one.flavour === other.flavour &&
    one.pfnum === other.pfnum &&
    one.vfnum === other.vfnum &&
    one.sfnum === other.sfnum
  );
}
