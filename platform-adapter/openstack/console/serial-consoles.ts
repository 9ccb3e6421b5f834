import type { Socket } from 'node:net';
import type { Clock } from '../../../core/ports/clock.ts';
import type { ConsoleDesk, ConsoleSeat } from '../../../core/ports/host-console.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { InstanceId } from '../../../core/units.ts';
import type { Attend } from './backends.ts';

/** Bytes that a client may be behind; then it is sent away, and may come back. */
const mostWaiting = 1_048_576;
/** Bytes given to the console at once, and the pause when it does not take them. */
const chunkBytes = 1024;
const againMs = 50;

/** Shows serial consoles: whoever comes through nova's proxy takes the keyboard. */
export function serialConsoles(parts: {
  readonly consoles: Pick<ConsoleDesk, 'join'>;
  readonly clock: Clock;
  readonly log: Log;
}): Attend {
  const { clock, log } = parts;

  function seat(instance: InstanceId, socket: Socket): void {
    const place = parts.consoles.join(instance, {
      show(bytes) {
        socket.write(bytes);
        if (socket.writableLength > mostWaiting) socket.destroy();
      },
      role: () => {},
      end: () => socket.end(),
    });
    if (place === null) {
      socket.end();
      return;
    }
    place.take();
    const gone = new AbortController();
    socket.on('close', () => {
      gone.abort();
      place.leave();
    });
    typeAll(place, socket, gone.signal).catch((error: unknown) => {
      if (!gone.signal.aborted) log.warn('a console connection failed', { instance, error });
      socket.destroy();
    });
  }

  /** Gives what comes to the console, at its pace. */
  async function typeAll(place: ConsoleSeat, socket: Socket, signal: AbortSignal): Promise<void> {
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        while (!place.type(bytes.subarray(at, at + chunkBytes))) await clock.sleep(againMs, signal);
      }
    }
  }

  return seat;
}
