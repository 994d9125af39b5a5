// Burns CPU: the loop of the CPU-bound server, in a file of its own so that the calibration runs the very same code.
module.exports = (loops) => {
  for (let i = 0; i < loops; i++);
};
