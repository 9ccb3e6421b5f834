import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PASSWORD, startBmc, USER } from './bmc/server.ts';

const example = fileURLToPath(new URL('../example/power-cycle.ts', import.meta.url));
const readme = fileURLToPath(new URL('../README.md', import.meta.url));

it('shows the example as it is, and what it prints', async () => {
  const text = await readFile(readme, 'utf8');
  expect(text).toContain(await readFile(example, 'utf8'));
  const bmc = await startBmc({ powerReads: 2 });
  const { stdout } = await promisify(execFile)(process.execPath, [example], {
    env: {
      ...process.env,
      REDFISH_URL: bmc.url,
      REDFISH_USER: USER,
      REDFISH_PASSWORD: PASSWORD,
      REDFISH_FINGERPRINT: bmc.fingerprint,
    },
    timeout: 25_000,
  });
  expect(bmc.sessionCount()).toBe(0);
  await bmc.stop();
  expect(text).toContain(`\`\`\`text\n${stdout}\`\`\``);
});
