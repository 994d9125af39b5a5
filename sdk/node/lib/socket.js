'use strict';
// HTTP on the Unix socket in STEAD_SOCKET, for processes without a message channel of Stead's: threads, programs behind a
// wrapper, children of workers. Envelopes become requests, and answers become the envelopes that a channel would bring.
//
// What others send comes as server-sent events in one long answer, which is asked for again whenever it ends. The socket
// outlives the daemon: what may be repeated is, until the next daemon answers.

const { setTimeout: sleep } = require('node:timers/promises');
const { SteadError, told } = require('./error');
const { exchange, stream } = require('./http');

/** How often is tried what may be repeated, and how long between, in milliseconds: half a minute in all. */
const TRIES_MAX = 20;
const PAUSE_MAX = 2000;

/** What can be said about a task, and is said in the query. */
const TERMS = ['key', 'priority', 'timeout', 'retries', 'durable'];

const pause = (tries) => Math.min(PAUSE_MAX, 20 * 2 ** tries);

class Socket {
  #path;
  #receive;
  #closed = new AbortController();
  #isListening = false;
  #isCandidate = false;
  /** What is said about the role of leader arrives in the order in which it was said. */
  #said = Promise.resolve();
  #holds = 0;
  /** The connection of the stream, as long as it is open. @type {import('node:net').Socket | null} */
  #connection = null;

  /**
   * @param {string} path of the socket
   * @param {(stead: object, data?: unknown) => void} receive
   */
  constructor(path, receive) {
    this.#path = path;
    this.#receive = receive;
  }

