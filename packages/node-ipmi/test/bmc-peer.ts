import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { createIpmiClient, type IpmiClient, type IpmiClientOptions } from '../src/index.ts';
import { keyed, keysOf, PEER_SUITES, type PeerKeys, type PeerSuite, seal, unseal } from './bmc-crypto.ts';

/** What a command is answered with. */
export type PeerAnswer = { readonly code?: number; readonly data?: readonly number[] };

/** A command as it reached the peer. */
export type PeerCommand = {
  readonly netFn: number;
  readonly command: number;
  readonly data: Buffer;
  readonly sequence: number;
};

/** How the peer is set up. All of it may be changed while it runs. */
export type PeerState = {
  suites: readonly number[];
  username: string;
  password: string;
  bmcKey: string | undefined;
  freeSessions: number;
  /** Answers a command; undefined is "invalid command". */
  handle: (command: PeerCommand) => PeerAnswer | undefined;
  /** What becomes of a datagram of the peer: the datagrams that are really sent, and when. Default: itself, at once. */
  wire: (datagram: Buffer, kind: PeerOutput) => readonly Buffer[];
  /** Takes SOL payloads. */
  sol: (payload: Buffer) => void;
};

/** What a datagram of the peer is. */
export type PeerOutput = {
  readonly kind: 'plain' | 'setup' | 'ipmi' | 'sol';
  readonly type: number;
  readonly command?: PeerCommand;
};

/** A BMC of our own, for what ipmi_sim can not be made to do: cipher suite 17, losses, repeats, late answers. */
export type BmcPeer = {
  readonly port: number;
  readonly state: PeerState;
  /** Commands that were executed, in their order. */
  readonly commands: PeerCommand[];
  /** Datagrams received. */
  readonly received: () => number;
  client(more?: Partial<IpmiClientOptions>): IpmiClient;
  /** Answers a command of the past once more, in a new packet. */
  answer(command: PeerCommand, answer: PeerAnswer): void;
  /** Sends a SOL payload, or any other datagram, to the last session's console. */
  sendSol(payload: Buffer): void;
  sendRaw(datagram: Buffer): void;
  /** Forgets all sessions, as a restart does. */
  forget(): void;
  stop(): Promise<void>;
};

type PeerSession = {
  readonly suite: PeerSuite;
  readonly consoleId: number;
  readonly id: number;
  readonly privilege: number;
  readonly from: RemoteInfo;
  rest: Buffer[];
  bmcRandom: Buffer;
  proof: Buffer;
  keys: PeerKeys | undefined;
  sequence: number;
};

const GUID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const sum = (bytes: Buffer): number => -bytes.reduce((a, b) => a + b, 0) & 0xff;

