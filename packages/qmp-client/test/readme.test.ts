import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { havePeer, startQemu } from './peers.ts';

const example = fileURLToPath(new URL('../example/plug.ts', import.meta.url));
const readme = fileURLToPath(new URL('../README.md', import.meta.url));

describe('README', () => {
  it('shows the example as it is', async () => {
    expect(await readFile(readme, 'utf8')).toContain(await readFile(example, 'utf8'));
  });
});

describe.skipIf(!havePeer('qemu-system-x86_64'))('example', () => {
  it('prints what the README says', async () => {
    const peer = await startQemu('q35');
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [example], {
        env: { ...process.env, QMP_SOCKET: peer.monitors[0] },
        timeout: 25_000,
      });
      expect(await readFile(readme, 'utf8')).toContain(`\`\`\`text\n${stdout}\`\`\``);
    } finally {
      await peer.stop();
    }
  });
});
