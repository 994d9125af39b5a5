'use strict';
// Loaded into a Node.js worker before the program (NODE_OPTIONS=--require), so that the program stays as it is:
//
// - the parent learns what kind of server asks for a port (`stead` in Node's own `queryServer` message);
// - `exclusive` and `reusePort` ask the parent for the port instead of going round it;
// - a connection that came over a socket pair shows the address of the client;
// - a program that has nothing left to do ends, as it would alone;
// - a process behind a wrapper (npm, yarn, tsx) joins at its first TCP listen(), over the Unix socket STEAD_JOIN.
//
// It loads nothing that the process has not loaded already, and whatever fails in here must never reach the program:
// every road from the program into this file ends in a `try`, or does nothing that can throw.

const REQUEST = Symbol('stead.request');
const CODE_NOT_CONNECTED = -107;
const env = process.env;

try {
  if (process.connected) {
    const cluster = require('cluster');
    if (cluster.isWorker) {
      forgetPreload();
      beWorker(cluster, require('net'));
    }
  } else if (env.STEAD_JOIN && require('worker_threads').isMainThread) {
    joinLater(env.STEAD_JOIN, env.STEAD_JOIN_ID || String(process.pid));
  }
} catch {
  // The program runs as it would have run without this file.
}

// ---- every worker

function beWorker(cluster, net) {
  const getServer = cluster._getServer;
  const stay = letEnd(process.channel, cluster.worker);
  cluster._getServer = function (server, options, callback) {
    return getServer.call(this, server, describe(server, options, net), stay(callback));
  };
  replaceListen(net, withoutExclusive);
  process.prependListener('internalMessage', nameConnection);
}

// The channel keeps a process alive while somebody listens for its `disconnect` or `message`. Node's own `cluster` does, for
// each, and no program waits for that, so these two do not count here; questions to the parent do, until they are answered.
function letEnd(channel, worker) {
  if (typeof channel.refCounted !== 'function' || typeof channel.unrefCounted !== 'function') {
    return (callback) => callback;
  }
  channel.unrefCounted();
  channel.unrefCounted();
  for (const name of ['disconnect', 'destroy', 'kill']) {
    const leave = worker[name];
    worker[name] = function (...args) {
      hold(channel, 'refCounted'); // it waits for the parent's leave, and ends the channel
      return Reflect.apply(leave, this, args);
    };
  }
  return (callback) => {
    hold(channel, 'refCounted');
    return function (...args) {
      try {
        return Reflect.apply(callback, this, args);
      } finally {
        hold(channel, 'unrefCounted');
      }
    };
  };
}

function hold(channel, count) {
  try {
    channel[count]();
  } catch {
    // A channel that is closed holds nothing.
  }
}

function describe(server, options, net) {
  try {
    const kind = kindOf(server, net);
    // A server on a path has only local clients, and whatever else speaks on a pair may not name its own address.
    if (kind === 'http' && options.port >= 0) followRequests(server);
    return kind === undefined ? options : { ...options, stead: kind };
  } catch {
    return options;
  }
}

function kindOf(server, net) {
  if (!(server instanceof net.Server)) return undefined;
  for (let p = server; p; p = Object.getPrototypeOf(p)) {
    const name = p.constructor && p.constructor.name;
    if (name === 'Http2Server' || name === 'Http2SecureServer') return 'http2'; // classes that Node does not export
  }
  for (const kind of ['https', 'http', 'tls']) {
    // A module that nobody loaded has made no server; loading it only to ask would cost the program its start-up time.
    const loaded = !process.moduleLoadList || process.moduleLoadList.includes(`NativeModule ${kind}`);
    if (loaded && server instanceof require(kind).Server) return kind;
  }
  return 'net';
}

function replaceListen(net, prepare) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    let prepared = args;
    try {
      prepared = prepare(args);
    } catch {
      // listen() itself says what is wrong with its arguments.
    }
    return Reflect.apply(listen, this, prepared);
  };
}

// Port 0 with `exclusive` means "a port of my own, whichever": nobody else has to know it.
function withoutExclusive(args) {
  const [options, ...rest] = args;
  if (options === null || typeof options !== 'object') return args;
  if (!(options.exclusive || options.reusePort) || !(Number(options.port) > 0)) return args;
  return [{ ...options, exclusive: false, reusePort: false }, ...rest];
}

// ---- the client's address on a socket pair

// Runs before the cluster module turns the descriptor into a connection.
function nameConnection(message, handle) {
  try {
    if (!handle || message.cmd !== 'NODE_CLUSTER' || message.act !== 'newconn') return;
    if (message.remote) {
      const { address, family, port } = message.remote;
      handle.getpeername = (out) => (Object.assign(out, { address, family, port }), 0);
    } else if (handle.constructor.name === 'Pipe') {
      handle[REQUEST] = null;
      handle.getpeername = peerOfRequest;
    }
  } catch {
    // The connection works, only its address stays unknown.
  }
}

// One connection carries the requests of many clients, one after another. Per request only two fields are written;
// the header is looked at when the program asks.
function followRequests(server) {
  const emit = server.emit;
  if (emit.stead) return;
  const follow = function (event, request) {
    switch (event) {
      case 'request':
      case 'upgrade':
      case 'connect':
      case 'checkContinue':
      case 'checkExpectation': {
        const socket = request && request.socket;
        const handle = socket && socket._handle;
        if (handle && handle[REQUEST] !== undefined) {
          handle[REQUEST] = request;
          socket._peername = undefined; // what net.Socket remembers of the last client
        }
      }
    }
    return Reflect.apply(emit, this, arguments);
  };
  follow.stead = true;
  Object.defineProperty(server, 'emit', { value: follow, configurable: true, writable: true });
}

