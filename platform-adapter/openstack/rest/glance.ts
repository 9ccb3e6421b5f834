import { createHash, getHashes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { defined, flagOf, numberOf, objectOf, objectsIn, optionalNumber, optionalText, textOf } from './fields.ts';
import type { CallOptions } from './http.ts';
import { type Expected, verifiedBody } from './image-body.ts';
import type { Caller } from './keystone.ts';
import { unless } from './rest-errors.ts';

/** An image's metadata. */
export interface GlanceImage {
  readonly id: string;
  readonly name: string | null;
  /** queued, saving, importing, active, deactivated, killed, deleted, pending_delete. */
  readonly status: string;
  readonly diskFormat: string | null;
  readonly containerFormat: string | null;
  /** null before there is data. */
  readonly sizeBytes: number | null;
  readonly virtualSizeBytes: number | null;
  readonly minDiskGib: number;
  readonly minRamMib: number;
  readonly owner: string | null;
  readonly visibility: string;
  readonly protected: boolean;
  /** MD5 in hex, of an image that is older than the next two; null before there is data. */
  readonly checksum: string | null;
  /** `sha512`; null before there is data. */
  readonly osHashAlgo: string | null;
  /** Hex. */
  readonly osHashValue: string | null;
  /** Every other property, as text. */
  readonly properties: Readonly<Record<string, string>>;
}

/** An image's data. */
export interface ImageDownload {
  readonly sizeBytes: number;
  /**
   * Verified as it goes: it ends only when all of it came and its hash is the metadata's, and else fails with `hardware` (another hash) or `unavailable`
   * (cut short). Destroy it to stop early.
   */
  readonly body: Readable;
}

/** Glance, Image API v2. */
export interface Glance {
  /** @throws `not_found`. */
  showImage(id: string, options?: CallOptions): Promise<GlanceImage>;
  listImages(filter: { readonly name?: string }, options?: CallOptions): Promise<readonly GlanceImage[]>;
  /**
   * The deadline is for the first byte, `stallMs` for each further one. @throws `not_found`, `bad_state` (no data), `exhausted` (more than
   * `maxBytes`), `unsupported` (no hash and no checksum is known).
   */
  downloadImage(
    id: string,
    options?: CallOptions & { readonly maxBytes?: number; readonly stallMs?: number },
  ): Promise<ImageDownload>;
  /** Metadata only; data comes by `uploadImage`. @throws `conflict` (id), `exhausted`, `invalid`. */
  createImage(
    image: {
      readonly id?: string;
      readonly name: string;
      readonly diskFormat: string;
      readonly containerFormat: string;
      readonly minDiskGib?: number;
      readonly minRamMib?: number;
      readonly visibility?: 'private' | 'shared';
      readonly properties?: Readonly<Record<string, string>>;
    },
    options?: CallOptions,
  ): Promise<GlanceImage>;
  /** Sends an image's data; the image is active then. Never repeated; the deadline, one hour where none is said, is for all of it. @throws `conflict` (has data), `exhausted`, `not_found`. */
  uploadImage(id: string, body: Readable, options?: CallOptions & { readonly sizeBytes?: number }): Promise<void>;
  /** Sets and removes properties (`disk_format` and other base ones too, while queued). */
  updateImage(
    id: string,
    change: { readonly set?: Readonly<Record<string, string | number | boolean>>; readonly remove?: readonly string[] },
    options?: CallOptions,
  ): Promise<GlanceImage>;
  /** One that is not there is fine. @throws `denied` (protected), `conflict` (in use). */
  deleteImage(id: string, options?: CallOptions): Promise<void>;
}

/** Time for an image's data where the caller names none; milliseconds. */
const uploadTimeoutMs = 3_600_000;

/** A pause of this length within an image's data means that nothing more will come; milliseconds. */
const defaultStallMs = 60_000;

/** What every image has (Image API v2, schema of an image); any other member is a property. */
const baseMembers: ReadonlySet<string> = new Set([
  'id',
  'name',
  'status',
  'visibility',
  'protected',
  'os_hidden',
  'owner',
  'size',
  'virtual_size',
  'min_disk',
  'min_ram',
  'disk_format',
  'container_format',
  'checksum',
  'os_hash_algo',
  'os_hash_value',
  'created_at',
  'updated_at',
  'tags',
  'self',
  'file',
  'schema',
  'locations',
  'direct_url',
]);

/** Glance as the caller sees it. */
export function createGlance(caller: Caller, clock: Clock): Glance {
  const client = caller.service('image');
  const at = (id: string, part = ''): string => `images/${encodeURIComponent(id)}${part}`;

  const glance: Glance = {
    async showImage(id, options) {
      return readImage((await client.send({ doing: `show image ${id}`, method: 'GET', path: at(id) }, options)).json);
    },
    async listImages({ name }, options) {
      const { json } = await client.send(
        { doing: 'list images', method: 'GET', path: 'images', query: { name } },
        options,
      );
      return objectsIn(json, 'images').map(readImage);
    },
    async downloadImage(id, { maxBytes, stallMs, ...options } = {}) {
      const image = await glance.showImage(id, options);
      const expected = expectedOf(image, maxBytes);
      const headers = { Accept: 'application/octet-stream' };
      const request = { doing: `download image ${id}`, method: 'GET', path: at(id, '/file'), headers } as const;
      const { body } = await client.open(request, options);
      const verified = verifiedBody(body, expected, {
        clock,
        stallMs: stallMs ?? defaultStallMs,
        signal: options.signal,
      });
      return { sizeBytes: expected.sizeBytes, body: verified };
    },
    async createImage(image, options) {
      const json = defined({
        ...image.properties,
        id: image.id,
        name: image.name,
        disk_format: image.diskFormat,
        container_format: image.containerFormat,
        min_disk: image.minDiskGib,
        min_ram: image.minRamMib,
        visibility: image.visibility,
      });
      return readImage(
        (await client.send({ doing: 'create an image', method: 'POST', path: 'images', json }, options)).json,
      );
    },
    async uploadImage(id, body, { sizeBytes, ...options } = {}) {
      const stream = {
        body,
        type: 'application/octet-stream',
        ...(sizeBytes === undefined ? {} : { bytes: sizeBytes }),
      };
      const request = { doing: `upload image ${id}`, method: 'PUT', path: at(id, '/file'), stream } as const;
      await client.send(request, { timeoutMs: uploadTimeoutMs, ...options });
    },
    async updateImage(id, { set = {}, remove = [] }, options) {
      const json: Json = [
        ...Object.entries(set).map(([name, value]) => ({ op: 'add', path: pointer(name), value })),
        ...remove.map((name) => ({ op: 'remove', path: pointer(name) })),
      ];
      const headers = { 'Content-Type': 'application/openstack-images-v2.1-json-patch' };
      const request = { doing: `update image ${id}`, method: 'PATCH', path: at(id), json, headers } as const;
      return readImage((await client.send(request, options)).json);
    },
    async deleteImage(id, options) {
      await unless('not_found', client.send({ doing: `delete image ${id}`, method: 'DELETE', path: at(id) }, options));
    },
  };
  return glance;
}

/** RFC 6901: a name as a JSON pointer. */
function pointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** What the data of an image must be. */
function expectedOf(image: GlanceImage, maxBytes: number | undefined): Expected {
  const { id, sizeBytes, osHashAlgo, osHashValue, checksum } = image;
  if (sizeBytes === null || image.status !== 'active') {
    throw new DpuError('bad_state', `glance: image ${id} has no data`, { details: { status: image.status } });
  }
  if (maxBytes !== undefined && sizeBytes > maxBytes) {
    throw new DpuError('exhausted', `glance: image ${id} has ${sizeBytes} bytes; ${maxBytes} are allowed`);
  }
  const what = `image ${id}`;
  if (osHashAlgo !== null && osHashValue !== null && getHashes().includes(osHashAlgo)) {
    return { what, sizeBytes, hash: createHash(osHashAlgo), digest: osHashValue };
  }
  if (checksum !== null) return { what, sizeBytes, hash: createHash('md5'), digest: checksum };
  throw new DpuError('unsupported', `glance: image ${id} has no hash that its data can be checked by`);
}

function readImage(json: Json): GlanceImage {
  const data = objectOf(json, 'image');
  return {
    id: textOf(data, 'id'),
    name: optionalText(data, 'name'),
    status: textOf(data, 'status'),
    diskFormat: optionalText(data, 'disk_format'),
    containerFormat: optionalText(data, 'container_format'),
    sizeBytes: optionalNumber(data, 'size'),
    virtualSizeBytes: optionalNumber(data, 'virtual_size'),
    minDiskGib: numberOf(data, 'min_disk'),
    minRamMib: numberOf(data, 'min_ram'),
    owner: optionalText(data, 'owner'),
    visibility: textOf(data, 'visibility'),
    protected: flagOf(data, 'protected'),
    checksum: optionalText(data, 'checksum'),
    osHashAlgo: optionalText(data, 'os_hash_algo'),
    osHashValue: optionalText(data, 'os_hash_value'),
    properties: propertiesOf(data),
  };
}

function propertiesOf(data: JsonObject): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(data)
      .filter(([name, value]) => !baseMembers.has(name) && value !== null)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
