'use strict';
// Envelopes as lines of JSON on standard input and output, for a worker that was given no message channel.
//
// Standard output belongs to the protocol then: what the program prints goes to standard error.

const { StringDecoder } = require('node:string_decoder');
const { isEnvelope } = require('./channel');

class Lines {
  #write;
  #rest = '';
  #decoder = new StringDecoder('utf8');

  constructor(receive, ended) {
    this.#write = process.stdout.write.bind(process.stdout);
    process.stdout.write = process.stderr.write.bind(process.stderr);
    const take = (line) => {
      const message = parse(line);
      if (isEnvelope(message)) receive(message.stead, message.data);
    };
    process.stdin.on('data', (bytes) => {
      const lines = (this.#rest + this.#decoder.write(bytes)).split('\n');
      this.#rest = lines.pop();
      for (const line of lines) take(line);
    });
    // Tasks that came before the end are done, and their results are still wanted: the process ends when it has nothing left.
    process.stdin.on('end', () => this.#rest !== '' && take(this.#rest));
    process.stdout.on('error', ended);
  }

  post(message, written) {
    this.#write(`${JSON.stringify(message)}\n`, written);
  }

  // Standard input keeps the process alive until it ends.
  ref() {}
}

/** A line that is no JSON is no envelope. */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

module.exports = { Lines };
