import { setTimeout as sleep } from 'node:timers/promises';
import { DemoError } from './demo-error.ts';
import type { RestNode } from './node-client.ts';
import type { Screen } from './screen.ts';

/** An emulated guest on a busy machine. */
const BOOT_MS = 120_000;
const LOOK_MS = 150;
/** Terminal control sequences (ECMA-48 5.4), and what else is not for a screen that is not the guest's. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they begin with
const CONTROLS = /\u001bc|\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** The guest's console as the daemon keeps it. */
export interface GuestLog {
  /** Shows new lines until one matches; answers it. @throws DemoError when none comes. */
  until(pattern: RegExp, what: string): Promise<string>;
}

/** Follows the console of an instance; shows what it prints, each line once. */
export function followGuest(rest: RestNode, uuid: string, screen: Screen, signal: AbortSignal): GuestLog {
  let seen = 0;
  return {
    async until(pattern, what) {
      const deadline = performance.now() + BOOT_MS;
      while (performance.now() < deadline) {
        const text = (await rest.consoleLog(uuid)).replaceAll('\r', '').replaceAll(CONTROLS, '');
        const lines = text.slice(seen).split('\n');
        for (const [index, line] of lines.entries()) {
          const whole = index < lines.length - 1;
          if (!whole && !pattern.test(line)) break;
          seen += line.length + (whole ? 1 : 0);
          if (line.trim() !== '') screen.line(`  ${screen.paint('dim', '|')} ${line}`);
          if (pattern.test(line)) return line;
        }
        await sleep(LOOK_MS, undefined, { signal });
      }
      throw new DemoError(`the guest did not get to ${what}`);
    },
  };
}
