import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { devlinkLookup } from '../../drivers/network/devlink.ts';
import {
  findRepresentor,
  parseDevlinkPorts,
  physPortName,
  type Representor,
} from '../../drivers/network/representors.ts';

const recorded = (name: string): string =>
  readFileSync(new URL(`./network-devlink/${name}.json`, import.meta.url), 'utf8');
const links = recorded('links');

function look(name: string): Promise<readonly Representor[]> {
  const lookup = devlinkLookup(async (program) => (program === 'devlink' ? recorded(name) : links));
  return lookup.list();
}

describe('representors', () => {
  it('are read from devlink, without uplinks and ports that have no netdev', async () => {
    const all = await look('ports');
    expect(all.map((each) => [each.netdev, physPortName(each.identity)])).toEqual([
      ['pf0hpf', 'c1pf0'],
      ['pf0vf0', 'c1pf0vf0'],
      ['en3f0pf0sf1000', 'pf0sf1000'],
    ]);
    expect(all[0]?.identity.switchId).toBe('a8d0d50003c13a08');
    expect(all[2]?.identity.switchId).toBe('pci/0000:03:00.0');
  });

  it('are found again after udev renamed them', async () => {
    const before = findRepresentor(await look('ports'), 'pf0vf0', null);
    const renamed = await look('ports-renamed');
    expect(findRepresentor(renamed, 'pf0vf0', before?.identity ?? null)?.netdev).toBe('enp3s0f0npf0vf0');
    expect(findRepresentor(renamed, 'pf0vf0', null)).toBeUndefined();
    expect(findRepresentor(renamed, 'c1pf0vf0', null)?.netdev).toBe('enp3s0f0npf0vf0');
    expect(findRepresentor(renamed, 'c2pf0vf0', null)).toBeUndefined();
  });

  it('are not guessed where two cards have the same port', () => {
    const identity = { controller: 1, flavour: 'pcivf', pfnum: 0, vfnum: 0, sfnum: null };
    const two = ['a', 'b'].map((switchId) => ({ netdev: `rep-${switchId}`, identity: { ...identity, switchId } }));
    expect(findRepresentor(two, 'c1pf0vf0', null)).toBeUndefined();
    expect(findRepresentor(two, 'c1pf0vf0', { ...identity, switchId: 'b' })?.netdev).toBe('rep-b');
  });

  it('are none where devlink knows nothing, and an error where it does not answer JSON', () => {
    expect(parseDevlinkPorts('')).toEqual([]);
    expect(parseDevlinkPorts('{"port":{}}')).toEqual([]);
    let error: unknown;
    try {
      parseDevlinkPorts('Failed to connect to devlink Netlink');
    } catch (thrown) {
      error = thrown;
    }
    expect(hasCode(error, 'hardware')).toBe(true);
  });
});
