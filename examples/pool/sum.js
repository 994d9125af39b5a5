// A worker that takes tasks: a message is a task, and the answer its result. It works with child_process.fork as it does here.
process.on('message', ({ n }) => {
  let sum = 0
  for (let number = 1; number <= n; number++) sum += number
  process.send(sum)
})
