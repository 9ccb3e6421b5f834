/** `npm run test:openstack`: one control plane for all of the files, one file at a time. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: join(import.meta.dirname, '../..'),
  test: {
    include: ['test/openstack/**/*.test.ts'],
    globalSetup: ['test/openstack/support/global-setup.ts'],
    setupFiles: ['test/support/property-seed.ts'],
    // A server's life takes the control plane's time: some 5 s, and three times that on a machine that has more to do.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000, interval: 100 } },
    pool: 'forks',
    // A bare-metal node takes one server.
    fileParallelism: false,
  },
});
