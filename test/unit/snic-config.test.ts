/** What snic-controller accepts as its configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadSnicConfig } from '../../snic-controller/config.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snic-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function load(text: string): ReturnType<typeof loadSnicConfig> {
  const file = join(folder, 'snic.yaml');
  writeFileSync(file, text);
  return loadSnicConfig(file);
}

it('has paths relative to its file, and defaults', () => {
  const { state_dir, socket, backend } = load(
    'state_dir: s\nbackend: { kind: virtual, virtual: { qmp: q.sock, front: { path: nbd.sock } } }\n',
  );
  expect(state_dir).toBe(join(folder, 's'));
  expect(socket).toMatchObject({ path: join(folder, 's/snic.sock'), mode: '0660' });
  const front = { kind: 'nbd', path: join(folder, 'nbd.sock') };
  expect(backend.virtual).toMatchObject({ qmp: join(folder, 'q.sock'), front, root_ports: 16 });
});

it.each([
  ['an unknown key', 'state_dir: s\nbackend: { kind: sim }\ncolour: red\n', /:3: .*colour is not known/],
  ['a card without its settings', 'state_dir: s\nbackend: { kind: bluefield }\n', /:2: .*needs backend\.bluefield/],
  ['another card', 'state_dir: s\nbackend: { kind: cardboard }\n', /:2: .*backend\.kind must be one of/],
  ['no card', 'state_dir: s\n', /backend is missing/],
])('refuses %s with its line', (_what, text, message) => {
  expect(() => load(text)).toThrow(message);
});
