import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { DpuError } from '../core/errors.ts';

/** Seals, opens and compares with keys derived from the store's; each use has its own (RFC 5869). */
export interface Sealer {
  /** AES-256-GCM with a random nonce and the id as additional data: nonce, tag, text. */
  seal(id: string, text: string): Uint8Array;
  /** @throws DpuError `denied` when key or id are not those that it was sealed with. */
  open(id: string, sealed: Uint8Array): string;
  /** Hex HMAC-SHA256 of the canonical JSON (sorted keys) of a value. */
  hmac(value: unknown): string;
}

const nonceBytes = 12;
const tagBytes = 16;

/** Makes a sealer of a key of 32 bytes. @throws DpuError `invalid` for another length. */
export function createSealer(key: Uint8Array): Sealer {
  if (key.length !== 32) throw new DpuError('invalid', "the store's key must have 32 bytes");
  const derive = (use: string): Buffer => Buffer.from(hkdfSync('sha256', key, '', `dpu-compute store ${use}`, 32));
  const sealKey = derive('seal');
  const hmacKey = derive('hmac');
  return {
    seal(id, text) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', sealKey, nonce).setAAD(Buffer.from(id));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]);
    },
    open(id, sealed) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', sealKey, sealed.subarray(0, nonceBytes))
          .setAAD(Buffer.from(id))
          .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
        const body = sealed.subarray(nonceBytes + tagBytes);
        return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
      } catch (error) {
        throw new DpuError('denied', 'opening a sealed secret failed: not the key that sealed it', { cause: error });
      }
    },
    hmac: (value) =>
      createHmac('sha256', hmacKey)
        .update(JSON.stringify(sorted(value)) ?? 'undefined')
        .digest('hex'),
  };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  // A null prototype, so that a key named __proto__ counts like any other.
  const result: Record<string, unknown> = Object.create(null);
  for (const [key, part] of Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))) {
    result[key] = sorted(part);
  }
  return result;
}
