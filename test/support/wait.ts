/** Asks again and again, with a little time between, until the answer is not undefined or false. @throws after `ms`. */
export async function until<Answer>(
  what: string,
  ask: () => Promise<Answer | undefined | false>,
  ms = 20_000,
): Promise<Answer> {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
