import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, connectQmp } from 'qmp-client';
import { DpuError } from '../../core/errors.ts';
import type { Log } from '../../core/ports/log.ts';

/** How long the host's client may take to connect again. */
const DEADLINE_MS = 60_000;
const PAUSE_MS = 100;
const CONNECT_MS = 5000;

/** One at a time: a QMP socket serves one client. */
let last: Promise<void> = Promise.resolve();

/**
 * Has the host's QEMU take over the size of the disk that it reads from an export. QEMU learns it when its NBD client connects again and
 * refuses until then ("Cannot grow NBD nodes"), so this is tried until it fits. Nobody waits for it; a host that does not use the export
 * is left alone.
 */
export function announceSize(
  log: Log,
  target: { readonly qmp: string; readonly socket: string; readonly name: string; readonly size: () => number },
): void {
  last = last.then(() =>
    announce(target).catch((error: unknown) => {
      // the disk is as large as it is all the same: the host sees it when it connects next
      log.warn('the host could not be told of the new size', { controller: target.name, error });
    }),
  );
}

async function announce({ qmp: path, socket, name, size }: Parameters<typeof announceSize>[1]): Promise<void> {
  const qmp = await connectQmp({ path }, { connectTimeoutMs: CONNECT_MS });
  try {
    const ends = performance.now() + DEADLINE_MS;
    for (;;) {
      const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
      const mine = nodes.filter((each) => each.drv === 'nbd' && each.file === `nbd+unix:///${name}?socket=${socket}`);
      const behind = mine.filter((each) => each.image['virtual-size'] !== size());
      if (behind.length === 0) return;
      if (performance.now() > ends) throw new DpuError('timeout', 'the host does not take over the new size');
      for (const { 'node-name': node = '' } of behind) {
        // a client that has nothing to do does not connect again: give it something
        await qmp.executeAny('human-monitor-command', { 'command-line': `qemu-io ${node} "read 0 512"` });
        try {
          await qmp.execute('block_resize', { 'node-name': node, size: size() });
        } catch (error) {
          if (!(error instanceof CommandError)) throw error; // not connected yet: QEMU has no code of its own for it
        }
      }
      await sleep(PAUSE_MS);
    }
  } finally {
    qmp.close();
  }
}
