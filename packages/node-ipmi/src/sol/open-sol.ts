import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiClient } from '../client.ts';
import { IpmiCompletionError, IpmiSolError } from '../errors.ts';
import { NET_FN } from '../message.ts';
import { PAYLOAD } from '../packet.ts';
import type { Session } from '../session.ts';
import { deadline } from '../signals.ts';
import { SOL_MAX_DATA } from './sol-packet.ts';
import { SolStream } from './sol-stream.ts';

/** How a console is opened. */
export type SolOptions = CallOptions & {
  /** Payload instance, 1 to 15; default 1. */
  readonly instance?: number;
  /** End the console that somebody else has open, and take it. Default false: fail with `payload-active-elsewhere`. */
  readonly takeOver?: boolean;
  /** How long a packet waits for its acknowledgement; default 500. */
  readonly retryMs?: number;
  /** How often it is repeated before the stream fails with `sol-no-ack`; default 10. */
  readonly retries?: number;
};

const ACTIVATE = 0x48;
const DEACTIVATE = 0x49;
const ACTIVE_ELSEWHERE = 0x80;
/** Encryption and authentication of the payload on (24.1). */
const SECURED = 0xc0;
const HEADER = 4;
/** For a BMC that says nonsense of its sizes. */
const SAFE_DATA = 64;

/**
 * Opens the serial console over the client's session (Activate Payload, IPMI 2.0 24.1). It ends with that session; to go on, open
 * another one.
 * @throws `sol-active`; IpmiCompletionError, for example `payload-active-elsewhere` or `payload-disabled`; as `IpmiClient.request`
 */
export async function openSol(client: IpmiClient, options: SolOptions = {}): Promise<SolStream> {
  const { instance = 1, takeOver = false, retryMs = 500, retries = 10, timeoutMs = 15_000 } = options;
  using limit = deadline(timeoutMs, 'open SOL', options.signal === undefined ? [] : [options.signal]);
  const { signal } = limit;
  const session = await client.session({ signal, timeoutMs });
  if (session.takes(PAYLOAD.sol)) throw new IpmiSolError('sol-active', 'this session has a console already');
  const early: Buffer[] = [];
  const leave = session.onPayload(
    PAYLOAD.sol,
    (payload) => early.length < 16 && early.push(payload),
    () => {},
  );
  try {
    const maxData = await activate(session, instance, takeOver, signal);
    leave();
    const deactivate = () => deactivatePayload(session, instance, AbortSignal.timeout(2 * retryMs));
    const stream = new SolStream({ session, deactivate, maxData, retryMs, retries });
    session.replay(PAYLOAD.sol, early);
    return stream;
  } finally {
    leave();
  }
}

async function activate(session: Session, instance: number, takeOver: boolean, signal: AbortSignal): Promise<number> {
  const data = [PAYLOAD.sol, instance, SECURED, 0, 0, 0];
  const send = async (): Promise<Buffer> => ask(session, ACTIVATE, data, signal);
  let answer: Buffer;
  try {
    answer = await send();
  } catch (error) {
    const elsewhere = error instanceof IpmiCompletionError && error.completionCode === ACTIVE_ELSEWHERE;
    if (!elsewhere || !takeOver) throw error;
    await deactivatePayload(session, instance, signal);
    answer = await send();
  }
  // The port that follows is the one we talk to already; a BMC behind a translated address would name its own.
  const reader = new ByteReader(answer, 'Activate Payload');
  reader.bytes(4);
  const room = reader.u16() - HEADER;
  return room < 1 ? SAFE_DATA : Math.min(room, SOL_MAX_DATA);
}

async function deactivatePayload(session: Session, instance: number, signal: AbortSignal): Promise<void> {
  if (session.ended !== undefined) return;
  await ask(session, DEACTIVATE, [PAYLOAD.sol, instance, 0, 0, 0, 0], signal);
}

async function ask(session: Session, command: number, data: readonly number[], signal: AbortSignal): Promise<Buffer> {
  const answer = await session.send({ netFn: NET_FN.app, command, data }, { signal });
  if (answer.completionCode !== 0) throw new IpmiCompletionError(answer.completionCode, NET_FN.app, command);
  return answer.data;
}
