import {
  bdev,
  createSpdkClient,
  deleteVhostController,
  ensureVhostBlkController,
  framework,
  isErrno,
} from 'spdk-client';

const spdk = createSpdkClient({ address: { path: process.env.SPDK_SOCKET ?? '/var/tmp/spdk.sock' } });
spdk.on('connected', ({ again }) => again && console.log('SPDK is back, and may have forgotten everything'));

const { version } = await spdk.call(framework.version, undefined, { timeoutMs: 5000 });
console.log(version);

const [disk] = await spdk.call(bdev.list, { name: 'Nvme-an1' });
console.log(`${disk?.name}: ${(disk?.num_blocks ?? 0) * (disk?.block_size ?? 0)} bytes`);

console.log(await ensureVhostBlkController(spdk, { ctrlr: 'pf-blk-0', dev_name: 'Nvme-an1' })); // 'created', or there already
await spdk.call(bdev.setQos, { name: 'Nvme-an1', rw_ios_per_sec: 20_000, rw_mbytes_per_sec: 100 });

try {
  await spdk.call(bdev.list, { name: 'nosuch' });
} catch (error) {
  if (isErrno(error, 'ENODEV')) console.log(`${error.method}: ${error.errno}`);
}

console.log(await deleteVhostController(spdk, 'pf-blk-0', { timeoutMs: 10_000 }));
spdk.close();
