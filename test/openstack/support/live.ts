/** How a suite of the live tests begins and ends: signed in, and with nothing left behind. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Cloud, openCloud } from './cloud.ts';
import { type Hosts, hostsOf } from './hosts.ts';
import { expectNothingLeft } from './leaks.ts';
import type { SpareNode } from './nodes.ts';
import { type Servers, serversOf } from './servers.ts';
import { type Volumes, volumesOf } from './volumes.ts';

/** What a suite works with; all of it is there from its first `beforeAll` on. */
export interface Live {
  readonly cloud: Cloud;
  readonly servers: Servers;
  readonly volumes: Volumes;
  readonly hosts: Hosts;
  /** Takes something back after the test, newest first, once its servers are gone and before its volumes go. */
  undo(work: () => Promise<unknown>): void;
}

/** What a suite needs beside the two nodes. */
export interface LiveOptions {
  /** Nodes that only this suite has: `cloud.node(hostname)`; nova forgets them after it. */
  readonly spares?: readonly SpareNode[];
  /** When all that was made goes, and nothing may be left: after each test, or once, where tests go on with one server. Default `each`. */
  readonly clean?: 'each' | 'all';
}

/**
 * Registers the suite's hooks. To be called first in it: then its own `beforeAll` comes after ours, and its own `afterEach` and `afterAll` before ours.
 */
export function liveServers({ spares = [], clean = 'each' }: LiveOptions = {}): Live {
  let opened: Omit<Live, 'undo'> | undefined;
  let undos: (() => Promise<unknown>)[] = [];
  const there = (): NonNullable<typeof opened> => {
    if (opened === undefined) throw new Error('the suite has not begun');
    return opened;
  };
  const live: Live = {
    cloud: late(() => there().cloud),
    servers: late(() => there().servers),
    volumes: late(() => there().volumes),
    hosts: late(() => there().hosts),
    undo: (work) => void undos.push(work),
  };

  beforeAll(async () => {
    const cloud = await openCloud(spares);
    opened = { cloud, servers: serversOf(cloud), volumes: volumesOf(cloud), hosts: hostsOf(cloud) };
  });
  afterAll(async () => {
    for (const { hostname } of spares) {
      await live.cloud.node(hostname).end();
      await live.cloud.forgetHost(hostname);
    }
  });
  (clean === 'each' ? afterEach : afterAll)(async () => {
    const { cloud, servers, volumes } = there();
    await servers.removeAll();
    const works = undos.toReversed();
    undos = [];
    for (const work of works) await work();
    await volumes.removeAll();
    await expectNothingLeft(cloud);
  });
  return live;
}

/** An object that is made later. @throws what `get` throws, at any use before */
function late<Value extends object>(get: () => Value): Value {
  return new Proxy({} as Value, { get: (_, name): unknown => Reflect.get(get(), name) });
}
