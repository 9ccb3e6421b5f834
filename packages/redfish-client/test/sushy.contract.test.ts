import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  bootStateOf,
  listChassis,
  listManagers,
  type RedfishClient,
  readBios,
  readInventory,
  readResetOffer,
  setBios,
  setBoot,
  setPower,
  waitForPower,
} from '../src/index.ts';
import { type Bmc, PASSWORD, USER } from './bmc/server.ts';
import { SYSTEM } from './bmc/tree.ts';
import { bench } from './support.ts';

const python = '/usr/bin/python3';

function haveSushy(): boolean {
  let found = existsSync(python);
  try {
    if (found) execFileSync(python, ['-W', 'ignore', '-c', 'import sushy'], { stdio: 'ignore', timeout: 60_000 });
  } catch {
    found = false;
  }
  if (!found && process.env['CI']) throw new Error('contract tests need the Debian package python3-sushy');
  if (!found) process.stderr.write('contract tests skipped, not installed: python3-sushy\n');
  process.stderr.write(
    "redfish-client: sushy-tools' emulator is not in Debian; only the simulated BMC was the server\n",
  );
  return found;
}

type Answer = Readonly<Record<string, unknown>>;

/** Stock sushy in a process of its own, logged in to the BMC. */
function startSushy(bmc: Bmc) {
  const folder = mkdtempSync(join(tmpdir(), 'redfish-sushy-'));
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, bmc.certificate.cert);
  const script = fileURLToPath(new URL('python/look.py', import.meta.url));
  const child = spawn(python, ['-W', 'ignore', script], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // requests takes these before the CA it is given.
    env: { ...process.env, REQUESTS_CA_BUNDLE: ca, CURL_CA_BUNDLE: ca, NO_PROXY: '127.0.0.1' },
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-3000);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin.write(`${JSON.stringify({ url: bmc.url, username: USER, password: PASSWORD, ca })}\n`);
  return {
    async ask(command: Answer): Promise<Answer> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`sushy ended: ${errors}`);
      return JSON.parse(value) as Answer;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The same look as python/look.py, by our client. */
async function look(client: RedfishClient): Promise<Answer> {
  const found = await readInventory(client, SYSTEM);
  const { system } = found;
  const bios = await readBios(client, system);
  const boot = bootStateOf(system);
  return {
    uuid: system.uuid?.toUpperCase(),
    serial: system.serialNumber,
    power: system.powerState,
    resets: (await readResetOffer(client, system)).types.toSorted(),
    memoryGiB: system.memoryGiB,
    processors: found.processors.map(({ model, cores, threads }) => [model, cores, threads]),
    macs: found.ethernetInterfaces.map(({ mac }) => mac).toSorted(),
    drives: found.storage.flatMap(({ drives }) => drives.map((one) => [one.serialNumber, one.capacityBytes])),
    boot: [boot.enabled, boot.target, boot.mode],
    bios: bios.attributes,
    biosPending: { ...bios.attributes, ...bios.pending },
    chassis: (await listChassis(client)).items.map(({ serialNumber, type }) => [serialNumber, type]),
    managers: (await listManagers(client)).items.map(({ firmwareVersion }) => firmwareVersion),
  };
}

describe.skipIf(!haveSushy())('stock sushy on the same BMC', () => {
  it('sees what we see, and each sees what the other did', async () => {
    await using at = await bench({ powerReads: 1 });
    await using sushy = startSushy(at.bmc);
    expect(await sushy.ask({ do: 'look' })).toEqual(await look(at.client));

    await setBoot(at.client, SYSTEM, { target: 'Pxe', enabled: 'Once' });
    await setPower(at.client, SYSTEM, 'on');
    const system = (await readInventory(at.client, SYSTEM, { parts: [] })).system;
    await setBios(at.client, system, { SriovEnabled: true });
    const seen = await sushy.ask({ do: 'look' });
    expect(seen).toMatchObject({ power: 'On', boot: ['Once', 'Pxe', 'UEFI'], biosPending: { SriovEnabled: true } });
    expect(seen).toEqual(await look(at.client));

    await sushy.ask({ do: 'boot', target: 'Hdd', enabled: 'Continuous' });
    await sushy.ask({ do: 'bios', name: 'NumaNodes', value: 4 });
    await sushy.ask({ do: 'reset', type: 'ForceOff' });
    await waitForPower(at.client, SYSTEM, 'Off');
    const ours = await look(at.client);
    expect(ours).toMatchObject({ power: 'Off', boot: ['Continuous', 'Hdd', 'UEFI'], biosPending: { NumaNodes: 4 } });
    expect(await sushy.ask({ do: 'look' })).toEqual(ours);
  });
});
