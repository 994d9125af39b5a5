// Makes small pictures of large ones without stopping for it: each is a task, with its progress on standard output. A client
// that goes away cancels its task.
//
//   stead run -c examples/task-pool/stead.toml
//   curl 'http://127.0.0.1:8080/?width=400&to=20'
const http = require('node:http');
const stead = require('../../sdk/node'); // after `npm install`: require('stead')

http
  .createServer(async (request, response) => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    const input = { width: Number(query.get('width') ?? 400), to: Number(query.get('to') ?? 20) };
    const wrong = mistake(input);
    if (wrong) return response.writeHead(400).end(`${wrong}\n`);
    const abort = new AbortController();
    response.on('close', () => abort.abort());
    const onProgress = (part) => console.log(`${Math.round(part * 100)} %`);
    try {
      const rows = await stead.pool('resize').run(input, { timeout: 30_000, signal: abort.signal, onProgress });
      response.end(`${rows.join('\n')}\n`);
    } catch (error) {
      if (!response.destroyed) response.writeHead(error.code === 'full' ? 503 : 500).end(`${error.message}\n`);
    }
  })
  .listen(process.env.PORT || 8080);

/** Better said here than found out by a worker. */
function mistake({ width, to }) {
  for (const [name, number] of Object.entries({ width, to })) {
    if (!Number.isInteger(number) || number < 1) return `${name} is a whole number above 0, as in /?width=400&to=20`;
  }
  if (width > 20_000) return 'width is 20000 at most';
  if (to > width || to > 200) return 'to is at most width, and at most 200';
}
