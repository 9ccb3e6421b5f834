/**
 * Keeps services from starting because their package is installed: invoke-rc.d asks `/usr/sbin/policy-rc.d`, and exit
 * status 101 means "forbidden" (Debian's `invoke-rc.d(8)`). What was there before is put back afterwards; until then it is
 * held in a file beside it, so that a run that was killed is mended by the next one.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

/** Where invoke-rc.d looks. */
export const POLICY_PATH = '/usr/sbin/policy-rc.d';

const OURS =
  '#!/bin/sh\n# Put here by dpu-compute tools/setup.mjs while it installs packages; it goes away by itself.\nexit 101\n';

/** Denies service starts; a policy that denies already is left as it is. `restorePolicy` is its undo. */
export function denyServiceStarts(path = POLICY_PATH) {
  restorePolicy(path);
  const entry = describe(path);
  if (entry && denies(path)) return;
  writeWhole(savedPath(path), `${JSON.stringify({ previous: entry })}\n`, 0o600);
  writeWhole(path, OURS, 0o755);
}

/** Puts back what `denyServiceStarts` replaced; nothing to do is success. A policy that somebody else put there since stays. */
export function restorePolicy(path = POLICY_PATH) {
  if (!needsRestore(path)) return false;
  const { previous } = JSON.parse(readFileSync(savedPath(path), 'utf8'));
  const present = describe(path);
  const unchanged = present?.kind === 'file' && Buffer.from(present.content, 'base64').toString() === OURS;
  if (unchanged) putBack(path, previous);
  rmSync(savedPath(path));
  return true;
}

/** Whether an earlier run ended before it could put the policy back. */
export function needsRestore(path = POLICY_PATH) {
  return existsSync(savedPath(path));
}

function savedPath(path) {
  return `${path}.dpu-compute-saved`;
}

function describe(path) {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return null;
  if (stat.isSymbolicLink()) return { kind: 'link', target: readlinkSync(path) };
  const { mode, uid, gid } = stat;
  return { kind: 'file', mode: mode & 0o7777, uid, gid, content: readFileSync(path).toString('base64') };
}

function denies(path) {
  return spawnSync(path, ['dpu-compute-probe', 'start', '2'], { stdio: 'ignore', timeout: 10_000 }).status === 101;
}

function putBack(path, previous) {
  if (previous === null) {
    rmSync(path, { force: true });
  } else if (previous.kind === 'link') {
    const fresh = `${path}.dpu-compute-new`;
    rmSync(fresh, { force: true });
    symlinkSync(previous.target, fresh);
    renameSync(fresh, path);
  } else {
    writeWhole(path, Buffer.from(previous.content, 'base64'), previous.mode, previous);
  }
}

function writeWhole(path, content, mode, owner) {
  const fresh = `${path}.dpu-compute-new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, content, { flush: true });
  if (owner) chownSync(fresh, owner.uid, owner.gid);
  chmodSync(fresh, mode);
  renameSync(fresh, path);
}
