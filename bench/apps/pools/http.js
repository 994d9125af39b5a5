// The same pool by HTTP on the socket in STEAD_SOCKET, as a program in any language would use it.
const http = require('node:http');

const CONNECTIONS_MAX = 64;

module.exports = async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  const options = {
    agent,
    socketPath: process.env.STEAD_SOCKET,
    path: '/v1/pools/spin/tasks',
    method: 'POST',
  };
  const run = (loops) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ loops });
      const headers = { 'content-type': 'application/json', 'content-length': body.length };
      const request = http.request({ ...options, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => (text += part));
        response.on('end', () => {
          if (response.statusCode !== 200) reject(new Error(`${response.statusCode}: ${text}`));
          else resolve(JSON.parse(text).result.done);
        });
      });
      request.on('error', reject).end(body);
    });
  return { run, close: () => agent.destroy() };
};
