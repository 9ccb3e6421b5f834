/** A JSON object that is built or was read. */
export type Node = { readonly [key: string]: unknown };

/** Whether a value is an object and no list. */
export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
