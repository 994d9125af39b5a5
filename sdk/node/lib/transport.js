'use strict';
// Which way leads to Stead: the message channel that the process was forked with, or HTTP on the socket in STEAD_SOCKET.

const { readFileSync, readlinkSync } = require('node:fs');
const { Channel } = require('./channel');
const { SteadError } = require('./error');
const { Socket } = require('./socket');

const { env } = process;

/** Whether Stead runs this program. */
function isInside() {
  return hasOwnChannel() || Boolean(env.STEAD_SOCKET);
}

/** Whether the process has a message channel, and Stead is at the other end. */
function hasOwnChannel() {
  return Boolean(process.connected && env.STEAD_WORKER && !isForkedByWorker());
}

/**
 * Opens the way to the daemon.
 * @param {(stead: object, data: unknown) => void} receive is given each envelope that comes
 * @param {(error: SteadError) => void} ended is told that none can come any more
 */
function open(receive, ended) {
  if (hasOwnChannel()) return new Channel(receive, ended);
  if (env.STEAD_SOCKET) return new Socket(env.STEAD_SOCKET, receive);
  throw new SteadError('outside', 'Stead does not run this program: start it with `stead run` or `stead start`');
}

// A child that a worker has forked itself has a channel too, and inherits the environment; but at the other end is the
// worker. A shell in between is not: it passes the channel on and knows nothing of it.
function isForkedByWorker() {
  try {
    const names = readFileSync(`/proc/${process.ppid}/environ`, 'latin1').split('\0');
    const isWorker = names.includes(`STEAD_WORKER=${env.STEAD_WORKER}`);
    return isWorker && readlinkSync(`/proc/${process.ppid}/exe`) === readlinkSync('/proc/self/exe');
  } catch {
    // The parent of a worker is another user's process, or there is no /proc: then it is not one of our own.
    return false;
  }
}

module.exports = { hasOwnChannel, isInside, open };
