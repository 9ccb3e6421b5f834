import { access } from 'node:fs/promises';
import { hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { exec } from '../../kit/exec.ts';
import type { Finding, HealthProbe } from './health.ts';

/** Who may know whether the clock is synchronised; the defaults are the system's. */
export interface ClockSources {
  /** Prints `yes` or `no`: the kernel's word by adjtimex(2) STA_UNSYNC, whoever keeps the time (org.freedesktop.timedate1, NTPSynchronized). */
  readonly timedatectl?: readonly [string, ...string[]];
  /** Prints chrony's tracking as CSV; the last field is the leap status (chronyc(1) `tracking`). */
  readonly chronyc?: readonly [string, ...string[]];
  /** There while systemd-timesyncd has the time (systemd-timesyncd.service(8)). */
  readonly timesyncd?: string;
}

/** How long a program may take, and how long its answer is good, in milliseconds: a clock that runs true does not go astray in minutes. */
const patience = 5_000;
const goodMs = { ok: 300_000, other: 20_000 } as const;

/** Asks, in this order, the kernel through timedated, chrony, and timesyncd's file; the first that knows has the word. Needs no rights. */
export function clockProbe(clock: Pick<Clock, 'monotonicMs'>, sources: ClockSources = {}): HealthProbe {
  const {
    timedatectl = ['timedatectl', 'show', '--property=NTPSynchronized', '--value'],
    chronyc = ['chronyc', '-c', '-n', 'tracking'],
    timesyncd = '/run/systemd/timesync/synchronized',
  } = sources;
  async function look(): Promise<Finding> {
    const kernel = await answerOf(timedatectl);
    if (kernel === 'yes') return ok('the kernel says synchronised');
    const leap = (await answerOf(chronyc))?.split(',').at(-1);
    if (leap !== undefined && leap !== '') {
      return leap === 'Not synchronised' ? unsynchronised('chrony') : ok(`chrony says: ${leap}`);
    }
    if (await isThere(timesyncd)) return ok('systemd-timesyncd has the time');
    if (kernel === 'no') return unsynchronised('the kernel');
    return { check: 'clock', state: 'unknown', found: 'neither timedatectl nor chronyc can tell' };
  }
  let last: { readonly finding: Promise<Finding>; until: number } | undefined;
  return () => {
    const now = clock.monotonicMs();
    if (last && now <= last.until) return last.finding;
    const asked = { finding: look(), until: now + goodMs.other };
    last = asked;
    return asked.finding.then((finding) => {
      if (finding.state === 'ok') asked.until = now + goodMs.ok;
      return finding;
    });
  };
}

const ok = (found: string): Finding => ({ check: 'clock', state: 'ok', found });

const unsynchronised = (who: string): Finding => ({
  check: 'clock',
  state: 'fail',
  id: 'clock-unsynchronised',
  found: `${who} says: not synchronised`,
});

/** What the program printed; null where it is not there or knows nothing. */
async function answerOf([program, ...args]: readonly [string, ...string[]]): Promise<string | null> {
  try {
    const { code, stdout } = await exec(program, args, { timeoutMs: patience, env: { LC_ALL: 'C' }, maxBytes: 65_536 });
    return code === 0 ? stdout.trim() : null;
  } catch (error) {
    if (hasCode(error, 'unavailable') || hasCode(error, 'timeout') || hasCode(error, 'internal')) return null;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false; // not there, or not to be seen: the same to us
  }
}
