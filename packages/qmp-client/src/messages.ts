import { ProtocolError } from './errors.ts';

/** Version of the peer, as it greets (qmp-spec 2.2, "Server Greeting"; QAPI VersionInfo). */
export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
  /** The distributor's addition. */
  readonly package: string;
}

/** The first message of a session. */
export interface Greeting {
  readonly version: QemuVersion;
  readonly capabilities: readonly string[];
}

/** Something that happened in the peer (qmp-spec 2.5, "Asynchronous events"). */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Time of the peer in milliseconds since 1970; NaN when it could not tell. */
  readonly timestampMs: number;
}

/** Any message of the peer (qmp-spec 2). */
export type Message =
  | { readonly kind: 'greeting'; readonly greeting: Greeting }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: unknown; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: unknown; readonly errorClass: string; readonly desc: string };

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads one line of the peer.
 * @throws ProtocolError when it is not a message of QMP. The text is not repeated: it may hold a secret.
 */
export function readMessage(line: string): Message {
  const value = parse(line);
  if (!isRecord(value)) throw new ProtocolError('a message is not an object');
  if (isRecord(value.QMP)) return { kind: 'greeting', greeting: readGreeting(value.QMP) };
  if (typeof value.event === 'string') {
    const data = isRecord(value.data) ? value.data : {};
    return { kind: 'event', event: { event: value.event, data, timestampMs: readTime(value.timestamp) } };
  }
  const id = value.id;
  if (isRecord(value.error)) {
    const { class: errorClass, desc } = value.error;
    if (typeof errorClass === 'string' && typeof desc === 'string') return { kind: 'error', id, errorClass, desc };
  } else if ('return' in value) return { kind: 'return', id, value: value.return };
  throw new ProtocolError('a message is neither greeting, answer nor event');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new ProtocolError('a message is not JSON on one line');
  }
}

function readGreeting(qmp: Json): Greeting {
  const version = isRecord(qmp.version) ? qmp.version : {};
  const { major, minor, micro } = isRecord(version.qemu) ? version.qemu : {};
  const { capabilities } = qmp;
  if (
    typeof major !== 'number' ||
    typeof minor !== 'number' ||
    typeof micro !== 'number' ||
    !Array.isArray(capabilities)
  ) {
    throw new ProtocolError('the greeting has no version or capabilities');
  }
  return {
    version: { major, minor, micro, package: String(version.package ?? '') },
    capabilities: capabilities.filter((each) => typeof each === 'string'),
  };
}

function readTime(stamp: unknown): number {
  if (!isRecord(stamp)) return Number.NaN;
  const { seconds, microseconds } = stamp;
  if (typeof seconds !== 'number' || typeof microseconds !== 'number' || seconds < 0) return Number.NaN;
  return seconds * 1000 + Math.max(0, microseconds) / 1000;
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
