import type { Uuid } from './rows.ts';

type AtomOf<B> = B extends {
  readonly type: infer T;
  readonly enum: readonly ['set', infer L extends readonly unknown[]];
}
  ? T extends string
    ? L[number]
    : never
  : B extends { readonly type: infer T }
    ? AtomOf<T>
    : B extends 'integer' | 'real'
      ? number
      : B extends 'boolean'
        ? boolean
        : B extends 'uuid'
          ? Uuid
          : B extends 'string'
            ? string
            : never;

type IsSingle<T> = T extends { readonly max: infer M } ? (M extends 1 ? true : false) : true;

type ValueOf<T> = T extends string
  ? AtomOf<T>
  : T extends { readonly key: infer K; readonly value: infer V }
    ? ReadonlyMap<AtomOf<K>, AtomOf<V>>
    : T extends { readonly key: infer K }
      ? IsSingle<T> extends true
        ? T extends { readonly min: 0 }
          ? AtomOf<K> | null
          : AtomOf<K>
        : ReadonlySet<AtomOf<K>>
      : never;

type SchemaShape = { readonly tables: { readonly [table: string]: { readonly columns: object } } };

/**
 * Row types of a schema that is written `as const` in TypeScript (RFC 7047 3.2). For a schema in a file there is
 * `generateTypes`.
 */
export type TablesOf<S extends SchemaShape> = {
  readonly [T in keyof S['tables']]: {
    readonly [C in keyof S['tables'][T]['columns']]: S['tables'][T]['columns'][C] extends { readonly type: infer Y }
      ? ValueOf<Y>
      : never;
  };
};
