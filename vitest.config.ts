import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
    setupFiles: ['test/support/property-seed.ts'],
    exclude: ['**/node_modules/**', 'test/sim/**', 'test/bench/**', 'test/openstack/**'],
    // Four times what the slowest test that says nothing else takes on a machine of two cores that has much more to do.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is waited for comes from other processes, on machines that have more to do; Vitest's own second is for timers.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    pool: 'forks',
    maxWorkers: 2,
  },
});
