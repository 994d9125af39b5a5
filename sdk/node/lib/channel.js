'use strict';
// The message channel that the process was forked with (`process.send`).
//
// The program may use it as well, and must not notice that somebody else listens: our listener does not keep the process
// alive, and messages that come before the program listens are kept for it, as Node.js keeps them when nobody does.

const { SteadError, sendable } = require('./error');

/** Is this an envelope, or the program's own message? */
function isEnvelope(message) {
  return typeof message === 'object' && message !== null && typeof message.stead === 'object' && message.stead !== null;
}

class Channel {
  #kept = [];
  #onMessage;
  #onListener;
  #onDisconnect;

  /**
   * @param {(stead: object, data: unknown) => void} receive
   * @param {(error: SteadError) => void} ended
   */
  constructor(receive, ended) {
    this.#onMessage = (message, handle) => {
      if (isEnvelope(message)) receive(message.stead, message.data);
      else if (process.listenerCount('message') === 1) this.#kept.push([message, handle]);
    };
    this.#onListener = (name) => {
      if (name === 'message' && this.#kept.length > 0) process.nextTick(() => this.#giveBack());
    };
    this.#onDisconnect = () => ended(new SteadError('disconnected', 'the message channel to Stead is closed'));
    process.on('newListener', this.#onListener);
    process.on('message', this.#onMessage);
    process.on('disconnect', this.#onDisconnect);
    // Each of the two listeners was counted as a reason to stay alive.
    this.unref();
    this.unref();
  }

  /** Everything comes by itself. */
  listen() {}

  /**
   * @param {object} envelope
   * @param {(error: Error | null) => void} [written] is called when the kernel has it
   */
  post(envelope, written) {
    if (!process.connected) throw new SteadError('disconnected', 'the message channel to Stead is closed');
    sendable(() => (written ? process.send(envelope, written) : process.send(envelope)));
  }

  // Counted, and not process.channel.unref(), which would count for the listeners of the program as well.
  ref() {
    process.channel?.refCounted?.();
  }

  unref() {
    process.channel?.unrefCounted?.();
  }

  close() {
    this.ref();
    this.ref();
    process.off('newListener', this.#onListener);
    process.off('message', this.#onMessage);
    process.off('disconnect', this.#onDisconnect);
  }

  #giveBack() {
    for (const [message, handle] of this.#kept.splice(0)) process.emit('message', message, handle);
  }
}

module.exports = { Channel, isEnvelope };
