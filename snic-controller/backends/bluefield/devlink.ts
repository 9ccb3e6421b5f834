import { DpuError } from '../../../core/errors.ts';
import type { Mac } from '../../../core/units.ts';
import { asFields, countOf, type Fields, macOf, textOf } from './fields.ts';
import type { Program } from './run.ts';

/** A port of the card's switch, known by its attributes and never by its name, which udev changes (kernel, networking/devlink/devlink-port.rst). */
export interface DevlinkPort {
  /** `pci/0000:03:00.0/196609`. */
  readonly handle: string;
  /** `pci/0000:03:00.0`. */
  readonly device: string;
  readonly flavour: string;
  /** null where the kernel does not tell. */
  readonly controller: number | null;
  readonly pfnum: number | null;
  readonly vfnum: number | null;
  readonly sfnum: number | null;
  /** The representor's name now; null while there is none. */
  readonly netdev: string | null;
  /** MAC of the function behind it; null: none is set, or it is not told. */
  readonly mac: Mac | null;
}

/** What devlink(8) does here. All reject as `Program.run` does. */
export interface Devlink {
  ports(signal?: AbortSignal): Promise<readonly DevlinkPort[]>;
  /** Sets a function's MAC; null clears it. It counts from the next time that the host's driver binds. */
  setMac(handle: string, mac: Mac | null, signal?: AbortSignal): Promise<void>;
  /** Limits what a function sends; bits per second, 0 for no limit. */
  setRate(handle: string, bitsPerSecond: number, signal?: AbortSignal): Promise<void>;
}

/** Wraps the program. */
export function createDevlink(program: Program): Devlink {
  return {
    ports: async (signal) => {
      const doing = "the card's ports could not be listed";
      return readPorts(await program.json(doing, ['-j', 'port', 'show'], { signal }));
    },
    setMac: async (handle, mac, signal) => {
      const address = mac ?? '00:00:00:00:00:00';
      const args = ['port', 'function', 'set', handle, 'hw_addr', address];
      await program.run(`MAC of ${handle} could not be set`, args, { signal });
    },
    setRate: async (handle, bitsPerSecond, signal) => {
      // `bit` is bits; `bps` would be bytes (iproute2, devlink-rate(8))
      const args = ['port', 'function', 'rate', 'set', handle, 'tx_max', `${Math.round(bitsPerSecond)}bit`];
      await program.run(`rate of ${handle} could not be set`, args, { signal });
    },
  };
}

/** Reads `devlink -j port show`. @throws `hardware` for anything else. */
export function readPorts(answer: unknown): readonly DevlinkPort[] {
  const all = asFields(asFields(answer)?.port ?? {});
  if (all === null) throw new DpuError('hardware', 'devlink did not answer a list of ports');
  return Object.entries(all).flatMap(([handle, value]) => {
    const port = asFields(value);
    return port === null ? [] : [readPort(handle, port)];
  });
}

function readPort(handle: string, port: Fields): DevlinkPort {
  return {
    handle,
    device: handle.slice(0, handle.lastIndexOf('/')),
    flavour: textOf(port, 'flavour') ?? '',
    controller: countOf(port, 'controller'),
    pfnum: countOf(port, 'pfnum'),
    vfnum: countOf(port, 'vfnum'),
    sfnum: countOf(port, 'sfnum'),
    netdev: textOf(port, 'netdev'),
    mac: macOf(asFields(port.function) ?? {}, 'hw_addr'),
  };
}
