/** The images behind Cinder's volumes, asked of Ceph itself. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { CEPH_POOL, cephConf, cephTool } from '../../../tools/openstack/ceph.ts';
import type { StackLayout } from '../../../tools/openstack/layout.ts';
import { programEnvironment } from '../../../tools/openstack/programs.ts';

/** Part of an image. */
export interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** The images of a control plane's pool. A volume's is `volume-ID`, a snapshot in it `snapshot-ID` (Cinder's name templates). */
export interface CephImages {
  /** Names of all, and of what waits in the trash. */
  list(): Promise<readonly string[]>;
  /** Names of an image's snapshots. */
  snapshots(volume: string): Promise<readonly string[]>;
  /** Bytes. */
  size(volume: string): Promise<number>;
  /** Clients that have it open, and those that hold its lock. */
  users(volume: string): Promise<{ readonly watchers: number; readonly locks: number }>;
  /** MD5 of a part of an image or of a snapshot of it, as `rbd export` gives it. */
  md5(volume: string, range: Range, snapshot?: string): Promise<string>;
}

/** As Ceph's administrator. */
export function cephImages(layout: StackLayout): CephImages {
  const rbd = async <Answer>(...args: readonly string[]): Promise<Answer> =>
    JSON.parse(await cephTool(layout, 'rbd', ...args, '--format', 'json')) as Answer;
  const nameOf = (volume: string): string => `${CEPH_POOL}/volume-${volume}`;
  return {
    async list() {
      const trash = await rbd<readonly { readonly name: string }[]>('trash', 'ls', CEPH_POOL);
      return [...(await rbd<readonly string[]>('ls', CEPH_POOL)), ...trash.map(({ name }) => `trash: ${name}`)];
    },
    async snapshots(volume) {
      return (await rbd<readonly { readonly name: string }[]>('snap', 'ls', nameOf(volume))).map(({ name }) => name);
    },
    size: async (volume) => (await rbd<{ readonly size: number }>('info', nameOf(volume))).size,
    async users(volume) {
      const { watchers } = await rbd<{ readonly watchers: readonly unknown[] }>('status', nameOf(volume));
      const locks = await rbd<readonly unknown[]>('lock', 'ls', nameOf(volume));
      return { watchers: watchers.length, locks: locks.length };
    },
    async md5(volume, { offset, bytes }, snapshot) {
      const source = snapshot === undefined ? nameOf(volume) : `${nameOf(volume)}@snapshot-${snapshot}`;
      const child = spawn('rbd', ['export', '--no-progress', source, '-'], {
        env: programEnvironment({ CEPH_CONF: cephConf(layout) }),
        stdio: ['ignore', 'pipe', 'ignore'], // that nobody reads on is an error to it
      });
      const ended = once(child, 'exit');
      const hash = createHash('md5');
      let at = 0;
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        hash.update(chunk.subarray(Math.max(0, offset - at), Math.max(0, offset + bytes - at)));
        at += chunk.length;
        if (at >= offset + bytes) break; // which closes the pipe, and so ends the program
      }
      await ended;
      if (at < offset + bytes) throw new Error(`${source} has only ${at} bytes`);
      return hash.digest('hex');
    },
  };
}
