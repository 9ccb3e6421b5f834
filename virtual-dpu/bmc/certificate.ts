import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readFile, rename } from 'node:fs/promises';
import { promisify } from 'node:util';
import { DpuError } from '../../core/errors.ts';

/** A key and its self-signed certificate, as a BMC brings them from the factory. */
export interface Certificate {
  readonly keyFile: string;
  readonly certificateFile: string;
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string;
}

/** Makes the pair for 127.0.0.1, or takes the one that is there. @throws DpuError `unavailable` without openssl. */
export async function ensureCertificate(keyFile: string, certificateFile: string): Promise<Certificate> {
  if (!existsSync(certificateFile)) {
    const subject = ['-subj', '/CN=bmc', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'];
    const files = ['-keyout', keyFile, '-out', `${certificateFile}.new`];
    try {
      await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...subject, ...files], { timeout: 20_000 });
    } catch (cause) {
      throw new DpuError('unavailable', "the BMC's certificate can't be made with openssl", { cause });
    }
    await chmod(keyFile, 0o600);
    await rename(`${certificateFile}.new`, certificateFile);
  }
  const { fingerprint256 } = new X509Certificate(await readFile(certificateFile));
  return { keyFile, certificateFile, fingerprint: fingerprint256 };
}
