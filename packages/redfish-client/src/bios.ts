import { readAction } from './action.ts';
import type { Answer, RedfishClient } from './client.ts';
import { HttpError, UnsupportedError } from './errors.ts';
import { messagesOf, type RedfishMessage } from './extended-info.ts';
import { type JsonObject, linkOf, linksOf, objectAt, textOf } from './json.ts';
import { patch } from './patch.ts';
import { quirksOf } from './quirks.ts';
import { applyTimesOf, settingsLink } from './settings.ts';
import type { CallOptions } from './signals.ts';
import { type System, subPath } from './system.ts';
import { perform } from './task.ts';

/** A BIOS attribute's value (schema Bios, Attributes). */
export type BiosValue = string | number | boolean | null;

/** BIOS attributes as they are, and as they will be. */
export type Bios = {
  readonly path: string;
  readonly attributes: Readonly<Record<string, BiosValue>>;
  /** Attributes of the settings resource that differ from the present ones: they take effect at the next reset. */
  readonly pending: Readonly<Record<string, BiosValue>>;
  /** Where changes go; undefined when the service has no settings resource and takes them directly. */
  readonly settingsPath: string | undefined;
  readonly applyTimes: readonly string[];
  /** Name of the attribute registry that describes them. */
  readonly registry: string | undefined;
  /** What the service said of the last change it applied (`@Redfish.Settings.Messages`). */
  readonly messages: readonly RedfishMessage[];
  readonly raw: JsonObject;
};

/** Reads attributes and pending attributes. @throws UnsupportedError when the system has no Bios */
export async function readBios(client: RedfishClient, system: System, options: CallOptions = {}): Promise<Bios> {
  using time = client.deadline('read BIOS', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const path = subPath(system.raw, 'Bios');
  const { body } = await client.get(path, limits);
  const settings = await findSettings(client, path, body, limits);
  const attributes = attributesOf(body);
  const future = settings === undefined ? {} : attributesOf(settings.body);
  const { Messages } = objectAt(body, '@Redfish.Settings');
  return {
    path,
    attributes,
    pending: Object.fromEntries(Object.entries(future).filter(([name, value]) => attributes[name] !== value)),
    settingsPath: settings?.path,
    applyTimes: applyTimesOf(body),
    registry: textOf(body, 'AttributeRegistry'),
    messages: messagesOf({ '@Message.ExtendedInfo': Messages }),
    raw: body,
  };
}

/**
 * Asks for other attribute values, in the settings resource (DSP0266 "Settings resource"). They take effect at a reset unless
 * `applyTime` says otherwise.
 * @throws UnsupportedError for an attribute or apply time the BIOS does not have; HttpError
 */
export async function setBios(
  client: RedfishClient,
  system: System,
  attributes: Readonly<Record<string, BiosValue>>,
  options: CallOptions & { readonly applyTime?: string | undefined } = {},
): Promise<Answer> {
  using time = client.deadline('set BIOS', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const bios = await readBios(client, system, limits);
  const strange = Object.keys(attributes).find((name) => !Object.hasOwn(bios.attributes, name));
  if (strange !== undefined) throw new UnsupportedError(`no BIOS attribute ${strange}`);
  const { applyTime } = options;
  if (applyTime !== undefined && bios.applyTimes.length > 0 && !bios.applyTimes.includes(applyTime))
    throw new UnsupportedError(`apply time ${applyTime} is not offered`, bios.applyTimes);
  const body = {
    Attributes: attributes,
    ...(applyTime === undefined ? {} : { '@Redfish.SettingsApplyTime': { ApplyTime: applyTime } }),
  };
  return await patch(client, bios.settingsPath ?? bios.path, body, limits);
}

/** Sets all attributes back to their defaults at the next reset (action `#Bios.ResetBios`). @throws UnsupportedError */
export async function resetBios(client: RedfishClient, system: System, options: CallOptions = {}): Promise<Answer> {
  const { body, etag, path } = await client.get(subPath(system.raw, 'Bios'), options);
  const { target } = await readAction(client, { body, etag, path }, '#Bios.ResetBios', options);
  return await perform(client, 'POST', target, { ...options, body: {} });
}

/**
 * Names of the attributes that a registry calls read-only, or that a reset can't change (schema AttributeRegistry: ReadOnly,
 * Immutable, type Password). Empty where the service does not publish the registry.
 */
export async function readBiosRegistry(
  client: RedfishClient,
  registry: string,
  options: CallOptions = {},
): Promise<readonly string[]> {
  using time = client.deadline('read the BIOS registry', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  try {
    const root = await client.get('/redfish/v1', limits);
    const list = await client.get(linkOf(root.body, 'Registries') ?? '/redfish/v1/Registries', limits);
    const file = linksOf(list.body, 'Members').find((path) => path.replace(/\/$/, '').split('/').at(-1) === registry);
    if (file === undefined) return [];
    const { Location: places } = (await client.get(file, limits)).body;
    const uris = (Array.isArray(places) ? places : []).map((place) => textOf(place as JsonObject, 'Uri'));
    const uri = uris.find((each) => each?.startsWith('/'));
    if (uri === undefined) return [];
    const { Attributes: all } = objectAt((await client.get(uri, limits)).body, 'RegistryEntries');
    return (Array.isArray(all) ? (all as JsonObject[]) : []).flatMap((each) => {
      const isFixed = each.ReadOnly === true || each.Immutable === true || each.Type === 'Password';
      return isFixed ? (textOf(each, 'AttributeName') ?? []) : [];
    });
  } catch (error) {
    if (error instanceof HttpError && [404, 405, 501].includes(error.status)) return [];
    throw error;
  }
}

async function findSettings(client: RedfishClient, path: string, body: JsonObject, limits: CallOptions) {
  const link = settingsLink(body);
  if (link !== undefined) return { path: link, body: (await client.get(link, limits)).body };
  const { biosSettings } = await quirksOf(client, limits);
  for (const name of biosSettings) {
    const guess = `${path.replace(/\/$/, '')}/${name}`;
    try {
      return { path: guess, body: (await client.get(guess, limits)).body };
    } catch (error) {
      if (!(error instanceof HttpError) || ![404, 405].includes(error.status)) throw error;
    }
  }
  return undefined;
}

function attributesOf(body: JsonObject): Readonly<Record<string, BiosValue>> {
  const found = Object.entries(objectAt(body, 'Attributes')).filter(
    (entry): entry is [string, BiosValue] =>
      entry[1] === null || ['string', 'number', 'boolean'].includes(typeof entry[1]),
  );
  return Object.fromEntries(found);
}
