import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../../core/units.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import type { RecordedEvent, Recording } from './nova-recording.ts';

/** Something that a compute service says. */
export type Said =
  | {
      readonly kind: 'message';
      readonly to: string;
      readonly method: string;
      readonly version: string;
      readonly namespace: string | null;
      readonly args: JsonObject;
      readonly context: JsonObject;
    }
  | {
      readonly kind: 'http';
      readonly service: string;
      readonly method: string;
      readonly path: string;
      readonly request: unknown;
    };

/** What a compute service said in a recording. */
export function saidIn(recording: Recording): readonly Said[] {
  return recording.events.flatMap((event: RecordedEvent): readonly Said[] => {
    if (event.kind === 'http') {
      const { kind, service, method, path, request } = event;
      return [{ kind, service, method, path, request }];
    }
    if (event.kind !== 'call' && event.kind !== 'cast') return [];
    const { method, version, namespace, args, context } = event.request;
    return [{ kind: 'message', to: event.to, method, version, namespace, args, context }];
  });
}

/** What a call is about: `Instance.save`, `InstanceList.get_by_host`, or the method itself. */
export function callName({ method, args }: { readonly method: string; readonly args: JsonObject }): string {
  if (method === 'object_action') return `${objectOf(args)['nova_object.name']}.${String(args.objmethod)}`;
  if (method === 'object_class_action_versions') return `${String(args.objname)}.${String(args.objmethod)}`;
  return method;
}

function objectOf(args: JsonObject): Primitive {
  return args.objinst as unknown as Primitive;
}

/** A line that says which message it is, without its values: what is aligned. */
export function headline(said: Said): string {
  if (said.kind === 'http') return `${said.service} ${said.method} ${said.path.split('?')[0]}`;
  const { to, method, version, args } = said;
  if (method === 'object_action') {
    const object = objectOf(args);
    return `${to} ${version} ${callName(said)} ${object['nova_object.version']}`;
  }
  if (method === 'object_class_action_versions') {
    return `${to} ${version} ${callName(said)} ${JSON.stringify(args.args)}`;
  }
  return `${to} ${version} ${callName(said)}`;
}

/** The named values of a message, for what is compared one by one. */
function valuesOf(said: Said): JsonObject {
  if (said.kind === 'http') {
    return typeof said.request === 'object' && said.request !== null ? (said.request as JsonObject) : {};
  }
  const { method, args } = said;
  if (method !== 'object_action') return args;
  const object = objectOf(args);
  const data = object['nova_object.data'];
  const changes = Object.fromEntries((object['nova_object.changes'] ?? []).map((name) => [name, data[name] ?? null]));
  return { ...changes, '(args)': args.args ?? null, '(kwargs)': args.kwargs ?? null };
}

/** Whether two values say the same: order counts in lists of objects only, sets are written as lists. */
function isSame(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(plain(left), plain(right));
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(plain);
    return items.every((each) => typeof each === 'string') ? items.toSorted() : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/**
 * How our side differs from the recorded one: `- line` for what we don't say, `+ line` for what a stock service doesn't, and for
 * lines that both say `line: - field`, `line: + field`, `line: ~ field` (another value). Both sides are aligned by their longest
 * common order.
 */
export function differences(recorded: readonly Said[], ours: readonly Said[]): readonly string[] {
  const found: string[] = [];
  let [at, by] = [0, 0];
  for (const [left, right] of aligned(recorded.map(headline), ours.map(headline))) {
    for (; at < left; at += 1) found.push(`- ${lineAt(recorded, at)}`);
    for (; by < right; by += 1) found.push(`+ ${lineAt(ours, by)}`);
    const [stock, own] = [recorded[left], ours[right]];
    if (stock !== undefined && own !== undefined) found.push(...fieldDifferences(stock, own));
    at = left + 1;
    by = right + 1;
  }
  return found;
}

function lineAt(list: readonly Said[], index: number): string {
  const said = list[index];
  return said === undefined ? '' : headline(said);
}

function fieldDifferences(stock: Said, own: Said): readonly string[] {
  const [left, right] = [valuesOf(stock), valuesOf(own)];
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
  return names.flatMap((name) => {
    const line = `${headline(stock)}: `;
    if (!Object.hasOwn(right, name)) return [`${line}- ${name}`];
    if (!Object.hasOwn(left, name)) return [`${line}+ ${name}`];
    return isSame(left[name], right[name]) ? [] : [`${line}~ ${name}`];
  });
}

/** Pairs of indices of a longest common subsequence, ended by the pair of both lengths. */
function aligned(left: readonly string[], right: readonly string[]): readonly (readonly [number, number])[] {
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  const length = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        left[i] === right[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) pairs.push([i++, j++]);
    else if (length(i + 1, j) >= length(i, j + 1)) i += 1;
    else j += 1;
  }
  return [...pairs, [left.length, right.length]];
}
