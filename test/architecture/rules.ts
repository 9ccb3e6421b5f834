/**
 * The import table: the picture of docs/architecture.md as data. A folder that is not a zone here may not hold source.
 */

/** What the files of a zone may import besides `node:` modules and their own zone. */
export interface ZoneRule {
  /** Other zones. A zone marked `type:` may be imported for its types only. `*` is everything. */
  readonly zones: readonly string[];
  /** npm packages. `*` is every declared one. Packages of ours are zones, `packages/…`. */
  readonly npm: readonly string[];
}

const base = ['core', 'kit', 'schemas'] as const;

/** Folder -> what it may import. The longest folder that contains a file is its zone. */
export const ZONES: Readonly<Record<string, ZoneRule>> = {
  schemas: { zones: [], npm: [] },
  core: { zones: ['type:schemas'], npm: [] },
  kit: { zones: ['core', 'schemas'], npm: ['better-sqlite3', 'ajv', 'pino', 'prom-client', 'yaml'] },
  'packages/ovsdb-client': { zones: [], npm: [] },
  'packages/node-ipmi': { zones: [], npm: [] },
  'packages/redfish-client': { zones: [], npm: [] },
  'packages/spdk-client': { zones: [], npm: [] },
  'packages/qmp-client': { zones: [], npm: [] },
  'packages/oslo-messaging': { zones: [], npm: ['amqplib'] },
  'soc-daemon/store': { zones: base, npm: ['better-sqlite3'] },
  'soc-daemon/service': { zones: base, npm: [] },
  'soc-daemon/api': { zones: base, npm: ['express', 'ws', 'prom-client', 'pino', '@xterm/xterm'] },
  'soc-daemon/cli': { zones: ['kit', 'schemas'], npm: ['yaml', 'ws'] },
  'drivers/devices': { zones: base, npm: [] },
  'drivers/bm': { zones: [...base, 'drivers/devices'], npm: [] },
  'drivers/vm': { zones: [...base, 'drivers/devices'], npm: [] },
  'drivers/network': { zones: [...base, 'packages/ovsdb-client'], npm: [] },
  'drivers/storage': { zones: [...base, 'packages/spdk-client', 'packages/qmp-client'], npm: [] },
  'drivers/power': { zones: [...base, 'packages/redfish-client', 'packages/node-ipmi'], npm: [] },
  'drivers/sim': { zones: base, npm: ['better-sqlite3'] },
  'snic-controller': { zones: [...base, 'packages/qmp-client', 'packages/spdk-client'], npm: ['better-sqlite3'] },
  'host-man': { zones: base, npm: ['fast-xml-parser'] },
  'platform-adapter/amqp': { zones: [...base, 'packages/oslo-messaging'], npm: [] },
  'platform-adapter/openstack': { zones: [...base, 'packages/oslo-messaging'], npm: [] },
  'platform-adapter/dpf': { zones: base, npm: ['@kubernetes/client-node'] },
  'virtual-dpu': { zones: [...base, 'packages/qmp-client'], npm: [] },
  test: { zones: ['*'], npm: ['*'] },
  tools: { zones: ['*'], npm: ['*'] },
};

/** Files that put a program together: they see everything, and nothing but tests and their neighbours in this list may import them. */
export const COMPOSITION_ROOTS: readonly string[] = [
  'soc-daemon/main.ts',
  'soc-daemon/peers.ts',
  'soc-daemon/openstack.ts',
  'snic-controller/main.ts',
  'host-man/main.ts',
  'platform-adapter/dpf/main.ts',
  'virtual-dpu/main.ts',
];

/** What browsers get as it is: plain JavaScript that imports nothing but its neighbours, by their address. */
export const BROWSER_FOLDER = 'soc-daemon/api/page/';

/** Source files that lie in no zone. */
export const LOOSE_FILES: readonly string[] = ['vitest.config.ts'];

/** Plain JavaScript outside tools/: what the system's Node runs to find ours. */
export const BOOTSTRAPS: readonly string[] = ['virtual-dpu/bin.mjs'];

/** What the tests inside `packages/x/test` may import on top of the package's own. */
export const PACKAGE_TEST_NPM: readonly string[] = ['vitest', 'fast-check'];

/** Zones that they may borrow real peers from; a package is published without its tests. */
export const PACKAGE_TEST_ZONES: readonly string[] = ['test', 'tools'];

/** Zones whose time and chance come through ports, so that a simulation can drive them. */
export const CLOCKED_ZONES: readonly string[] = [
  'core',
  'soc-daemon/service',
  'drivers/devices',
  'drivers/bm',
  'drivers/vm',
  'drivers/network',
  'drivers/storage',
  'drivers/power',
  'drivers/sim',
];

/** Files over 400 lines, each with the reason why it is one file. */
export const LONG_FILES: Readonly<Record<string, string>> = {};

/** Modules that exist to re-export: the front doors of publishable packages. */
export function isFrontDoor(path: string): boolean {
  return /^packages\/[^/]+\/src\/index\.ts$/.test(path);
}
