import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { type CipherSuite, type CipherSuiteId, cipherSuite } from './cipher-suites.ts';
import {
  IpmiAuthError,
  IpmiCipherError,
  IpmiCompletionError,
  IpmiNotSupportedError,
  IpmiSessionError,
  IpmiTimeoutError,
} from './errors.ts';
import type { Link } from './link.ts';
import { decodeResponse, encodeRequest, NET_FN } from './message.ts';
import { decodePlain, decodeSetup, encodePlain, encodeSetup, PAYLOAD } from './packet.ts';
import { type RakpContext, rakp2Code, rakp3Code, rakp4Check, type SessionKeys, sessionKeys } from './rakp.ts';
import { CIPHER_STATUSES, STALE_STATUSES } from './rmcp-status.ts';
import {
  authCapabilitiesData,
  type ChannelAuthCapabilities,
  decodeAuthCapabilities,
  decodeOpenedSession,
  decodeRakp2,
  decodeSetupAnswer,
  encodeOpenSession,
  encodeRakp1,
  encodeRakp3,
} from './setup-messages.ts';
import { withSignal } from './signals.ts';

/** What the handshake needs to know of the user. */
export type Credentials = {
  readonly username: Uint8Array;
  readonly password: Uint8Array;
  /** K_G, for a BMC that has one (13.33). */
  readonly bmcKey: Uint8Array | undefined;
};

/** How the handshake is done. */
export type HandshakeOptions = Credentials & {
  /** In the order of preference; the next is tried only when the BMC says that it does not know the one before. */
  readonly cipherSuites: readonly CipherSuiteId[];
  /** Requested maximum privilege level. */
  readonly privilege: number;
  /** How long the first sending of a message waits for its answer; each repeat waits twice as long. */
  readonly retryMs: number;
  /** How often a message is repeated. */
  readonly retries: number;
};

/** A session that the BMC has agreed to. */
export type Handshaken = {
  readonly keys: SessionKeys;
  readonly consoleSessionId: number;
  readonly bmcSessionId: number;
  readonly bmcGuid: Buffer;
  readonly channel: ChannelAuthCapabilities;
};

const GET_CHANNEL_AUTH_CAPABILITIES = 0x38;
/** RAKP 1: look the user up by name only, whatever the level (13.20). */
const NAME_ONLY = 0x10;

/**
 * Opens an RMCP+ session: capabilities, open session, RAKP 1 to 4 (IPMI 2.0 13.15).
 * @throws IpmiAuthError, IpmiCipherError, IpmiSessionError, IpmiNotSupportedError, IpmiTimeoutError, IpmiUnreachableError, the signal's reason
 */
export async function handshake(link: Link, options: HandshakeOptions, signal: AbortSignal): Promise<Handshaken> {
  const channel = await askCapabilities(link, options, signal);
  if (!channel.rmcpPlus) throw new IpmiNotSupportedError('the BMC does not offer IPMI 2.0 RMCP+ on this channel');
  let last = new IpmiCipherError('no-cipher-suite', 'no cipher suite was allowed');
  for (const id of options.cipherSuites) {
    try {
      return { ...(await openWithSuite(link, cipherSuite(id), options, signal)), channel };
    } catch (error) {
      if (!(error instanceof IpmiCipherError) || error.code !== 'no-cipher-suite') throw error;
      last = error;
    }
  }
  throw last;
}

async function openWithSuite(link: Link, suite: CipherSuite, options: HandshakeOptions, signal: AbortSignal) {
  const { password, username } = options;
  const consoleSessionId = randomInt(1, 2 ** 32);
  const opened = decodeOpenedSession(
    await setupStep(link, options, signal, {
      name: 'RMCP+ Open Session',
      consoleSessionId,
      send: PAYLOAD.openSessionRequest,
      expect: PAYLOAD.openSessionResponse,
      encode: (tag) => encodeOpenSession(tag, options.privilege, consoleSessionId, suite),
    }),
  );
  const wanted = [suite.authentication, suite.integrity, suite.confidentiality];
  if (opened.algorithms.some((number, at) => number !== wanted[at])) {
    throw new IpmiCipherError('bad-cipher-suite', `the BMC answered cipher suite ${suite.id} with other algorithms`);
  }
  const { bmcSessionId } = opened;
  const own = {
    suite,
    consoleSessionId,
    bmcSessionId,
    consoleRandom: randomBytes(16),
    role: NAME_ONLY | options.privilege,
    username,
  };
  const { bmcRandom, bmcGuid, code } = decodeRakp2(
    await setupStep(link, options, signal, {
      name: 'RAKP 1',
      consoleSessionId,
      send: PAYLOAD.rakp1,
      expect: PAYLOAD.rakp2,
      encode: (tag) => encodeRakp1(tag, own),
    }),
  );
  const rakp: RakpContext = { ...own, bmcRandom, bmcGuid };
  if (!same(code, rakp2Code(rakp, password))) {
    link.send(encodeSetup(PAYLOAD.rakp3, encodeRakp3(0, 0x0f, bmcSessionId, Buffer.alloc(0))));
    throw new IpmiAuthError('wrong-password', 'the password is not the one that the BMC has for this user');
  }
  const proof = rakp3Code(rakp, password);
  const check = await setupStep(link, options, signal, {
    name: 'RAKP 3',
    consoleSessionId,
    send: PAYLOAD.rakp3,
    expect: PAYLOAD.rakp4,
    encode: (tag) => encodeRakp3(tag, 0, bmcSessionId, proof),
  });
  const keys = sessionKeys(rakp, options.bmcKey ?? password);
  if (!same(check, rakp4Check(rakp, keys.sik))) {
    throw new IpmiAuthError('wrong-bmc-key', 'the BMC proved another K_G than ours');
  }
  return { keys, consoleSessionId, bmcSessionId, bmcGuid: Buffer.from(bmcGuid) };
}

