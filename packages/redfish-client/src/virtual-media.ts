import { readAction } from './action.ts';
import type { Answer, RedfishClient } from './client.ts';
import { type Resource, readAll, readCollection } from './collection.ts';
import { UnsupportedError } from './errors.ts';
import type { Gathered } from './gathered.ts';
import { booleanOf, linkOf, objectAt, textOf, textsOf } from './json.ts';
import { patch } from './patch.ts';
import type { CallOptions } from './signals.ts';
import type { System } from './system.ts';
import { perform } from './task.ts';

/** A drive of virtual media (schema VirtualMedia). */
export type VirtualMedia = {
  readonly path: string;
  readonly id: string | undefined;
  /** For example `CD`, `DVD`, `USBStick`. */
  readonly mediaTypes: readonly string[];
  readonly image: string | undefined;
  readonly inserted: boolean | undefined;
  readonly writeProtected: boolean | undefined;
  readonly raw: Resource;
};

/** What to insert. */
export type MediaRequest = {
  readonly image: string;
  readonly writeProtected?: boolean;
  readonly userName?: string;
  readonly password?: string;
  /** For example `HTTPS`, `NFS`, `CIFS`. */
  readonly transferProtocol?: string;
};

/** The virtual media of a system and of its managers: the schema allows both places. */
export async function listVirtualMedia(
  client: RedfishClient,
  system: System,
  options: CallOptions = {},
): Promise<Gathered<VirtualMedia>> {
  using time = client.deadline('list virtual media', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const managers = await readAll(client, system.managers, limits);
  const holders = [system.raw, ...managers.items];
  const collections = new Set(holders.flatMap(({ body }) => linkOf(body, 'VirtualMedia') ?? []));
  const found = await Promise.all([...collections].map((path) => readCollection(client, path, limits)));
  return {
    items: found.flatMap(({ items }) => items).map(toVirtualMedia),
    problems: [...managers.problems, ...found.flatMap(({ problems }) => problems)],
  };
}

/** A resource as virtual media. */
export function toVirtualMedia(raw: Resource): VirtualMedia {
  const { body, path } = raw;
  return {
    path,
    id: textOf(body, 'Id'),
    mediaTypes: textsOf(body, 'MediaTypes'),
    image: textOf(body, 'Image'),
    inserted: booleanOf(body, 'Inserted'),
    writeProtected: booleanOf(body, 'WriteProtected'),
    raw,
  };
}

/**
 * Inserts an image: by the action `#VirtualMedia.InsertMedia`, or by PATCH where a service has no such action (schema VirtualMedia).
 * The same image in the drive already is left as it is, so it may be called twice.
 * @throws UnsupportedError when another image is in the drive; HttpError
 */
export async function insertMedia(
  client: RedfishClient,
  path: string,
  media: MediaRequest,
  options: CallOptions = {},
): Promise<Answer | undefined> {
  using time = client.deadline('insert media', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const raw = await client.get(path, limits);
  const drive = toVirtualMedia({ path, body: raw.body, etag: raw.etag });
  if (drive.inserted === true && drive.image === media.image) return undefined;
  if (drive.inserted === true) throw new UnsupportedError(`${path} holds another image: eject it first`);
  const body = {
    Image: media.image,
    Inserted: true,
    ...(media.writeProtected === undefined ? {} : { WriteProtected: media.writeProtected }),
    ...(media.userName === undefined ? {} : { UserName: media.userName }),
    ...(media.password === undefined ? {} : { Password: media.password }),
    ...(media.transferProtocol === undefined ? {} : { TransferProtocolType: media.transferProtocol }),
  };
  if (!offers(drive.raw, '#VirtualMedia.InsertMedia')) return await patch(client, path, body, limits);
  const { target } = await readAction(client, drive.raw, '#VirtualMedia.InsertMedia', limits);
  return await perform(client, 'POST', target, { ...limits, body });
}

/** Takes the image out, by action or PATCH; an empty drive is left as it is. */
export async function ejectMedia(
  client: RedfishClient,
  path: string,
  options: CallOptions = {},
): Promise<Answer | undefined> {
  using time = client.deadline('eject media', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const raw = await client.get(path, limits);
  const drive = toVirtualMedia({ path, body: raw.body, etag: raw.etag });
  if (drive.inserted === false) return undefined;
  if (!offers(drive.raw, '#VirtualMedia.EjectMedia'))
    return await patch(client, path, { Image: null, Inserted: false }, limits);
  const { target } = await readAction(client, drive.raw, '#VirtualMedia.EjectMedia', limits);
  return await perform(client, 'POST', target, { ...limits, body: {} });
}

function offers(raw: Resource, name: string): boolean {
  return textOf(objectAt(raw.body, 'Actions', name), 'target') !== undefined;
}
