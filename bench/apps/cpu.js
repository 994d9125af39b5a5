// A CPU-bound answer: BENCH_LOOPS turns of an empty loop, which calibrate.js has found to take 10 ms here.
const http = require('node:http');
const spin = require('./lib/spin');

const loops = Number(process.env.BENCH_LOOPS || 1e7);

const server = http.createServer((request, response) => {
  spin(loops);
  response.end('ok');
});

require('./lib/listen')(server);
