import type { Duplex } from 'node:stream';
import type { InstanceId } from '../units.ts';

/** The host's serial console, as its BMC gives it: serial over LAN, or the like. */
export interface HostConsole {
  /**
   * Opens it. One stream at a time: BMCs give one session. The stream ends when the BMC ends the session; destroying it gives the session back.
   * @throws DpuError `unavailable` (the BMC is away), `denied`, `busy` (somebody else has it), `unsupported`, `timeout`.
   */
  open(signal: AbortSignal): Promise<Duplex>;
}

/** The last of what an instance's console showed; outlives the daemon. */
export interface ConsoleLog {
  append(bytes: Uint8Array): void;
  /** The last bytes, oldest first; at most as many as asked for. */
  read(bytes: number): Promise<Buffer>;
  /** Holds no file open, until something is appended. */
  close(): Promise<void>;
  /** Erases it. */
  remove(): Promise<void>;
}

/** Somebody who looks at a console. */
export interface ConsoleWatcher {
  /** New output. */
  show(bytes: Uint8Array): void;
  /** Whether this watcher's input is taken now. */
  role(writes: boolean): void;
  /** The console is no longer the instance's. */
  end(): void;
}

/** A watcher's place at the console. */
export interface ConsoleSeat {
  /** Input; dropped unless the watcher writes. Answers whether it was taken. */
  type(bytes: Uint8Array): boolean;
  /** Becomes the one who writes; the one before goes on watching. */
  take(): void;
  leave(): void;
}

/** Where whoever holds a token gets a place at a console. */
export interface ConsoleDesk {
  /** Whose console the token is for; undefined when it was used before, is too old, or never was. */
  redeem(token: string): InstanceId | undefined;
  /** A place at the instance's console; null where the host is not this instance's. The first to come writes. */
  join(instance: InstanceId, watcher: ConsoleWatcher): ConsoleSeat | null;
  /** The last of what it showed. */
  history(instance: InstanceId, bytes: number): Promise<Buffer>;
}
