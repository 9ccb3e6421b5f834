#!/usr/bin/env node
/** `npx virtual-dpu`: runs main.ts with the Node 24 of node_modules, whatever the system's Node is. Arguments, signals and exit status pass. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const node = join(root, 'node_modules/.bin/node');

if (!existsSync(node)) {
  console.error(`virtual-dpu: there is no Node 24 in node_modules: node ${join(root, 'tools/setup.mjs')} installs it`);
  process.exit(1);
}
const child = spawn(node, [join(here, 'main.ts'), ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  // A terminal sends its Ctrl-C to both of us already.
  process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)));
}
child.on('error', (error) => {
  console.error(`virtual-dpu: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(signal === null ? code : 1));
