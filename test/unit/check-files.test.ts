/** What `--check-config` says of certificates, keys and tables that a configuration names. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../kit/config.ts';
import { fileNotes } from '../../soc-daemon/service/check-files.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'check-files-'));
  for (const name of ['a', 'b']) {
    const out = ['-keyout', join(dir, `${name}.key`), '-out', join(dir, `${name}.pem`)];
    const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
    execFileSync('openssl', [...how, '-subj', `/CN=${name}`, ...out], { stdio: 'ignore' });
  }
  writeFileSync(join(dir, 'text'), 'no certificate\n');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function notes(more: object, nowMs = Date.now()): readonly string[] {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, JSON.stringify({ profile: 'sim', node: { hostname: 'n' }, state_dir: 'state', ...more }));
  return fileNotes(loadConfig(file), nowMs).map((note) => note.replaceAll(`${dir}/`, ''));
}
const tcp = (cert_file: string, key_file: string) => ({
  rest: { tcp: { port: 0, cert_file, key_file, token_file: 't' } },
});
const bmc = (more: object) => ({ host: { kind: 'bmc', username: 'u', redfish: { url: 'https://b', ...more } } });

it('is silent where all is well', () => {
  expect(notes(tcp('a.pem', 'a.key'))).toEqual([]);
  expect(notes(bmc({ ca_file: 'a.pem' }))).toEqual([]);
  expect(notes({})).toEqual([]);
});

it.each([
  ['a file that is not there', bmc({ ca_file: 'none' }), "host.redfish.ca_file: none can't be read"],
  ['a file of something else', bmc({ ca_file: 'text' }), 'host.redfish.ca_file: text holds no certificate (PEM)'],
  ['another’s key', tcp('a.pem', 'b.key'), "rest.tcp.cert_file: the key in b.key is not the certificate's"],
  ['a key that is none', tcp('a.pem', 'text'), 'rest.tcp.cert_file: text holds no key (PEM)'],
  ['no SMBIOS table', { host: { smbios_file: 'none' } }, "host.smbios_file: none can't be read"],
])('tells of %s', (_, more, note) => {
  expect(notes(more)).toEqual([note]);
});

it('tells of a certificate that ended', () => {
  const [note, ...more] = notes(tcp('a.pem', 'a.key'), Date.now() + 31 * 86_400_000);
  expect(note).toMatch(/^rest\.tcp\.cert_file: the certificate in a\.pem ended on /);
  expect(more).toEqual([]);
});
