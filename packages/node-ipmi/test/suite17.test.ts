import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { getChassisStatus, getDeviceId, IpmiAuthError, IpmiCipherError } from '../src/index.ts';
import { startBmcPeer } from './bmc-peer.ts';
import { field, havePeers, tool } from './ipmi-sim.ts';

describe.skipIf(!havePeers())('the peer of these tests, seen by ipmitool', () => {
  it.each([3, 17])('speaks cipher suite %i', async (suite) => {
    const peer = await startBmcPeer({ suites: [suite] });
    const directory = await mkdtemp(join(tmpdir(), 'node-ipmi-'));
    try {
      const passwordFile = join(directory, 'password');
      await writeFile(passwordFile, 'secret12', { mode: 0o600 });
      const said = await tool({ port: peer.port, passwordFile, suite }, 'power', 'status');
      expect(said).toBe('Chassis Power is on\n');
      await using client = peer.client();
      expect(field(await tool({ port: peer.port, passwordFile, suite }, 'mc', 'info'), 'Product ID')).toContain(
        `${(await getDeviceId(client)).productId}`,
      );
    } finally {
      await peer.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('cipher suites', () => {
  it.each([3, 17] as const)('opens a session with suite %i', async (suite) => {
    const peer = await startBmcPeer({ suites: [suite] });
    const client = peer.client({ cipherSuites: [suite] });
    try {
      expect((await getChassisStatus(client)).powerOn).toBe(true);
    } finally {
      await client.close();
      await peer.stop();
    }
  });

  it('takes 17 where both are offered, and 3 where 17 is not', async () => {
    const both = await startBmcPeer();
    const old = await startBmcPeer({ suites: [3] });
    const used: number[] = [];
    for (const peer of [both, old]) {
      const client = peer.client();
      client.on('open', ({ cipherSuite }) => used.push(cipherSuite));
      await client.open();
      await client.close();
      await peer.stop();
    }
    expect(used).toEqual([17, 3]);
  });

  it('says so when none of ours is offered', async () => {
    const peer = await startBmcPeer({ suites: [3] });
    const client = peer.client({ cipherSuites: [17] });
    try {
      await expect(client.open()).rejects.toMatchObject({ code: 'no-cipher-suite', status: 0x11 });
      await expect(client.open()).rejects.toBeInstanceOf(IpmiCipherError);
    } finally {
      await client.close();
      await peer.stop();
    }
  });

  it('refuses suite 0 before anything is sent', async () => {
    const peer = await startBmcPeer();
    const zero = [0] as unknown as readonly [3];
    expect(() => peer.client({ cipherSuites: zero })).toThrow(expect.objectContaining({ code: 'bad-cipher-suite' }));
    expect(() => peer.client({ cipherSuites: [] })).toThrow(expect.objectContaining({ code: 'bad-argument' }));
    expect(peer.received()).toBe(0);
    await peer.stop();
  });

  it('refuses a BMC that answers with weaker algorithms than it was asked for', async () => {
    const peer = await startBmcPeer();
    peer.state.wire = (datagram, { type }) => {
      if (type === 0x11) for (const at of [32, 40, 48]) datagram[at] = 0;
      return [datagram];
    };
    const client = peer.client();
    try {
      await expect(client.open()).rejects.toMatchObject({ code: 'bad-cipher-suite' });
    } finally {
      await client.close();
      await peer.stop();
    }
  });

  it.each([3, 17] as const)('tells a wrong password, name and BMC key apart, suite %i', async (suite) => {
    const peer = await startBmcPeer({ bmcKey: 'the key of the bmc' });
    const bmcKey = Buffer.from('the key of the bmc');
    const code = async (more: Parameters<typeof peer.client>[0]) => {
      await using client = peer.client({ cipherSuites: [suite], bmcKey, ...more });
      return await client.open().then(
        () => 'open',
        (error: unknown) => (error instanceof IpmiAuthError ? error.code : error),
      );
    };
    try {
      expect(await code({})).toBe('open');
      expect(await code({ password: 'secret13' })).toBe('wrong-password');
      expect(await code({ username: 'nobody' })).toBe('unauthorized-name');
      expect(await code({ bmcKey: Buffer.from('another key') })).toBe('wrong-bmc-key');
    } finally {
      await peer.stop();
    }
  });
});
