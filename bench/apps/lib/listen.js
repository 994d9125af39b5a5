// Listens for every server of the benchmarks, and lets it die, end well or name itself as its environment says. A server
// of Node.js that knows nothing of who runs it: no cluster code, no library.
//
// PORT                   where to listen on the loopback address
// BENCH_CRASH_WITHIN_MS  dies (exit code 1) at a random moment within so many milliseconds of its start
// BENCH_CRASH_LOG        a file that gets one line for each such death: the seconds since 1970
// BENCH_GRACEFUL         1: SIGTERM and SIGINT let running requests finish
// BENCH_PID_HEADER       1: each answer names the process in the header x-pid
const fs = require('node:fs');

const BACKLOG = 4096;
const LONGEST_FAREWELL_MS = 5000;

const { PORT, BENCH_CRASH_WITHIN_MS, BENCH_CRASH_LOG, BENCH_GRACEFUL, BENCH_PID_HEADER } = process.env;

function crash() {
  if (BENCH_CRASH_LOG) fs.appendFileSync(BENCH_CRASH_LOG, `${Date.now() / 1000}\n`);
  process.exit(1);
}

function endWell(server) {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), LONGEST_FAREWELL_MS).unref();
}

module.exports = (server) => {
  const within = Number(BENCH_CRASH_WITHIN_MS || 0);
  if (within > 0) setTimeout(crash, Math.random() * within).unref();
  if (BENCH_GRACEFUL === '1') {
    for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => endWell(server));
  }
  if (BENCH_PID_HEADER === '1') {
    server.prependListener('request', (request, response) => response.setHeader('x-pid', process.pid));
  }
  server.listen(Number(PORT), '127.0.0.1', BACKLOG);
};
