'use strict';
// Values that all workers of an app share: one sets, all receive, who comes late gets the last.

const { EventEmitter } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

class Shared extends EventEmitter {
  #core;
  #leadership;
  #changed = -Infinity;

  constructor(core, leadership, name) {
    super();
    this.#core = core;
    this.#leadership = leadership;
    this.name = name;
    /** The last value that came, undefined as long as there is none. */
    this.value = undefined;
    /** Rises with each change; 0 as long as there is no value. */
    this.version = 0;
  }

  /** Asks for the value of this moment. */
  get() {
    return this.#core.question({ get: this.name }, undefined, ({ version }, data) => {
      this.receive(version, data);
      return this.value;
    });
  }

  /**
   * Sets the value for all.
   * @param {{ ifVersion?: number }} [options] only if this is still the version, otherwise the error `conflict`
   * @returns {Promise<number>} the new version
   */
  set(value, { ifVersion } = {}) {
    const stead = ifVersion === undefined ? { set: this.name } : { set: this.name, if_version: ifVersion };
    return this.#core.question(stead, value, ({ version }) => {
      this.receive(version, value);
      return version;
    });
  }

  /** Takes the value away. */
  async unset() {
    await this.#core.question({ unset: this.name }, undefined, () => undefined);
  }

  /**
   * Has one worker of the app compute the value once per period, for all of them. Each worker calls this; the leader computes.
   * @param {(role: { term: number, signal: AbortSignal }) => unknown} compute
   * @param {{ every: number, onError?: (error: unknown) => void }} options `every` in milliseconds
   * @returns {this}
   */
  compute(compute, { every, onError = (error) => this.#complain(error) }) {
    if (!(every > 0)) throw new TypeError('`every` is a number of milliseconds');
    this.#leadership.candidate(async (role) => {
      // A value that another leader has just set is good for the rest of its period.
      let due = this.#changed + every;
      for (;;) {
        await sleep(Math.max(0, due - performance.now()), undefined, { signal: role.signal });
        due = performance.now() + every;
        await this.#computeOnce(compute, role, onError);
      }
    });
    return this;
  }

  async #computeOnce(compute, role, onError) {
    try {
      const value = await compute(role);
      if (!role.signal.aborted) await this.set(value);
    } catch (error) {
      // The last value stays: an old one is better than none.
      if (!role.signal.aborted) onError(error);
    }
  }

  #complain(error) {
    console.error(`stead: failed to compute the shared value \`${this.name}\`:`, error);
  }

  /** For this package: a version of the value has come. */
  receive(version, value) {
    if (version <= this.version) return;
    this.#changed = performance.now();
    this.version = version;
    this.value = value;
    this.emit('change', value, version);
  }
}

class SharedValues {
  #core;
  #leadership;
  #values = new Map();

  constructor(core, leadership) {
    this.#core = core;
    this.#leadership = leadership;
    core.takers.shared = ({ shared, version }, data) => this.#values.get(shared)?.receive(version, data);
    core.ended.add(() => this.#values.clear());
  }

  /** The value of this name; always the same object. @param {string} name */
  named(name) {
    const known = this.#values.get(name);
    if (known) return known;
    this.#core.listen();
    const value = new Shared(this.#core, this.#leadership, name);
    this.#values.set(name, value);
    this.#fetch(value);
    return value;
  }

  // What was sent before this process listened may be gone. Nobody has asked for this, so nobody waits and nobody is told.
  #fetch(value) {
    value.get().catch(() => undefined);
  }
}

module.exports = { SharedValues };
