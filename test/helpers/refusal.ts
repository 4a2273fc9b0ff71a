import { InputError } from '../../src/errors.js';

/** The code of the input error that `body` throws (exit 2); undefined when it throws none. */
export function refusal(body: () => unknown): string | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.code;
    throw error;
  }
}
