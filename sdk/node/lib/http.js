'use strict';
// As much of an HTTP client as a Unix socket needs: one question and its answer, or a stream of server-sent events.

const http = require('node:http');
const { StringDecoder } = require('node:string_decoder');
const { received, sendable } = require('./error');

/**
 * @typedef {{ socketPath: string, method: string, path: string, headers?: object, body?: unknown, signal?: AbortSignal }} Request
 */

/** Sends a request. @param {Request} request @returns {Promise<http.IncomingMessage>} as soon as the head of the answer is there */
function ask({ body, headers, ...request }) {
  const text = body === undefined ? undefined : sendable(() => JSON.stringify(body));
  const all = { ...headers };
  if (text !== undefined) Object.assign(all, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  return new Promise((resolve, reject) => {
    http.request({ agent: false, ...request, headers: all }).on('response', resolve).on('error', reject).end(text);
  });
}

/**
 * One question and its whole answer.
 * @param {Request} request
 * @param {(number | string)[]} [also] which statuses and codes of errors are answers and not failures, besides 2xx
 */
async function exchange(request, also = []) {
  const response = await ask(request);
  const text = await whole(response);
  const { statusCode: status, headers } = response;
  const body = text === '' ? undefined : JSON.parse(text);
  if (status >= 300 && !also.includes(status) && !also.includes(body?.error?.code)) throw refusal(status, body);
  return { status, headers, body };
}

/**
 * Reads server-sent events until the answer ends.
 * @param {Request} request
 * @param {(event: string, data: any) => void} take
 * @param {(socket: import('node:net').Socket) => void} [opened] is called when the first event may come
 */
async function stream(request, take, opened) {
  const response = await ask({ ...request, headers: { ...request.headers, Accept: 'text/event-stream' } });
  if (response.statusCode !== 200) {
    const text = await whole(response);
    throw refusal(response.statusCode, text === '' ? undefined : JSON.parse(text));
  }
  opened?.(response.socket);
  const events = new Events(take);
  for await (const bytes of response) events.read(bytes);
}

async function whole(response) {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part;
  return text;
}

function refusal(status, body) {
  return received({ message: `Stead answered with status ${status}`, ...body?.error });
}

/** Puts events together from pieces of a stream. */
class Events {
  #decoder = new StringDecoder('utf8');
  #rest = '';
  #event = 'message';
  #data = [];
  #take;

  constructor(take) {
    this.#take = take;
  }

  read(bytes) {
    const lines = (this.#rest + this.#decoder.write(bytes)).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === '') {
      if (this.#data.length > 0) this.#take(this.#event, JSON.parse(this.#data.join('\n')));
      this.#event = 'message';
      this.#data = [];
    } else if (line.startsWith('event:')) {
      this.#event = line.slice(6).trim();
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(5));
    }
  }
}

module.exports = { exchange, stream, Events };
