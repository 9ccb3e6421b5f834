import { DpuError } from '../../../core/errors.ts';
import type { FunctionId } from '../../../core/units.ts';
import { asList, textOf } from './fields.ts';
import type { Program } from './run.ts';

/** Whose a representor is, and whether its function is shown to the host. */
export interface RepresentorMark {
  readonly id: FunctionId;
  readonly shown: boolean;
}

/** A network interface of the SoC. */
export interface Link {
  readonly up: boolean;
  /** null: it bears no mark of ours. */
  readonly mark: RepresentorMark | null;
}

/**
 * Representors' marks, kept by the kernel in the interface's alias: they outlive this program, and go with the representor. A hidden function's
 * representor is down, so that the host's device has no carrier.
 */
export interface Links {
  list(signal?: AbortSignal): Promise<ReadonlyMap<string, Link>>;
  /** Marks it; shown: brings it up too. */
  mark(name: string, mark: RepresentorMark, signal?: AbortSignal): Promise<void>;
  /** Takes it down, and then gives it another mark or none. */
  hide(name: string, mark: RepresentorMark | null, signal?: AbortSignal): Promise<void>;
}

const prefixes = { hidden: 'dpu:', shown: 'dpu-shown:' } as const;

/** Wraps ip(8). */
export function createLinks(program: Program): Links {
  const set = async (name: string, args: readonly string[], signal?: AbortSignal): Promise<void> => {
    await program.run(`representor ${name} could not be set`, ['link', 'set', 'dev', name, ...args], { signal });
  };
  return {
    list: async (signal) => {
      const links = asList(await program.json('interfaces could not be listed', ['-j', 'link', 'show'], { signal }));
      if (links === null) throw new DpuError('hardware', 'ip did not answer a list of interfaces');
      return new Map(
        links.flatMap((each) => {
          const name = textOf(each, 'ifname');
          const flags: readonly unknown[] = Array.isArray(each.flags) ? each.flags : [];
          return name === null ? [] : [[name, { up: flags.includes('UP'), mark: readMark(textOf(each, 'ifalias')) }]];
        }),
      );
    },
    mark: (name, mark, signal) => set(name, ['alias', aliasOf(mark), ...(mark.shown ? ['up'] : [])], signal),
    hide: (name, mark, signal) => set(name, ['alias', aliasOf(mark), 'down'], signal),
  };
}

function aliasOf(mark: RepresentorMark | null): string {
  return mark === null ? '' : `${prefixes[mark.shown ? 'shown' : 'hidden']}${mark.id}`;
}

function readMark(alias: string | null): RepresentorMark | null {
  for (const [kind, prefix] of Object.entries(prefixes)) {
    if (alias?.startsWith(prefix) && alias.length > prefix.length) {
      return { id: alias.slice(prefix.length) as FunctionId, shown: kind === 'shown' };
    }
  }
  return null;
}
