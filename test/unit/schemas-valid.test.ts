import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';

const folder = join(import.meta.dirname, '../../schemas');
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));

/** The programs leave this out to start faster. */
const problemsOf = (schema: object): string | null => {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
  return ajv.validateSchema(schema) === true ? null : ajv.errorsText(ajv.errors);
};

describe('the schemas', () => {
  it.each(files)('%s is valid JSON Schema', (file) => {
    expect(problemsOf(JSON.parse(readFileSync(join(folder, file), 'utf8')) as object)).toBeNull();
  });

  it('would be found out', () => {
    expect(problemsOf({ type: 'strnig' })).toContain('type');
    expect(problemsOf({ properties: { a: { minLength: -1 } } })).toContain('minLength');
  });
});
