'use strict';
// The middle of the package: sends envelopes, and gives each that comes to the part it is for. Nothing happens, and nothing
// is listened to, before the first use.
//
// An envelope is `{ stead: { .. }, data }`. A question carries an id of ours; until its answer has come it is kept, and sent
// again when another daemon has taken over from one that died with it in its hands.

const { randomBytes } = require('node:crypto');
const { SteadError, received } = require('./error');
const { open } = require('./transport');

const closed = () => new SteadError('closed', 'stead.close() was called');

class Core {
  #transport = null;
  #questions = new Map();
  #isClosed = false;
  #holds = 0;
  #ids = 0;
  // Another process may have the place of this one tomorrow, and its ids must not be taken for ours.
  #prefix = randomBytes(6).toString('base64url');

  /** Set by the parts: who takes an envelope of this kind, as (stead, data). */
  takers = { message: null, shared: null, leader: null };
  /** Called when another daemon has taken over. @type {Set<() => void>} */
  resumed = new Set();
  /** Called when no more envelopes can come, with the reason. @type {Set<(error: SteadError) => void>} */
  ended = new Set();

  /** Says that this process wants to receive, and not only to ask. */
  listen() {
    if (this.#isClosed) throw closed();
    this.#open().listen();
  }

  /** Sends an envelope that nobody answers. */
  post(stead, data) {
    this.#open().post({ stead, data });
  }

  /** Sends an envelope that is of no use when the channel is closed meanwhile: who waited for it knows already. */
  tell(stead, data) {
    try {
      this.post(stead, data);
    } catch (error) {
      if (error.code !== 'disconnected') throw error;
    }
  }

  nextId() {
    return `${this.#prefix}.${++this.#ids}`;
  }

  /**
   * Sends a question. The process stays alive until it is settled.
   * @param {string} id as it stands in `envelope`
   * @param {{ stead: object, data?: unknown }} envelope
   * @param {(stead: object, data: unknown) => boolean} answer is given each answer; true if it was the last
   * @param {{ reject: (error: Error) => void, interrupted?: () => void }} fate what to do if no answer can come, and in the
   *   place of sending again when the daemon that had the question has died
   */
  ask(id, envelope, answer, fate) {
    if (this.#isClosed) throw closed();
    const transport = this.#open();
    this.#questions.set(id, { envelope, answer, fate });
    this.hold();
    try {
      transport.post(envelope);
    } catch (error) {
      this.forget(id);
      throw error;
    }
  }

  /**
   * A question with one answer, as a promise.
   * @param {object} stead the words of the envelope, without the id
   * @param {(stead: object, data: unknown) => unknown} read makes the value out of the answer
   * @param {() => unknown} [interrupted] makes the value when the daemon has died with a question that may not be repeated
   */
  async question(stead, data, read, interrupted) {
    const id = this.nextId();
    const envelope = { stead: { ...stead, id }, data };
    return new Promise((resolve, reject) => {
      const answer = (stead, data) => {
        if (stead.error) reject(received(stead.error));
        else resolve(read(stead, data));
        return true;
      };
      this.ask(id, envelope, answer, { reject, interrupted: interrupted && (() => resolve(interrupted())) });
    });
  }

  /** No answer to this question is waited for any more. */
  forget(id) {
    if (this.#questions.delete(id)) this.release();
  }

  /** The process has a reason to stay alive. */
  hold() {
    if (++this.#holds === 1) this.#transport?.ref();
  }

  release() {
    if (--this.#holds === 0) this.#transport?.unref();
  }

  /** Ends what was begun, for the rest of this process: nothing is received, and whoever waits for an answer gets `closed`. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#transport?.close();
    this.#end(closed());
  }

  /** The way to the daemon; throws `outside` if there is none. */
  #open() {
    this.#transport ??= open((stead, data) => this.#receive(stead, data), (error) => this.#end(error));
    return this.#transport;
  }

  #receive(stead, data) {
    if (stead.task !== undefined) this.#answered(stead.task, stead, data);
    else if (stead.ack !== undefined) this.#answered(stead.ack, stead, data);
    else if (stead.reply !== undefined) this.#answered(stead.reply, stead, data);
    else if (stead.from !== undefined && stead.leader === undefined) this.takers.message?.(stead, data);
    else if (stead.shared !== undefined) this.takers.shared?.(stead, data);
    else if (stead.leader !== undefined) this.takers.leader?.(stead, data);
    else if (stead.resumed) this.#resume();
    // What is left was made by a later daemon for a later package.
  }

  #answered(id, stead, data) {
    const question = this.#questions.get(id);
    if (question?.answer(stead, data)) this.forget(id);
  }

  #resume() {
    for (const [id, { envelope, fate }] of [...this.#questions]) {
      if (fate.interrupted) {
        this.forget(id);
        fate.interrupted();
      } else {
        this.#transport.post(envelope);
      }
    }
    for (const resumed of this.resumed) resumed();
  }

  #end(error) {
    const questions = [...this.#questions];
    for (const [id, { fate }] of questions) {
      this.forget(id);
      fate.reject(error);
    }
    for (const ended of this.ended) ended(error);
  }
}

module.exports = { Core };
