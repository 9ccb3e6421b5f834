/** dpuctl: the node's command line, over its REST interface and nothing else. */
import { run } from './run.ts';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.stdout.on('error', () => process.exit(0)); // whoever read the output has seen enough
process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  terminal: process.stderr.isTTY,
  signal: stop.signal,
  console: {
    onInput(listener, onEnd) {
      process.stdin.on('data', listener);
      process.stdin.once('end', onEnd);
      return () => {
        process.stdin.off('data', listener);
        process.stdin.pause();
      };
    },
    write: (bytes) => void process.stdout.write(bytes),
    raw: (on) => {
      if (process.stdin.isTTY) process.stdin.setRawMode(on);
    },
  },
});
