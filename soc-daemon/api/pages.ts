import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { NextFunction, Request, Response } from 'express';
import type { BrowserSessions, Role } from './browser-sessions.ts';

interface Page {
  /** Looked for when it is asked for first: a daemon without browsers needs none of them. */
  readonly file: () => string;
  readonly type: string;
}

const own = (name: string) => (): string => fileURLToPath(new URL(`page/${name}`, import.meta.url));
const html = 'text/html; charset=utf-8';
const script = 'text/javascript; charset=utf-8';
const style = 'text/css; charset=utf-8';

/** Path -> what is served there: the dashboard and the console's page, files as they are. */
const pages: Readonly<Record<string, Page>> = {
  '/': { file: own('index.html'), type: html },
  '/console': { file: own('console.html'), type: html },
  '/page/dashboard.js': { file: own('dashboard.js'), type: script },
  '/page/drawing.js': { file: own('drawing.js'), type: script },
  '/page/console.js': { file: own('console.js'), type: script },
  '/page/style.css': { file: own('style.css'), type: style },
  '/page/xterm.js': { file: () => fileURLToPath(import.meta.resolve('@xterm/xterm/lib/xterm.js')), type: script },
  '/page/xterm.css': { file: () => fileURLToPath(import.meta.resolve('@xterm/xterm/css/xterm.css')), type: style },
};

/** Nothing from elsewhere. The terminal writes style elements of its own, hence `unsafe-inline` for styles; never for scripts. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const notIn = `<!doctype html><meta charset="utf-8"><title>dpu-compute</title>
<p>This browser has no session with this node, or it has ended. On the node, <code>dpuctl dashboard</code> prints an address that opens one.</p>
`;

/** Whether a path belongs to a page. */
export function isPage(path: string): boolean {
  return Object.hasOwn(pages, path);
}

/** Serves pages to who may see them, and makes a session out of `/?code=…`. */
export function servePages(sessions: BrowserSessions, roleOf: (request: Request) => Role | null) {
  return async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const page = Object.hasOwn(pages, request.path) ? pages[request.path] : undefined;
    if (page === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return next();
    response.setHeader('content-security-policy', policy);
    response.setHeader('referrer-policy', 'no-referrer');
    const code = new URL(request.originalUrl, 'http://node').searchParams.get('code');
    if (request.path === '/' && code !== null && request.method === 'GET') {
      const cookie = sessions.enter(code, request.headers);
      if (cookie !== null) {
        response.setHeader('set-cookie', cookie);
        response.redirect(303, '/'); // the code leaves the address bar
        return;
      }
    }
    if (roleOf(request) === null) {
      response.status(401).type(html).send(notIn);
      return;
    }
    response.type(page.type).send(await readFile(page.file()));
  };
}
