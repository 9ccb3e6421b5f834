import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../soc-daemon/cli/run.ts';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

const token = 'a-token-of-some-length';
let directory: string;
let fixture: ApiFixture;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'dpu-tls-'));
  const key = join(directory, 'key.pem');
  const cert = join(directory, 'cert.pem');
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=node', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  writeFileSync(join(directory, 'token'), `${token}\n`, { mode: 0o600 });
  writeFileSync(join(directory, 'wrong'), `${token}x\n`, { mode: 0o600 });
  fixture = await startApi({
    tcp: { port: 0, cert_file: cert, key_file: key, token_file: join(directory, 'token') },
  });
});
afterAll(async () => {
  await fixture.close();
  rmSync(directory, { recursive: true, force: true });
});

async function statusWith(authorization?: string): Promise<number | undefined> {
  const headers = authorization === undefined ? {} : { authorization };
  const url = `${fixture.address.url}/healthz`;
  return await new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}

it('answers nothing on TCP without the token, and everything with it', async () => {
  expect(await statusWith()).toBe(401);
  expect(await statusWith(`Bearer ${token}x`)).toBe(401);
  expect(await statusWith(`Basic ${token}`)).toBe(401);
  expect(await statusWith(`Bearer ${token}`)).toBe(200);
});

it.each([
  ['token', true, 0],
  ['wrong', true, 1],
  ['token', false, 4],
] as const)('dpuctl over TCP with %s, certificate known: %s, exits with %i', async (name, known, code) => {
  const ca = known ? ['--ca', join(directory, 'cert.pem')] : [];
  const argv = ['node', '--url', fixture.address.url ?? '', '--token-file', join(directory, name), ...ca];
  const silent = (): void => undefined;
  const signal = new AbortController().signal;
  const console = { onInput: () => silent, write: silent, raw: silent };
  expect(await run(argv, { env: {}, stdout: silent, stderr: silent, terminal: false, signal, console })).toBe(code);
});
