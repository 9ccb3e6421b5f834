import { ProtocolError } from './errors.ts';

/** One event of a stream (HTML Living Standard, "Server-sent events"; DSP0266 "Server-sent events"). */
export type SseEvent = {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
};

/** Turns the bytes of an event stream into events; pieces may be cut anywhere. */
export type SseParser = {
  /** @throws ProtocolError `too-large` when one event has more than `maxBytes`. */
  push(piece: Buffer): readonly SseEvent[];
  /** The reconnection time the service asked for (`retry:`), milliseconds. */
  readonly retryMs: number | undefined;
};

/** Makes a parser. What it keeps is never more than `maxBytes` and one piece. */
export function sseParser(maxBytes: number): SseParser {
  const decoder = new TextDecoder('utf-8', { fatal: false });
  let rest = '';
  let data: string[] = [];
  let size = 0;
  let event = '';
  let id: string | undefined;
  let retryMs: number | undefined;
  let sawReturn = false;

  function take(line: string): SseEvent | undefined {
    if (line === '') {
      const done = data.length > 0 ? { id, event: event || 'message', data: data.join('\n') } : undefined;
      data = [];
      event = '';
      size = 0;
      return done;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') {
      size += value.length;
      data.push(value);
    } else if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d{1,8}$/.test(value)) retryMs = Number(value);
    return undefined;
  }

  return {
    get retryMs() {
      return retryMs;
    },
    push(piece) {
      let text = decoder.decode(piece, { stream: true });
      // A line ends with CR, LF or CRLF, and a CRLF may be cut in two.
      if (sawReturn && text.startsWith('\n')) text = text.slice(1);
      if (text !== '') sawReturn = text.endsWith('\r');
      const lines = (rest + text).split(/\r\n|\r|\n/);
      rest = lines.pop() ?? '';
      const events: SseEvent[] = [];
      for (const line of lines) {
        const found = take(line);
        if (found !== undefined) events.push(found);
        if (size + data.length > maxBytes) break;
      }
      if (rest.length + size + data.length > maxBytes)
        throw new ProtocolError(`an event of more than ${maxBytes} bytes`, 'too-large');
      return events;
    },
  };
}
