import { connectQmp, DeviceNotFoundError, deviceDel, UnplugPendingError } from 'qmp-client';

const qmp = await connectQmp({ path: process.env.QMP_SOCKET ?? '/run/vm.qmp' }, { connectTimeoutMs: 5000 });
void qmp.closed.then((reason) => console.log(`session over, ended by the ${reason.by}`));
console.log((await qmp.execute('query-status')).status);

const resets = qmp.events({ names: ['RESET'] }); // from now on

await qmp.execute('netdev_add', { type: 'user', id: 'net0' });
await qmp.execute('device_add', { driver: 'virtio-net-pci', id: 'nic0', netdev: 'net0', bus: 'rp1' });

try {
  await deviceDel(qmp, 'nic0', { timeoutMs: 200 });
} catch (error) {
  if (error instanceof UnplugPendingError) console.log(`${error.device}: the guest has not let go of it`);
}
const gone = deviceDel(qmp, 'nic0', { joinPending: true });
await qmp.execute('system_reset');
await gone;
await qmp.execute('netdev_del', { id: 'net0' });

for await (const { event, data } of resets) {
  console.log(`${event}: ${data.reason}`);
  break;
}

try {
  await deviceDel(qmp, 'nic0');
} catch (error) {
  if (error instanceof DeviceNotFoundError) console.log('nic0 is gone');
}

qmp.close();
