// A server that answers while a long sum runs: the sum is a task for the pool `compute`, so no request waits behind another.
//
//   stead run -c examples/compute/stead.toml
//   curl 'http://127.0.0.1:8080/compute?count=1000000000' &        takes its time
//   curl http://127.0.0.1:8080/                                    is answered at once
const http = require('node:http');
const stead = require('../../sdk/node'); // after `npm install`: require('stead')

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname !== '/compute') return response.end('ok\n');
  const count = Number(url.searchParams.get('count') ?? 1e9);
  if (!(count >= 0)) return response.writeHead(400).end('count is a number from 0, as in /compute?count=1000000000\n');
  try {
    const sum = await stead.pool('compute').run({ count });
    response.end(`${sum}\n`);
  } catch (error) {
    response.writeHead(error.code === 'full' ? 503 : 500).end(`${error.code}: ${error.message}\n`);
  }
});
server.listen(process.env.PORT || 8080);
