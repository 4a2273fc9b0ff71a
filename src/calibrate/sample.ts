/** What the loop needs of a sample; src/data makes them. */

export interface CalibrationSample {
  readonly ids: Int32Array;
  /** 1 = the token's final hidden state counts in the loss. */
  readonly labels: Uint8Array;
  /** 1 = the token belongs to a passkey that is asked for. */
  readonly answer: Uint8Array;
}

/** Samples by number: the same number gives the same sample, so a resumed run sees what it would have seen. */
export type SampleSource = (index: number) => CalibrationSample;

/** Positions where `flags` is 1, ascending. */
export function indicesOf(flags: Uint8Array): Int32Array {
  return Int32Array.from([...flags.keys()].filter((index) => flags[index] === 1));
}
