import { execFile } from 'node:child_process';
import type { Log } from '../core/ports/log.ts';

/** Tells systemd of the service's state (sd_notify(3)). */
export interface Notifier {
  ready(): void;
  stopping(): void;
}

/** The least interval between two signs of life, in milliseconds. */
const leastWatchdogMs = 1000;

/**
 * Speaks by the `systemd-notify` tool, as Node has no datagram sockets of the unix kind: the unit needs
 * `NotifyAccess=all`. Outside of systemd (no `NOTIFY_SOCKET`) it does nothing. Once ready it sends `WATCHDOG=1` at half of
 * `WATCHDOG_USEC`; a service whose event loop hangs stops sending, and systemd restarts it.
 */
export function createNotifier(log: Log, env: NodeJS.ProcessEnv = process.env): Notifier {
  const there = env.NOTIFY_SOCKET !== undefined && env.NOTIFY_SOCKET !== '';
  const watchdogMs = Number(env.WATCHDOG_USEC ?? '0') / 1000;
  let timer: NodeJS.Timeout | undefined;

  function tell(...states: readonly string[]): void {
    if (!there) return;
    execFile('systemd-notify', [`--pid=${process.pid}`, ...states], { timeout: 5000, env }, (error) => {
      if (error) log.warn('systemd was not told', { states, error });
    });
  }

  return {
    ready() {
      tell('READY=1');
      if (!there || watchdogMs <= 0) return;
      timer = setInterval(() => tell('WATCHDOG=1'), Math.max(watchdogMs / 2, leastWatchdogMs));
      timer.unref();
    },
    stopping() {
      clearInterval(timer);
      tell('STOPPING=1');
    },
  };
}
