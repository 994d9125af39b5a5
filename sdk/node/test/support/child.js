// A program and what stands in for Stead at the other end of its message channel.
const { spawn } = require('node:child_process');
const { once, on } = require('node:events');
const path = require('node:path');
const { text } = require('node:stream/consumers');

const PROGRAM = path.join(__dirname, 'program.js');

/** How long a program may take before the test that runs it fails, in milliseconds. */
const LIMIT = 20_000;

/** A signal that is aborted when the test has taken too long, and does not keep it alive. */
function limit() {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), LIMIT).unref();
  return abort.signal;
}

class Child {
  #messages;

  constructor(program, env, hasChannel) {
    const options = {
      env: { ...process.env, STEAD_WORKER: 'shop.0', STEAD_APP: 'shop', STEAD_SOCKET: undefined, ...env },
      stdio: ['pipe', 'pipe', 'pipe', ...(hasChannel ? ['ipc'] : [])],
      timeout: LIMIT,
    };
    const words = [PROGRAM, program.toString()];
    this.process = spawn(process.execPath, words, options);
    this.#messages = on(this.process, 'message', { signal: limit() });
    this.exited = once(this.process, 'exit').then(([code]) => code);
    this.said = text(this.process.stdout);
    this.complained = text(this.process.stderr);
  }

  send(stead, data) {
    this.process.send({ stead, data });
  }

  /** The next message of the program. */
  async next() {
    const { value } = await this.#messages.next();
    return value[0];
  }

  /** The next envelope, as [words, data]. */
  async envelope() {
    const { stead, data } = await this.next();
    return [stead, data];
  }
}

/** Runs `program(stead, require)` in a process of its own, which ends with the test; `env` are more variables. */
function run(test, program, env) {
  return untilTheEnd(test, new Child(program, env, true));
}

/** The same without a message channel. */
function runWithoutChannel(test, program, env) {
  return untilTheEnd(test, new Child(program, env, false));
}

function untilTheEnd(test, child) {
  test.after(() => child.process.kill('SIGKILL'));
  return child;
}

module.exports = { run, runWithoutChannel, limit };
