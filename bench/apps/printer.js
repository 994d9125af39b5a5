// Hello world that prints a lot when it is told to: BENCH_PRINT_MB megabytes in lines of 100 bytes, as soon as the file
// `print` is in BENCH_FOLDER, waiting whenever its output is full. Says so by making the file `printed`.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const LINE = `${'x'.repeat(99)}\n`;
const CHUNK = LINE.repeat(640);
const LOOK_EVERY_MS = 5;

const { BENCH_FOLDER, BENCH_PRINT_MB } = process.env;
let left = Math.round((Number(BENCH_PRINT_MB) * 1e6) / CHUNK.length);

function print() {
  while (left > 0) {
    left -= 1;
    if (!process.stdout.write(CHUNK)) return process.stdout.once('drain', print);
  }
  return process.stdout.write('', () => fs.writeFileSync(path.join(BENCH_FOLDER, 'printed'), ''));
}

const look = setInterval(() => {
  if (!fs.existsSync(path.join(BENCH_FOLDER, 'print'))) return;
  clearInterval(look);
  print();
}, LOOK_EVERY_MS);

require('./lib/listen')(http.createServer((request, response) => response.end('ok')));
