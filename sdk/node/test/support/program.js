// Runs the function whose text is the first argument, with the package, as a program of its own.
const stead = require('stead');

eval(`(${process.argv[2]})`)(stead, require);
