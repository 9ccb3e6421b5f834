import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import { haveStock } from './support.ts';

const example = fileURLToPath(new URL('../example/greeter.ts', import.meta.url));
const readme = fileURLToPath(new URL('../README.md', import.meta.url));

describe('README', () => {
  it('shows the example as it is', async () => {
    expect(await readFile(readme, 'utf8')).toContain(await readFile(example, 'utf8'));
  });
});

describe.skipIf(!haveStock())('example', () => {
  let rabbit: TestRabbit;
  beforeAll(async () => {
    rabbit = await startRabbit();
  });
  afterAll(async () => {
    await rabbit?.stop();
  });

  it('prints what the README says', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [example], {
      env: { ...process.env, TRANSPORT_URL: rabbit.url },
      timeout: 25_000,
    });
    const text = await readFile(readme, 'utf8');
    expect(text).toContain(`\`\`\`text\n${stdout}\`\`\``);
  });
});
