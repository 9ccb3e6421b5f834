import type { RedfishClient } from './client.ts';
import { readAll } from './collection.ts';
import type { Gathered } from './gathered.ts';
import { booleanOf, isObject, numberOf, objectAt, textOf, textsOf } from './json.ts';
import type { CallOptions } from './signals.ts';
import type { System } from './system.ts';

/** A way to reach the serial console of a system. */
export type SerialConsole = {
  /** `SSH`, `Telnet`, `IPMI`, or what the service calls it. */
  readonly protocol: string;
  readonly enabled: boolean | undefined;
  readonly port: number | undefined;
  /** What to type in the manager's own shell to get to the console. */
  readonly entryCommand: string | undefined;
  /** The keys that leave the console. */
  readonly hotKeys: string | undefined;
  readonly maxSessions: number | undefined;
};

/**
 * How to get to a system's console: `SerialConsole` of the system (schema ComputerSystem 1.13), else of its managers (schema Manager),
 * which names protocols and no ports.
 */
export async function readSerialConsoles(
  client: RedfishClient,
  system: System,
  options: CallOptions = {},
): Promise<Gathered<SerialConsole>> {
  const own = objectAt(system.raw.body, 'SerialConsole');
  const maxSessions = numberOf(own, 'MaxConcurrentSessions');
  const items = Object.entries(own).flatMap(([protocol, value]) =>
    isObject(value)
      ? [
          {
            protocol,
            enabled: booleanOf(value, 'ServiceEnabled'),
            port: numberOf(value, 'Port'),
            entryCommand: textOf(value, 'ConsoleEntryCommand'),
            hotKeys: textOf(value, 'HotKeySequenceDisplay'),
            maxSessions,
          },
        ]
      : [],
  );
  if (items.length > 0) return { items, problems: [] };
  const managers = await readAll(client, system.managers, options);
  return {
    problems: managers.problems,
    items: managers.items.flatMap(({ body }) => {
      const shared = objectAt(body, 'SerialConsole');
      return textsOf(shared, 'ConnectTypesSupported').map((protocol) => ({
        protocol,
        enabled: booleanOf(shared, 'ServiceEnabled'),
        port: undefined,
        entryCommand: undefined,
        hotKeys: undefined,
        maxSessions: numberOf(shared, 'MaxConcurrentSessions'),
      }));
    }),
  };
}
