import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { haveOvsdb, startServer } from './ovsdb-server.ts';

const example = fileURLToPath(new URL('../example/ports.ts', import.meta.url));
const readme = fileURLToPath(new URL('../README.md', import.meta.url));

describe('README', () => {
  it('shows the example as it is', async () => {
    expect(await readFile(readme, 'utf8')).toContain(`\`\`\`ts\n${await readFile(example, 'utf8')}\`\`\``);
  });
});

describe.skipIf(!haveOvsdb())('example', () => {
  it('prints what the README says', async () => {
    const server = await startServer();
    try {
      await server.vsctl('init');
      const { stdout } = await promisify(execFile)(process.execPath, [example], {
        env: { ...process.env, OVSDB: server.address },
        timeout: 25_000,
      });
      expect(await readFile(readme, 'utf8')).toContain(`\`\`\`text\n${stdout}\`\`\``);
    } finally {
      await server.stop();
    }
  });
});
