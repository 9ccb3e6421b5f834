import { readFileSync } from 'node:fs';

/** One exchange of a recording, as it was sent and answered by SPDK v24.01. */
export interface Exchange {
  readonly app: string;
  readonly note: string | null;
  readonly request: { readonly method: string; readonly id: number; readonly params?: object };
  readonly response: Readonly<Record<string, unknown>>;
}

/** One exchange of which the bytes matter. `null`: SPDK waits; `<EOF>`: it closes the connection. */
export interface RawExchange {
  readonly note: string;
  readonly request_raw: string;
  readonly response_raw: string | null;
}

const names = ['lifecycle', 'vhost-qemu', 'restart-and-framing'] as const;

/** The recordings by name. */
export type Recording = (typeof names)[number];

function lines(name: Recording): readonly unknown[] {
  return readFileSync(new URL(`fixtures/spdk-v24.01-${name}.jsonl`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function isRaw(value: unknown): value is RawExchange {
  return typeof value === 'object' && value !== null && 'request_raw' in value;
}

/** The exchanges of one recording, or of one application in it, in their order. */
export function exchanges(name: Recording, app?: string): readonly Exchange[] {
  return lines(name)
    .filter((each): each is Exchange => !isRaw(each))
    .filter((each) => app === undefined || each.app === app);
}

/** The framing cases in their order. */
export function rawExchanges(): readonly RawExchange[] {
  return lines('restart-and-framing').filter(isRaw);
}

/** Every exchange there is. */
export const allExchanges: readonly Exchange[] = names.flatMap((name) => exchanges(name));
