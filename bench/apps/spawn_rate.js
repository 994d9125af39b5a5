// How many children Node.js can start and wait for per second.
//
// node spawn_rate.js spawn|spawnSync SECONDS AT_ONCE     prints {"per_s": ...}
const { spawn, spawnSync } = require('node:child_process');

const [how, seconds, atOnce] = process.argv.slice(2);
const milliseconds = Number(seconds) * 1000;
const begun = performance.now();
const isOver = () => performance.now() - begun >= milliseconds;
let ended = 0;
let alive = 0;

function count(code) {
  if (code !== 0) throw new Error(`a child ended with ${code}`);
  ended++;
}

function report() {
  console.log(JSON.stringify({ per_s: (ended / (performance.now() - begun)) * 1000 }));
}

function next() {
  alive++;
  spawn('/bin/true', { stdio: 'ignore' }).on('exit', (code) => {
    count(code);
    alive--;
    if (!isOver()) next();
    else if (alive === 0) report();
  });
}

if (how === 'spawnSync') {
  while (!isOver()) count(spawnSync('/bin/true', { stdio: 'ignore' }).status);
  report();
} else {
  for (let i = 0; i < Number(atOnce); i++) next();
}
