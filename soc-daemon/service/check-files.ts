import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LoadedConfig } from '../../kit/config.ts';

/** A certificate that a setting names, and the key that must fit it. */
interface Named {
  readonly setting: string;
  readonly file: string;
  readonly key?: string;
}

/** What a start by this user would stumble over in the files that are no secrets: certificates, their keys, the SMBIOS table. */
export function fileNotes({ host, network, rest }: LoadedConfig, nowMs: number): readonly string[] {
  const { tls } = network;
  const certificates: readonly Named[] = [
    ...(host.redfish?.ca_file === undefined ? [] : [{ setting: 'host.redfish.ca_file', file: host.redfish.ca_file }]),
    ...(rest.tcp ? [{ setting: 'rest.tcp.cert_file', file: rest.tcp.cert_file, key: rest.tcp.key_file }] : []),
    ...(tls ? [{ setting: 'network.tls.cert_file', file: tls.cert_file, key: tls.key_file }] : []),
    ...(tls ? [{ setting: 'network.tls.ca_file', file: tls.ca_file }] : []),
  ];
  const notes = certificates.flatMap((each) => certificateNotes(each, nowMs));
  const { smbios_file: smbios } = host;
  return smbios === undefined || read(smbios) ? notes : [...notes, `host.smbios_file: ${smbios} can't be read`];
}

function certificateNotes({ setting, file, key }: Named, nowMs: number): readonly string[] {
  const text = read(file);
  if (!text) return [`${setting}: ${file} can't be read`];
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(text);
  } catch {
    return [`${setting}: ${file} holds no certificate (PEM)`];
  }
  const late = new Date(certificate.validTo).getTime() < nowMs;
  const expired = late ? [`${setting}: the certificate in ${file} ended on ${certificate.validTo}`] : [];
  return key === undefined ? expired : [...expired, ...keyNotes(setting, certificate, key)];
}

function keyNotes(setting: string, certificate: X509Certificate, file: string): readonly string[] {
  const text = read(file);
  if (!text) return [`${setting}: its key ${file} can't be read`];
  try {
    if (certificate.checkPrivateKey(createPrivateKey(text))) return [];
  } catch {
    return [`${setting}: ${file} holds no key (PEM)`];
  }
  return [`${setting}: the key in ${file} is not the certificate's`];
}

function read(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null; // the note says so
  }
}
