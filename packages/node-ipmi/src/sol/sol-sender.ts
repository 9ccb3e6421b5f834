import { nextSolSequence, SOL_STATUS, type SolPacket } from './sol-packet.ts';

/** How the sending side behaves. */
export type SolSenderOptions = {
  /** Most characters of a packet. */
  readonly maxData: number;
  /** How long a packet waits for its acknowledgement, and a refused one for its next try. */
  readonly retryMs: number;
  /** How often a packet is repeated when no acknowledgement comes at all. */
  readonly retries: number;
};

type Job = { data: Buffer; readonly operation: number; readonly done: () => void };

/**
 * The sending side of SOL (IPMI 2.0 15.11): one packet on the way, repeated with the same sequence number until it is
 * acknowledged; what the BMC did not accept goes into the next packet.
 */
export class SolSender {
  readonly #options: SolSenderOptions;
  readonly #send: (packet: SolPacket) => void;
  readonly #fail: () => void;
  readonly #jobs: Job[] = [];
  #sequence = 0;
  #flying: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SolSenderOptions, send: (packet: SolPacket) => void, fail: () => void) {
    this.#options = options;
    this.#send = send;
    this.#fail = fail;
  }

  /** Queues characters; `done` is called when the BMC has taken them all. */
  write(data: Buffer, done: () => void): void {
    this.#add({ data, operation: 0, done });
  }

  /** Queues an operation without characters, such as a break. */
  operate(operation: number, done: () => void): void {
    this.#add({ data: Buffer.alloc(0), operation, done });
  }

  /** Takes the acknowledgement that a packet of the BMC may hold. */
  acknowledge({ acked, accepted, flags }: SolPacket): void {
    const job = this.#jobs[0];
    if (acked === 0 || acked !== this.#sequence || this.#flying === undefined || job === undefined) return;
    const refused = (flags & SOL_STATUS.nack) !== 0;
    const taken = Math.min(accepted, this.#flying.length);
    clearTimeout(this.#timer);
    this.#flying = undefined;
    job.data = job.data.subarray(taken);
    if (refused && taken === 0) {
      // Nothing taken: the BMC is not able to now, and asking at once would only be noise.
      this.#timer = setTimeout(() => this.#next(), this.#options.retryMs);
    } else if (job.data.length === 0) {
      this.#finish(job);
    } else {
      this.#next();
    }
  }

  /** Forgets all that waits; no callback is called any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#jobs.length = 0;
    this.#flying = undefined;
  }

  #add(job: Job): void {
    this.#jobs.push(job);
    if (this.#jobs.length === 1) this.#next();
  }

  /** The next job goes out before the callback of the last one, which may add another. */
  #finish(job: Job): void {
    this.#jobs.shift();
    this.#next();
    job.done();
  }

  #next(): void {
    const job = this.#jobs[0];
    if (job === undefined) return;
    if (job.data.length === 0 && job.operation === 0) {
      this.#finish(job);
      return;
    }
    this.#sequence = nextSolSequence(this.#sequence);
    this.#flying = job.data.subarray(0, this.#options.maxData);
    this.#transmit(this.#flying, job.operation, 0);
  }

  #transmit(data: Buffer, flags: number, repeats: number): void {
    this.#send({ sequence: this.#sequence, acked: 0, accepted: 0, flags, data });
    this.#timer = setTimeout(() => {
      if (repeats >= this.#options.retries) this.#fail();
      else this.#transmit(data, flags, repeats + 1);
    }, this.#options.retryMs);
  }
}
