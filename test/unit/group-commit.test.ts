import fs, { mkdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DpuError } from '../../core/errors.ts';
import { systemClock } from '../../kit/clock.ts';
import { createGroupCommit, openWalFlusher } from '../../kit/group-commit.ts';
import { openFlowStore } from '../../platform-adapter/openstack/store.ts';
import { buildRequest, instanceId, openTestStore, operationId, temporaryDirectory, testKey } from '../support/store.ts';

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory();
});
afterEach(() => place.remove());

describe('a flush that fails', () => {
  it('is the end of the store: nothing is answered that may not be on the disk', async () => {
    const flushes = Promise.withResolvers<void>();
    const told: string[] = [];
    const commits = createGroupCommit<string, number>({
      run: (group) => group.length,
      flush: () => flushes.promise,
      done: (count) => told.push(`done ${count}`),
      failed: (error, group) => told.push(`${(error as Error).message}: ${group.join()}`),
    });
    commits.add(['a']);
    commits.add(['b', 'c']);
    expect(told).toEqual([]);
    flushes.reject(new Error('EIO'));
    await commits.idle();
    commits.add(['d']);
    expect(told).toEqual(['EIO: a,b,c', 'EIO: d']);
  });
});

describe('commits', () => {
  it('are told when they are on the disk, in order, and what comes meanwhile is one group', async () => {
    const flushes = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const told: string[] = [];
    const groups: string[] = [];
    const commits = createGroupCommit<string, string>({
      run: (group) => {
        groups.push(group.join());
        return group.join();
      },
      flush: () => flushes[groups.length - 1]?.promise ?? Promise.resolve(),
      done: (result) => told.push(result),
      failed: () => told.push('failed'),
    });
    commits.add(['a']);
    commits.add(['b']);
    commits.add(['c']);
    expect({ groups, told }).toEqual({ groups: ['a'], told: [] });
    flushes[0]?.resolve();
    await vi.waitFor(() => expect({ groups, told }).toEqual({ groups: ['a', 'b,c'], told: ['a'] }));
    flushes[1]?.resolve();
    await commits.idle();
    expect(told).toEqual(['a', 'b,c']);
    commits.add(['d']);
    await commits.idle();
    expect(told).toEqual(['a', 'b,c', 'd']);
  });

  it('are flushed from a real WAL, and a store whose file is a directory says so', async () => {
    mkdirSync(join(place.path, 'file.db'));
    const options = { file: join(place.path, 'file.db'), mode: 'flushed', durability: 'full' } as const;
    await expect(openTestStore(place.path, options)).rejects.toMatchObject({ code: 'internal' });
    expect(() => openWalFlusher(join(place.path, 'nothing.db'))).toThrowError('ENOENT');
    const store = await openTestStore(place.path, { mode: 'flushed', durability: 'full' });
    const flusher = openWalFlusher(join(place.path, 'store.db'));
    await flusher.flush();
    flusher.close();
    await expect(flusher.flush()).rejects.toMatchObject({ code: 'EBADF' });
    await store.close();
  });
});

/** Holds every flush until it is let go, with an error or without one. */
function holdFlushes(): { readonly held: ((error: NodeJS.ErrnoException | null) => void)[]; restore(): void } {
  const { fdatasync } = fs;
  const held: ((error: NodeJS.ErrnoException | null) => void)[] = [];
  const holding = (_: number, told: fs.NoParamCallback): void => void held.push(told);
  fs.fdatasync = Object.assign(holding, { __promisify__: fdatasync.__promisify__ });
  syncBuiltinESMExports();
  return {
    held,
    restore() {
      fs.fdatasync = fdatasync;
      syncBuiltinESMExports();
    },
  };
}

describe('what is durable', () => {
  let flushes: ReturnType<typeof holdFlushes>;
  beforeEach(() => {
    flushes = holdFlushes();
  });
  afterEach(() => flushes.restore());

  const flow = {
    id: operationId(1),
    instance: instanceId(1),
    method: 'stop_instance',
    planVersion: 1,
    request: {},
    requestId: 'req-1',
    uniqueId: null,
    key: 'stop',
    overtakes: false,
  };

  async function opened(onFailure?: (error: DpuError) => void): ReturnType<typeof openTestStore> {
    const opening = openTestStore(place.path, { mode: 'flushed', durability: 'full', ...(onFailure && { onFailure }) });
    // the mark of its key is its first write
    await vi.waitFor(() => expect(flushes.held).toHaveLength(1));
    flushes.held.pop()?.(null);
    return opening;
  }

  it('is answered when the store is flushed, and not before', async () => {
    const store = await opened();
    const commits: unknown[] = [];
    store.onCommit((notice) => commits.push(notice));
    let answered = false;
    const accepted = store.accept(buildRequest(1)).then(() => {
      answered = true;
    });
    await vi.waitFor(() => expect(flushes.held).toHaveLength(1));
    expect({ answered, commits }).toEqual({ answered: false, commits: [] });
    flushes.held.pop()?.(null);
    await accepted;
    expect(commits).toHaveLength(1);
    await store.close();
  });

  it('is never answered when the disk fails: the store is at its end', async () => {
    const failures: DpuError[] = [];
    const store = await opened((error) => failures.push(error));
    const accepted = store.accept(buildRequest(1));
    await vi.waitFor(() => expect(flushes.held).toHaveLength(1));
    flushes.held.pop()?.(Object.assign(new Error('EIO'), { code: 'EIO' }));
    await expect(accepted).rejects.toMatchObject({ code: 'unavailable', details: { disk: 'EIO' } });
    expect(failures).toHaveLength(1);
    await expect(store.accept(buildRequest(2))).rejects.toMatchObject({ code: 'unavailable' });
    await store.close();
  });

  it('is accepted from nova when the journal of flows is flushed, and not before', async () => {
    const store = openFlowStore({ file: join(place.path, 'flows.db'), key: testKey, clock: systemClock });
    let accepted = false;
    const accepting = store.accept(flow).then(() => {
      accepted = true;
    });
    await vi.waitFor(() => expect(flushes.held).toHaveLength(1));
    expect(accepted).toBe(false);
    flushes.held.pop()?.(null);
    await accepting;
    const pruned = store.prune(1);
    await vi.waitFor(() => expect(flushes.held).toHaveLength(1));
    flushes.held.pop()?.(Object.assign(new Error('EIO'), { code: 'EIO' }));
    await expect(pruned).rejects.toMatchObject({ code: 'internal' });
    await expect(store.accept({ ...flow, id: operationId(2), key: 'again' })).rejects.toMatchObject({
      code: 'internal',
    });
    await store.close();
  });
});
