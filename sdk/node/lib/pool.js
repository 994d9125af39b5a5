'use strict';
// Tasks for a pool of workers, which does each of them even if a worker dies with it.

const { inspect } = require('node:util');
const { SteadError, received } = require('./error');

/** @typedef {{ key?: string, priority?: number, timeout?: number, retries?: number,
 *    durable?: boolean, signal?: AbortSignal, onProgress?: (data: unknown) => void, onPart?: (data: unknown, number: number) => void }} Options */

class Pool {
  #core;

  constructor(core, name) {
    this.#core = core;
    this.name = name;
  }

  /**
   * Has one task done.
   * @param {unknown} input
   * @param {Options} [options]
   * @returns {Promise<unknown>} what the worker returned
   */
  run(input, options) {
    return new Promise((resolve, reject) => {
      if (options?.signal) this.#askUntilAborted(input, options, resolve, reject);
      else this.#ask(input, options, resolve, reject);
    });
  }

  /**
   * Has a task done whose worker sends its result in parts.
   * @param {Options} [options]
   * @returns {AsyncIterableIterator<unknown> & { result: Promise<unknown> }} the parts in their order
   */
  stream(input, options) {
    const parts = new Parts();
    const abort = new AbortController();
    const stop = () => abort.abort(options?.signal?.reason);
    if (options?.signal?.aborted) stop();
    options?.signal?.addEventListener('abort', stop, { once: true });
    const result = this.run(input, { ...options, signal: abort.signal, onPart: (part) => parts.push(part) });
    const settled = () => options?.signal?.removeEventListener('abort', stop);
    result.then(
      () => (settled(), parts.end()),
      (error) => (settled(), parts.end(error)),
    );
    const iterator = parts.iterate(() => abort.abort());
    return Object.assign(iterator, { result });
  }

  /** @returns {string} the id of the task */
  #ask(input, options, resolve, reject) {
    if (typeof input === 'function' || typeof input === 'symbol') {
      throw new SteadError('bad_message', `this cannot be sent: a task's input is data, and not a ${typeof input}`);
    }
    const id = this.#core.nextId();
    const stead = { pool: this.name, task: id };
    if (options) Object.assign(stead, words(options));
    this.#core.ask(id, { stead, data: input }, answerer(resolve, reject, options), { reject });
    return id;
  }

  #askUntilAborted(input, options, resolve, reject) {
    const { signal } = options;
    if (signal.aborted) return reject(signal.reason);
    const settled = (settle) => (value) => {
      signal.removeEventListener('abort', cancel);
      settle(value);
    };
    const id = this.#ask(input, options, settled(resolve), settled(reject));
    const cancel = () => {
      this.#core.forget(id);
      this.#core.tell({ pool: this.name, cancel: id });
      reject(signal.reason);
    };
    signal.addEventListener('abort', cancel, { once: true });
  }
}

/** What can be said of a task, what it is, and whether something is that. */
const WORDS = {
  key: ['a text', (value) => typeof value === 'string'],
  priority: ['a whole number', (value) => Number.isInteger(value)],
  timeout: ['a number of milliseconds above 0', (value) => Number.isFinite(value) && value > 0],
  retries: ['a number from 0', (value) => Number.isInteger(value) && value >= 0],
  durable: ['true or false', (value) => typeof value === 'boolean'],
};

/** The options as the words of the envelope. @param {Options} options */
function words({ onProgress, onPart, ...options }) {
  const words = {};
  for (const [name, [what, holds]] of Object.entries(WORDS)) {
    const value = options[name];
    if (value === undefined) continue;
    if (!holds(value)) throw new TypeError(`\`${name}\` is ${what}, and not ${inspect(value)}`);
    words[name] = name === 'timeout' ? Math.ceil(value) : value;
  }
  if (onProgress) words.progress = true;
  if (onPart) words.parts = true;
  return words;
}

function answerer(resolve, reject, options) {
  return ({ state, error, part }, data) => {
    if (state === 'done') {
      resolve(data);
    } else if (state === 'progress') {
      options?.onProgress?.(data);
      return false;
    } else if (state === 'part') {
      options?.onPart?.(data, part);
      return false;
    } else {
      reject(received({ code: state, ...error }));
    }
    return true;
  };
}

/** Parts between the one who brings them and the one who goes through them. */
class Parts {
  #parts = [];
  #ended = false;
  #error;
  #wake = () => undefined;

  push(part) {
    this.#parts.push(part);
    this.#wake();
  }

  end(error) {
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  /** @param {() => void} abandoned is called if the one who goes through them stops early */
  async *iterate(abandoned) {
    try {
      for (;;) {
        while (this.#parts.length > 0) yield this.#parts.shift();
        if (this.#error !== undefined) throw this.#error;
        if (this.#ended) return;
        await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      if (!this.#ended) abandoned();
    }
  }
}

class Pools {
  #core;
  #pools = new Map();

  constructor(core) {
    this.#core = core;
  }

  /** @param {string} name */
  named(name) {
    if (typeof name !== 'string' || name === '') throw new TypeError(`a pool has a name, and not ${inspect(name)}`);
    let pool = this.#pools.get(name);
    if (!pool) this.#pools.set(name, (pool = new Pool(this.#core, name)));
    return pool;
  }
}

module.exports = { Pools };
