/**
 * The hybrid KV cache: retrieval heads keep every token, streaming heads keep sink + recent and nothing else.
 *
 *   layer l   full       k, v (contextTokens, fullHeads, headDim)         row = position
 *             streaming  k, v (min(contextTokens, sink + recent), streamingHeads, headDim)   rows as in window-rows.ts
 *
 * In a layer with the model's own window W, shorter than the context, no head needs more than the last W tokens: retrieval heads keep
 * those, and so do streaming heads where W < sink + recent. Elsewhere sinks stay where they are once they are out of reach, and are hidden.
 *
 * Buffers are made once, at their final size. New tokens come in chunks: `attend` (or, where a layer's attention is not
 * needed, `append`) for every layer, then `advance`.
 */
import type { Device, KeyValues, Tensor, Window } from '../device/device.js';
import { at, InternalError } from '../errors.js';
import { fullWindow, reachOf, windowWithin } from '../model/attention.js';
import type { ModelConfig } from '../model/config.js';
import { fullTokens, streamingTokens } from '../pattern/cache-bytes.js';
import type { Mask } from '../pattern/schema.js';
import { uniformMask } from './uniform-mask.js';
import { commonRuns, heldRuns, keptRuns, positionsByRow, positionsOf, rowOf } from './window-rows.js';
import type { CacheWindow, Run } from './window-rows.js';

/**
 * What streaming heads see of a chunk of new tokens:
 * `exact`      query i sees key j iff j < sink or i - j < recent, however the tokens are cut into chunks;
 * `reference`  every query sees the cached sink + recent and the chunk up to itself, as DuoAttention's code has it. With one
 *              token a chunk that is sink + recent + the current token; a first chunk is dense.
 * Under both, the model's own window restricts them further, as it does full heads.
 */
export type WindowRule = 'exact' | 'reference';

export interface LayerKeyValues {
  readonly k: Tensor; // (newTokens, kvHeads, headDim), after rope
  readonly v: Tensor; // (newTokens, kvHeads, headDim)
}

export interface CacheOptions {
  readonly mask: Mask;
  readonly window: CacheWindow;
  /** Most tokens the cache will hold: prompt and answer. */
  readonly contextTokens: number;
}

/** KV heads of one kind in one layer, with their buffers. */
interface Group {
  readonly kind: 'full' | 'streaming';
  readonly heads: readonly number[];
  /** The tokens that its rows keep; absent: every token, row = position. */
  readonly kept: CacheWindow | undefined;
  /** The model's own window, where it is shorter than the context. */
  readonly reach: number | undefined;
  k: Tensor; // (rows, heads.length, headDim)
  v: Tensor;
}

type Shape = Pick<ModelConfig, 'layers' | 'kvHeads' | 'headDim' | 'windows'>;

export class HybridCache {
  readonly mask: Mask;
  readonly window: CacheWindow;
  readonly contextTokens: number;
  /** Tokens fed so far; the next one has this position. */
  #tokens = 0;
  readonly #device: Device;
  readonly #shape: Shape;
  readonly #layers: readonly (readonly Group[])[];

  constructor(device: Device, shape: Shape, options: CacheOptions) {
    this.mask = options.mask;
    this.window = options.window;
    this.contextTokens = options.contextTokens;
    this.#device = device;
    this.#shape = shape;
    checkMask(options.mask, shape);
    this.#layers = options.mask.map((heads, layer) => this.#makeGroups(heads, reachOf(shape, layer, options.contextTokens)));
  }

