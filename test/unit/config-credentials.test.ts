/** Where secrets come from, and who else may not read them. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { readCredential, readSecretFile } from '../../kit/credentials.ts';

const secret = 'rabbit://u:hunter2@h/';

describe('credentials', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'credentials-'));
    file = join(folder, 'transport-url');
    writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function refusal(): DpuError {
    try {
      readSecretFile(file);
    } catch (error) {
      if (error instanceof DpuError) return error;
      throw error;
    }
    throw new Error('it was read');
  }

  it('reads a file that is its owner’s alone, without the line end', () => {
    expect(readSecretFile(file)).toBe(secret);
    chmodSync(file, 0o400);
    expect(readSecretFile(file)).toBe(secret);
  });

  it.each([0o640, 0o604, 0o620, 0o602, 0o610, 0o644])('refuses one of mode %o, and names it, not its text', (mode) => {
    chmodSync(file, mode);
    const error = refusal();
    expect(error.code).toBe('denied');
    expect(error.message).toContain(file);
    expect(error.message).not.toContain('hunter2');
  });

  it('refuses one that is not there, is empty, or is too large', () => {
    rmSync(file);
    expect(refusal()).toMatchObject({ code: 'not_found' });
    writeFileSync(file, '\n', { mode: 0o600 });
    expect(refusal()).toMatchObject({ code: 'invalid' });
    writeFileSync(file, 'x'.repeat(65_537));
    expect(refusal()).toMatchObject({ code: 'invalid' });
  });

  it('reads what systemd gives, and says when it gave nothing', () => {
    expect(readCredential('transport-url', folder)).toBe(secret);
    expect(readCredential('store-key', folder)).toBeNull();
    expect(readCredential('transport-url', '')).toBeNull();
  });
});
