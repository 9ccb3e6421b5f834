/**
 * Does a piece of work for each, one after the other, whatever became of those before: one thing that a service refuses to take back keeps no other.
 * @throws the first error that there was, at the end.
 */
export async function forEach<Item>(items: Iterable<Item>, work: (item: Item) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) {
    try {
      await work(item);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
