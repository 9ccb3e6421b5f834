/** Other spellings of arguments that platforms already use, made into the contract's own. */

import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };

type Arguments = Readonly<Record<string, unknown>>;

/** Argument -> the contract's name for it. */
const aliases: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  create_snapshot: { volume: 'volume_id' },
  resize_volume: { volume: 'volume_id' },
  detach_volume: { volume: 'volume_id' },
  set_interface_qos: { interface: 'port_id' },
  detach_interface: { interface: 'port_id' },
};
/** In every method that has a `uuid`. */
const common: Readonly<Record<string, string>> = { instance: 'uuid' };

/** What is meant where nothing is said: a console is asked for by the uuid alone, and a host always has a serial one. */
const defaults: Readonly<Record<string, Arguments>> = { get_instance_console: { type: 'serial' } };

const schemas: Readonly<Record<string, { properties: { args: { properties: object } } }>> = rpcSchema.properties;

function takesUuid(method: string): boolean {
  const schema = Object.hasOwn(schemas, method) ? schemas[method] : undefined;
  return schema !== undefined && 'uuid' in schema.properties.args.properties;
}

const words: Readonly<Record<string, boolean>> = { yes: true, no: false };

/** `yes` and `no` as booleans. */
function flag(value: unknown): unknown {
  return typeof value === 'string' && Object.hasOwn(words, value) ? words[value] : value;
}

function entry(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('bootable' in value)) return value;
  return { ...value, bootable: flag(value.bootable) };
}

/** Entries of volumes with their flags as booleans; everything else as it is. MACs are read in any spelling later. */
function normaliseEntries(args: Arguments): Arguments {
  const { volumes, volume } = args;
  return {
    ...args,
    ...(Array.isArray(volumes) ? { volumes: volumes.map(entry) } : {}),
    ...(volume === undefined ? {} : { volume: entry(volume) }),
  };
}

/**
 * Arguments under the contract's names. An alias is read only where the real name is not given: both are left, and the
 * schema refuses the one that it does not know.
 */
export function normaliseArguments(method: string, args: Arguments): Arguments {
  const names = { ...(takesUuid(method) ? common : {}), ...aliases[method] };
  const renamed = Object.entries(args).map(([name, value]) => {
    const real = Object.hasOwn(names, name) ? names[name] : undefined;
    return [real === undefined || Object.hasOwn(args, real) ? name : real, value] as const;
  });
  return normaliseEntries({ ...defaults[method], ...Object.fromEntries(renamed) });
}
