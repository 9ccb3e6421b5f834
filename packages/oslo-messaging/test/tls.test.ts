import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import { createTransport } from '../src/index.ts';
import { haveStock } from './support.ts';

describe.skipIf(!haveStock())('transport over TLS', () => {
  let rabbit: TestRabbit;
  let dir: string;
  let server: Server;
  let port = 0;
  let ca = '';

  beforeAll(async () => {
    rabbit = await startRabbit();
    dir = await mkdtemp(path.join(tmpdir(), 'tls-'));
    ca = path.join(dir, 'cert.pem');
    const key = path.join(dir, 'key.pem');
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', ca], { stdio: 'ignore' });
    // The broker speaks plain AMQP; this end adds the TLS.
    server = createServer({ cert: await readFile(ca), key: await readFile(key) }, (client) => {
      const broker = connect(rabbit.port, '127.0.0.1');
      client.on('error', () => broker.destroy());
      broker.on('error', () => client.destroy());
      client.pipe(broker).pipe(client);
    });
    const listening = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', () => listening.resolve());
    await listening.promise;
    const address = server.address();
    port = address !== null && typeof address === 'object' ? address.port : 0;
  });

  afterAll(async () => {
    server?.close();
    await rabbit?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** `connected`, or the code of the first error. */
  async function attempt(host: string, query: string): Promise<unknown> {
    const url = `rabbit://${rabbit.user}:${rabbit.password}@${host}:${port}/?${query}`;
    const transport = createTransport({ url, backoff: { baseMs: 10, maxMs: 50 } });
    const outcome = Promise.withResolvers<unknown>();
    transport.on('connected', () => outcome.resolve('connected'));
    transport.on('error', (error) => outcome.resolve((error as { code?: unknown }).code));
    try {
      return await outcome.promise;
    } finally {
      await transport.close();
    }
  }

  it('connects to a host whose certificate its CA file vouches for', async () => {
    expect(await attempt('localhost', `ssl=1&ssl_ca_file=${ca}`)).toBe('connected');
  });

  it('refuses a certificate that nobody vouches for', async () => {
    expect(await attempt('localhost', 'ssl=1')).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it('refuses a certificate of another host', async () => {
    expect(await attempt('127.0.0.1', `ssl=1&ssl_ca_file=${ca}`)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });
});