/** Starts one on a free port of the loopback. */
export async function startBmcPeer(more: Partial<PeerState> = {}): Promise<BmcPeer> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const sessions = new Map<number, PeerSession>();
  const commands: PeerCommand[] = [];
  let received = 0;
  let nextId = 0x1000;
  let last: PeerSession | undefined;
  const state: PeerState = {
    suites: [3, 17],
    username: 'admin',
    password: 'secret12',
    bmcKey: undefined,
    freeSessions: Number.POSITIVE_INFINITY,
    handle: standardAnswer,
    wire: (datagram) => [datagram],
    sol: () => {},
    ...more,
  };
  const send = (datagram: Buffer, to: RemoteInfo, kind: PeerOutput) => {
    for (const out of state.wire(datagram, kind)) socket.send(out, to.port, to.address);
  };
  const setup = (type: number, payload: Buffer, to: RemoteInfo) => {
    const head = Buffer.concat([Buffer.of(6, 0, 0xff, 7, 6, type), Buffer.alloc(8), Buffer.of(payload.length, 0)]);
    send(Buffer.concat([head, payload]), to, { kind: 'setup', type });
  };
  const inSession = (session: PeerSession, type: number, payload: Buffer, command?: PeerCommand) => {
    if (session.keys === undefined) return;
    session.sequence += 1;
    const datagram = seal(session.keys, type, session.consoleId, session.sequence, payload);
    const kind = type === 1 ? 'sol' : 'ipmi';
    send(datagram, session.from, command === undefined ? { kind, type } : { kind, type, command });
  };
  const openSession = (payload: Buffer, from: RemoteInfo) => {
    const algorithms = [payload.readUInt8(12), payload.readUInt8(20), payload.readUInt8(28)];
    const suite = PEER_SUITES.find((known) => known.algorithms.every((number, at) => number === algorithms[at]));
    const refuse = (status: number) =>
      setup(0x11, Buffer.of(payload.readUInt8(0), status, 0, 0, ...payload.subarray(4, 8)), from);
    if (suite === undefined || !state.suites.includes(suite.id)) return refuse(0x11);
    if (sessions.size >= state.freeSessions) return refuse(0x01);
    nextId += 1;
    const fresh = { rest: [], bmcRandom: randomBytes(16), proof: Buffer.alloc(0), keys: undefined, sequence: 0 };
    sessions.set(nextId, {
      suite,
      consoleId: payload.readUInt32LE(4),
      id: nextId,
      privilege: payload.readUInt8(1),
      from,
      ...fresh,
    });
    const head = Buffer.of(payload.readUInt8(0), 0, payload.readUInt8(1), 0);
    return setup(0x11, Buffer.concat([head, payload.subarray(4, 8), u32(nextId), payload.subarray(8, 32)]), from);
  };
  const rakp1 = (payload: Buffer, from: RemoteInfo) => {
    const session = sessions.get(payload.readUInt32LE(4));
    const consoleId = u32(session?.consoleId ?? 0);
    const refuse = (status: number) =>
      setup(0x13, Buffer.concat([Buffer.of(payload.readUInt8(0), status, 0, 0), consoleId]), from);
    if (session === undefined) return refuse(0x02);
    const name = payload.subarray(28, 28 + payload.readUInt8(27));
    if (name.toString() !== state.username) return refuse(0x0d);
    const { suite } = session;
    const consoleRandom = payload.subarray(8, 24);
    const roleName = Buffer.concat([payload.subarray(24, 25), payload.subarray(27, 28), name]);
    session.bmcRandom = randomBytes(16);
    const password = Buffer.from(state.password);
    const ids = [consoleId, u32(session.id)];
    const code = keyed(suite, password, ...ids, consoleRandom, session.bmcRandom, GUID, roleName);
    session.proof = keyed(suite, password, session.bmcRandom, consoleId, roleName);
    const bmcKey = state.bmcKey === undefined ? password : Buffer.from(state.bmcKey);
    const sik = keyed(suite, bmcKey, consoleRandom, session.bmcRandom, roleName);
    session.rest = [sik, keyed(suite, sik, consoleRandom, u32(session.id), GUID).subarray(0, suite.mac)];
    const head = Buffer.of(payload.readUInt8(0), 0, 0, 0);
    return setup(0x13, Buffer.concat([head, consoleId, session.bmcRandom, GUID, code]), from);
  };
  const rakp3 = (payload: Buffer, from: RemoteInfo) => {
    const session = sessions.get(payload.readUInt32LE(4));
    const consoleId = u32(session?.consoleId ?? 0);
    const answer = (status: number, rest: Buffer = Buffer.alloc(0)) =>
      setup(0x15, Buffer.concat([Buffer.of(payload.readUInt8(0), status, 0, 0), consoleId, rest]), from);
    const [sik, check] = session?.rest ?? [];
    if (session === undefined || sik === undefined || check === undefined) return answer(0x02);
    if (payload.readUInt8(1) !== 0) return void sessions.delete(session.id);
    if (!session.proof.equals(payload.subarray(8))) return answer(0x0f);
    session.keys = keysOf(session.suite, sik);
    last = session;
    return answer(0, check);
  };
  const reply = (request: Buffer, answer: PeerAnswer): Buffer => {
    const head = Buffer.of(0x81, ((request.readUInt8(1) >> 2) | 1) << 2);
    const body = Buffer.of(0x20, request.readUInt8(4), request.readUInt8(5), answer.code ?? 0, ...(answer.data ?? []));
    return Buffer.concat([head, Buffer.of(sum(head)), body, Buffer.of(sum(body))]);
  };
  const execute = (session: PeerSession, request: Buffer) => {
    const command = {
      netFn: request.readUInt8(1) >> 2,
      command: request.readUInt8(5),
      data: Buffer.from(request.subarray(6, -1)),
      sequence: request.readUInt8(4) >> 2,
    };
    commands.push(command);
    const answer = state.handle(command) ?? { code: 0xc1 };
    inSession(session, 0, reply(request, answer), command);
    if (command.netFn === 6 && command.command === 0x3c) sessions.delete(session.id);
  };
  const plain = (request: Buffer, from: RemoteInfo) => {
    if (request[5] !== 0x38) return;
    const kg = state.bmcKey === undefined ? 0 : 0x20;
    const payload = reply(request, { data: [1, 0x80, 0x04 | kg, 0x02, 0, 0, 0, 0] });
    const datagram = Buffer.concat([Buffer.of(6, 0, 0xff, 7), Buffer.alloc(9), Buffer.of(payload.length), payload]);
    send(datagram, from, { kind: 'plain', type: 0 });
  };
  socket.on('message', (datagram, from) => {
    received += 1;
    if (datagram[4] === 0) return plain(datagram.subarray(14), from);
    const type = datagram.readUInt8(5);
    const payload = datagram.subarray(16);
    if (type === 0x10) return void openSession(payload, from);
    if (type === 0x12) return void rakp1(payload, from);
    if (type === 0x14) return void rakp3(payload, from);
    const session = sessions.get(datagram.readUInt32LE(6));
    const opened = session?.keys === undefined ? undefined : unseal(session.keys, datagram);
    if (session === undefined || opened === undefined) return;
    if (opened.type === 0) execute(session, opened.payload);
    else state.sol(opened.payload);
  });
  const { port } = socket.address();
  return {
    port,
    state,
    commands,
    received: () => received,
    client: (options) =>
      createIpmiClient({
        host: '127.0.0.1',
        port,
        username: 'admin',
        password: 'secret12',
        retryMs: 60,
        timeoutMs: 20_000,
        backoff: { baseMs: 20, maxMs: 40 },
        ...options,
      }),
    answer({ netFn, command, sequence }, answer) {
      const request = Buffer.of(0x20, netFn << 2, 0, 0x81, sequence << 2, command);
      if (last !== undefined) inSession(last, 0, reply(request, answer));
    },
    sendSol(payload) {
      if (last !== undefined) inSession(last, 1, payload);
    },
    sendRaw(datagram) {
      if (last !== undefined) socket.send(datagram, last.from.port, last.from.address);
    },
    forget: () => sessions.clear(),
    stop: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

/** Device id, a chassis that is on, session commands, SOL. */
export function standardAnswer({ netFn, command, data }: PeerCommand): PeerAnswer | undefined {
  switch (`${netFn.toString(16)}:${command.toString(16)}`) {
    case '6:1':
      return { data: [0x20, 1, 2, 3, 2, 0xff, 1, 2, 0, 3, 4] };
    case '0:1':
      return { data: [0x01, 0, 0x40] };
    case '0:2':
    case '0:4':
    case '6:3c':
    case '6:49':
      return {};
    case '6:3b':
      return { data: [data[0] ?? 0] };
    case '6:48':
      return { data: [0, 0, 0, 0, 20, 0, 20, 0, 0x6f, 2] };
    default:
      return undefined;
  }
}
