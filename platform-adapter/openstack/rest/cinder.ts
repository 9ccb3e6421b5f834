import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { readAttachment, readSnapshot, readVolume, writeConnector } from './cinder-records.ts';
import { defined, objectIn, objectsIn, textOf } from './fields.ts';
import type { CallOptions } from './http.ts';
import type { Caller } from './keystone.ts';
import { recoded, unless } from './rest-errors.ts';
import type { ServiceRequest } from './service-client.ts';

/** A volume. */
export interface CinderVolume {
  readonly id: string;
  readonly name: string;
  /** creating, available, reserved, attaching, in-use, detaching, error, ... */
  readonly status: string;
  readonly sizeGib: number;
  readonly bootable: boolean;
  readonly multiattach: boolean;
  readonly encrypted: boolean;
  readonly volumeType: string | null;
  readonly availabilityZone: string | null;
  readonly projectId: string | null;
  readonly snapshotId: string | null;
  readonly attachments: readonly {
    readonly attachmentId: string;
    readonly serverId: string;
    readonly device: string | null;
    readonly hostName: string | null;
  }[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Properties of the image that it was made from. */
  readonly imageMetadata: Readonly<Record<string, string>>;
  /** nova takes a lock around connects when this is true (shared_targets, 3.48). */
  readonly sharedTargets: boolean | null;
  readonly serviceUuid: string | null;
}

/** A volume to be made: of an image, of a snapshot, or empty. */
export interface NewVolume {
  readonly sizeGib: number;
  readonly imageId?: string;
  readonly snapshotId?: string;
  readonly name?: string;
  readonly description?: string;
  readonly volumeType?: string;
  readonly availabilityZone?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What the host that will use a volume is called, by each protocol (os_brick.initiator.connector.get_connector_properties). */
export interface Connector {
  readonly host: string;
  readonly ip: string;
  readonly initiator?: string;
  readonly nqn?: string;
  readonly multipath: boolean;
  readonly platform: string;
  readonly osType: string;
  readonly mountpoint?: string;
}

/** An attachment of a volume (microversion 3.27 and newer). */
export interface Attachment {
  readonly id: string;
  readonly volumeId: string;
  readonly instance: string | null;
  readonly status: string;
  readonly attachMode: string | null;
  /**
   * How to reach the volume, in the form that nova keeps in a BlockDeviceMapping: `{driver_volume_type, data, status, instance, attached_at, detached_at,
   * volume_id, serial}`. null before the connector was given. May hold secrets.
   */
  readonly connectionInfo: ConnectionInfo | null;
}

/** Cinder's connection_info as nova keeps it. */
export interface ConnectionInfo {
  readonly driver_volume_type: string;
  readonly data: JsonObject;
  readonly [field: string]: JsonObject[string];
}

/** A snapshot of a volume. */
export interface CinderSnapshot {
  readonly id: string;
  readonly volumeId: string;
  readonly name: string;
  readonly status: string;
  readonly sizeGib: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** How long to wait for a status, and how often to look. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; then the error is `timeout`. */
  readonly timeoutMs: number;
  /** Milliseconds between looks. Default: 1000 first, then longer by half each time, up to 5000. */
  readonly everyMs?: number;
}

/** Cinder, volume API 3.44 (volumes 3.48, reimage 3.68). */
export interface Cinder {
  /** @throws `not_found`. */
  showVolume(id: string, options?: CallOptions): Promise<CinderVolume>;
  /** Of all projects for an admin; by metadata. */
  listVolumes(
    filter: { readonly metadata?: Readonly<Record<string, string>>; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly CinderVolume[]>;
  /** Not repeated after a lost answer. @throws `exhausted` (quota), `not_found` (image, snapshot), `invalid`. */
  createVolume(volume: NewVolume, options?: CallOptions): Promise<CinderVolume>;
  /** Waits for one of the wanted statuses. @throws `bad_state` at `error…` or `not_found`, `timeout`. */
  waitForVolume(id: string, wanted: readonly string[], options: WaitOptions): Promise<CinderVolume>;
  /** One that is not there is fine. @throws `bad_state` (in use, has snapshots). */
  deleteVolume(id: string, options?: CallOptions): Promise<void>;
  /** Grows it, in use (3.42) or not; Cinder goes on after the answer. @throws `bad_state` (not larger, in no state for it), `exhausted`. */
  extendVolume(id: string, sizeGib: number, options?: CallOptions): Promise<void>;
  /** Takes back that a volume is to be detached (os-roll_detaching); one that is not `detaching`, or is gone, is fine. */
  rollDetaching(id: string, options?: CallOptions): Promise<void>;
  /** Fills it with an image again (os-reimage, 3.68). @throws `bad_state`, `unsupported` (older Cinder). */
  reimageVolume(
    id: string,
    reimage: { readonly imageId: string; readonly reimageReserved: boolean },
    options?: CallOptions,
  ): Promise<void>;

  /** @throws `exhausted`, `bad_state`. */
  createSnapshot(
    snapshot: {
      readonly volumeId: string;
      readonly name: string;
      /** Also of a volume in use. */
      readonly force: boolean;
      readonly metadata?: Readonly<Record<string, string>>;
    },
    options?: CallOptions,
  ): Promise<CinderSnapshot>;
  /** @throws `not_found`. */
  showSnapshot(id: string, options?: CallOptions): Promise<CinderSnapshot>;
  listSnapshots(
    filter: { readonly volumeId?: string; readonly name?: string; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly CinderSnapshot[]>;
  /** @throws as `waitForVolume`. */
  waitForSnapshot(id: string, wanted: readonly string[], options: WaitOptions): Promise<CinderSnapshot>;
  /** One that is not there is fine. @throws `bad_state`. */
  deleteSnapshot(id: string, options?: CallOptions): Promise<void>;

  /** Reserves the volume for an instance; with a connector it is exported too. @throws `bad_state` (in use), `not_found`. */
  createAttachment(
    attachment: {
      readonly volumeId: string;
      readonly instance: string;
      readonly connector?: Connector;
      readonly mode?: 'rw' | 'ro';
    },
    options?: CallOptions,
  ): Promise<Attachment>;
  /** @throws `not_found`. */
  showAttachment(id: string, options?: CallOptions): Promise<Attachment>;
  listAttachments(
    filter: { readonly volumeId?: string; readonly instance?: string; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly Attachment[]>;
  /** Exports the volume to the connector; the same connector again gives the same. @throws `not_found`, `bad_state`. */
  updateAttachment(id: string, connector: Connector, options?: CallOptions): Promise<Attachment>;
  /** Says that the volume is in use now; saying it twice is fine. @throws `not_found`. */
  completeAttachment(id: string, options?: CallOptions): Promise<void>;
  /** Ends the export. One that is not there is fine. @throws `denied` or `conflict` without a service token. */
  deleteAttachment(id: string, options?: CallOptions): Promise<void>;
}

/** Attachments with `os-complete`; growing of a volume in use (3.42). */
const microversion = '3.44';

/** `shared_targets` and `service_uuid` of a volume. */
const showMicroversion = '3.48';

/** `mode` of an attachment. */
const modeMicroversion = '3.54';

/** `os-reimage`. */
const reimageMicroversion = '3.68';

/** Records of one page of a list, and pages that are read at most. */
const pageSize = 500;
const mostPages = 200;

/** Between looks for a status: most things take a second or two, and what takes longer is looked at less often. */
const look = { firstMs: 1_000, factor: 1.5, mostMs: 5_000 } as const;

/** Cinder as the caller sees it. */
export function createCinder(caller: Caller, clock: Clock): Cinder {
  const client = caller.service('volumev3');
  const send = async (request: ServiceRequest, options?: CallOptions): Promise<Json> =>
    (await client.send({ microversion, ...request }, options)).json;
  const at = (kind: string, id: string, part = ''): string => `${kind}/${encodeURIComponent(id)}${part}`;
  /** 400 of a request that is well made: the volume is in no state for it. */
  const acted = async (request: ServiceRequest, options?: CallOptions): Promise<Json> =>
    await recoded('invalid', 'bad_state', send(request, options));

  async function listed(
    what: string,
    path: string,
    query: NonNullable<ServiceRequest['query']>,
    options?: CallOptions,
  ) {
    const all: JsonObject[] = [];
    let marker: string | undefined;
    for (let page = 0; page < mostPages; page += 1) {
      const asked = { ...query, limit: String(pageSize), marker };
      const got = objectsIn(await send({ doing: `list ${what}`, method: 'GET', path, query: asked }, options), what);
      all.push(...got);
      const last = got.at(-1);
      if (got.length < pageSize || last === undefined) return all;
      marker = textOf(last, 'id');
    }
    throw new DpuError('exhausted', `cinder: more than ${pageSize * mostPages} ${what}`);
  }

  /** Asks until `ask` answers a wanted status. */
  async function waited<Thing extends { readonly status: string }>(
    what: string,
    wanted: readonly string[],
    { signal, timeoutMs, everyMs }: WaitOptions,
    ask: (options: CallOptions) => Promise<Thing>,
  ): Promise<Thing> {
    const endsAt = clock.monotonicMs() + timeoutMs;
    for (let pauseMs = everyMs ?? look.firstMs; ; pauseMs = everyMs ?? Math.min(pauseMs * look.factor, look.mostMs)) {
      const leftMs = endsAt - clock.monotonicMs();
      if (leftMs <= 0)
        throw new DpuError('timeout', `cinder: ${what} is not ${wanted.join(' or ')} in ${timeoutMs} ms`);
      const found = await ask({ signal, timeoutMs: leftMs });
      if (wanted.includes(found.status)) return found;
      if (found.status.startsWith('error')) {
        throw new DpuError('bad_state', `cinder: ${what} is ${found.status}`, { details: { status: found.status } });
      }
      await clock.sleep(Math.max(0, Math.min(pauseMs, endsAt - clock.monotonicMs())), signal);
    }
  }

  const cinder: Cinder = {
    async showVolume(id, options) {
      const doing = `show volume ${id}`;
      const json = await send(
        { doing, method: 'GET', path: at('volumes', id), microversion: showMicroversion },
        options,
      );
      return readVolume(objectIn(json, 'volume'));
    },
    async listVolumes({ metadata, allProjects }, options) {
      const query = {
        metadata: metadata === undefined ? undefined : JSON.stringify(metadata),
        all_tenants: allProjects ? '1' : undefined,
      };
      return (await listed('volumes', 'volumes/detail', query, options)).map(readVolume);
    },
    async createVolume(volume, options) {
      const json = {
        volume: defined({
          size: volume.sizeGib,
          imageRef: volume.imageId,
          snapshot_id: volume.snapshotId,
          name: volume.name,
          description: volume.description,
          volume_type: volume.volumeType,
          availability_zone: volume.availabilityZone,
          metadata: volume.metadata,
        }),
      };
      return readVolume(
        objectIn(await send({ doing: 'create a volume', method: 'POST', path: 'volumes', json }, options), 'volume'),
      );
    },
    waitForVolume: (id, wanted, options) =>
      waited(`volume ${id}`, wanted, options, (each) => cinder.showVolume(id, each)),
    async deleteVolume(id, options) {
      await unless(
        'not_found',
        acted({ doing: `delete volume ${id}`, method: 'DELETE', path: at('volumes', id) }, options),
      );
    },
    async extendVolume(id, sizeGib, options) {
      const json = { 'os-extend': { new_size: sizeGib } };
      await acted({ doing: `extend volume ${id}`, method: 'POST', path: at('volumes', id, '/action'), json }, options);
    },
    async rollDetaching(id, options) {
      const doing = `roll back the detach of volume ${id}`;
      const path = at('volumes', id, '/action');
      const json = { 'os-roll_detaching': {} };
      await unless('not_found', acted({ doing, method: 'POST', path, json, repeatable: true }, options));
    },
    async reimageVolume(id, { imageId, reimageReserved }, options) {
      const json = { 'os-reimage': { image_id: imageId, reimage_reserved: reimageReserved } };
      const path = at('volumes', id, '/action');
      await acted(
        { doing: `reimage volume ${id}`, method: 'POST', path, json, microversion: reimageMicroversion },
        options,
      );
    },

    async createSnapshot({ volumeId, name, force, metadata }, options) {
      const json = { snapshot: defined({ volume_id: volumeId, name, force, metadata }) };
      const doing = `snapshot volume ${volumeId}`;
      return readSnapshot(
        objectIn(await acted({ doing, method: 'POST', path: 'snapshots', json }, options), 'snapshot'),
      );
    },
    async showSnapshot(id, options) {
      const json = await send({ doing: `show snapshot ${id}`, method: 'GET', path: at('snapshots', id) }, options);
      return readSnapshot(objectIn(json, 'snapshot'));
    },
    async listSnapshots({ volumeId, name, allProjects }, options) {
      const query = { volume_id: volumeId, name, all_tenants: allProjects ? '1' : undefined };
      return (await listed('snapshots', 'snapshots/detail', query, options)).map(readSnapshot);
    },
    waitForSnapshot: (id, wanted, options) =>
      waited(`snapshot ${id}`, wanted, options, (each) => cinder.showSnapshot(id, each)),
    async deleteSnapshot(id, options) {
      await unless(
        'not_found',
        acted({ doing: `delete snapshot ${id}`, method: 'DELETE', path: at('snapshots', id) }, options),
      );
    },

    async createAttachment({ volumeId, instance, connector, mode }, options) {
      const json = {
        attachment: defined({
          volume_uuid: volumeId,
          instance_uuid: instance,
          connector: connector && writeConnector(connector),
          mode,
        }),
      };
      const doing = `attach volume ${volumeId}`;
      const version = mode === undefined ? {} : { microversion: modeMicroversion };
      return readAttachment(await acted({ doing, method: 'POST', path: 'attachments', json, ...version }, options));
    },
    async showAttachment(id, options) {
      return readAttachment(
        await send({ doing: `show attachment ${id}`, method: 'GET', path: at('attachments', id) }, options),
      );
    },
    async listAttachments({ volumeId, instance, allProjects }, options) {
      const query = { volume_id: volumeId, instance_id: instance, all_tenants: allProjects ? '1' : undefined };
      return (await listed('attachments', 'attachments/detail', query, options)).map((each) =>
        readAttachment({ attachment: each }),
      );
    },
    async updateAttachment(id, connector, options) {
      const json = { attachment: { connector: writeConnector(connector) } };
      return readAttachment(
        await acted({ doing: `connect attachment ${id}`, method: 'PUT', path: at('attachments', id), json }, options),
      );
    },
    async completeAttachment(id, options) {
      const path = at('attachments', id, '/action');
      const json = { 'os-complete': null };
      await acted({ doing: `complete attachment ${id}`, method: 'POST', path, json, repeatable: true }, options);
    },
    async deleteAttachment(id, options) {
      await unless(
        'not_found',
        acted({ doing: `delete attachment ${id}`, method: 'DELETE', path: at('attachments', id) }, options),
      );
    },
  };
  return cinder;
}
