// The smallest server there is, unmodified: Stead needs nothing from it.
const http = require('node:http');

http
  .createServer((request, response) => {
    response.end(`hello from process ${process.pid}\n`);
  })
  .listen(process.env.PORT || 8080);
