'use strict';
// The role of leader, which one ready worker of the app holds.
//
// Before the role goes to another worker, this one is told that it has lost it, ends what it does as leader, and says so;
// only then the other begins. So what a task does before its promise settles, it does alone.

const { EventEmitter } = require('node:events');

/** What the program gets from `stead.leader()`. */
class Leader extends EventEmitter {
  /** Whether this worker is the leader now. */
  held = false;
  /** The number of the leadership, which rises with each: a fencing token. */
  term = 0;
  /** The worker that is the leader, as `shop.2`; null if nobody is, or nobody knows. @type {string | null} */
  who = null;
  #resign;

  constructor(resign) {
    super();
    this.#resign = resign;
  }

  /** Gives the role up, and is no candidate any more until `stead.leader()` is called again. */
  resign() {
    this.#resign();
  }
}

class Leadership {
  #core;
  #leader = new Leader(() => this.#resign());
  #isCandidate = false;
  #tasks = [];
  #abort = null;
  #running = new Set();

  constructor(core) {
    this.#core = core;
    core.takers.leader = ({ leader, term, who }) => (leader ? this.#acquire(term) : this.#lose(term, who ?? null));
    core.resumed.add(() => this.#isCandidate && core.post({ candidate: true }));
    core.ended.add(() => this.#end());
  }

  /**
   * Makes this worker a candidate.
   * @param {(role: { term: number, signal: AbortSignal }) => unknown} [task] runs while the role is held
   */
  candidate(task) {
    this.#core.listen();
    if (!this.#isCandidate) {
      this.#isCandidate = true;
      this.#core.hold();
      this.#core.post({ candidate: true });
    }
    if (task) {
      this.#tasks.push(task);
      if (this.#leader.held) this.#run(task);
    }
    return this.#leader;
  }

  #acquire(term) {
    const leader = this.#leader;
    if (leader.held && leader.term === term) return;
    if (leader.held) this.#yield();
    this.#abort = new AbortController();
    Object.assign(leader, { held: true, term, who: process.env.STEAD_WORKER ?? null });
    leader.emit('acquired', { term, signal: this.#abort.signal });
    for (const task of this.#tasks) this.#run(task);
  }

  #run(task) {
    const { signal } = this.#abort;
    const ended = (async () => task({ term: this.#leader.term, signal }))().catch((error) => {
      // A task that is interrupted because the role is gone has done what it should. Anything else ends the process, as an
      // error that nobody catches does, and with it the leadership.
      if (!signal.aborted || (error !== signal.reason && error?.name !== 'AbortError')) throw error;
    });
    this.#running.add(ended);
    ended.finally(() => this.#running.delete(ended));
  }

  #lose(term, who) {
    const leader = this.#leader;
    leader.who = who;
    // Nobody leads before it is released: a daemon that has not heard so asks again.
    if (leader.held || who === null) this.#release(term);
    else leader.term = term;
  }

  async #release(term) {
    if (this.#leader.held) this.#yield();
    await Promise.allSettled(this.#running);
    this.#core.tell({ released: term });
  }

  #yield() {
    this.#leader.held = false;
    this.#abort.abort();
    this.#leader.emit('lost', { term: this.#leader.term });
  }

  #resign() {
    if (!this.#isCandidate) return;
    this.#core.tell({ candidate: false });
    this.#withdraw();
  }

  // Nobody can tell any more that the role is another's, so it is given back.
  #end() {
    if (this.#leader.held) this.#release(this.#leader.term);
    this.#leader.who = null;
    this.#resign();
  }

  #withdraw() {
    this.#isCandidate = false;
    this.#tasks = [];
    this.#core.release();
  }
}

module.exports = { Leadership };
