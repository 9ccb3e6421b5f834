/**
 * Makes one look serve all who ask for it at about the same time. Each is answered by a look that began after it asked, so that nobody is told of what
 * was: those who come while one is under way share the next.
 */
export function shareLooks<Seen>(look: () => Promise<Seen>): () => Promise<Seen> {
  let running: Promise<Seen> | null = null;
  let next: Promise<Seen> | null = null;

  const begin = (): Promise<Seen> => {
    const own = look();
    running = own;
    const done = (): void => {
      if (running === own) running = null;
    };
    own.then(done, done);
    return own;
  };
  return () => {
    if (running === null) return begin();
    next ??= running.then(again, again);
    return next;
  };

  function again(): Promise<Seen> {
    next = null;
    return begin();
  }
}
