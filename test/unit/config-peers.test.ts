/** What `--check-config` refuses of the peers' settings, with file, line and field. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../kit/config.ts';
import { checkPeers } from '../../soc-daemon/peers.ts';

const least = 'profile: sim\nnode: { hostname: node-1 }\nstate_dir: state\n';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it.each([
  ['profile: virtual\nnode: { hostname: node-1 }\nstate_dir: state\nfunctions: { kind: sim }\n', 'functions.kind', 4],
  [`${least}host: { kind: bmc, username: root }\n`, 'host', 4],
  [`${least}host: { kind: bmc, redfish: { url: "https://bmc" } }\n`, 'host.username', 4],
  [`${least}network: { kind: ovs, ovsdb: "ssl:10.0.0.1:6640" }\n`, 'network.tls', 4],
  [`${least}network:\n  kind: ovs\n  flows: controller\n  local:\n    enabled: true\n`, 'network.local.enabled', 8],
  [`${least}storage:\n  kind: spdk\n  backing: lvols\n  wipe: zero\n`, 'storage.wipe', 7],
])('refuses %j', (text, field, line) => {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, text);
  let refused: unknown;
  try {
    loadConfig(file, checkPeers);
  } catch (error) {
    refused = error;
  }
  expect(refused).toMatchObject({ code: 'invalid', field });
  expect(String(refused)).toContain(`config.yaml:${line}: `);
});

it('takes settings of a switch that is not chosen', () => {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, `${least}network: { flows: controller, local: { enabled: true } }\n`);
  expect(() => loadConfig(file, checkPeers)).not.toThrow();
});
