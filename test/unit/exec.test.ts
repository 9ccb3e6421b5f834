import { describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { exec } from '../../kit/exec.ts';

const node = process.execPath;

describe('exec', () => {
  it('answers code and output, and hands over input and environment', async () => {
    const script =
      'process.stdin.on("data",(d)=>process.stdout.write(d+process.env.EXTRA)).on("end",()=>process.exit(3))';
    const answer = await exec(node, ['-e', script], { timeoutMs: 20_000, input: 'in', env: { EXTRA: 'more' } });
    expect(answer).toEqual({ code: 3, stdout: 'inmore', stderr: '' });
  });

  it('is unavailable without the program', async () => {
    const error = await exec('/nonexistent/program', [], { timeoutMs: 1000 }).catch((reason: unknown) => reason);
    expect(hasCode(error, 'unavailable')).toBe(true);
  });

  it('kills what takes too long, and what is aborted', async () => {
    const forever = ['-e', 'setInterval(() => {}, 1000)'];
    const late = await exec(node, forever, { timeoutMs: 50 }).catch((reason: unknown) => reason);
    expect(hasCode(late, 'timeout')).toBe(true);
    const stop = new AbortController();
    const reason = new Error('enough');
    const aborted = exec(node, forever, { timeoutMs: 20_000, signal: stop.signal });
    stop.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    await expect(exec(node, forever, { timeoutMs: 20_000, signal: stop.signal })).rejects.toBe(reason);
  });

  it('does not keep an endless output', async () => {
    const script = 'process.stdout.write("x".repeat(100000))';
    const error = await exec(node, ['-e', script], { timeoutMs: 20_000, maxBytes: 1000 }).catch((r: unknown) => r);
    expect(hasCode(error, 'internal')).toBe(true);
  });
});
