import { expect, it } from 'vitest';
import { answerMetadata, type InstanceMetadata } from '../../kit/instance-metadata.ts';

const instance: InstanceMetadata = {
  metaData: { uuid: 'u-1', name: 'web', public_keys: { one: 'ssh-rsa A', two: 'ssh-rsa B' } },
  userData: Buffer.from([0, 1, 255]),
  ip: '192.168.77.9',
  mac: '52:54:00:00:00:01',
};

const body = (path: string, of: InstanceMetadata = instance): string => String(answerMetadata(path, of).body);

it('answers a folder with the names in it, folders with a slash', () => {
  expect(body('/').split('\n')).toEqual(expect.arrayContaining(['latest/', 'openstack/']));
  expect(body('/latest')).toBe('meta-data/\nuser-data');
  expect(body('/latest/meta-data/public-keys/')).toBe('0=one\n1=two');
  expect(body('/latest/meta-data/public-keys/1')).toBe('openssh-key');
});

it('takes a host name from what there is', () => {
  expect(body('/latest/meta-data/local-hostname')).toBe('web');
  expect(body('/latest/meta-data/local-hostname', { ...instance, metaData: {} })).toBe('ip-192-168-77-9');
  expect(body('/latest/meta-data/instance-id', { ...instance, metaData: {} })).toBe('i-525400000001');
});

it('hands on user data byte by byte, and has none where there is none', () => {
  expect(answerMetadata('/openstack/latest/user_data', instance).body).toEqual(instance.userData);
  expect(answerMetadata('/latest/user-data', { ...instance, userData: null }).status).toBe(404);
  expect(answerMetadata('/openstack/latest/meta_data.json', instance).type).toBe('application/json');
});

it.each(['/latest/nothing', '/latest/user-data/more', '/__proto__', '/latest/meta-data/constructor', '/1999'])(
  'has nothing at %s',
  (path) => {
    expect(answerMetadata(path, instance).status).toBe(404);
  },
);

it('tells nothing to whom it does not know', () => {
  expect(answerMetadata('/', null).status).toBe(404);
  expect(answerMetadata('/latest/meta-data/instance-id', null).status).toBe(404);
});
