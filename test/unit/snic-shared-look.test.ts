import { describe, expect, it } from 'vitest';
import { shareLooks } from '../../snic-controller/backends/virtual/shared-look.ts';

/** Looks that end when they are told to. */
function slowLooks() {
  const looks: PromiseWithResolvers<string>[] = [];
  const ask = shareLooks(() => {
    const one = Promise.withResolvers<string>();
    looks.push(one);
    return one.promise;
  });
  return { looks, ask };
}

describe('a shared look', () => {
  it('answers each by a look that began after it asked', async () => {
    const { looks, ask } = slowLooks();
    const first = ask();
    const [second, third] = [ask(), ask()];
    expect(looks.length).toBe(1);
    looks[0]?.resolve('before');
    expect(await first).toBe('before');
    await expect.poll(() => looks.length).toBe(2);
    const fourth = ask();
    looks[1]?.resolve('after');
    expect(await Promise.all([second, third])).toEqual(['after', 'after']);
    await expect.poll(() => looks.length).toBe(3);
    looks[2]?.resolve('last');
    expect(await fourth).toBe('last');
    ask().catch(() => undefined);
    expect(looks.length).toBe(4);
  });

  it('looks again for those who waited behind one that failed', async () => {
    const { looks, ask } = slowLooks();
    const first = ask();
    const second = ask();
    looks[0]?.reject(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    await expect.poll(() => looks.length).toBe(2);
    looks[1]?.resolve('back');
    expect(await second).toBe('back');
  });
});
