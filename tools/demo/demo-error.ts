/** Ends the demo with its message alone: it says what is wrong and what to do. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}
