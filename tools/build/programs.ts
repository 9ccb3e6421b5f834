import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Folders whose programs ship. */
const folders = ['soc-daemon', 'snic-controller', 'host-man', 'platform-adapter', 'drivers', 'virtual-dpu'] as const;

/** Programs that others start by their file, and that are not called `main`. */
const byFile: ReadonlySet<string> = new Set(['open-sockets.ts', 'metadata-service.ts']);

/** All programs that ship, as sources relative to the root: `soc-daemon/main.ts`, `virtual-dpu/storage/face-main.ts`, ... */
export function programs(root: string): readonly string[] {
  const files = folders.flatMap((folder) =>
    readdirSync(root).includes(folder)
      ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`)
      : [],
  );
  return files.filter((file) => /(^|[/-])main\.ts$/.test(file) || byFile.has(file.split('/').at(-1) ?? '')).sort();
}