  /** Opens the stream of what others send. */
  listen() {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#follow().catch((error) => {
      // The listeners of the program would wait for ever, so it has to know.
      if (!this.#closed.signal.aborted) throw error;
    });
  }

  /** @param {{ stead: object, data?: unknown }} envelope */
  post({ stead, data }) {
    this.#perform(stead, data).catch((error) => {
      if (this.#closed.signal.aborted) return;
      this.#refuse(stead, error instanceof SteadError ? { code: error.code, message: error.message } : told(error));
    });
  }

  ref() {
    if (++this.#holds === 1) this.#connection?.ref();
  }

  unref() {
    if (--this.#holds === 0) this.#connection?.unref();
  }

  close() {
    this.#closed.abort();
  }

  #perform(stead, data) {
    if (stead.task !== undefined) return this.#task(stead, data);
    if (stead.cancel !== undefined) return this.#repeat('DELETE', taskPath(stead.pool, stead.cancel));
    if (stead.reply !== undefined) return this.#reply(stead, data);
    if (stead.request !== undefined) return this.#request(stead, data);
    if (stead.to !== undefined) return this.#send(stead, data);
    if (stead.candidate !== undefined) return this.#candidate(stead.candidate);
    if (stead.released !== undefined) return this.#say('/v1/released', { term: stead.released });
    if (stead.set !== undefined) return this.#set(stead, data);
    if (stead.get !== undefined) return this.#get(stead);
    return this.#unset(stead);
  }

  /** What the one who asked gets in the place of an answer. */
  #refuse({ task, request, id }, error) {
    if (task !== undefined) this.#receive({ task, state: 'failed', error });
    else if (request !== undefined) this.#receive({ reply: request, error });
    else if (id !== undefined) this.#receive({ ack: id, error });
    // Nobody waits for anything else, and the next stream says again who is a candidate.
  }

  async #send({ to, topic, self, id }, data) {
    try {
      const { body } = await this.#once('POST', '/v1/messages', { to, topic, self, data });
      this.#receive({ ack: id, ...body });
    } catch (error) {
      if (error.code !== 'interrupted') throw error;
      this.#receive({ ack: id, receivers: 0, dropped: 0, unknown: true });
    }
  }

  async #request({ to, topic, timeout, request }, data) {
    const { body } = await this.#once('POST', '/v1/messages', { to, topic, request: true, timeout, data });
    this.#receive({ reply: request, from: body.from }, body.data);
  }

  #reply({ reply, error }, data = null) {
    return this.#once('POST', `/v1/replies/${encodeURIComponent(reply)}`, error ? { error } : { data });
  }

  async #candidate(candidate) {
    this.#isCandidate = candidate;
    // The role comes by the stream; when that opens, the candidate is named.
    if (this.#connection || !candidate) await this.#say('/v1/candidates', { candidate });
  }

  /** Is done also when everything else is closed: another one waits for it. */
  #say(path, body) {
    this.#said = this.#said.catch(() => undefined).then(() => this.#repeat('POST', path, body, { signal: null }));
    return this.#said;
  }

  async #set({ set, if_version, id }, data = null) {
    const headers = if_version === undefined ? {} : { 'If-Match': `"${if_version}"` };
    const answer = await this.#repeat('PUT', valuePath(set), data, { headers });
    this.#receive({ ack: id, version: versionOf(answer) });
  }

  async #get({ get, id }) {
    const answer = await this.#repeat('GET', valuePath(get), undefined, { also: ['no_such_value'] });
    if (answer.status === 200) this.#receive({ ack: id, version: versionOf(answer) }, answer.body);
    else this.#receive({ ack: id, version: 0 });
  }

  async #unset({ unset, id }) {
    await this.#repeat('DELETE', valuePath(unset), undefined, { also: ['no_such_value'] });
    this.#receive({ ack: id });
  }

  async #task({ pool, task, progress, parts, ...terms }, data = null) {
    const query = new URLSearchParams({ id: task });
    for (const name of TERMS) if (terms[name] !== undefined) query.set(name, terms[name]);
    // The id makes it the same task however often it is sent.
    const path = `${poolPath(pool)}/tasks?${query}`;
    const { state, error, result } = progress || parts ? await this.#watch(task, path, data) : await this.#await(path, data);
    this.#receive({ task, state, error }, result);
  }

  /** A task at its end. */
  async #await(path, input) {
    for (let tries = 0; ; tries++) {
      const { status, body } = await this.#repeat('POST', path, input, { also: [422] });
      if (status !== 202) return body;
      // The daemon that was asked is being replaced; the next one knows the task.
      await this.#wait(tries);
    }
  }

  /** The same, after everything that is told meanwhile. */
  async #watch(task, path, input) {
    let part = 0;
    let end;
    const take = (event, body) => {
      if (event === 'progress') this.#receive({ task, state: event }, body);
      else if (event === 'part') this.#receive({ task, state: event, part: ++part }, body);
      else end = body;
    };
    for (let tries = 0; ; tries++) {
      await stream(this.#to('POST', path, input), take).catch((error) => this.#mayRepeat(error, tries));
      if (end) return end;
      await this.#wait(tries);
    }
  }

  /** The stream of what others send, for as long as the process lives. */
  async #follow() {
    const take = (_event, { stead, data }) => this.#receive(stead, data);
    for (let tries = 0; ; tries++) {
      const opened = (connection) => {
        tries = 0;
        this.#opened(connection);
      };
      await stream(this.#to('GET', '/v1/messages'), take, opened).catch((error) => this.#mayRepeat(error, tries));
      this.#connection = null;
      // If this is the leader, it goes on: nobody else is before it has said that it is not.
      await this.#wait(tries);
    }
  }

  #opened(connection) {
    this.#connection = connection;
    if (this.#holds === 0) connection.unref();
    if (this.#isCandidate) this.post({ stead: { candidate: true } });
  }

  /** Asks until there is an answer. */
  async #repeat(method, path, body, { headers, also, signal = this.#closed.signal } = {}) {
    for (let tries = 0; ; tries++) {
      try {
        return await exchange({ ...this.#to(method, path, body, headers), signal }, also);
      } catch (error) {
        this.#mayRepeat(error, tries);
        await this.#wait(tries);
      }
    }
  }

  /** Asks once; nobody knows what became of it when the daemon dies before it has answered. */
  async #once(method, path, body) {
    try {
      return await exchange(this.#to(method, path, body));
    } catch (error) {
      if (error instanceof SteadError) throw error;
      throw new SteadError('interrupted', 'the daemon ended before it answered', { cause: error });
    }
  }

  /** Throws what is an answer, and what has been tried often enough. */
  #mayRepeat(error, tries) {
    if (error instanceof SteadError || this.#closed.signal.aborted) throw error;
    if (tries >= TRIES_MAX) throw new SteadError('disconnected', `nobody answers on ${this.#path}`, { cause: error });
  }

  #wait(tries) {
    return sleep(pause(tries), undefined, { signal: this.#closed.signal, ref: this.#holds > 0 });
  }

  #to(method, path, body, headers) {
    // A hook or a scheduled command is no worker, and speaks for its app.
    const { STEAD_APP: app, STEAD_WORKER: name = app } = process.env;
    const own = name === undefined ? headers : { ...headers, 'Stead-Worker': name };
    return { socketPath: this.#path, method, path, headers: own, body, signal: this.#closed.signal };
  }
}

const poolPath = (pool) => `/v1/pools/${encodeURIComponent(pool)}`;
const taskPath = (pool, task) => `${poolPath(pool)}/tasks/${encodeURIComponent(task)}`;
const valuePath = (name) => `/v1/apps/${encodeURIComponent(process.env.STEAD_APP)}/shared/${encodeURIComponent(name)}`;

/** The version stands in the ETag. */
const versionOf = ({ headers }) => Number(headers.etag?.replace(/\D/g, '') ?? 0);

module.exports = { Socket };
