import Database from 'better-sqlite3';
import { DpuError } from '../../../core/errors.ts';
import type { FunctionClass, FunctionType } from '../../../core/ports/snic-controller.ts';
import type { FunctionId, Mac } from '../../../core/units.ts';

/** A function of the simulated card. */
export interface SimFunction {
  readonly slot: number;
  /** null: another's. */
  readonly id: FunctionId | null;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly mac: Mac | null;
  readonly plugged: boolean;
  /** The host found it since it was plugged. */
  readonly enumerated: boolean;
  readonly unplugPending: boolean;
}

/** The simulated card and its host, in a file: it survives the program that drives it, and tests reach it from outside. */
export interface SimCard {
  functions(): readonly SimFunction[];
  put(row: SimFunction): void;
  remove(slot: number): void;
  /** Who had a slot last; null: nobody. */
  lastOf(slot: number): FunctionId | null;
  readonly power: 'on' | 'off';
  /** On: the host finds what is plugged. */
  switch(power: 'on' | 'off'): void;
  /** Whether a running host keeps what it is asked to release. */
  readonly holds: boolean;
  hold(holds: boolean): void;
  close(): void;
}

interface Row {
  readonly slot: number;
  readonly value: string;
}

/** Opens the card that the file has, or makes an empty one. Several may have it open at once. */
export function openSimCard(file: string, hostPower: 'on' | 'off' = 'on'): SimCard {
  const db = open(file);
  db.exec(`
    CREATE TABLE IF NOT EXISTS functions (slot INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS slots (slot INTEGER PRIMARY KEY, id TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS host (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  `);
  db.prepare("INSERT OR IGNORE INTO host VALUES ('power', ?), ('holds', 'no')").run(hostPower);
  const rows = db.prepare<[], Row>('SELECT slot, value FROM functions ORDER BY slot');
  const upsert = db.prepare('INSERT OR REPLACE INTO functions VALUES (?, ?)');
  const erase = db.prepare('DELETE FROM functions WHERE slot = ?');
  const note = db.prepare('INSERT OR REPLACE INTO slots VALUES (?, ?)');
  const last = db.prepare<[number], string>('SELECT id FROM slots WHERE slot = ?').pluck();
  const fact = db.prepare<[string], string>('SELECT value FROM host WHERE name = ?').pluck();
  const setFact = db.prepare('UPDATE host SET value = ? WHERE name = ?');
  const functions = (): readonly SimFunction[] =>
    rows.all().map(({ slot, value }) => ({ slot, ...(JSON.parse(value) as Omit<SimFunction, 'slot'>) }));
  const put = db.transaction(({ slot, ...rest }: SimFunction) => {
    upsert.run(slot, JSON.stringify(rest));
    if (rest.id !== null) note.run(slot, rest.id);
  });
  return {
    functions,
    put: (row) => put.immediate(row),
    remove: (slot) => {
      erase.run(slot);
    },
    lastOf: (slot) => (last.get(slot) ?? null) as FunctionId | null,
    get power() {
      return fact.get('power') === 'on' ? 'on' : 'off';
    },
    switch: (power) => {
      db.transaction(() => {
        setFact.run(power, 'power');
        if (power === 'off') return;
        for (const each of functions()) if (each.plugged && !each.enumerated) put({ ...each, enumerated: true });
      }).immediate();
    },
    get holds() {
      return fact.get('holds') === 'yes';
    },
    hold: (holds) => {
      setFact.run(holds ? 'yes' : 'no', 'holds');
    },
    close: () => {
      db.close();
    },
  };
}

function open(file: string): Database.Database {
  try {
    const db = new Database(file, { timeout: 5000 });
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = OFF'); // a card that does not exist may go with the machine
    db.pragma('cache_size = -256');
    return db;
  } catch (cause) {
    throw new DpuError('internal', `opening the simulated card ${file} failed`, { cause });
  }
}
