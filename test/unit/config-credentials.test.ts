/** Where secrets come from, and who else may not read them. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
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

  it('refuses what is no file, without waiting for it', () => {
    rmSync(file);
    execFileSync('mkfifo', ['-m', '600', file]);
    expect(refusal()).toMatchObject({ code: 'invalid' });
    rmSync(file);
    mkdirSync(file, { mode: 0o700 });
    expect(refusal()).toMatchObject({ code: 'invalid' });
  });

  it('says that it can not be opened', async () => {
    rmSync(file);
    const server = createServer().listen(file);
    await once(server, 'listening');
    chmodSync(file, 0o600);
    expect(refusal()).toMatchObject({ code: 'denied' });
    server.close();
  });

  it('refuses an empty or a too large credential', () => {
    writeFileSync(file, '\n');
    expect(() => readCredential('transport-url', folder)).toThrow(/is empty/);
    writeFileSync(file, 'x'.repeat(65_537));
    expect(() => readCredential('transport-url', folder)).toThrow(/is too large/);
  });

  it('reads what systemd gives, and says when it gave nothing', () => {
    chmodSync(file, 0o440); // as systemd has it where a user of the service's own may read it
    expect(readCredential('transport-url', folder)).toBe(secret);
    expect(readCredential('store-key', folder)).toBeNull();
    expect(readCredential('transport-url', '')).toBeNull();
  });
});
