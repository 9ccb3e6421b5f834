import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMap, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { DpuError } from '../core/errors.ts';
import { validate } from './validate.ts';

const maxBytes = 1_048_576;

/** What a program's configuration is. */
export interface ConfigKind<Raw, Loaded> {
  /** Name of its schema. */
  readonly schema: string;
  /** Makes the program's own form of it: paths absolute. */
  resolve(file: string, raw: Raw): Loaded;
  /** Looks at what a schema can't. @throws DpuError `invalid` that names the field. */
  check(config: Loaded): void;
}

/**
 * Reads a program's configuration: one YAML file, checked by its schema, with defaults filled in.
 * @throws DpuError `invalid` with `file:line`, for whatever is wrong with it: an unknown key refuses to start.
 */
export function readConfigFile<Raw, Loaded>(path: string, kind: ConfigKind<Raw, Loaded>): Loaded {
  const file = resolve(path);
  const text = readText(file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, merge: false });
  const [broken] = document.errors;
  if (broken) {
    const { line } = lines.linePos(broken.pos[0]);
    throw new DpuError('invalid', `${file}:${line}: not valid YAML (${yamlProblem(broken.code)})`);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new DpuError('invalid', `${file}: its aliases expand too far`, { cause });
  }
  try {
    const loaded = kind.resolve(file, validate<Raw>(kind.schema, value ?? {}, 'configuration'));
    kind.check(loaded);
    return loaded;
  } catch (error) {
    if (!(error instanceof DpuError) || error.field === undefined) throw error;
    const { line } = lines.linePos(positionOf(document.contents, error.field.split(/[.[\]]+/).filter(Boolean)));
    throw new DpuError('invalid', `${file}:${line}: ${error.message}`, { field: error.field, cause: error });
  }
}

/** The code of a YAML error in words; the parser's own message quotes the file, which may hold what is no business of a log. */
function yamlProblem(code: string): string {
  return code.toLowerCase().replaceAll('_', ' ');
}

function readText(file: string): string {
  try {
    if (statSync(file).size > maxBytes) throw new DpuError('invalid', `${file} is larger than 1 MiB`);
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof DpuError) throw cause;
    throw new DpuError('not_found', `the configuration ${file} can't be read`, { cause });
  }
}

/** Offset of the deepest part of a path that is there: of its key where it has one. */
function positionOf(root: Node | null, path: readonly string[]): number {
  let node: unknown = root;
  let position = root?.range?.[0] ?? 0;
  for (const name of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(item.key) === name);
      if (!pair) break;
      position = (pair.key as Node).range?.[0] ?? position;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(name)];
      position = (node as Node | undefined)?.range?.[0] ?? position;
    } else break;
  }
  return position;
}