function peerOfRequest(out) {
  try {
    const request = this[REQUEST];
    const text = request && lastFor(request.headers.forwarded);
    const match = text && /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d+)$/i.exec(text);
    if (!match) return CODE_NOT_CONNECTED;
    out.address = match[1] || match[2];
    out.family = match[1] ? 'IPv6' : 'IPv4';
    out.port = Number(match[3]);
    return 0;
  } catch {
    return CODE_NOT_CONNECTED;
  }
}

// The `for` of the last element of a `Forwarded` header (RFC 7239). Only the last one was written by the parent; a quoted
// string may hold commas and semicolons that a client chose, so quotes are honoured.
function lastFor(header) {
  if (typeof header !== 'string') return undefined;
  let found;
  for (const [pair] of header.matchAll(/(?:[^",;]|"(?:[^"\\]|\\.)*")+|,/g)) {
    const match = /^\s*for=(?:"([^"]*)"|(\S*))\s*$/i.exec(pair);
    if (pair === ',') found = undefined;
    else if (match) found = match[1] === undefined ? match[2] : match[1];
  }
  return found;
}

// ---- joining late

// Which half of `cluster` a process gets is decided when that module is first loaded, so it is loaded here, as a worker.
function joinLater(path, id) {
  env.NODE_UNIQUE_ID = id;
  const cluster = require('cluster');
  delete env.NODE_UNIQUE_ID;
  if (!cluster.isWorker) return;
  cluster.worker = new cluster.Worker({ id: Number(id) | 0, process, state: 'none' });
  const net = require('net');
  let refused = false;
  keepDatagramsLocal(require('dgram'), () => refused || process.connected);
  replaceListen(net, (args) => {
    if (refused || process.connected) return args;
    const local = localListen(args, net);
    if (local) return local;
    try {
      join(cluster, path, id);
      beWorker(cluster, net);
      forgetPreload();
      return withoutExclusive(args);
    } catch {
      refused = true; // Nobody is there: the process owns its ports, as a primary does.
      Object.assign(cluster, { isPrimary: true, isMaster: true, isWorker: false, worker: undefined });
      return args;
    }
  });
}

// A listen that is the process's own business and no reason to join: a path (wrappers talk to their children over them),
// or a port that nobody knows. Undefined if the parent has to be asked.
function localListen(args, net) {
  const [first] = args;
  if (first !== null && typeof first === 'object' && first.port === undefined && !first.path && !('fd' in first)) return args;
  const [options, callback] = net._normalizeArgs(args);
  if (Number(options.port) > 0) return undefined;
  const own = { ...options, exclusive: true };
  if (!own.path && own.fd === undefined) own.port = 0;
  return callback ? [own, callback] : [own];
}

function keepDatagramsLocal(dgram, joined) {
  const bind = dgram.Socket.prototype.bind;
  dgram.Socket.prototype.bind = function (...args) {
    const [first, second] = args;
    if (!joined() && !(first && typeof first.recvStart === 'function')) {
      const named = first !== null && typeof first === 'object';
      const options = named ? first : { port: typeof first === 'function' ? 0 : first, address: typeof second === 'string' ? second : undefined };
      const callback = args[args.length - 1];
      args = [{ ...options, exclusive: true }, ...(typeof callback === 'function' ? [callback] : [])];
    }
    return Reflect.apply(bind, this, args);
  };
}

// child_process knows only how to open an inherited descriptor as its channel; here the channel is a connection.
function join(cluster, path, id) {
  const { Pipe, PipeConnectWrap } = process.binding('pipe_wrap');
  const open = Pipe.prototype.open;
  Pipe.prototype.open = function () {
    const request = new PipeConnectWrap();
    request.oncomplete = () => {};
    const code = this.connect(request, path);
    if (code || !isConnected(this.fd)) {
      this.close();
      throw new Error(`nobody listens on ${path}`);
    }
  };
  try {
    require('child_process')._forkChild(0, 'json');
  } finally {
    Pipe.prototype.open = open;
  }
  env.NODE_UNIQUE_ID = id;
  cluster._setupWorker();
  delete env.NODE_UNIQUE_ID;
}

// connect() on a Unix socket is done at once or has failed; libuv tells only later. The kernel tells now: reading a
// connected socket "would block".
function isConnected(fd) {
  try {
    require('fs').readSync(fd, Buffer.alloc(1), 0, 1);
    return false;
  } catch (error) {
    return error.code === 'EAGAIN';
  }
}

// Programs that this one starts are not workers.
function forgetPreload() {
  delete env.STEAD_JOIN;
  delete env.STEAD_JOIN_ID;
  if (!env.NODE_OPTIONS) return;
  const rest = env.NODE_OPTIONS.replace(/--require ("(?:[^"\\]|\\.)*"|\S+) ?/g, (text, file) => {
    const plain = file.startsWith('"') ? file.slice(1, -1).replace(/\\(.)/g, '$1') : file;
    return isThisFile(plain) ? '' : text;
  }).trim();
  if (rest) env.NODE_OPTIONS = rest;
  else delete env.NODE_OPTIONS;
}

function isThisFile(path) {
  try {
    return path === __filename || require('fs').realpathSync(path) === __filename;
  } catch {
    return false;
  }
}
