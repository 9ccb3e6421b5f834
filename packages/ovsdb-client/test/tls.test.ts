import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type TlsOptions } from '../src/index.ts';
import { haveOvsdb, startServer, type TestServer } from './ovsdb-server.ts';

describe.skipIf(!haveOvsdb())('TLS and TCP', () => {
  const servers: TestServer[] = [];
  let dir: string;
  let pem: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  let ports: { readonly ssl: number; readonly tcp: number };

  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe', timeout: 20_000 });
  /** A certificate of the CA. */
  const issue = (name: string, subject: string) => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
    const ca = ['-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '3'];
    openssl('req', ...ca, ...key, '-subj', subject, '-addext', 'subjectAltName=DNS:localhost', '-out', `${name}.pem`);
  };

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'ovsdb-tls-'));
    const ca = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'ca.key'];
    openssl('req', '-x509', ...ca, '-subj', '/CN=throw-away', '-days', '3', '-out', 'ca.pem');
    issue('server', '/CN=localhost');
    issue('client', '/CN=client');
    const [caPem, cert, key] = await Promise.all(
      ['ca.pem', 'client.pem', 'client.key'].map((f) => readFile(path.join(dir, f))),
    );
    if (caPem === undefined || cert === undefined || key === undefined) throw new Error('no certificates');
    pem = { ca: caPem, cert, key };
    ports = { ssl: await listen('pssl'), tcp: await listen('ptcp') };
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** A server that listens on a port that it chooses itself and logs. */
  async function listen(kind: 'pssl' | 'ptcp'): Promise<number> {
    const log = path.join(dir, `${kind}.log`);
    const server = await startServer({
      args: () => [
        `--remote=${kind}:0:127.0.0.1`,
        `--private-key=${dir}/server.key`,
        `--certificate=${dir}/server.pem`,
        `--ca-cert=${dir}/ca.pem`,
        `--log-file=${log}`,
      ],
    });
    servers.push(server);
    return Number(/listening on port (\d+)/.exec(await readFile(log, 'utf8'))?.[1]);
  }

  /** The databases, or the code of the first error of the connection. */
  async function attempt(address: string, tls: TlsOptions): Promise<unknown> {
    await using client = createClient({ address, tls, backoff: { baseMs: 5, maxMs: 20 } });
    const refused = Promise.withResolvers<unknown>();
    client.on('reconnecting', ({ error }) => refused.resolve((error.cause as { code?: unknown } | undefined)?.code));
    return await Promise.race([client.listDbs().catch(() => 'closed'), refused.promise]);
  }

  it('speaks over TCP', async () => {
    expect(await attempt(`tcp:127.0.0.1:${ports.tcp}`, {})).toContain('Open_vSwitch');
  });

  it('speaks over TLS, each side shown the other', async () => {
    expect(await attempt(`ssl:localhost:${ports.ssl}`, pem)).toContain('Open_vSwitch');
  });

  it('refuses a server that no authority vouches for', async () => {
    expect(await attempt(`ssl:localhost:${ports.ssl}`, { cert: pem.cert, key: pem.key })).toMatch(/CERT|ISSUER/);
  });

  it('refuses the certificate of another host, unless told not to look at it', async () => {
    const address = `ssl:127.0.0.1:${ports.ssl}`;
    expect(await attempt(address, pem)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await attempt(address, { ...pem, servername: 'localhost' })).toContain('Open_vSwitch');
    expect(await attempt(address, { ...pem, verifyHost: false })).toContain('Open_vSwitch');
    expect(await attempt(address, { cert: pem.cert, key: pem.key, verifyHost: false })).toMatch(/CERT|ISSUER/);
  });
});
