// A server with a bug: every copy dies at a random moment within ten seconds. Run it under load and count the failed requests:
//
//   stead run examples/crashy/server.js -i max
//   ab -k -c 50 -t 30 http://127.0.0.1:8080/        (or any load client)
const http = require('node:http');

http
  .createServer((request, response) => {
    response.end(`answered by process ${process.pid}\n`);
  })
  .listen(process.env.PORT || 8080);

setTimeout(() => {
  throw new Error('the bug that is only found in production');
}, Math.random() * 10_000).unref();
