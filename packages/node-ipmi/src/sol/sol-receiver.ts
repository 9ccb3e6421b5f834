import { SOL_OPERATION, type SolPacket } from './sol-packet.ts';

/** What to answer a packet with: nothing, or an acknowledgement. */
export type SolAck = { readonly acked: number; readonly accepted: number; readonly flags: number };

/**
 * The receiving side of SOL (IPMI 2.0 15.11): tells new characters from repeated ones, and when the reader is slow keeps one packet
 * back, refusing it (NACK, no character taken) until there is room.
 */
export class SolReceiver {
  readonly #deliver: (data: Buffer) => boolean;
  #last = 0;
  #lastLength = 0;
  #room = true;
  #held: { readonly sequence: number; readonly data: Buffer } | undefined;

  /** `deliver` returns whether there is room for more. */
  constructor(deliver: (data: Buffer) => boolean) {
    this.#deliver = deliver;
  }

  /** Takes a packet in. */
  receive({ sequence, data }: SolPacket): SolAck | undefined {
    if (sequence === 0) return undefined;
    // One behind: a repeat that was overtaken on the way. The BMC has long had its acknowledgement.
    if (this.#last !== 0 && (sequence % 15) + 1 === this.#last) return ack(sequence, data.length);
    if (sequence === this.#last && data.length <= this.#lastLength) return ack(sequence, this.#lastLength);
    if (!this.#room) {
      this.#held = { sequence, data: Buffer.from(data) };
      return { acked: sequence, accepted: 0, flags: SOL_OPERATION.nack };
    }
    return this.#take(sequence, data);
  }

  /** The reader has room again: the packet that was kept back is delivered, and its acknowledgement is due. */
  resume(): SolAck | undefined {
    this.#room = true;
    const held = this.#held;
    this.#held = undefined;
    return held === undefined ? undefined : this.#take(held.sequence, held.data);
  }

  #take(sequence: number, data: Buffer): SolAck {
    // A repeat may hold more than the first sending did; only what is new counts.
    const fresh = sequence === this.#last ? data.subarray(this.#lastLength) : data;
    this.#last = sequence;
    this.#lastLength = data.length;
    if (fresh.length > 0) this.#room = this.#deliver(Buffer.from(fresh));
    return ack(sequence, data.length);
  }
}

const ack = (acked: number, accepted: number): SolAck => ({ acked, accepted, flags: 0 });
