import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { DpuError } from '../../core/errors.ts';

const MIN_LENGTH = 16;
const field = 'rest.tcp.token_file';

/** Whether an `Authorization` header carries the token; takes as long for a wrong one as for the right one. */
export type TokenCheck = (authorization: string | undefined) => boolean;

/**
 * Reads the bearer token of the TCP listener: the first line of a file that only its owner may read.
 * @throws DpuError `invalid` (`rest.tcp.token_file`): not there, open to others, or shorter than 16 characters.
 */
export async function readTokenCheck(path: string): Promise<TokenCheck> {
  const text = await readPrivate(path);
  const token = text.split('\n')[0]?.trim() ?? '';
  if (token.length < MIN_LENGTH) {
    throw new DpuError('invalid', `the token file holds fewer than ${MIN_LENGTH} characters`, { field });
  }
  const wanted = digest(token);
  return (authorization) => {
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '';
    return timingSafeEqual(digest(given), wanted);
  };
}

async function readPrivate(path: string): Promise<string> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) {
      throw new DpuError('invalid', 'the token file may be read by others: its mode must be 0600', { field });
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof DpuError) throw error;
    throw new DpuError('invalid', 'reading the token file', { field, cause: error });
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
