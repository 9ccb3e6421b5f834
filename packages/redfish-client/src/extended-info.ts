import { arrayOf, isObject, type JsonObject, objectAt, textOf, textsOf } from './json.ts';

/** One message of `@Message.ExtendedInfo` (DSP0266 "Error responses"; schema Message). */
export type RedfishMessage = {
  /** For example `Base.1.8.PropertyValueNotInList`; empty when the service sent none. */
  readonly messageId: string;
  readonly message: string;
  readonly args: readonly string[];
  readonly severity: string | undefined;
  readonly resolution: string | undefined;
  readonly relatedProperties: readonly string[];
};

const MAX_MESSAGES = 32;
const MAX_TEXT = 1024;

/**
 * The messages of a body: those of `error["@Message.ExtendedInfo"]`, of the body's own annotation, or else the pair `error.code` and
 * `error.message`. Texts are cut to 1024 characters and each of `secrets` in them is replaced by `***`.
 */
export function messagesOf(body: unknown, secrets: readonly string[] = []): readonly RedfishMessage[] {
  if (!isObject(body)) return [];
  const error = objectAt(body, 'error');
  const nested = arrayOf(error, '@Message.ExtendedInfo');
  const own = arrayOf(body, '@Message.ExtendedInfo');
  const found = [...nested, ...own].filter(isObject).slice(0, MAX_MESSAGES);
  if (found.length > 0) return found.map((item) => toMessage(item, secrets));
  const code = textOf(error, 'code');
  const message = textOf(error, 'message');
  if (code === undefined && message === undefined) return [];
  return [toMessage({ MessageId: code ?? '', Message: message ?? '' }, secrets)];
}

/** Reads one message object, for example of a task's `Messages` or an event's. */
export function toMessage(item: JsonObject, secrets: readonly string[] = []): RedfishMessage {
  const clean = (text: string | undefined) =>
    text === undefined ? undefined : scrub(text, secrets).slice(0, MAX_TEXT);
  return {
    messageId: clean(textOf(item, 'MessageId')) ?? '',
    message: clean(textOf(item, 'Message')) ?? '',
    args: textsOf(item, 'MessageArgs')
      .slice(0, MAX_MESSAGES)
      .map((text) => clean(text) ?? ''),
    severity: clean(textOf(item, 'MessageSeverity') ?? textOf(item, 'Severity')),
    resolution: clean(textOf(item, 'Resolution')),
    relatedProperties: textsOf(item, 'RelatedProperties').slice(0, MAX_MESSAGES),
  };
}

/** Replaces every occurrence of a secret: a service may quote in its message what it was sent. */
export function scrub(text: string, secrets: readonly string[]): string {
  return secrets.reduce((left, secret) => (secret === '' ? left : left.replaceAll(secret, '***')), text);
}

/** Values that a request's body holds under a name that means a secret, at any depth. */
export function secretsIn(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'string'
      ? /password|passphrase|secret|token|authorization|cookie/i.test(key)
        ? [inner]
        : []
      : secretsIn(inner),
  );
}
