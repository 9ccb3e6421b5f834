import { readdirSync, readFileSync } from 'node:fs';
import { DpuError } from '../../../core/errors.ts';
import type { FunctionType } from '../../../core/ports/snic-controller.ts';
import type { FunctionId } from '../../../core/units.ts';
import { exec } from '../../../kit/exec.ts';
import { representedBy, representorName } from './slot.ts';

/** A tap with a representor's name. */
export interface Tap {
  readonly name: string;
  readonly type: FunctionType;
  readonly slot: number;
  /** Whose it is by its alias; null: not ours. */
  readonly id: FunctionId | null;
  /** Nobody holds its other end although it is up: a device that was plugged with this name hangs on another tap, now gone. */
  readonly loose: boolean;
}

/** The representors of network functions: persistent taps, each with the function's id in its alias. */
export interface Taps {
  list(signal?: AbortSignal): Promise<readonly Tap[]>;
  /** Makes the function's tap, or finds it. @throws `conflict` when the name is another's. */
  ensure(id: FunctionId, type: FunctionType, slot: number, signal?: AbortSignal): Promise<string>;
  /** Removes the function's tap; one that is not there or another's is left. */
  remove(id: FunctionId, type: FunctionType, slot: number, signal?: AbortSignal): Promise<void>;
}

const aliasPrefix = 'dpu:';

/**
 * Taps of a network namespace, by `ip` of iproute2; those of our own are listed from sysfs, since a build lists them some thirty times and the
 * start of a process would be most of its cost. All reject with `unavailable`, `timeout`, `hardware`. */
export function createTaps(options: { readonly netns?: string | undefined; readonly timeoutMs: number }): Taps {
  const prefix = options.netns === undefined ? [] : ['-n', options.netns];
  const run = (args: readonly string[], signal?: AbortSignal) =>
    exec('ip', [...prefix, ...args], { timeoutMs: options.timeoutMs, signal });
  const must = async (doing: string, args: readonly string[], signal?: AbortSignal): Promise<string> => {
    const { code, stdout, stderr } = await run(args, signal);
    if (code === 0) return stdout;
    throw new DpuError('hardware', doing, { cause: new Error(`ip exited with ${code}: ${stderr.trim()}`) });
  };
  const list: Taps['list'] = async (signal) => {
    const links =
      (options.netns === undefined ? linksHere() : null) ??
      parseLinks(await must('taps could not be listed', ['-j', 'link', 'show'], signal));
    return links.flatMap((link) => {
      const represented = representedBy(link.name);
      return represented ? [{ ...represented, name: link.name, id: ownerOf(link.alias), loose: link.loose }] : [];
    });
  };
  return {
    list,
    ensure: async (id, type, slot, signal) => {
      const name = representorName(type, slot);
      const there = (await list(signal)).find((each) => each.name === name);
      if (there?.id === id) return name;
      if (there) throw new DpuError('conflict', `${name} is there and not the representor of function ${id}`);
      // under a name of its own until it bears its alias, so that one left without is known to be ours
      const draft = `snic-new${slot}`;
      await run(['link', 'del', 'dev', draft], signal); // left by one who was killed; mostly it is not there
      const doing = `tap ${name} could not be made`;
      await must(doing, ['tuntap', 'add', 'dev', draft, 'mode', 'tap'], signal);
      await run(['link', 'set', 'dev', draft, 'addrgenmode', 'none'], signal); // fails where the kernel has no IPv6
      await must(doing, ['link', 'set', 'dev', draft, 'name', name, 'alias', aliasPrefix + id, 'up'], signal);
      return name;
    },
    remove: async (id, type, slot, signal) => {
      const name = representorName(type, slot);
      if (!(await list(signal)).some((each) => each.name === name && each.id === id)) return;
      await must(`tap ${name} could not be removed`, ['link', 'del', 'dev', name], signal);
    },
  };
}

function ownerOf(alias: string | null): FunctionId | null {
  return alias?.startsWith(aliasPrefix) ? (alias.slice(aliasPrefix.length) as FunctionId) : null;
}

interface Link {
  readonly name: string;
  readonly alias: string | null;
  readonly loose: boolean;
}

const sysfs = '/sys/class/net';

/** Our namespace's links with representors' names, without a process; null where `/sys` may show another namespace's (sysfs(5): that of its mount). */
function linksHere(): readonly Link[] | null {
  try {
    const shown = new Set(readdirSync(sysfs));
    const own = [...readFileSync('/proc/self/net/dev', 'utf8').matchAll(/^\s*([^\s:]+):/gm)].map(
      (match) => match[1] ?? '',
    );
    if (own.some((name) => !shown.has(name))) return null;
    if ([...shown].some((name) => representedBy(name) !== null && !own.includes(name))) return null;
    return own
      .filter((name) => representedBy(name) !== null)
      .map((name) => {
        const alias = readFileSync(`${sysfs}/${name}/ifalias`, 'utf8').trimEnd();
        return { name, alias: alias === '' ? null : alias, loose: carrierOf(name) === '0' };
      });
  } catch {
    return null; // one went away meanwhile: `ip` tells
  }
}

/** `0`: up, and nobody holds the other end; null while the link is down, which the kernel answers with EINVAL. */
function carrierOf(name: string): string | null {
  try {
    return readFileSync(`${sysfs}/${name}/carrier`, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return null;
    throw error;
  }
}

/** Reads `ip -j link`. @throws `hardware` when it is not that. */
function parseLinks(text: string): readonly Link[] {
  try {
    const links: unknown = JSON.parse(text || '[]');
    if (!Array.isArray(links)) throw new TypeError('not a list');
    return links.flatMap(({ ifname, ifalias, flags }: Readonly<Record<string, unknown>>) => {
      if (typeof ifname !== 'string') return [];
      const loose = Array.isArray(flags) && flags.includes('NO-CARRIER');
      return [{ name: ifname, alias: typeof ifalias === 'string' ? ifalias : null, loose }];
    });
  } catch (error) {
    throw new DpuError('hardware', 'the list of network interfaces is unreadable', { cause: error });
  }
}
