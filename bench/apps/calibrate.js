// Prints how many turns of the empty loop take so many milliseconds (argument) of an undisturbed core.
const spin = require('./lib/spin');

const milliseconds = Number(process.argv[2]);
const TURNS = 1e6;
const SAMPLES = 200;

// The fastest sample is the one that nobody disturbed; the first ones are slow because they are not compiled yet.
let fastest = Infinity;
for (let sample = 0; sample < SAMPLES; sample++) {
  const started = performance.now();
  spin(TURNS);
  fastest = Math.min(fastest, performance.now() - started);
}
console.log(Math.round((TURNS / fastest) * milliseconds));
