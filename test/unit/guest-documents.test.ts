import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  driveFiles,
  type GuestFacts,
  guestDocuments,
  parsePassword,
  parseUserData,
} from '../../kit/guest-documents.ts';
import { opensslHash } from '../../soc-daemon/service/guest.ts';

const facts: GuestFacts = {
  id: '11111111-0000-4000-8000-000000000001',
  name: 'web "1"',
  metadata: { role: 'web' },
  sshKeys: ['ssh-ed25519 AAAA me'],
  userData: '#cloud-config\n',
  password: { user: 'root', hash: '$6$salt$hash', token: 't-1' },
  nics: [{ portId: 'p1', mac: '02:00:00:00:00:01', mtu: 1400, network: 'net1' }],
  dns: ['9.9.9.9'],
};

it('tells the same in both forms', () => {
  const files = driveFiles(facts);
  const { metaData, networkData, vendorData } = guestDocuments(facts);
  expect(JSON.parse(files['openstack/latest/meta_data.json'] ?? '')).toEqual(metaData);
  expect(JSON.parse(files['openstack/latest/network_data.json'] ?? '')).toEqual(networkData);
  expect(JSON.parse(files['openstack/latest/vendor_data.json'] ?? '')).toEqual(vendorData);
  expect(vendorData['cloud-init']).toBe(files['vendor-data']);
  expect(files['meta-data']).toContain('local-hostname: "web \\"1\\""\n');
  expect(files['user-data']).toBe(files['openstack/latest/user_data']);
  expect(files['network-config']).toContain('"macaddress":"02:00:00:00:00:01"');
});

it('hands out no password where there is none', () => {
  const text = JSON.stringify(driveFiles({ ...facts, password: null }));
  expect(text).not.toMatch(/boothook|password/);
});

it('sets a password once for each token', () => {
  const directory = mkdtempSync(join(tmpdir(), 'boothook-'));
  const calls = join(directory, 'calls');
  writeFileSync(calls, '');
  writeFileSync(join(directory, 'chpasswd'), `#!/bin/sh\necho "$@ $(cat)" >>${calls}\n`);
  chmodSync(join(directory, 'chpasswd'), 0o755);
  const start = (token: string): void => {
    const [first, ...script] = (
      driveFiles({ ...facts, password: { user: 'root', hash: '$6$s$h', token } })['vendor-data'] ?? ''
    ).split('\n');
    expect(first).toBe('#cloud-boothook');
    const text = script.join('\n').replaceAll('/var/lib/cloud', directory);
    execFileSync('/bin/sh', ['-c', text], { env: { PATH: `${directory}:/usr/bin:/bin` } });
  };
  for (const token of ['a', 'a', 'b', 'b']) start(token);
  expect(readFileSync(calls, 'utf8')).toBe('-e root:$6$s$h\n-e root:$6$s$h\n');
  rmSync(directory, { recursive: true });
});

it('reads only what can stand in a script', () => {
  expect(parsePassword(JSON.stringify(facts.password))).toEqual(facts.password);
  for (const bad of [{ user: "r'; reboot" }, { hash: "x'y" }, { token: 'a b' }, { token: '' }, { user: null }]) {
    expect(() => parsePassword(JSON.stringify({ ...facts.password, ...bad }))).toThrow(TypeError);
  }
  expect(parseUserData('"text"')).toBe('text');
  expect(parseUserData('{"admin_pass":"x"}')).toBeNull();
});

it('hashes a password as crypt does, and takes none that would be cut', async () => {
  const hash = await opensslHash("it's long enough");
  const [, , salt = ''] = hash.split('$');
  const again = execFileSync('openssl', ['passwd', '-6', '-salt', salt, '-stdin'], { input: "it's long enough\n" });
  expect(again.toString().trim()).toBe(hash);
  for (const bad of ['two\nlines', 'x'.repeat(257)]) {
    await expect(opensslHash(bad)).rejects.toMatchObject({ code: 'invalid', field: 'new_password' });
  }
});
