// The smallest answer: what is measured is everything around it.
const http = require('node:http');

require('./lib/listen')(http.createServer((request, response) => response.end('ok')));
