/** What a method answers when the rest of its work must not keep others waiting. */
export class Later {
  readonly run: () => Promise<unknown>;

  constructor(run: () => Promise<unknown>) {
    this.run = run;
  }
}
