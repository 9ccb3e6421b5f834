import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { havePeers, type IpmiSim, startIpmiSim, USERS } from './ipmi-sim.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe.skipIf(!havePeers())('README', () => {
  let sim: IpmiSim;
  beforeAll(async () => {
    sim = await startIpmiSim();
  });
  afterAll(async () => {
    await sim?.stop();
  });

  it('shows an example that runs as written and prints what it says', async () => {
    const text = await readFile(join(root, 'README.md'), 'utf8');
    const example = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    const printed = /```text\n([\s\S]*?)```/.exec(text)?.[1];
    const directory = await mkdtemp(join(tmpdir(), 'node-ipmi-readme-'));
    try {
      await mkdir(join(directory, 'node_modules'));
      // Node strips types only outside of node_modules, so the package is linked and not copied there.
      await cp(join(root, 'src'), join(directory, 'package', 'src'), { recursive: true });
      await cp(join(root, 'package.json'), join(directory, 'package', 'package.json'));
      await symlink(join(directory, 'package'), join(directory, 'node_modules', 'node-ipmi'));
      await writeFile(join(directory, 'example.ts'), example);
      await writeFile(join(directory, 'package.json'), '{"type":"module"}');
      const env = { ...process.env, BMC_HOST: '127.0.0.1', BMC_PORT: `${sim.port}`, BMC_PASSWORD: USERS.admin };
      const { stdout } = await promisify(execFile)(process.execPath, [join(directory, 'example.ts')], {
        env,
        timeout: 20_000,
      });
      expect(stdout).toBe(printed);
      await sim.serial.until('echo hello\r');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
