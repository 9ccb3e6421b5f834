import { connectRedfish, findSystem, readInventory, setBoot, setPower } from 'redfish-client';

const client = connectRedfish({
  url: process.env['REDFISH_URL'] ?? 'https://bmc.example',
  auth: {
    kind: 'session',
    username: process.env['REDFISH_USER'] ?? 'admin',
    password: process.env['REDFISH_PASSWORD'] ?? '',
  },
  tls: { fingerprints: [process.env['REDFISH_FINGERPRINT'] ?? ''] },
});

const host = await findSystem(client, { serialNumber: 'SN-0001' }, { timeoutMs: 10_000 });
console.log(`${host.model} is ${host.powerState}`);

await setBoot(client, host.path, { target: 'Pxe', enabled: 'Once' });
const { sent, powerState } = await setPower(client, host.path, 'on', { timeoutMs: 60_000, pollMs: 100 });
console.log(`sent ${sent}, now ${powerState}`);

const { processors, pcieDevices, problems } = await readInventory(client, host.path);
console.log(`${processors.length} processors; cards: ${pcieDevices.map((card) => card.serialNumber).join(', ')}`);
for (const problem of problems) console.log(`not read: ${problem.path} (${problem.code})`);

await client.close();
