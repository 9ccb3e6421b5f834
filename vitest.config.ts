import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/sim/**', 'test/bench/**'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What is waited for comes from other processes, on machines that have more to do; Vitest's own second is for timers.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    pool: 'forks',
    maxWorkers: 2,
  },
});
