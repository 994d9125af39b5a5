'use strict';
// What a program gets from `require('stead')`. It only names things: what they do stands in lib/.
//
// Two copies of this package in one process (two versions of a library that uses it) share one core, because both would
// answer the same messages otherwise.

const SHARED = Symbol.for('stead.sdk.1');

module.exports = globalThis[SHARED] ??= create();

function create() {
  const { Core } = require('./lib/core');
  const { SteadError } = require('./lib/error');
  const { isInside } = require('./lib/transport');
  const core = new Core();
  const messages = new (require('./lib/messages').Messages)(core);
  const leadership = new (require('./lib/leader').Leadership)(core);
  const values = new (require('./lib/shared').SharedValues)(core, leadership);
  const pools = new (require('./lib/pool').Pools)(core);
  const { work } = require('./lib/worker');
  return {
    send: (to, topic, data) => messages.send(to, topic, data),
    broadcast: (topic, data, options) => messages.send('app', topic, data, options),
    on: (topic, listener) => messages.on(topic, listener),
    once: (topic, listener) => messages.once(topic, listener),
    off: (topic, listener) => messages.off(topic, listener),
    request: (to, topic, data, options) => messages.request(to, topic, data, options),
    handle: (topic, handler) => messages.handle(topic, handler),
    shared: (name) => values.named(name),
    leader: (task) => leadership.candidate(task),
    pool: (name) => pools.named(name),
    worker: (task, options) => work(task, options),
    close: () => core.close(),
    /** Whether Stead runs this program: whether all but `worker` can be used. */
    get inside() {
      return isInside();
    },
    SteadError,
  };
}
