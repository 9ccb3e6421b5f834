import { Duplex } from 'node:stream';
import { IpmiClosedError, IpmiSolError } from '../errors.ts';
import { PAYLOAD } from '../packet.ts';
import type { Session } from '../session.ts';
import { decodeSol, encodeSol, SOL_OPERATION, SOL_STATUS } from './sol-packet.ts';
import { type SolAck, SolReceiver } from './sol-receiver.ts';
import { SolSender, type SolSenderOptions } from './sol-sender.ts';

/** What a stream's owner gives it: its session, and how to tell the BMC that it is over. */
export type SolStreamOptions = SolSenderOptions & {
  readonly session: Session;
  readonly deactivate: () => Promise<void>;
};

/**
 * The serial console of a server as a duplex stream of bytes (IPMI 2.0 15). A chunk's write callback means that the BMC took it; a
 * slow reader makes the BMC wait. `end()` sends what is queued and deactivates SOL; `destroy()` deactivates at once. It fails with
 * `sol-deactivated`, `sol-no-ack` or `session-lost`, closes with its client, and never comes back: open another one.
 *
 * Events besides a stream's own: `break` (the server sent one), `overrun` (the BMC lost characters).
 */
export class SolStream extends Duplex {
  readonly #session: Session;
  readonly #deactivate: () => Promise<void>;
  readonly #sender: SolSender;
  readonly #receiver: SolReceiver;
  readonly #leave: () => void;

  /** Use `openSol`. */
  constructor(options: SolStreamOptions) {
    super({ allowHalfOpen: false });
    this.#session = options.session;
    this.#deactivate = options.deactivate;
    this.#sender = new SolSender(
      options,
      (packet) => this.#session.sendPayload(PAYLOAD.sol, encodeSol(packet)),
      () => this.destroy(new IpmiSolError('sol-no-ack', 'the BMC no longer acknowledges what is sent to the console')),
    );
    this.#receiver = new SolReceiver((data) => this.push(data));
    this.#leave = this.#session.onPayload(
      PAYLOAD.sol,
      (payload) => this.#receive(payload),
      // The owner closed the client: that is no failure.
      (error) => this.destroy(error instanceof IpmiClosedError ? undefined : error),
    );
  }

  /** Sends a serial break; resolves when the BMC has acknowledged it. @throws as the stream fails */
  async sendBreak(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const closed = () => reject(this.errored ?? new IpmiSolError('sol-deactivated', 'the console was closed'));
    if (this.destroyed) closed();
    this.once('close', closed);
    if (!this.destroyed) this.#sender.operate(SOL_OPERATION.break, resolve);
    await promise.finally(() => this.off('close', closed));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#sender.write(chunk, () => callback());
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#sender.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), () => callback());
  }

  override _read(): void {
    this.#answer(this.#receiver.resume());
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.push(null);
    // A reader that is gone would keep the stream from closing.
    this.resume();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#leave();
    this.#sender.stop();
    const over = () => callback(error);
    // The BMC that does not answer is no second error: the console is over either way.
    this.#deactivate().then(over, over);
  }

  #receive(payload: Buffer): void {
    const packet = decodeSol(payload);
    if (packet === undefined || this.destroyed) return;
    this.#sender.acknowledge(packet);
    this.#answer(this.#receiver.receive(packet));
    if ((packet.flags & SOL_STATUS.overrun) !== 0) this.emit('overrun');
    if ((packet.flags & SOL_STATUS.break) !== 0) this.emit('break');
    if ((packet.flags & SOL_STATUS.deactivated) !== 0) {
      this.destroy(new IpmiSolError('sol-deactivated', 'the BMC ended serial over LAN'));
    }
  }

  #answer(ack: SolAck | undefined): void {
    if (ack === undefined) return;
    this.#session.sendPayload(PAYLOAD.sol, encodeSol({ sequence: 0, ...ack, data: Buffer.alloc(0) }));
  }
}