  /** A cache in which every head keeps all that its layer lets it see. */
  static dense(device: Device, shape: Shape, contextTokens: number): HybridCache {
    return new HybridCache(device, shape, { mask: uniformMask(shape, 'retrieval'), window: { sink: 0, recent: 1 }, contextTokens });
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** Bytes of all buffers, measured. */
  get bytes(): number {
    return this.#buffers().reduce((sum, buffer) => sum + buffer.bytes, 0);
  }

  /** Most rows that any streaming head holds: never more than sink + recent. */
  get streamingTokens(): number {
    const rows = this.#layers.flat().filter((group) => group.kind === 'streaming');
    return Math.max(0, ...rows.map((group) => Math.min(this.#tokens, at(group.k.shape, 0))));
  }

  /**
   * Attention of a layer's queries over the cache and the new keys and values, which are stored. `firstQuery` is the
   * position of the first query (default: all new tokens ask); queries may be a part of the new tokens. (queries, heads, headDim).
   */
  attend(layer: number, q: Tensor, added: LayerKeyValues, rule: WindowRule, firstQuery = this.#tokens): Tensor {
    const count = this.#checkRoom(added);
    const groups = at(this.#layers, layer);
    const parts = groups.map((group) => ({ group, added: this.#columns(group, added) }));
    const early = parts.filter(({ group }) => this.#storesFirst(group, count, rule));
    const late = parts.filter((part) => !early.includes(part));
    for (const part of early) this.#store(part.group, part.added, count);
    const joined = late.map((part) => this.#join(part.group, part.added, count, rule));
    const seen = [...early.map(({ group }) => this.#inPlace(group, count, rule)), ...joined.map((join) => join.keyValues)];
    const out = this.#device.hybridAttention(q, seen, firstQuery);
    for (const part of late) this.#store(part.group, part.added, count);
    this.#device.free(...joined.flatMap((join) => join.temporary), ...parts.flatMap(({ added: columns }) => columns.temporary));
    return out;
  }

  /** Stores a layer's new keys and values where nothing attends to them yet. */
  append(layer: number, added: LayerKeyValues): void {
    const count = this.#checkRoom(added);
    for (const group of at(this.#layers, layer)) {
      const columns = this.#columns(group, added);
      this.#store(group, columns, count);
      this.#device.free(...columns.temporary);
    }
  }

  /** Ends a chunk: every layer has had its `count` new tokens. */
  advance(count: number): void {
    this.#tokens += count;
  }

  /** Takes the contents of a dense cache, dropping what the windows do not keep. Both must be made for the same contextTokens. */
  fillFrom(dense: HybridCache): void {
    if (dense.contextTokens !== this.contextTokens || dense.mask.flat().includes(false)) {
      throw new InternalError('a hybrid cache is filled from a dense one of the same size');
    }
    this.#layers.forEach((groups, layer) => {
      const [source] = at(dense.#layers, layer);
      if (source === undefined) throw new InternalError(`layer ${layer} of the dense cache is empty`);
      for (const group of groups) this.#copyGroup(group, source, dense.tokens);
    });
    this.#tokens = dense.tokens;
  }

  /** Forgets all tokens and keeps the buffers. */
  reset(): void {
    this.#tokens = 0;
  }

  free(): void {
    this.#device.free(...this.#buffers());
  }

  #buffers(): Tensor[] {
    return this.#layers.flat().flatMap((group) => [group.k, group.v]);
  }

  #makeGroups(mask: readonly boolean[], reach: number | undefined): Group[] {
    const { window, contextTokens } = this;
    const last = reach === undefined ? undefined : { sink: 0, recent: reach };
    const streaming = last !== undefined && last.recent < window.sink + window.recent ? last : window;
    const kinds = [
      { kind: 'full', kept: last, rows: fullTokens({ reach }, contextTokens) },
      { kind: 'streaming', kept: streaming, rows: streamingTokens({ ...window, reach }, contextTokens) },
    ] as const;
    return kinds.flatMap(({ kind, kept, rows }) => {
      const heads = mask.flatMap((retrieval, head) => (retrieval === (kind === 'full') ? [head] : []));
      if (heads.length === 0) return [];
      const shape = [rows, heads.length, this.#shape.headDim];
      return [{ kind, heads, kept, reach, k: this.#device.zeros(shape), v: this.#device.zeros(shape) }];
    });
  }

  /**
   * Whether new tokens are stored first and seen in place, which copies nothing: if a ring drops no token for them that a query still
   * sees (a single token replaces the one that leaves its window), and if no key is held that the rule leaves out.
   */
  #storesFirst(group: Group, count: number, rule: WindowRule): boolean {
    if (group.kind === 'streaming' && rule === 'reference') return false;
    return group.kept === undefined || count === 1 || this.#tokens + count <= at(group.k.shape, 0);
  }

  /** What hides keys at or before a query from a group; undefined: nothing does. */
  #hides({ kind, reach }: Group, rule: WindowRule): Window | undefined {
    if (kind === 'streaming' && rule === 'exact') return windowWithin({ ...this.window, block: 1 }, reach);
    return reach === undefined ? undefined : fullWindow(reach);
  }

  /** The group's heads of new keys and values; nothing is copied when the group is the whole layer. */
  #columns(group: Group, added: LayerKeyValues): LayerKeyValues & { readonly temporary: readonly Tensor[] } {
    if (group.heads.length === this.#shape.kvHeads) return { ...added, temporary: [] };
    const k = this.#device.gatherHeads(added.k, group.heads);
    const v = this.#device.gatherHeads(added.v, group.heads);
    return { k, v, temporary: [k, v] };
  }

  #store(group: Group, added: LayerKeyValues, count: number): void {
    const start = this.#tokens;
    const runs = group.kept === undefined ? [{ position: start, row: start, count }] : keptRuns(group.kept, start, start + count);
    for (const run of runs) {
      group.k = this.#writeRun(group.k, added.k, run, count);
      group.v = this.#writeRun(group.v, added.v, run, count);
    }
  }

  #writeRun(buffer: Tensor, rows: Tensor, run: Run, count: number): Tensor {
    if (run.count === count) return this.#device.writeRows(buffer, rows, run.row);
    const part = this.#device.sliceRows(rows, run.position - this.#tokens, run.count);
    const written = this.#device.writeRows(buffer, part, run.row);
    this.#device.free(part);
    return written;
  }

  /** The group as it lies in its buffers, `count` new tokens included. */
  #inPlace(group: Group, count: number, rule: WindowRule): KeyValues {
    const tokens = this.#tokens + count;
    const { k, v, heads: kvHeads, kept } = group;
    if (kept === undefined) return { kvHeads, k, v, keyCount: tokens };
    const keyPositions = positionsByRow(kept, tokens);
    const window = this.#hides(group, rule);
    return { kvHeads, k, v, keyCount: keyPositions.length, keyPositions, ...(window ? { window } : {}) };
  }

  /** What is held and the rule does not leave out, in order of position, followed by the new tokens. */
  #join(group: Group, added: LayerKeyValues, count: number, rule: WindowRule): { keyValues: KeyValues; temporary: readonly Tensor[] } {
    const held = this.#heldRuns(group, rule);
    const keyPositions = positionsOf([...held, { position: this.#tokens, row: 0, count }]);
    const k = this.#concat(group.k, held, added.k);
    const v = this.#concat(group.v, held, added.v);
    const window = this.#hides(group, rule);
    const keyValues = { kvHeads: group.heads, k, v, keyCount: keyPositions.length, keyPositions, ...(window ? { window } : {}) };
    return { keyValues, temporary: [k, v].filter((tensor) => tensor !== added.k && tensor !== added.v) };
  }

  #heldRuns({ kind, kept = this.window }: Group, rule: WindowRule): Run[] {
    const held = heldRuns(kept, this.#tokens);
    // The last tokens of the model's window may be more than sink and recent.
    return kind === 'streaming' && rule === 'reference' ? commonRuns(held, heldRuns(this.window, this.#tokens)) : held;
  }

  #concat(buffer: Tensor, held: readonly Run[], added: Tensor): Tensor {
    if (held.length === 0) return added;
    const slices = held.map((run) => this.#device.sliceRows(buffer, run.row, run.count));
    const joined = this.#device.concatRows([...slices, added]);
    this.#device.free(...slices);
    return joined;
  }

  #copyGroup(group: Group, dense: Group, tokens: number): void {
    const { k, v } = this.#device.scope(() => {
      const heads = (x: Tensor): Tensor => this.#device.gatherHeads(x, group.heads);
      if (group.kind === 'full') return { k: heads(dense.k), v: heads(dense.v) };
      const rows = this.#denseRows(group, dense, tokens);
      return { k: heads(this.#device.gatherRows(dense.k, rows)), v: heads(this.#device.gatherRows(dense.v, rows)) };
    });
    this.#device.free(group.k, group.v);
    group.k = k;
    group.v = v;
  }

  /** Where a dense group has what each row of a streaming one is to hold; rows not held yet, or by neither any more, may hold anything. */
  #denseRows({ k, kept = this.window }: Group, dense: Group, tokens: number): Int32Array {
    const rows = new Int32Array(at(k.shape, 0));
    const positions = positionsByRow(kept, tokens);
    const source = dense.kept;
    rows.set(source === undefined ? positions : positions.map((position) => rowOf(source, position)));
    return rows;
  }

  #checkRoom(added: LayerKeyValues): number {
    const count = at(added.k.shape, 0);
    if (this.#tokens + count > this.contextTokens) {
      throw new InternalError(`${this.#tokens} + ${count} tokens do not fit a cache made for ${this.contextTokens}`);
    }
    return count;
  }
}

function checkMask(mask: Mask, shape: Shape): void {
  if (mask.length !== shape.layers || mask.some((heads) => heads.length !== shape.kvHeads)) {
    throw new InternalError(`a mask of ${mask.length} layers for a model of ${shape.layers} x ${shape.kvHeads} KV heads`);
  }
}
