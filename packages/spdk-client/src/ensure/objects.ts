import { MethodNotFoundError, RpcError, WrongStateError } from '../errors.ts';

/** What an `ensure…` found: made now, or there already as asked for. */
export type Ensured = 'created' | 'existed';
/** What a `delete…IfExists` found. */
export type Deleted = 'deleted' | 'absent';

/** Whether an error of SPDK may mean "it is there" or "it is not": all but those that say that nothing was tried. */
export function needsListing(error: unknown): error is RpcError {
  return error instanceof RpcError && !(error instanceof MethodNotFoundError) && !(error instanceof WrongStateError);
}

/**
 * Deletes, and takes an error of SPDK for success exactly when a listing shows that the object is gone. Codes alone do not
 * tell: "missing" comes as -19, -32602 or -32603.
 */
export async function deleteIfExists(remove: () => Promise<unknown>, exists: () => Promise<boolean>): Promise<Deleted> {
  try {
    await remove();
    return 'deleted';
  } catch (error) {
    if (!needsListing(error) || (await exists())) throw error;
    return 'absent';
  }
}

/**
 * Creates, and takes an error of SPDK for success exactly when a listing shows that the object is there as asked for;
 * `matches` answers undefined when there is none, and throws (a ConflictError) when it is another.
 */
export async function createIfAbsent<T, U>(
  create: () => Promise<T>,
  matches: () => Promise<U | undefined>,
): Promise<{ readonly outcome: 'created'; readonly result: T } | { readonly outcome: 'existed'; readonly found: U }> {
  try {
    return { outcome: 'created', result: await create() };
  } catch (error) {
    if (!needsListing(error)) throw error;
    const found = await matches();
    if (found === undefined) throw error;
    return { outcome: 'existed', found };
  }
}
