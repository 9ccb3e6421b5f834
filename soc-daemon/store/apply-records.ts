import { DpuError } from '../../core/errors.ts';
import type { BindingRecord, FunctionRecord, RecordChange } from '../../core/records.ts';
import type { InstanceId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import type { CommandTable, Touched } from './commands.ts';
import { readBinding, readFunction, readInstance, toJson } from './rows.ts';

/**
 * Applies changes of the records. Patches that change nothing touch nothing; patches of functions and bindings that
 * are gone are let pass, since an observation may cross a destroy.
 * @throws DpuError `not_found` for an instance that the store does not know.
 */
export function applyRecords(sql: Sql, touched: Touched, changes: readonly RecordChange[]): void {
  for (const change of changes) applyRecord(sql, touched, change);
}

function applyRecord(sql: Sql, touched: Touched, change: RecordChange): void {
  switch (change.type) {
    case 'instance':
      patchInstance(sql, touched, change.id, change.patch);
      return;
    case 'secret-gone':
      sql('DELETE FROM secrets WHERE id = ?').run(change.id);
      return;
    case 'function':
      putFunction(sql, change.record);
      touched.changed.add(change.record.instance);
      return;
    case 'function-patch': {
      const record = readFunction(sql, change.id);
      if (!record || !differs(record, change.patch)) return;
      putFunction(sql, { ...record, ...change.patch });
      touched.changed.add(record.instance);
      return;
    }
    case 'function-gone': {
      const row = sql('DELETE FROM functions WHERE id = ? RETURNING instance').get(change.id);
      if (row) touched.changed.add((row as { instance: InstanceId }).instance);
      return;
    }
    case 'binding':
      putBinding(sql, change.record);
      touched.changed.add(change.record.instance);
      return;
    case 'binding-patch': {
      const record = readBinding(sql, change.functionId);
      if (!record || !differs(record, change.patch)) return;
      putBinding(sql, { ...record, ...change.patch });
      touched.changed.add(record.instance);
      return;
    }
    case 'binding-gone': {
      sql("DELETE FROM secrets WHERE keep_with = 'binding' AND function_id = ?").run(change.functionId);
      const row = sql('DELETE FROM bindings WHERE function_id = ? RETURNING instance').get(change.functionId);
      if (row) touched.changed.add((row as { instance: InstanceId }).instance);
      return;
    }
  }
}

function differs(record: object, patch: object): boolean {
  const now = new Map(Object.entries(record));
  return Object.entries(patch).some(([name, value]) => toJson(now.get(name)) !== toJson(value));
}

function patchInstance(
  sql: Sql,
  touched: Touched,
  id: InstanceId,
  patch: Extract<RecordChange, { type: 'instance' }>['patch'],
): void {
  const record = readInstance(sql, id);
  if (!record) throw new DpuError('not_found', `the store has no instance ${id}`);
  if (!differs(record, patch)) return;
  const { state, flavor, claimed, todo, metadata, sshKeys, guest } = { ...record, ...patch };
  sql(
    'UPDATE instances SET state = ?, flavor = ?, claimed = ?, todo = ?, metadata = ?, ssh_keys = ?, guest = ? WHERE id = ?',
  ).run(
    state,
    JSON.stringify(flavor),
    claimed ? 1 : 0,
    toJson(todo),
    JSON.stringify(metadata),
    JSON.stringify(sshKeys),
    toJson(guest),
    id,
  );
  touched.changed.add(id);
  touched.reported.add(id);
  if (state === 'deleted') touched.deleted.add(id);
}

function putFunction(sql: Sql, record: FunctionRecord): void {
  sql(`
    INSERT INTO functions (id, instance, type, class, role, phase, mac, bdf, bdf_state, representor, vuid)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, type = excluded.type, class = excluded.class,
      role = excluded.role, phase = excluded.phase, mac = excluded.mac, bdf = excluded.bdf,
      bdf_state = excluded.bdf_state, representor = excluded.representor, vuid = excluded.vuid
  `).run(
    record.id,
    record.instance,
    record.type,
    record.class,
    record.role,
    record.phase,
    record.mac,
    record.bdf,
    record.bdfState,
    record.representor,
    record.vuid,
  );
}

function putBinding(sql: Sql, record: BindingRecord): void {
  sql(`
    INSERT INTO bindings (function_id, instance, kind, key, phase, made_for_instance, ips, boot, read_only, size_bytes,
      bdev, connection_secret, qos)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (function_id) DO UPDATE SET instance = excluded.instance, kind = excluded.kind, key = excluded.key,
      phase = excluded.phase, made_for_instance = excluded.made_for_instance, ips = excluded.ips,
      boot = excluded.boot, read_only = excluded.read_only, size_bytes = excluded.size_bytes, bdev = excluded.bdev,
      connection_secret = excluded.connection_secret, qos = excluded.qos
  `).run(
    record.functionId,
    record.instance,
    record.kind,
    record.key,
    record.phase,
    record.madeForInstance ? 1 : 0,
    JSON.stringify(record.ips),
    record.boot ? 1 : 0,
    record.readOnly ? 1 : 0,
    record.sizeBytes,
    record.bdev,
    record.connectionSecret,
    toJson(record.qos),
  );
}

/**
 * Takes in an instance that peers carry the marks of. One that was deleted is made anew.
 * @throws DpuError `conflict` when the store has it.
 */
export function applyAdopt(sql: Sql, touched: Touched, command: CommandTable['adopt']['args']): void {
  const { instance, functions, bindings } = command;
  const known = readInstance(sql, instance.id);
  if (known && known.state !== 'deleted') {
    throw new DpuError('conflict', `the store has the instance ${instance.id} already`);
  }
  sql(`
    INSERT INTO instances (id, name, state, flavor, claimed, whole_host, todo, generation, metadata, ssh_keys, guest)
    VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, flavor = excluded.flavor,
      claimed = excluded.claimed, whole_host = 0, todo = excluded.todo,
      generation = max(generation, excluded.generation), metadata = excluded.metadata, ssh_keys = excluded.ssh_keys,
      guest = excluded.guest
  `).run(
    instance.id,
    instance.name,
    instance.state,
    JSON.stringify(instance.flavor),
    instance.claimed ? 1 : 0,
    toJson(instance.todo),
    instance.generation,
    JSON.stringify(instance.metadata),
    JSON.stringify(instance.sshKeys),
    toJson(instance.guest),
  );
  for (const record of functions) putFunction(sql, record);
  for (const record of bindings) putBinding(sql, record);
  touched.changed.add(instance.id);
  touched.reported.add(instance.id);
}
