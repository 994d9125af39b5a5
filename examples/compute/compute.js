// Adds up numbers for whoever sends a message: a child as `child_process.fork('compute.js')` starts it, and the worker of a
// pool as it stands. It knows nothing of Stead.
function add(count) {
  let sum = 0;
  for (let number = 0; number < count; number++) sum += number;
  return sum;
}

process.on('message', ({ count }) => process.send(add(count)));
