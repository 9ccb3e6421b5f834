import { dirname, relative } from 'node:path';
import type { Plugin } from 'rolldown';

/** Stands for the way from a file of the build to its top, which is known once the file is. */
const top = 'build-top:/';

const uses = /import\.meta\.(url|dirname|filename)\b/g;

/**
 * Lets a module find what lies beside its source, wherever in the build it comes to be: `import.meta.url` and its like say the place
 * that the source would have in the build, with `.js`.
 */
export function ownPlaces(root: string): Plugin {
  return {
    name: 'own-places',
    transform: {
      filter: { id: /\.ts$/, code: /import\.meta\.(url|dirname|filename)\b/ },
      handler(code, id) {
        const file = relative(root, id);
        if (file.startsWith('..') || file.includes('node_modules')) return null;
        const url = (path: string): string => `new URL(${JSON.stringify(top + path)}, import.meta.url)`;
        const path = (of: string): string => `process.getBuiltinModule('node:url').fileURLToPath(${url(of)})`;
        const built = file.replace(/\.ts$/, '.js');
        const placed = code.replaceAll(uses, (_, what: string) => {
          if (what === 'url') return `${url(built)}.href`;
          return what === 'filename' ? path(built) : path(dirname(built));
        });
        return { code: placed, map: null }; // each line is where it was
      },
    },
  };
}

/** The code of a file of the build, with its way to the top filled in. */
export function fillPlaces(code: string, fileName: string): string {
  return code.replaceAll(top, '../'.repeat(fileName.split('/').length - 1) || './');
}
