import { expect, it } from 'vitest';
import { uptimeText } from '../../platform-adapter/openstack/rpc/uptime.ts';

it.each([
  [59, ' 05:06:07 up 0 min,  0 users,  load average: 0.10, 1.00, 12.35'],
  [2 * 3600 + 33 * 60, ' 05:06:07 up  2:33,  0 users,  load average: 0.10, 1.00, 12.35'],
  [86_400 + 60, ' 05:06:07 up 1 day, 1 min,  0 users,  load average: 0.10, 1.00, 12.35'],
  [40 * 86_400 + 10 * 3600, ' 05:06:07 up 40 days, 10:00,  0 users,  load average: 0.10, 1.00, 12.35'],
])('%i seconds are told as uptime(1) tells them', (upSec, text) => {
  const said = uptimeText({ upSec, load: [0.1, 1, 12.345_6] }, Date.UTC(2026, 0, 2, 5, 6, 7));
  expect(said).toBe(text);
  // how the openstack client takes it apart
  expect(said).toMatch(/\s*(.+)\sup\s+(.+),\s+(.+)\susers?,\s+load average:\s(.+)/);
});
