/** The screen of a simulated machine says what RFC 6143 wants of it, also to clients that want something else. */
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { showPicture } from '../../drivers/sim/rfb.ts';

/** White, red; green, black. */
const picture = {
  width: 2,
  height: 2,
  rgb: Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 0),
};

/** What a screen says to a client that says this and goes. */
async function says(...client: readonly (string | readonly number[])[]): Promise<Buffer> {
  const said: Buffer[] = [];
  const stream = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      said.push(bytes);
      done();
    },
  });
  for (const each of client) stream.push(typeof each === 'string' ? Buffer.from(each) : Uint8Array.from(each));
  stream.push(null);
  await expect(showPicture(stream, 'vm', picture)).rejects.toMatchObject({ name: 'ProtocolError' });
  return Buffer.concat(said);
}

const hello = ['RFB 003.008\n', [1], [1]] as const;
/** What comes before the first update: version, security types, result, ServerInit with the name. */
const greeting = 12 + 2 + 4 + 24 + 2;
const whole = [3, 0, 0, 0, 0, 0, 0, 2, 0, 2] as const;

describe('a screen', () => {
  it('says its size, its format and its name, and shows the whole picture', async () => {
    const said = await says(...hello, whole);
    expect(said.subarray(12, 18)).toEqual(Buffer.from([1, 1, 0, 0, 0, 0]));
    const init = said.subarray(18, greeting);
    expect([init.readUInt16BE(0), init.readUInt16BE(2), init.toString('latin1', 24)]).toEqual([2, 2, 'vm']);
    expect(init.subarray(4, 20)).toEqual(Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]));
    const update = said.subarray(greeting);
    expect(update.subarray(0, 16)).toEqual(Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0]));
    expect(update.subarray(16)).toEqual(Buffer.from([255, 255, 255, 0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 0, 0]));
  });

  it('shows a part of it, in the client’s own format', async () => {
    const rgb565 = [0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    const column = [3, 0, 0, 1, 0, 0, 0, 9, 0, 9];
    const update = (await says(...hello, rgb565, column)).subarray(greeting);
    expect(update.subarray(4, 12)).toEqual(Buffer.from([0, 1, 0, 0, 0, 1, 0, 2]));
    expect(update.subarray(16)).toEqual(Buffer.from([0xf8, 0x00, 0x00, 0x00])); // red over black, big endian
  });

  it('takes keys, a mouse, a clipboard and encodings, and says nothing where nothing changed', async () => {
    const said = await says(
      ...hello,
      [2, 0, 0, 1, 0, 0, 0, 7],
      [4, 1, 0, 0, 0, 0, 0, 97],
      [5, 0, 0, 1, 0, 1],
      [6, 0, 0, 0, 0, 0, 0, 2, 104, 105],
      [3, 1, 0, 0, 0, 0, 0, 2, 0, 2],
    );
    expect(said.length).toBe(greeting);
  });

  it('refuses another version with a reason', async () => {
    const said = await says('RFB 003.003\n');
    expect(said.subarray(12, 13)).toEqual(Buffer.from([0]));
    expect(said.toString('latin1', 17)).toBe('only version 3.8 is spoken here');
  });

  it.each([
    ['another security type', ['RFB 003.008\n', [2]]],
    ['a message that it does not know', [...hello, [99]]],
    ['a clipboard without end', [...hello, [6, 0, 0, 0, 255, 255, 255, 255]]],
    ['a colour map', [...hello, [0, 0, 0, 0, 8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 5, 2, 0, 0, 0, 0]]],
    ['colours that no pixel holds', [...hello, [0, 0, 0, 0, 8, 8, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]]],
  ] as const)('ends with a client that sends %s', async (_, client) => {
    expect((await says(...client)).length).toBeLessThan(greeting + 40);
  });
});
