'use strict';
// The one kind of error that this package makes. `code` says what a program can do about it; docs/sdk-node.md lists them.

class SteadError extends Error {
  /**
   * @param {string} code for programs, as in `full`
   * @param {string} message for people
   * @param {{ cause?: unknown }} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = 'SteadError';
    this.code = code;
  }
}

/**
 * The error that came in an answer. What a program far away threw is its cause, with the name and the stack it had there.
 * @param {{ code?: string, message?: string, hint?: string, name?: string, stack?: string }} error
 */
function received(error) {
  const { code = 'failed', message = 'failed without a reason', hint, name, stack } = error;
  if (name === undefined && stack === undefined) return new SteadError(code, hint ? `${message}; ${hint}` : message);
  const cause = new Error(message);
  if (name !== undefined) cause.name = name;
  if (stack !== undefined) cause.stack = stack;
  return new SteadError(code, message, { cause });
}

/** What another process is told about something that was thrown here. @param {unknown} thrown */
function told(thrown) {
  if (!(thrown instanceof Error)) return { message: String(thrown) };
  const { name, message, stack, code } = thrown;
  return typeof code === 'string' ? { name, message, stack, code } : { name, message, stack };
}

/**
 * What `write` returns. What it throws is because of the message, which has something in it that cannot be sent.
 * @template T @param {() => T} write @returns {T}
 */
function sendable(write) {
  try {
    return write();
  } catch (cause) {
    throw new SteadError('bad_message', `this cannot be sent: ${cause.message}`, { cause });
  }
}

module.exports = { SteadError, received, told, sendable };
