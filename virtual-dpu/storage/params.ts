import { RPC, type RpcError, RpcError as RpcFailure } from './rpc-error.ts';

/** What a member of the parameters holds; with `?` it may be left out. */
type Kind = 'string' | 'bool' | 'uint16' | 'uint32' | 'uint64' | 'int32' | 'uuid' | 'object' | 'strings';
type Spec = Readonly<Record<string, Kind | `${Kind}?`>>;

type ValueOf<K> = K extends 'string' | 'uuid'
  ? string
  : K extends 'bool'
    ? boolean
    : K extends 'object'
      ? Readonly<Record<string, unknown>>
      : K extends 'strings'
        ? Readonly<Record<string, string>>
        : number;

/** Parameters as a method sees them. */
export type Decoded<S extends Spec> = {
  readonly [N in keyof S]: S[N] extends `${infer K}?` ? ValueOf<K> | undefined : ValueOf<S[N]>;
};

/** What bdev methods say to parameters that they can't read. */
export const DECODE_FAILED = new RpcFailure(RPC.internal, 'spdk_json_decode_object failed');

const LARGEST = { uint16: 0xffff, uint32: 0xffff_ffff, uint64: Number.MAX_SAFE_INTEGER } as const;
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/**
 * Reads parameters as spdk_json_decode_object does: a member that is unknown, missing or of another type fails it all.
 * @throws `failure`
 */
export function decode<S extends Spec>(params: unknown, spec: S, failure: RpcError = DECODE_FAILED): Decoded<S> {
  if (!isRecord(params)) throw failure;
  for (const name of Object.keys(params)) if (!Object.hasOwn(spec, name)) throw failure;
  for (const [name, kind] of Object.entries(spec)) {
    if (!Object.hasOwn(params, name)) {
      if (kind.endsWith('?')) continue;
      throw failure;
    }
    if (!fits(params[name], kind.replace('?', '') as Kind)) throw failure;
  }
  return params as Decoded<S>;
}

/** As `decode`, of a method that may be called without any. */
export function decodeOptional<S extends Spec>(params: unknown, spec: S, failure?: RpcError): Decoded<S> {
  return decode(params ?? {}, spec, failure);
}

/** A JSON object, not a list. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fits(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'string':
      return typeof value === 'string' && !value.includes('\0');
    case 'bool':
      return typeof value === 'boolean';
    case 'uuid':
      return typeof value === 'string' && UUID.test(value);
    case 'object':
      return isRecord(value);
    case 'strings':
      return isRecord(value) && Object.values(value).every((each) => typeof each === 'string');
    case 'int32':
      return Number.isInteger(value) && Math.abs(value as number) <= 0x7fff_ffff;
    case 'uint16':
    case 'uint32':
    case 'uint64':
      return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LARGEST[kind];
  }
}
