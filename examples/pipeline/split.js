// Takes a line apart. The plain protocol: one message in, one message out.
process.on('message', (line) => process.send(line.split(' ')));
