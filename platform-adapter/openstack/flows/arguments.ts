import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { readInstance } from '../wire/instances.ts';

/** Arguments of a method, by name; what is not known is left out. */
export type Arguments = Readonly<Record<string, unknown>>;

const uuid = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

/** A server's uuid. @throws `invalid`. */
export function checkUuid(value: string, field: string): string {
  if (!uuid.test(value)) throw new DpuError('invalid', `nova sent something else than a uuid as ${field}`, { field });
  return value.toLowerCase();
}

/** Reads the argument `instance`, and keeps of the others what `more` made of them. @throws `invalid`. */
export function readServer(
  args: Arguments,
  more: JsonObject = {},
): { readonly instance: string; readonly request: JsonObject } {
  const instance = readInstance(args.instance, 'instance');
  return {
    instance: checkUuid(instance.uuid, 'instance.uuid'),
    request: { ...more, instance: instance as unknown as Json },
  };
}

/** An argument that is true unless it says false. */
export function flagArgument(args: Arguments, name: string, otherwise: boolean): boolean {
  const value = args[name];
  return typeof value === 'boolean' ? value : otherwise;
}

/** An argument that is a short text; null where it is none. @throws `invalid` for a longer one. */
export function textArgument(args: Arguments, name: string, maxLength = 1024): string | null {
  const value = args[name];
  if (typeof value !== 'string') return null;
  if (value.length > maxLength) throw new DpuError('invalid', 'the text is too long', { field: name });
  return value;
}

/** An argument as it came. */
export function rawArgument(args: Arguments, name: string): Json {
  return (args[name] ?? null) as Json;
}
