import { execFile } from 'node:child_process';
import type { Clock, Timer } from '../core/ports/clock.ts';
import type { Log } from '../core/ports/log.ts';
import { systemClock } from './clock.ts';

/** Tells systemd of the service's state (sd_notify(3)). No method waits or throws; what is told arrives in the order of the calls. */
export interface Notifier {
  /** The service is up; from now on it shows signs of life. */
  ready(): void;
  /** A line for `systemctl status`. */
  status(text: string): void;
  /** The service goes down; no more signs of life. */
  stopping(): void;
}

interface NotifierOptions {
  /** Where systemd says what it wants: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. Default: the process's own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly clock?: Clock;
}

/**
 * Speaks by the `systemd-notify` tool, as Node has no datagram sockets of the unix kind: the unit needs
 * `NotifyAccess=all`. Outside of systemd (no `NOTIFY_SOCKET`) it does nothing. Once ready it sends `WATCHDOG=1` at half of
 * `WATCHDOG_USEC`; a service whose event loop hangs stops sending, and systemd restarts it.
 */
export function createNotifier(log: Log, { env = process.env, clock = systemClock }: NotifierOptions = {}): Notifier {
  const there = env.NOTIFY_SOCKET !== undefined && env.NOTIFY_SOCKET !== '';
  const beatMs = there ? watchdogMs(env) / 2 : 0;
  let last: Promise<void> = Promise.resolve();
  let timer: Timer | undefined;
  let failing = false;

  function tell(state: string): Promise<void> {
    if (there) last = last.then(() => run(state));
    return last;
  }

  /** Ends when systemd has read it, so that the next one comes after. */
  function run(state: string): Promise<void> {
    return new Promise((resolve) => {
      execFile('systemd-notify', [`--pid=${process.pid}`, state], { timeout: 5000, env }, (error) => {
        if (error && !failing) log.warn('systemd was not told of the state', { state, error });
        failing = error !== null;
        resolve();
      });
    });
  }

  function beatLater(): void {
    timer = clock.timer(beatMs, () => {
      // The next beat waits for this one: a slow tool is not started twice.
      void tell('WATCHDOG=1').then(() => {
        if (timer !== undefined) beatLater();
      });
    });
  }

  return {
    ready() {
      void tell('READY=1');
      if (beatMs > 0 && timer === undefined) beatLater();
    },
    status: (text) => void tell(`STATUS=${text.replaceAll(/\s+/g, ' ')}`),
    stopping() {
      timer?.cancel();
      timer = undefined;
      void tell('STOPPING=1');
    },
  };
}

/** Time within which systemd wants a sign of life; 0: none wanted, or not from this process (sd_watchdog_enabled(3)). */
function watchdogMs(env: NodeJS.ProcessEnv): number {
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(process.pid)) return 0;
  const microseconds = Number(env.WATCHDOG_USEC ?? '0');
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : 0;
}
