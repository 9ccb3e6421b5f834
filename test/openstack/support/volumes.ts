/** Volumes over the block storage API, and the files that are their bytes. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { RestError } from '../../../tools/openstack/rest.ts';
import { until } from '../../support/wait.ts';
import type { Cloud } from './cloud.ts';

/** What tests look at in a volume (block storage API 3.70). */
export interface Volume {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  /** GiB. */
  readonly size: number;
  readonly bootable: string;
  readonly attachments: readonly { readonly server_id: string; readonly device: string; readonly host_name: string }[];
}

/** An attachment of a server as nova shows it (compute API 2.89). */
export interface ServerAttachment {
  readonly volumeId: string;
  readonly device: string;
  readonly delete_on_termination: boolean;
  readonly attachment_id: string;
  readonly bdm_uuid: string;
}

/** An attachment as Cinder shows it (block storage API 3.70). */
export interface Attachment {
  readonly id: string;
  readonly volume_id: string;
  readonly instance: string;
  /** reserved, attaching, attached. */
  readonly status: string;
}

/** The volumes of one control plane; what it made is remembered, for `removeAll`. */
export interface Volumes {
  /** Makes one of so many GiB, and waits until it is there; `more` is put over what is asked for. */
  create(sizeGib: number, more?: Readonly<Record<string, unknown>>): Promise<string>;
  show(id: string): Promise<Volume>;
  until(id: string, status: string): Promise<Volume>;
  act(id: string, body: Readonly<Record<string, unknown>>): Promise<void>;
  /** As nova shows them. */
  ofServer(server: string): Promise<readonly ServerAttachment[]>;
  /** Of a server, as Cinder shows them. */
  attachmentsOf(server: string): Promise<readonly Attachment[]>;
  /** SHA-256 of its first `CHECKED_BYTES` in the driver's file. */
  checksum(id: string): Promise<string>;
  /** Writes into it as a guest would. */
  write(id: string, offset: number, data: Uint8Array): Promise<void>;
  removeAll(): Promise<void>;
}

/** How much of a volume its checksum covers; images and what tests write are shorter. */
export const CHECKED_BYTES = 4 * 1024 * 1024;

/** How long a volume may take to become what it was asked for. */
const PATIENCE_MS = 60_000;

/** Volumes of a control plane whose driver keeps them in files (tools/openstack/cinder). */
export function volumesOf({ admin, stack }: Cloud): Volumes {
  const made = new Set<string>();
  const fileOf = (id: string): string => join(stack.layout.dir, 'cinder', 'volumes', `volume-${id}`);
  const show = async (id: string): Promise<Volume> =>
    (await admin.call<{ volume: Volume }>('volumev3', 'GET', `/volumes/${id}`)).volume;

  async function untilStatus(id: string, status: string): Promise<Volume> {
    let last = '';
    const look = async (): Promise<Volume | undefined> => {
      const volume = await show(id);
      last = volume.status;
      return last === status ? volume : undefined;
    };
    try {
      return await until(`volume ${id} is ${status}`, look, PATIENCE_MS);
    } catch (cause) {
      throw new Error(`volume ${id} is ${last} and not ${status}`, { cause });
    }
  }

  return {
    show,
    until: untilStatus,
    async create(size, more = {}) {
      const body = { volume: { size, name: 'data', ...more } };
      const { volume } = await admin.call<{ volume: Volume }>('volumev3', 'POST', '/volumes', { body });
      made.add(volume.id);
      await untilStatus(volume.id, 'available');
      return volume.id;
    },
    act: async (id, body) => await admin.call('volumev3', 'POST', `/volumes/${id}/action`, { body }),
    ofServer: async (server) =>
      (
        await admin.call<{ volumeAttachments: readonly ServerAttachment[] }>(
          'compute',
          'GET',
          `/servers/${server}/os-volume_attachments`,
        )
      ).volumeAttachments,
    async attachmentsOf(server) {
      const path = '/attachments/detail?all_tenants=1';
      const { attachments } = await admin.call<{ attachments: readonly Attachment[] }>('volumev3', 'GET', path);
      return attachments.filter(({ instance }) => instance === server);
    },
    async checksum(id) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(fileOf(id), { end: CHECKED_BYTES - 1 }), hash);
      return hash.digest('hex');
    },
    async write(id, offset, data) {
      const file = await open(fileOf(id), 'r+');
      try {
        await file.write(data, 0, data.length, offset);
      } finally {
        await file.close();
      }
    },
    async removeAll() {
      for (const id of made) {
        try {
          await untilStatus(id, 'available');
          await admin.call('volumev3', 'DELETE', `/volumes/${id}`);
        } catch (error) {
          const { cause = error } = error as Error; // what is waited for has it as the cause
          if (!(cause instanceof RestError) || cause.status !== 404) throw error;
        }
      }
      made.clear();
    },
  };
}
