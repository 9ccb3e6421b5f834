import type { RedfishClient } from './client.ts';
import type { Resource } from './collection.ts';
import { UnsupportedError } from './errors.ts';
import { arrayOf, isObject, linkOf, objectAt, textOf, textsOf } from './json.ts';
import type { CallOptions } from './signals.ts';

/** An action that a resource offers (DSP0266 "Actions property"). */
export type Action = {
  /** Where to POST. */
  readonly target: string;
  /** Allowable values by parameter; a parameter the service says nothing about is missing. */
  readonly allowable: Readonly<Record<string, readonly string[]>>;
};

/**
 * An action by its name, for example `#ComputerSystem.Reset`, with the allowable values from the resource
 * (`X@Redfish.AllowableValues`) and from the ActionInfo it refers to (`@Redfish.ActionInfo`). An ActionInfo that cannot be read leaves
 * the values unknown.
 * @throws UnsupportedError when the resource does not offer it.
 */
export async function readAction(
  client: RedfishClient,
  resource: Resource,
  name: string,
  options: CallOptions = {},
): Promise<Action> {
  const offered = objectAt(resource.body, 'Actions', name);
  const target = textOf(offered, 'target');
  if (target === undefined) throw new UnsupportedError(`${resource.path} does not offer ${name}`);
  const suffix = '@Redfish.AllowableValues';
  const allowable: Record<string, readonly string[]> = {};
  const info = textOf(offered, '@Redfish.ActionInfo') ?? linkOf(offered, '@Redfish.ActionInfo');
  if (info !== undefined) {
    for (const parameter of await readParameters(client, info, options)) {
      const parameterName = textOf(parameter, 'Name');
      const values = textsOf(parameter, 'AllowableValues');
      if (parameterName !== undefined && values.length > 0) allowable[parameterName] = values;
    }
  }
  for (const key of Object.keys(offered))
    if (key.endsWith(suffix)) {
      const values = textsOf(offered, key);
      if (values.length > 0) allowable[key.slice(0, -suffix.length)] = values;
    }
  return { target, allowable };
}

async function readParameters(client: RedfishClient, path: string, options: CallOptions) {
  try {
    return arrayOf((await client.get(path, options)).body, 'Parameters').filter(isObject);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return []; // Documentation of an action is no reason not to use it.
  }
}
