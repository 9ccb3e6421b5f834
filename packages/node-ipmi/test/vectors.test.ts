import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cipherSuite } from '../src/cipher-suites.ts';
import { protect, unprotect } from '../src/packet.ts';
import { type RakpContext, rakp2Code, rakp3Code, rakp4Check, sessionKeys } from '../src/rakp.ts';

/**
 * The formulas of IPMI 2.0 13.28 to 13.32 once more, in Python and with its hmac, and AES by openssl: nothing here shares a line
 * with the package.
 */
const FORMULAS = `
import hashlib, hmac, json, struct, subprocess, sys
q = json.load(sys.stdin)
h = {3: hashlib.sha1, 17: hashlib.sha256}[q['suite']]
cut = {3: 12, 17: 16}[q['suite']]
b = lambda name: bytes.fromhex(q[name])
mac = lambda key, data: hmac.new(key, data, h).digest()
sidm, sidc = struct.pack('<I', q['sidm']), struct.pack('<I', q['sidc'])
role, name, kuid, kg = bytes([q['role']]), b('name'), b('password'), b('kg')
rm, rc, guid = b('rm'), b('rc'), b('guid')
user = role + bytes([len(name)]) + name
sik = mac(kg, rm + rc + user)
k1, k2 = mac(sik, b'\\x01' * 20), mac(sik, b'\\x02' * 20)
payload = b('payload')
pad = (16 - (len(payload) + 1) % 16) % 16
clear = payload + bytes(range(1, pad + 1)) + bytes([pad])
aes = subprocess.run(['openssl', 'enc', '-aes-128-cbc', '-nopad', '-K', k2[:16].hex(), '-iv', q['iv']], input=clear,
                     stdout=subprocess.PIPE, check=True).stdout
body = b('iv') + aes
signed = bytes([6, 0xc0]) + sidc + struct.pack('<IH', q['sequence'], len(body)) + body
fill = -(len(signed) + 2) % 4
signed += b'\\xff' * fill + bytes([fill, 7])
packet = bytes([6, 0, 0xff, 7]) + signed + mac(k1, signed)[:cut]
print(json.dumps({
  'rakp2': mac(kuid, sidm + sidc + rm + rc + guid + user).hex(),
  'rakp3': mac(kuid, rc + sidm + user).hex(),
  'sik': sik.hex(), 'k1': k1.hex(), 'k2': k2.hex(),
  'rakp4': mac(sik, rm + sidc + guid)[:cut].hex(),
  'packet': packet.hex(),
}))
`;

const python = '/usr/bin/python3';
const missing = [python, '/usr/bin/openssl'].filter((path) => !existsSync(path));
if (missing.length > 0 && process.env.CI) throw new Error(`the vectors need ${missing.join(', ')}`);
if (missing.length > 0) process.stderr.write(`node-ipmi: vectors SKIPPED, not installed: ${missing.join(', ')}\n`);

const cases = [
  { suite: 3, password: 'secret12', kg: 'secret12', payload: 7 },
  { suite: 3, password: 'twenty bytes long!!!', kg: 'own key', payload: 16 },
  { suite: 17, password: 'secret12', kg: 'secret12', payload: 7 },
  { suite: 17, password: 'twenty bytes long!!!', kg: 'own key', payload: 15 },
  { suite: 17, password: '', kg: '', payload: 31 },
];

describe.skipIf(missing.length > 0)('keys and packets', () => {
  it.each(cases)(
    'suite $suite, password of $password.length, payload of $payload',
    ({ suite: id, password, kg, payload }) => {
      const bytes = (length: number, seed: number) =>
        Buffer.from(Array.from({ length }, (_, at) => (at * 37 + seed * 11) & 0xff));
      const suite = cipherSuite(id);
      const rakp: RakpContext = {
        suite,
        consoleSessionId: 0xa0a2a3a4,
        bmcSessionId: 0x02008802,
        consoleRandom: bytes(16, 1),
        bmcRandom: bytes(16, 2),
        bmcGuid: bytes(16, 3),
        role: 0x14,
        username: Buffer.from('admin'),
      };
      const question = {
        suite: id,
        sidm: rakp.consoleSessionId,
        sidc: rakp.bmcSessionId,
        role: rakp.role,
        sequence: 0x01020304,
        name: Buffer.from(rakp.username).toString('hex'),
        password: Buffer.from(password).toString('hex'),
        kg: Buffer.from(kg).toString('hex'),
        rm: Buffer.from(rakp.consoleRandom).toString('hex'),
        rc: Buffer.from(rakp.bmcRandom).toString('hex'),
        guid: Buffer.from(rakp.bmcGuid).toString('hex'),
        iv: bytes(16, 4).toString('hex'),
        payload: bytes(payload, 5).toString('hex'),
      };
      const said = execFileSync(python, ['-c', FORMULAS], { input: JSON.stringify(question), timeout: 20_000 });
      const keys = sessionKeys(rakp, Buffer.from(kg));
      const packet = {
        payloadType: 0,
        sessionId: rakp.bmcSessionId,
        sequence: question.sequence,
        payload: bytes(payload, 5),
      };
      const sealed = protect(keys, packet, bytes(16, 4));
      const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
      expect({
        rakp2: hex(rakp2Code(rakp, Buffer.from(password))),
        rakp3: hex(rakp3Code(rakp, Buffer.from(password))),
        sik: hex(keys.sik),
        k1: hex(keys.k1),
        k2: hex(keys.k2),
        rakp4: hex(rakp4Check(rakp, keys.sik)),
        packet: hex(sealed),
      }).toEqual(JSON.parse(said.toString()));
      expect(unprotect(keys, rakp.bmcSessionId, sealed)).toMatchObject({
        sequence: question.sequence,
        payload: packet.payload,
      });
    },
  );
});
