/** Other spellings of arguments become the contract's, and nothing that a caller said is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normaliseArguments } from '../../platform-adapter/amqp/aliases.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };

const methods = Object.keys(rpcSchema.properties) as (keyof typeof rpcSchema.properties)[];
const argumentsOf = (method: keyof typeof rpcSchema.properties): string[] =>
  Object.keys(rpcSchema.properties[method].properties.args.properties);

describe('aliases', () => {
  it.each([
    ['pause_vm', { instance: 'u' }, { uuid: 'u' }],
    ['pause_vm', { uuid: 'u' }, { uuid: 'u' }],
    ['create_snapshot', { instance: 'u', volume: 'v' }, { uuid: 'u', volume_id: 'v' }],
    ['detach_volume', { instance: 'u', volume: 'v' }, { uuid: 'u', volume_id: 'v' }],
    ['detach_interface', { uuid: 'u', interface: 'p' }, { uuid: 'u', port_id: 'p' }],
    ['set_interface_qos', { interface: 'p', bps: 1 }, { port_id: 'p', bps: 1 }],
    ['get_instance_console', { instance: 'u' }, { uuid: 'u', type: 'serial' }],
    ['get_instance_console', { uuid: 'u', type: 'vnc' }, { uuid: 'u', type: 'vnc' }],
    ['attach_volume', { volume: { volume_id: 'v', bootable: 'no' } }, { volume: { volume_id: 'v', bootable: false } }],
    ['build_and_run_instance', { volumes: [{ bootable: 'yes' }, {}] }, { volumes: [{ bootable: true }, {}] }],
    // neither is dropped for the other: the schema refuses the one that it does not know
    ['pause_vm', { uuid: 'u', instance: 'w' }, { uuid: 'u', instance: 'w' }],
    // an argument of its own
    ['list_operations', { instance: 'u' }, { instance: 'u' }],
    // no alias where there is nothing that it could stand for
    ['list_instances', { instance: 'u' }, { instance: 'u' }],
    ['get_operation', { instance: 'u' }, { instance: 'u' }],
    ['set_interface_qos', { instance: 'u' }, { instance: 'u' }],
    // other words stay as they are, for the schema to refuse
    [
      'build_and_run_instance',
      { volumes: [{ bootable: 'maybe' }, 7, null] },
      { volumes: [{ bootable: 'maybe' }, 7, null] },
    ],
    ['build_and_run_instance', { volumes: 'yes' }, { volumes: 'yes' }],
    ['attach_volume', { volume: [] }, { volume: [] }],
  ])('%s %j', (method, given, meant) => {
    expect(normaliseArguments(method, given)).toEqual(meant);
  });

  const name = fc.oneof(
    fc.constantFrom('uuid', 'instance', 'volume', 'volume_id', 'interface', 'port_id', 'volumes', 'type', 'networks'),
    fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', ''),
    fc.string(),
  );
  const entry = fc.dictionary(
    fc.oneof(fc.constantFrom('bootable', 'volume_id', '__proto__'), fc.string()),
    fc.oneof(fc.constantFrom('yes', 'no', 'maybe', true, false, '__proto__', 'constructor'), fc.jsonValue()),
  );
  const value = fc.oneof(fc.string(), fc.jsonValue(), entry, fc.array(fc.oneof(entry, fc.jsonValue())));
  // by way of JSON, as over the wire: `__proto__` is then a name like any other
  const given = fc
    .array(fc.tuple(name, value))
    .map((pairs) =>
      JSON.parse(`{${pairs.map((pair) => pair.map((each) => JSON.stringify(each)).join(':')).join(',')}}`),
    );

  const plain = (each: unknown): unknown => (each === 'yes' ? true : each === 'no' ? false : each);
  /** A value with yes and no as booleans: the only thing that may change about it. */
  const meaning = (each: unknown): string =>
    JSON.stringify(each, (_name, inner: unknown) => plain(inner)) ?? 'undefined';

  it('never lose an argument, and never make one up but for a default', () => {
    fc.assert(
      fc.property(fc.constantFrom(...methods), given, (method, args: Record<string, unknown>) => {
        const before = JSON.stringify(args);
        const meant = normaliseArguments(method, args);
        expect(JSON.stringify(args)).toBe(before);
        const values = (each: Record<string, unknown>): string[] => Object.values(each).map(meaning).sort();
        const withDefault =
          method === 'get_instance_console' && !Object.hasOwn(args, 'type') ? { ...args, type: 'serial' } : args;
        expect(values(meant)).toEqual(values(withDefault));
        for (const each of Object.keys(args)) {
          const kept = Object.hasOwn(meant, each) && meaning(meant[each]) === meaning(args[each]);
          const renamed = Object.keys(meant).some(
            (other) =>
              !Object.hasOwn(args, other) &&
              argumentsOf(method).includes(other) &&
              meaning(meant[other]) === meaning(args[each]),
          );
          expect(kept || renamed, each).toBe(true);
        }
      }),
    );
  });

  it('leave arguments under the contract’s names alone', () => {
    fc.assert(
      fc.property(fc.constantFrom(...methods), fc.string(), (method, text) => {
        const args = Object.fromEntries(argumentsOf(method).map((each) => [each, `x${text}`]));
        expect(normaliseArguments(method, args)).toEqual(args);
      }),
    );
  });
});
