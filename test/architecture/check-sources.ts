import { zoneOf } from './check-imports.ts';
import type { ProjectFile } from './project-files.ts';
import { CLOCKED_ZONES, isFrontDoor, LONG_FILES } from './rules.ts';
import { parseSource } from './source-file.ts';

const MAX_LINES = 400;

/** Files with more than 400 lines and no reason in the table, and reasons for files that are not long. */
export function checkLength(files: readonly ProjectFile[], reasons = LONG_FILES): readonly string[] {
  const long = files.filter((file) => file.text.split('\n').length - 1 > MAX_LINES).map((file) => file.path);
  return [
    ...long
      .filter((path) => !reasons[path])
      .map((path) => `${path}: over ${MAX_LINES} lines and no reason in rules.ts`),
    ...Object.keys(reasons)
      .filter((path) => !long.includes(path))
      .map((path) => `${path}: its reason in rules.ts is stale`),
  ];
}

/** Exported names without a docstring, default exports, and re-exports outside a package's front door. */
export function checkExports(files: readonly ProjectFile[]): readonly string[] {
  return files.flatMap((file) => {
    const source = parseSource(file.text, file.path);
    const bare = source.exports.filter((each) => !each.documented);
    const byDefault = source.exports.filter((each) => each.name === 'default');
    return [
      ...bare.map((each) => `${file.path}:${each.line}: ${each.name} has no docstring`),
      ...byDefault.map((each) => `${file.path}:${each.line}: exports are named here, not default`),
      ...(isFrontDoor(file.path)
        ? []
        : source.reexports.map((line) => `${file.path}:${line}: re-exports (no barrel files)`)),
    ];
  });
}

/** Uses of the machine's own time or chance where both come through ports. */
export function checkClock(files: readonly ProjectFile[]): readonly string[] {
  return files
    .filter((file) => CLOCKED_ZONES.includes(zoneOf(file.path) ?? ''))
    .flatMap((file) => {
      const source = parseSource(file.text, file.path);
      const timers = source.imports.filter((each) => /^node:(timers|perf_hooks)/.test(each.target ?? ''));
      return [
        ...source.ambient.map((each) => `${file.path}:${each.line}: ${each.name} (time and chance go through ports)`),
        ...timers.map((each) => `${file.path}:${each.line}: imports ${each.target} (time goes through the Clock port)`),
      ];
    });
}

/** Imports of `node:http`'s values: making the module's namespace, Node reads its `WebSocket` and loads undici for it, 11 MiB and 70 ms of CPU. */
export function checkHttpImports(files: readonly ProjectFile[]): readonly string[] {
  return files
    .filter(({ text }) => /^import (?!type\b)[^;]*from 'node:http';/m.test(text))
    .map(({ path }) => `${path}: imports node:http (process.getBuiltinModule('node:http') loads no undici)`);
}

/** Paths of one machine in any tracked file. */
export function checkMachinePaths(files: readonly ProjectFile[]): readonly string[] {
  return findLines(
    files,
    /(?<![\w.@/-])\/(?:work|tmp\/w|root|home\/[a-z]\w*)(?=[/"'`\s:)]|$)/,
    'names a path of one machine',
  );
}

/** Tests that are switched off, or that switch the others off. */
export function checkSwitchedOff(files: readonly ProjectFile[]): readonly string[] {
  return findLines(files, /\b(?:it|test|describe|suite|bench)\s*\.\s*(?:only|skip|todo)\b/, 'switches tests off');
}

function findLines(files: readonly ProjectFile[], pattern: RegExp, what: string): readonly string[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${what}: ${line.trim()}`] : [])),
  );
}