type Step = {
  readonly name: string;
  readonly consoleSessionId: number;
  readonly send: number;
  readonly expect: number;
  readonly encode: (tag: number) => Buffer;
};

/**
 * One message of session setup and the rest of its answer. Each sending has a tag of its own and only the last one's answer counts:
 * a BMC that makes a new random number for a repeated RAKP 1 would otherwise be out of step with us.
 */
async function setupStep(link: Link, options: HandshakeOptions, signal: AbortSignal, step: Step): Promise<Buffer> {
  let tag = randomInt(256);
  let repeated = false;
  const answer = await exchange(link, options, signal, {
    name: step.name,
    encode: (attempt) => {
      repeated = attempt > 0;
      tag = (tag + 1) % 256;
      return encodeSetup(step.send, step.encode(tag));
    },
    decode: (datagram) => {
      const packet = decodeSetup(datagram);
      if (packet?.payloadType !== step.expect) return undefined;
      const found = decodeSetupAnswer(packet.payload);
      if (found === undefined || found.tag !== tag) return undefined;
      return found.status !== 0 || found.consoleSessionId === step.consoleSessionId ? found : undefined;
    },
  });
  if (answer.rest === undefined) throw refusal(answer.status, step.name, repeated);
  return answer.rest;
}

function refusal(status: number, step: string, repeated: boolean): Error {
  const known = new IpmiSessionError(status, step);
  if (CIPHER_STATUSES.has(status)) return new IpmiCipherError('no-cipher-suite', known.message, status);
  if (status === 0x0d || status === 0x0c) return new IpmiAuthError('unauthorized-name', known.message, status);
  if (status === 0x09 || status === 0x0a) return new IpmiAuthError('unauthorized-role', known.message, status);
  if (status === 0x0f) return new IpmiAuthError('refused-proof', known.message, status);
  // Our first sending got through and its answer did not: the BMC has moved on, and a new handshake is due.
  if (repeated && STALE_STATUSES.has(status)) return new IpmiTimeoutError(known.message, { cause: known });
  return known;
}

async function askCapabilities(
  link: Link,
  options: HandshakeOptions,
  signal: AbortSignal,
): Promise<ChannelAuthCapabilities> {
  const data = authCapabilitiesData(options.privilege);
  const request = { netFn: NET_FN.app, command: GET_CHANNEL_AUTH_CAPABILITIES, data };
  const sequence = randomInt(64);
  const answer = await exchange(link, options, signal, {
    name: 'Get Channel Authentication Capabilities',
    encode: () => encodePlain(encodeRequest(request, sequence)),
    decode: (datagram) => {
      const message = decodePlain(datagram);
      const found = message === undefined ? undefined : decodeResponse(message);
      return found?.command === request.command && found.sequence === sequence ? found : undefined;
    },
  });
  if (answer.completionCode !== 0) throw new IpmiCompletionError(answer.completionCode, request.netFn, request.command);
  return decodeAuthCapabilities(answer.data);
}

type Exchange<T> = {
  readonly name: string;
  readonly encode: (attempt: number) => Buffer;
  /** The answer, or undefined for what is none. */
  readonly decode: (datagram: Buffer) => T | undefined;
};

async function exchange<T>(link: Link, options: HandshakeOptions, signal: AbortSignal, what: Exchange<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  link.listen((datagram) => {
    const found = what.decode(datagram);
    if (found !== undefined) resolve(found);
  }, reject);
  let timer: NodeJS.Timeout | undefined;
  const send = (attempt: number) => {
    if (attempt > options.retries) {
      reject(new IpmiTimeoutError(`${what.name}: no answer to ${attempt} sendings`));
      return;
    }
    link.send(what.encode(attempt));
    timer = setTimeout(send, options.retryMs * 2 ** attempt, attempt + 1);
  };
  send(0);
  try {
    return await withSignal(promise, signal);
  } finally {
    clearTimeout(timer);
    link.listen(() => {});
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
