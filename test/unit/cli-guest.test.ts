import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../soc-daemon/cli/run.ts';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

let fixture: ApiFixture;
beforeEach(async () => {
  fixture = await startApi();
});
afterEach(() => fixture.close());

/** Runs dpuctl with this typed, a piece at a time, and then the input's end. */
async function dpuctl(typed: readonly string[], ...argv: readonly string[]) {
  let shown = '';
  let raw = false;
  const show = (text: string): void => {
    shown += text;
  };
  const code = await run(argv, {
    env: { DPUCTL_SOCKET: fixture.address.socket },
    console: {
      onInput(listener, onEnd) {
        for (const piece of typed) listener(Buffer.from(piece));
        onEnd();
        return () => {};
      },
      write: () => {},
      raw: (on) => {
        raw = on;
      },
    },
    stdout: show,
    stderr: show,
    terminal: false,
    signal: new AbortController().signal,
  });
  return { code, shown, raw };
}
const last = () => fixture.service.submitted.at(-1);

it('takes a password from the terminal, shows nothing of it, and leaves the terminal as it was', async () => {
  const { uuid, name } = fixture.service.addInstance();
  const { code, shown, raw } = await dpuctl(['gehx', '\u007feim', 'nis\r', 'more'], 'instance', 'reset-password', name);
  expect(code, shown).toBe(0);
  expect(last()).toMatchObject({ method: 'reset_instance_admin_password', args: { uuid, new_password: 'geheimnis' } });
  expect(shown).not.toContain('geh');
  expect(raw).toBe(false);
});

it('asks for nothing where no password is wanted', async () => {
  const { uuid, name } = fixture.service.addInstance();
  await dpuctl([], 'instance', 'rescue', name, '--image', 'other');
  expect(last()).toMatchObject({ method: 'rescue_instance', args: { uuid, image: 'other' } });
  expect(last()?.args).not.toHaveProperty('admin_pass');
  await dpuctl(['pw\n'], 'instance', 'rescue', name, '--password');
  expect(last()?.args).toMatchObject({ admin_pass: 'pw' });
  await dpuctl(['pw\n'], 'instance', 'rebuild', name, '--password');
  expect(last()).toMatchObject({ method: 'rebuild_instance', args: { userdata: { admin_pass: 'pw' } } });
  await dpuctl([], 'instance', 'unrescue', name);
  expect(last()).toMatchObject({ method: 'unrescue_instance', args: { uuid } });
  await dpuctl([], 'instance', 'destroy', name, '--wipe', 'zero');
  expect(last()).toMatchObject({ method: 'destroy_instance', args: { uuid, wipe: 'zero' } });
});

it.each([[['\n']], [[]], [['abc\u0003']]])('sends nothing when no password is given: %j', async (typed) => {
  const { name } = fixture.service.addInstance();
  const before = fixture.service.submitted.length;
  expect((await dpuctl(typed, 'instance', 'reset-password', name)).code).toBe(2);
  expect(fixture.service.submitted.length).toBe(before);
});
