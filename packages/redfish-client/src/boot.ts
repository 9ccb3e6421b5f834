import type { RedfishClient } from './client.ts';
import { readCollection } from './collection.ts';
import { UnsupportedError } from './errors.ts';
import type { Gathered } from './gathered.ts';
import { booleanOf, type JsonObject, linkOf, linksOf, objectAt, textOf, textsOf } from './json.ts';
import { patch } from './patch.ts';
import { quirksOf } from './quirks.ts';
import { settingsLink } from './settings.ts';
import type { CallOptions } from './signals.ts';
import { readSystem, type System } from './system.ts';

/** The boot override of a system (schema ComputerSystem, Boot). */
export type BootState = {
  /** `Disabled`, `Once`, `Continuous`. */
  readonly enabled: string | undefined;
  /** For example `Pxe`, `Hdd`, `Cd`, `UefiHttp`, `UefiBootNext`, `None`. */
  readonly target: string | undefined;
  /** `UEFI` or `Legacy`. */
  readonly mode: string | undefined;
  /** BootOptionReference that `UefiBootNext` takes. */
  readonly bootNext: string | undefined;
  readonly order: readonly string[];
  /** Empty when the service does not say. */
  readonly allowedTargets: readonly string[];
  readonly allowedModes: readonly string[];
};

/** A thing to boot from (schema BootOption). */
export type BootOption = {
  readonly path: string;
  /** What BootOrder and BootNext name it by, for example `Boot0003`. */
  readonly reference: string;
  readonly displayName: string | undefined;
  readonly uefiDevicePath: string | undefined;
  /** The boot target it also is, for example `Pxe`. */
  readonly alias: string | undefined;
  readonly enabled: boolean | undefined;
  /** Resources it belongs to: a drive, a volume, a network function. */
  readonly related: readonly string[];
};

/** What to boot from. */
export type BootRequest = {
  /** `Disabled` ends an override. Default `Once`. */
  readonly enabled?: 'Once' | 'Continuous' | 'Disabled';
  /** A boot target. Not together with `option`. */
  readonly target?: string;
  /** BootOptionReference: next boot (UefiBootNext), or, with `Continuous`, first in BootOrder. */
  readonly option?: string;
  readonly mode?: 'UEFI' | 'Legacy';
};

/** Whether what was asked is seen in the resource, or waits in its settings, or is not (yet) seen at all. */
export type BootResult = { readonly seen: 'active' | 'pending' | 'no'; readonly state: BootState };

/** Reads the override of a system that was read. */
export function bootStateOf(system: System): BootState {
  return toState(objectAt(system.raw.body, 'Boot'));
}

function toState(boot: JsonObject): BootState {
  return {
    enabled: textOf(boot, 'BootSourceOverrideEnabled'),
    target: textOf(boot, 'BootSourceOverrideTarget'),
    mode: textOf(boot, 'BootSourceOverrideMode'),
    bootNext: textOf(boot, 'BootNext'),
    order: textsOf(boot, 'BootOrder'),
    allowedTargets: textsOf(boot, 'BootSourceOverrideTarget@Redfish.AllowableValues'),
    allowedModes: textsOf(boot, 'BootSourceOverrideMode@Redfish.AllowableValues'),
  };
}

/** Reads the boot options; empty when the system has none. */
export async function listBootOptions(
  client: RedfishClient,
  system: System,
  options: CallOptions = {},
): Promise<Gathered<BootOption>> {
  const { items, problems } = await readCollection(
    client,
    linkOf(objectAt(system.raw.body, 'Boot'), 'BootOptions'),
    options,
  );
  return {
    problems,
    items: items.flatMap(({ path, body }) => {
      const reference = textOf(body, 'BootOptionReference');
      if (reference === undefined) return [];
      return {
        path,
        reference,
        displayName: textOf(body, 'DisplayName'),
        uefiDevicePath: textOf(body, 'UefiDevicePath'),
        alias: textOf(body, 'Alias'),
        enabled: booleanOf(body, 'BootOptionEnabled'),
        related: linksOf(body, 'RelatedItem'),
      };
    }),
  };
}

/**
 * Sets the boot override (schema ComputerSystem, Boot) in the system, or in its settings resource where that holds Boot, and looks
 * what came of it. May be called twice.
 * @throws UnsupportedError for a target, mode or option that is not offered; HttpError
 */
export async function setBoot(
  client: RedfishClient,
  path: string,
  request: BootRequest,
  options: CallOptions = {},
): Promise<BootResult> {
  using time = client.deadline('set boot', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const system = await readSystem(client, path, limits);
  const change = await changeOf(client, system, request, limits);
  const settings = settingsLink(system.raw.body);
  const pending = settings === undefined ? {} : objectAt((await client.get(settings, limits)).body, 'Boot');
  const inSettings = Object.keys(change).every((key) => key in pending);
  await patch(client, inSettings && settings !== undefined ? settings : path, { Boot: change }, limits);

  const after = objectAt((await client.get(path, limits)).body, 'Boot');
  if (holds(after, change)) return { seen: 'active', state: toState(after) };
  if (settings === undefined) return { seen: 'no', state: toState(after) };
  const waiting = objectAt((await client.get(settings, limits)).body, 'Boot');
  return { seen: holds(waiting, change) ? 'pending' : 'no', state: toState(after) };
}

async function changeOf(client: RedfishClient, system: System, request: BootRequest, limits: CallOptions) {
  const quirks = await quirksOf(client, limits);
  const state = bootStateOf(system);
  const enabled = request.enabled ?? 'Once';
  if (request.option !== undefined && request.target !== undefined)
    throw new UnsupportedError('a boot target and a boot option exclude each other');
  if (enabled === 'Disabled') return { BootSourceOverrideEnabled: 'Disabled' };
  if (request.option !== undefined) await mustExist(client, system, request.option, limits);
  if (request.option !== undefined && enabled === 'Continuous') {
    const { option } = request;
    return { BootOrder: [option, ...state.order.filter((one) => one !== option)] };
  }
  const asked = request.option === undefined ? request.target : 'UefiBootNext';
  if (asked === undefined) throw new UnsupportedError('a boot target or a boot option is needed');
  const respelt = quirks.bootTargetSpelling[asked];
  const target = respelt !== undefined && state.allowedTargets.includes(respelt) ? respelt : asked;
  const mode = request.mode ?? (quirks.bootModeRequired ? (state.mode ?? 'UEFI') : undefined);
  if (state.allowedTargets.length > 0 && !state.allowedTargets.includes(target))
    throw new UnsupportedError(`boot target ${target} is not offered`, state.allowedTargets);
  if (mode !== undefined && state.allowedModes.length > 0 && !state.allowedModes.includes(mode))
    throw new UnsupportedError(`boot mode ${mode} is not offered`, state.allowedModes);
  return {
    BootSourceOverrideEnabled: enabled,
    BootSourceOverrideTarget: target,
    ...(mode === undefined ? {} : { BootSourceOverrideMode: mode }),
    ...(request.option === undefined ? {} : { BootNext: request.option }),
  };
}

async function mustExist(client: RedfishClient, system: System, option: string, limits: CallOptions): Promise<void> {
  const { items, problems } = await listBootOptions(client, system, limits);
  if (items.some((one) => one.reference === option) || problems.length > 0) return;
  throw new UnsupportedError(
    `boot option ${option} is not there`,
    items.map((one) => one.reference),
  );
}

function holds(boot: JsonObject, change: JsonObject): boolean {
  return Object.entries(change).every(([key, value]) => JSON.stringify(boot[key]) === JSON.stringify(value));
}
