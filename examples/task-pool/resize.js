// Draws a disc of `width` x `width` points and scales it down to `to` x `to` characters by averaging: work for a core, in
// place of a library for pictures. It stops in the middle if nobody wants the result any more.
const { setImmediate: breathe } = require('node:timers/promises');
const stead = require('../../sdk/node'); // after `npm install`: require('stead')

const SHADES = ' .:-=+*#%@';

stead.worker(async ({ width, to }, { signal, progress }) => {
  const size = width / to;
  const rows = [];
  for (let row = 0; row < to; row++) {
    let text = '';
    for (let column = 0; column < to; column++) text += SHADES[Math.round(mean(column * size, row * size, size, width) * 9)];
    rows.push(text);
    progress((row + 1) / to);
    // A worker hears that its task is cancelled when it lets others have their turn.
    await breathe();
    signal.throwIfAborted();
  }
  return rows;
});

/** How bright the square at (left, top) is, from 0 to 1. */
function mean(left, top, size, width) {
  let sum = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) sum += Math.hypot(left + x - width / 2, top + y - width / 2) < width / 2 ? 1 : 0;
  }
  return sum / Math.ceil(size) ** 2;
}
