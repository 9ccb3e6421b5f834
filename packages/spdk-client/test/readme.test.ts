import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { exchanges } from './recordings.ts';
import { startReplay } from './replay-server.ts';

const example = fileURLToPath(new URL('../example/export-volume.ts', import.meta.url));
const readme = fileURLToPath(new URL('../README.md', import.meta.url));

it('the README shows the example as it is, and what it prints', async () => {
  const unplugged = exchanges('vhost-qemu').filter((each) => each.note === 'after unplug');
  const server = await startReplay([...exchanges('lifecycle', 'spdk_tgt'), ...unplugged]);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [example], {
      env: { ...process.env, SPDK_SOCKET: server.path },
      timeout: 25_000,
    });
    const text = await readFile(readme, 'utf8');
    expect(text).toContain(await readFile(example, 'utf8'));
    expect(text).toContain(`\`\`\`text\n${stdout}\`\`\``);
    expect(server.unknown).toEqual([]);
  } finally {
    await server.close();
  }
});
