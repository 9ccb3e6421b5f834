import { parseAst } from 'vitest/node';

/** One import of a module, in whatever form. `target` is undefined where it is not a literal. */
export interface ImportOf {
  readonly target: string | undefined;
  readonly typeOnly: boolean;
  readonly line: number;
}

/** One exported name of a module and whether a docstring stands before one of its declarations. */
export interface ExportOf {
  readonly name: string;
  readonly documented: boolean;
  readonly line: number;
}

/** A name that is called or read and that belongs to time or chance: `Date.now`, `setTimeout`. */
export interface AmbientUse {
  readonly name: string;
  readonly line: number;
}

/** What the checks want to know of one source file. */
export interface SourceFile {
  readonly imports: readonly ImportOf[];
  readonly exports: readonly ExportOf[];
  /** `export * from` and `export { x } from`: the lines. */
  readonly reexports: readonly number[];
  readonly ambient: readonly AmbientUse[];
}

type Node = Readonly<Record<string, unknown>> & { readonly type: string; readonly start: number };

const AMBIENT_CALLS = ['setTimeout', 'setInterval', 'setImmediate'];
const AMBIENT_MEMBERS = ['Date.now', 'performance.now', 'Math.random', 'process.hrtime'];

/** Parses TypeScript with the parser that vitest brings, and collects imports, exports and uses of ambient time. */
export function parseSource(text: string, path: string): SourceFile {
  const program = parseAst(text, { lang: 'ts' }, path) as unknown as Node;
  const lineOf = (node: Node): number => text.slice(0, node.start).split('\n').length;
  const imports: ImportOf[] = [];
  const ambient: AmbientUse[] = [];
  const reexports: number[] = [];
  walk(program, (node) => {
    const found = importIn(node);
    if (found) imports.push({ ...found, line: lineOf(node) });
    const name = ambientIn(node);
    if (name !== undefined) ambient.push({ name, line: lineOf(node) });
    if (node.type.startsWith('Export') && node.source) reexports.push(lineOf(node));
  });
  return { imports, exports: exportsIn(program, text, lineOf), reexports, ambient };
}

function importIn(node: Node): Omit<ImportOf, 'line'> | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      return { target: literal(node.source), typeOnly: node.importKind === 'type' };
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node.source ? { target: literal(node.source), typeOnly: node.exportKind === 'type' } : undefined;
    case 'TSImportType':
      return { target: literal(node.source), typeOnly: true };
    case 'ImportExpression':
      return { target: literal(node.source), typeOnly: false };
    case 'TSExternalModuleReference':
      return { target: literal(node.expression), typeOnly: false };
    case 'CallExpression':
      return ['require', 'require.resolve', 'import.meta.resolve'].includes(nameOf(node.callee))
        ? { target: literal(list(node.arguments)[0]), typeOnly: false }
        : undefined;
    case 'NewExpression': {
      const [first, second] = list(node.arguments);
      const target = literal(first);
      const module =
        nameOf(node.callee) === 'URL' && nameOf(second) === 'import.meta.url' && /\.[cm]?[jt]s$/.test(target ?? '');
      return module ? { target, typeOnly: false } : undefined;
    }
    default:
      return undefined;
  }
}

function ambientIn(node: Node): string | undefined {
  if (node.type === 'MemberExpression') {
    const name = nameOf(node).replace(/^globalThis\./, '');
    return AMBIENT_MEMBERS.includes(name) ? name : undefined;
  }
  if (node.type === 'NewExpression' && nameOf(node.callee) === 'Date') {
    return list(node.arguments).length === 0 ? 'new Date()' : undefined;
  }
  if (node.type !== 'CallExpression') return undefined;
  const name = nameOf(node.callee).replace(/^globalThis\./, '');
  return AMBIENT_CALLS.includes(name) ? name : undefined;
}

function exportsIn(program: Node, text: string, lineOf: (node: Node) => number): readonly ExportOf[] {
  const documentedNames = new Set<string>();
  const exported = new Map<string, number>();
  for (const statement of list(program.body)) {
    const isExport = statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportDefaultDeclaration';
    const declaration = isExport ? asNode(statement.declaration) : statement;
    const names = statement.type === 'ExportDefaultDeclaration' ? ['default'] : declaredNames(declaration);
    if (/\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.test(text.slice(0, statement.start))) {
      for (const name of names) documentedNames.add(name);
    }
    if (!isExport || statement.source) continue;
    for (const name of names) exported.set(name, exported.get(name) ?? lineOf(statement));
    for (const specifier of list(statement.specifiers)) exported.set(nameOf(specifier.local), lineOf(statement));
  }
  return [...exported].map(([name, line]) => ({ name, documented: documentedNames.has(name), line }));
}

function declaredNames(node: Node | undefined): readonly string[] {
  if (!node) return [];
  if (node.type === 'VariableDeclaration') return list(node.declarations).map((each) => nameOf(each.id));
  return asNode(node.id) ? [nameOf(node.id)] : [];
}

function walk(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const node = asNode(value);
  if (node) visit(node);
  for (const child of Object.values(value)) walk(child, visit);
}

/** The dotted name of an identifier or member expression; empty for anything else. */
function nameOf(value: unknown): string {
  const node = asNode(value);
  if (node?.type === 'Identifier') return String(node.name);
  if (node?.type === 'MetaProperty') return `${nameOf(node.meta)}.${nameOf(node.property)}`;
  if (node?.type === 'MemberExpression') {
    const property = node.computed ? literal(node.property) : nameOf(node.property);
    return `${nameOf(node.object)}.${property ?? ''}`;
  }
  return '';
}

function literal(value: unknown): string | undefined {
  const node = asNode(value);
  return node?.type === 'Literal' && typeof node.value === 'string' ? node.value : undefined;
}

function list(value: unknown): readonly Node[] {
  return Array.isArray(value) ? value.flatMap((item: unknown) => asNode(item) ?? []) : [];
}

function asNode(value: unknown): Node | undefined {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value
    ? (value as Node)
    : undefined;
}
