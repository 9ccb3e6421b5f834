import { X509Certificate } from 'node:crypto';
import type { Agent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect } from 'node:tls';
import { BadOptionError, TlsError } from './errors.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { Agent: HttpAgent } = process.getBuiltinModule('node:http');

/** How the service's certificate is verified. One of the three must be chosen, or the system's CAs are used. */
export type TlsOptions = {
  /** SHA-256 of the certificate (DER) as 64 hex digits, with or without colons; several for a change-over. Nothing else is verified then. */
  readonly fingerprints?: readonly string[];
  /** PEM of the CAs that may have signed it; replaces the system's. */
  readonly ca?: string | readonly string[];
  /** Name the certificate must hold when it is not the URL's host. */
  readonly serverName?: string;
  /** `true` sends passwords to whoever answers. Only for a lab. */
  readonly unverified?: boolean;
};

/** The hex digits of a fingerprint in lower case, colons left out. @throws BadOptionError */
export function normalFingerprint(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new BadOptionError('a fingerprint is the SHA-256 in 64 hex digits');
  return hex;
}

/** SHA-256 fingerprint of a certificate in PEM or DER: what `fingerprints` takes. */
export function fingerprintOf(certificate: string | Buffer): string {
  return normalFingerprint(new X509Certificate(certificate).fingerprint256);
}

/** Ends a handshake; `signal` itself is kept from agents by node:http. */
export type HandshakeOptions = { readonly handshakeSignal?: AbortSignal };

/** An agent whose TLS sockets are handed out only after the peer was verified, so that no byte of a request goes to a stranger. */
class VerifyingAgent extends HttpsAgent {
  readonly #tls: ConnectionOptions;
  readonly #pins: ReadonlySet<string>;

  constructor(keepAlive: boolean, maxSockets: number, tls: TlsOptions) {
    super({ keepAlive, maxSockets, maxFreeSockets: 2, timeout: 0 });
    this.#pins = new Set((tls.fingerprints ?? []).map(normalFingerprint));
    this.#tls = {
      rejectUnauthorized: this.#pins.size === 0 && tls.unverified !== true,
      minVersion: 'TLSv1.2',
      ...(tls.ca === undefined ? {} : { ca: typeof tls.ca === 'string' ? tls.ca : [...tls.ca] }),
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    };
  }

  override createConnection(
    options: ConnectionOptions & HandshakeOptions,
    done?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const { host = '', port } = options;
    const bare = host.replace(/^\[|\]$/g, '');
    const socket = connect({
      ...(isIP(bare) === 0 ? { servername: bare } : {}),
      ...this.#tls,
      host: bare,
      ...(port === undefined ? {} : { port }),
    });
    const stop = () => socket.destroy(new Error('aborted'));
    options.handshakeSignal?.addEventListener('abort', stop, { once: true });
    const fail = (error: Error & { readonly code?: string }) => {
      options.handshakeSignal?.removeEventListener('abort', stop);
      done?.(isCertificateError(error) ? new TlsError(error.code ?? 'unknown') : error, socket);
    };
    socket.once('error', fail);
    // A socket may report once more after it was given up; nobody is left to tell.
    socket.on('error', () => {});
    socket.once('secureConnect', () => {
      const peer = socket.getPeerX509Certificate();
      const known = peer !== undefined && this.#pins.has(normalFingerprint(peer.fingerprint256));
      socket.off('error', fail);
      options.handshakeSignal?.removeEventListener('abort', stop);
      if (this.#pins.size === 0 || known) {
        done?.(null, socket);
        return;
      }
      socket.destroy();
      done?.(new TlsError('not the pinned certificate'), socket);
    });
    return undefined;
  }
}

function isCertificateError(error: Error & { readonly code?: string }): boolean {
  const { code = '' } = error;
  return /^(ERR_TLS_CERT|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_SSL|EPROTO|HOSTNAME_)/.test(code);
}

/** Makes the agent of an origin; `keepAlive` false gives each request a connection of its own. */
export function makeAgent(secure: boolean, keepAlive: boolean, maxSockets: number, tls: TlsOptions): Agent {
  return secure
    ? new VerifyingAgent(keepAlive, maxSockets, tls)
    : new HttpAgent({ keepAlive, maxSockets, maxFreeSockets: 2 });
}
