'use strict';
// A worker of a pool: takes tasks, gives back what a function makes of them.
//
// Tasks come over the message channel, or, without one, as lines on standard input (`stead map`). More may come than may run
// at once: they wait here and begin in their order. An input that is no envelope was sent before the other side knew that
// this worker speaks the protocol; it is passed over, because it comes again in an envelope.

const { Channel } = require('./channel');
const { SteadError, sendable, told } = require('./error');
const { Lines } = require('./lines');

/**
 * After so many milliseconds the next answer takes those that were kept back along: longer tasks gain nothing from it. A task that does
 * not let go of the process delays those before it by all its time.
 */
const KEPT_MAX = 1;

/** Answers with more characters than this do not go out together: a message may have 64 MiB, and `stead map` kills for a longer one. */
const KEPT_CHARS_MAX = 1 << 20;

/** What a worker is told about its task. */
class Task {
  #worker;
  #token;
  #abort = null;

  constructor(worker, { run, attempt = 1, key, timeout }) {
    this.#worker = worker;
    this.#token = run;
    /** 1, or more if the task was tried before. */
    this.attempt = attempt;
    this.key = key;
    /** How long the task may take, in milliseconds, if there is a limit. */
    this.timeout = timeout;
  }

  // Fields and not methods, so that a program may take the object apart: `async (input, { progress }) => ..`.

  /** Tells the one who waits how far the task is. @param {unknown} data */
  progress = (data) => this.#worker.tell({ progress: this.#token }, data);

  /** Sends a part of the result; settles when there is room for the next one. @param {unknown} data */
  part = (data) => this.#worker.write({ part: this.#token }, data);

  /** Aborted when nobody wants the result any more, or the time is over. */
  get signal() {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  /** For this package. */
  abort() {
    this.#abort ??= new AbortController();
    this.#abort.abort(new SteadError('cancelled', 'the task was cancelled'));
  }
}

class PoolWorker {
  #task;
  #concurrency;
  #transport = null;
  #running = new Map();
  #waiting = [];
  /** Those that wait are being started. */
  #isStarting = false;
  /** What is said in this turn of the event loop goes out together, because what was asked came so. @type {object[] | null} */
  #kept = null;
  #keptSince = 0;
  #keptChars = 0;

  constructor(task, concurrency) {
    this.#task = task;
    this.#concurrency = concurrency;
  }

  /** @param {Channel | Lines} transport */
  begin(transport) {
    this.#transport = transport;
    transport.ref();
    transport.post({ stead: { worker: true, concurrency: this.#concurrency, batches: true } });
  }

  receive(stead, data) {
    if (stead.run !== undefined) this.#take(stead, data);
    else if (stead.abort !== undefined) this.#abort(stead.abort);
    else if (stead.batch !== undefined) this.#takeAll(stead.batch);
  }

  #takeAll(batch) {
    if (this.#kept === null) {
      this.#kept = [];
      this.#keptSince = performance.now();
      setImmediate(() => {
        this.#release();
        this.#kept = null;
      });
    }
    for (const { stead, data } of batch) this.receive(stead, data);
  }

  #release() {
    const batch = this.#kept;
    this.#kept = [];
    this.#keptChars = 0;
    if (batch.length > 0) this.#post({ batch });
    this.#keptSince = performance.now();
  }

  /** There will be no more tasks, and nobody waits for the results of these. */
  end() {
    this.#waiting = [];
    for (const task of this.#running.values()) task.abort();
  }

  tell(stead, data) {
    if (this.#kept === null) return this.#post(stead, data);
    // As it is now: the program may change its objects before they are sent. And what cannot be sent fails here, without the others.
    let chars = typeof data === 'string' ? data.length : 0;
    if (typeof data === 'object' || typeof data === 'bigint') {
      const text = written(data);
      chars += text.length;
      data = JSON.parse(text);
    }
    if (stead.error !== undefined) {
      const text = written(stead);
      chars += text.length;
      stead = JSON.parse(text);
    }
    if (this.#keptChars + chars > KEPT_CHARS_MAX) this.#release();
    this.#kept.push({ stead, data });
    this.#keptChars += chars;
    if (performance.now() - this.#keptSince > KEPT_MAX) this.#release();
    return undefined;
  }

  #post(stead, data) {
    try {
      this.#transport.post({ stead, data });
    } catch (error) {
      // Whoever gave the task is gone.
      if (error.code !== 'disconnected') throw error;
    }
  }

  write(stead, data) {
    if (this.#kept !== null) this.#release();
    return new Promise((resolve, reject) => {
      this.#transport.post({ stead, data }, (error) => (error ? reject(error) : resolve()));
    });
  }

  #take(stead, data) {
    if (this.#running.size < this.#concurrency) this.#start(stead, data);
    else this.#waiting.push({ stead, data });
  }

  #start(stead, data) {
    const token = stead.run;
    const task = new Task(this, stead);
    this.#running.set(token, task);
    let result;
    try {
      result = this.#task(data, task);
    } catch (error) {
      return this.#fail(token, error);
    }
    if (typeof result?.then !== 'function') return this.#finish(token, result);
    result.then(
      (result) => this.#finish(token, result),
      (error) => this.#fail(token, error),
    );
  }

  #finish(token, result) {
    try {
      this.tell({ done: token }, result);
    } catch (error) {
      return this.#fail(token, error);
    }
    this.#next(token);
  }

  #fail(token, error) {
    const failed = { failed: token, error: told(error) };
    if (error?.retry === false) failed.retry = false;
    try {
      this.tell(failed);
    } catch (cause) {
      // The error has something in it that cannot be sent.
      failed.error = told(cause);
      this.tell(failed);
    }
    this.#next(token);
  }

  #next(token) {
    this.#running.delete(token);
    // Not one within the end of the other: the stack has no room for all that may wait.
    if (this.#isStarting) return;
    this.#isStarting = true;
    try {
      while (this.#waiting.length > 0 && this.#running.size < this.#concurrency) {
        const next = this.#waiting.shift();
        this.#start(next.stead, next.data);
      }
    } finally {
      this.#isStarting = false;
    }
  }

  #abort(token) {
    const index = this.#waiting.findIndex(({ stead }) => stead.run === token);
    if (index === -1) {
      this.#running.get(token)?.abort();
    } else {
      this.#waiting.splice(index, 1);
      this.tell({ failed: token, retry: false, error: { code: 'cancelled', message: 'cancelled before it began' } });
    }
  }
}

/** What would arrive of it. */
const written = (value) => sendable(() => JSON.stringify(value) ?? 'null');

let isWorker = false;

/**
 * Makes this process a worker of a pool, for its whole life.
 * @param {(input: unknown, task: Task) => unknown} task
 * @param {{ concurrency?: number }} [options] how many tasks may run at once
 */
function work(task, { concurrency = 1 } = {}) {
  if (typeof task !== 'function') throw new TypeError('expected a function');
  if (!(Number.isInteger(concurrency) && concurrency > 0)) throw new TypeError('`concurrency` is a number above 0');
  if (isWorker) throw new SteadError('bad_message', 'this process is a worker of a pool already');
  isWorker = true;
  const worker = new PoolWorker(task, concurrency);
  const receive = (stead, data) => worker.receive(stead, data);
  const ended = () => worker.end();
  worker.begin(process.connected ? new Channel(receive, ended) : new Lines(receive, ended));
}

module.exports = { work };
