// Eight workers show how many users there are, and the database is asked once per period, not eight times: the leader counts,
// all the others receive. One that starts late gets the last count. EVERY is the period in milliseconds.
//
//   stead run -c examples/users-count/stead.toml
const http = require('node:http');
const stead = require('../../sdk/node'); // after `npm install`: require('stead')

const usersCount = stead.shared('usersCount').compute(countUsers, { every: Number(process.env.EVERY ?? 10_000) });

http
  .createServer((request, response) => response.end(`users: ${usersCount.value ?? 'not counted yet'}\n`))
  .listen(process.env.PORT || 8080);

/** What takes the database a while. */
async function countUsers() {
  console.log('asking the database');
  return 1000 + Math.floor(Math.random() * 1000);
}
