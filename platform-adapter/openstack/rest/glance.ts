import type { Readable } from 'node:stream';
import type { CallOptions } from './http.ts';

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
  /** Sends an image's data; the image is active then. Never repeated. @throws `conflict` (has data), `exhausted`, `not_found`. */
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
