import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeResults } from '../src/decode-result.ts';
import { OperationError } from '../src/errors.ts';
import { JsonStream, ProtocolError, parseSchema } from '../src/index.ts';
import { Replica } from '../src/replica.ts';

const schema = parseSchema({
  name: 'net',
  version: '1.0.0',
  tables: {
    Port: {
      columns: {
        name: { type: 'string' },
        up: { type: 'boolean' },
        tag: { type: { key: 'integer', min: 0 } },
        peers: { type: { key: { type: 'uuid', refTable: 'Port' }, min: 0, max: 'unlimited' } },
        rates: { type: { key: 'string', value: 'real', min: 0, max: 'unlimited' } },
      },
    },
  },
});
const id = '334115d8-11ec-44e4-9a2c-63ecee7c3a54';
const other = 'd98e3ed3-cabb-461b-ae2f-5eddb32daeaf';
const row = {
  name: 'é}"{',
  up: true,
  tag: 7,
  peers: [
    'set',
    [
      ['uuid', id],
      ['uuid', other],
    ],
  ],
  rates: [
    'map',
    [
      ['a', 1.5],
      ['b', 2],
    ],
  ],
};

/** Frames as a server sends them. */
const frames = [
  {
    method: 'update3',
    params: ['m', id, { Port: { [id]: { modify: { tag: ['set', []], rates: row.rates } } } }],
    id: null,
  },
  { method: 'update2', params: ['m', { Port: { [other]: { insert: row }, [id]: { delete: null } } }], id: null },
  { method: 'update', params: ['m', { Port: { [id]: { old: { up: true }, new: row } } }], id: null },
  { id: 1, result: [{ uuid: ['uuid', id] }, { rows: [row] }, { count: 1 }, {}, { error: 'timed out' }], error: null },
].map((frame) => Buffer.from(JSON.stringify(frame)));

const steps = [{ op: 'insert' }, { op: 'select', table: 'Port' }, { op: 'delete' }, { op: 'comment' }, { op: 'wait' }];

type Frame = { readonly method?: unknown; readonly params?: unknown; readonly result?: unknown };

/** What a client does with a frame, without the connection around it. */
function take(replica: Replica, document: unknown): void {
  const { method, params, result } = document as Frame;
  const list = Array.isArray(params) ? params : [];
  if (method === 'update3') replica.apply(list[2]);
  else if (method === 'update2') replica.apply(list[1]);
  else if (method === 'update') replica.applyPlain(list[1]);
  else decodeResults(schema, steps, result);
}

describe('mutated frames', () => {
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('put', 'cut', 'add', 'copy'),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:\\0-e'))),
    length: fc.nat(20),
  });

  it('are read, or refused with an error of ours that leaves the rows alone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...frames),
        fc.array(edit, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        (frame, edits, cut) => {
          const replica = new Replica({ Port: { indexes: ['name', 'peers', 'rates:a'] } });
          replica.prepare(schema);
          replica.replace({ Port: { [id]: { initial: row } } }, false);
          const rows = () => [...(replica.store('Port')?.rows.values() ?? [])];
          const takeWhole = (document: unknown) => {
            const before = rows();
            try {
              take(replica, document);
            } catch (error) {
              const after = rows();
              expect(after.length === before.length && after.every((each, i) => each === before[i])).toBe(true);
              throw error;
            }
          };
          let bytes = frame;
          for (const { at, kind, byte, length } of edits) {
            const i = at % bytes.length;
            const head = bytes.subarray(0, i);
            if (kind === 'put') bytes = Buffer.concat([head, Buffer.of(byte), bytes.subarray(i + 1)]);
            else if (kind === 'cut') bytes = Buffer.concat([head, bytes.subarray(i + length), Buffer.of(0x20)]);
            else if (kind === 'add') bytes = Buffer.concat([head, Buffer.of(byte), bytes.subarray(i)]);
            else bytes = Buffer.concat([head, bytes.subarray(i, i + length), bytes.subarray(i)]);
          }
          const stream = new JsonStream({ maxBytes: 4096, maxDepth: 32 });
          const at = cut % bytes.length;
          try {
            for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
              stream.push(part, takeWhole);
            }
          } catch (error) {
            expect(error instanceof ProtocolError || error instanceof OperationError).toBe(true);
          }
          expect(stream.heldBytes).toBeLessThanOrEqual(4096);
        },
      ),
      { numRuns: 5000 },
    );
  });
});
