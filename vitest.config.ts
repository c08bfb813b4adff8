// Tests sit beside their sources; what crosses packages is in tests/. Browser tests start a real Chromium, so files
// run one after another on small machines rather than fighting for two cores.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/*/{src,test}/**/*.test.ts',
      'apps/*/src/**/*.test.ts',
      'native-bridge/{src,test}/**/*.test.ts',
      'tests/**/*.test.ts',
      'tools/**/*.test.ts',
    ],
    testTimeout: 60_000,
    hookTimeout: 180_000,
    // What is waited for is an event, not a speed: vitest's own second is too short for a page on a busy machine.
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: 2,
  },
});
