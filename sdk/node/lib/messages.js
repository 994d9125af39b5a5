'use strict';
// Messages between workers: sent to some, and requests, which one worker answers.

const { SteadError, received, told } = require('./error');

/** The topic that stands for all. */
const ANY = '*';

class Messages {
  #core;
  #listeners = new Map();
  #handlers = new Map();

  constructor(core) {
    this.#core = core;
    core.takers.message = (stead, data) => {
      if (stead.request !== undefined) this.#answer(stead, data);
      else this.#deliver(stead, data);
    };
    core.ended.add(() => this.#clear());
  }

  /**
   * @param {string | object} to an address: `app`, `all`, `leader`, `any`, `shop`, `shop.2`
   * @param {string} topic
   * @param {unknown} data
   * @param {{ self?: boolean }} [options] `self`: to this worker too
   * @returns {Promise<{ receivers: number, dropped: number, unknown?: true }>}
   */
  send(to, topic, data, { self } = {}) {
    const read = ({ receivers = 0, dropped = 0, unknown }) => ({ receivers, dropped, ...(unknown && { unknown }) });
    // A message is delivered once or not at all; nobody can tell which when the daemon died with it.
    const interrupted = () => ({ receivers: 0, dropped: 0, unknown: true });
    return this.#core.question(self ? { to, topic, self } : { to, topic }, data, read, interrupted);
  }

  /**
   * Asks one worker and waits for its answer.
   * @param {{ timeout?: number }} [options] in milliseconds
   */
  async request(to, topic, data, { timeout } = {}) {
    const id = this.#core.nextId();
    const stead = timeout === undefined ? { to, topic, request: id } : { to, topic, request: id, timeout };
    return new Promise((resolve, reject) => {
      const answer = (stead, data) => {
        if (stead.error) reject(received(stead.error));
        else resolve(data);
        return true;
      };
      this.#core.ask(id, { stead, data }, answer, { reject });
    });
  }

  /** @param {string} topic or `*` @param {(data: unknown, about: { from: string, topic?: string }) => void} listener */
  on(topic, listener) {
    expectFunction(listener);
    this.#core.listen();
    const listeners = this.#listeners.get(topic) ?? [];
    // A new array each time: one that is being gone through stays as it is.
    this.#listeners.set(topic, [...listeners, listener]);
    this.#core.hold();
  }

  once(topic, listener) {
    expectFunction(listener);
    const first = (data, about) => {
      this.off(topic, first);
      listener(data, about);
    };
    first.listener = listener;
    this.on(topic, first);
  }

  off(topic, listener) {
    const listeners = this.#listeners.get(topic) ?? [];
    const index = listeners.findIndex((each) => each === listener || each.listener === listener);
    if (index === -1) return;
    if (listeners.length === 1) this.#listeners.delete(topic);
    else this.#listeners.set(topic, listeners.filter((_, each) => each !== index));
    this.#core.release();
  }

  /**
   * Answers requests about a topic with what `handler` returns, or with what it throws. Null takes the handler away.
   * @param {string} topic or `*` for those that have none of their own
   * @param {((data: unknown, about: { from: string, topic?: string }) => unknown) | null} handler
   */
  handle(topic, handler) {
    if (handler === null) {
      if (this.#handlers.delete(topic)) this.#core.release();
      return;
    }
    expectFunction(handler);
    this.#core.listen();
    if (!this.#handlers.has(topic)) this.#core.hold();
    this.#handlers.set(topic, handler);
  }

  #clear() {
    const listeners = [...this.#listeners.values()].flat();
    const held = listeners.length + this.#handlers.size;
    this.#listeners.clear();
    this.#handlers.clear();
    for (let each = 0; each < held; each++) this.#core.release();
  }

  #deliver({ from, topic }, data) {
    const about = { from, topic };
    for (const listener of this.#listeners.get(topic) ?? []) listener(data, about);
    for (const listener of this.#listeners.get(ANY) ?? []) listener(data, about);
  }

  async #answer({ from, topic, request }, data) {
    const handler = this.#handlers.get(topic) ?? this.#handlers.get(ANY);
    // A program that has no handlers at all reads requests from the channel by itself.
    if (!handler && this.#handlers.size === 0) return;
    try {
      if (!handler) throw new SteadError('no_receiver', `nothing handles the topic \`${topic}\` there`);
      this.#core.tell({ reply: request }, await handler(data, { from, topic }));
    } catch (error) {
      this.#core.tell({ reply: request, error: told(error) });
    }
  }
}

function expectFunction(value) {
  if (typeof value !== 'function') throw new TypeError('expected a function');
}

module.exports = { Messages };
