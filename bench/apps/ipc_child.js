// The child of the message benchmarks, for whoever forks it: sends back what asks for it, counts the rest. Plain Node.js.
//
// {echo: 1, data}          the same back
// {count: n}, n x {data}   {done: 1} after the last
// n x {data}, {end: 1}     {done: 1}
let left = 0;

process.on('message', (message) => {
  if (message.echo) return process.send(message);
  if (message.end) return process.send({ done: 1 });
  if (message.count) left = message.count;
  else if (--left === 0) process.send({ done: 1 });
});
