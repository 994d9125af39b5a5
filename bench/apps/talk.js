// One of the copies of a program that talk to each other: the first broadcasts to the others, which do nothing with it.
//
// node talk.js FOLDER     for each FOLDER/talk-N that it finds, N broadcasts; then FOLDER/talked-N says how many were delivered
const fs = require('node:fs');
const path = require('node:path');

const AT_ONCE = 64;
const LOOK_MS = 20;
const DATA = 'x'.repeat(100);

const [folder] = process.argv.slice(2);
let talk = null;

function next() {
  while (talk.sent - talk.acked < AT_ONCE && talk.sent < talk.count) {
    process.send({ stead: { to: 'app', topic: 'wind', id: ++talk.sent }, data: DATA });
  }
  if (talk.acked < talk.count) return;
  const file = path.join(folder, `talked-${talk.count}`);
  fs.writeFileSync(`${file}.new`, String(talk.delivered));
  fs.renameSync(`${file}.new`, file);
  fs.rmSync(path.join(folder, `talk-${talk.count}`));
  talk = null;
}

function look() {
  const asked = fs.readdirSync(folder).find((name) => /^talk-\d+$/.test(name));
  if (talk || !asked) return;
  talk = { count: Number(asked.slice('talk-'.length)), sent: 0, acked: 0, delivered: 0 };
  next();
}

process.on('message', ({ stead }) => {
  if (!stead?.ack || !talk) return;
  talk.acked++;
  talk.delivered += (stead.receivers || 0) - (stead.dropped || 0);
  next();
});
if (process.env.STEAD_WORKER?.endsWith('.0')) setInterval(look, LOOK_MS);
process.send('ready');
