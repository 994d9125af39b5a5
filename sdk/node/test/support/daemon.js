// What stands in for the daemon on its socket: keeps the requests that come, and answers each as the test says.
const http = require('node:http');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { on } = require('node:events');
const { json } = require('node:stream/consumers');
const { limit } = require('./child');

/** One request, which the test answers. */
class Question {
  constructor(request, response, body) {
    Object.assign(this, { response, body, headers: request.headers, line: `${request.method} ${request.url}` });
  }

  answer(status, body, headers) {
    this.response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    this.response.end(body === undefined ? undefined : JSON.stringify(body));
  }

  /** Opens a stream of events. */
  open() {
    this.response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    this.response.flushHeaders();
  }

  event(name, data) {
    this.response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Ends the connection in the middle, as a daemon that dies. */
  cut() {
    this.response.destroy();
  }
}

class Daemon {
  #questions;

  constructor(server, socket) {
    this.socket = socket;
    this.#questions = on(server, 'question', { signal: limit() });
  }

  /** The next request, whose first line has to be this. @returns {Promise<Question>} */
  async expect(line) {
    const question = await this.next();
    if (question.line !== line) throw new Error(`expected ${line}, got ${question.line}`);
    return question;
  }

  /** @returns {Promise<Question>} */
  async next() {
    const { value } = await this.#questions.next();
    return value[0];
  }
}

/** A daemon until the test ends. @returns {Promise<Daemon>} */
async function listen(test) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stead-sdk-'));
  const socket = path.join(folder, 'socket');
  const server = http.createServer(async (request, response) => {
    const hasBody = Number(request.headers['content-length'] ?? 0) > 0;
    server.emit('question', new Question(request, response, hasBody ? await json(request) : undefined));
  });
  const daemon = new Daemon(server, socket);
  await new Promise((resolve) => server.listen(socket, resolve));
  test.after(() => {
    server.closeAllConnections?.();
    server.close();
    fs.rmSync(folder, { recursive: true });
  });
  return daemon;
}

module.exports = { listen };
