// The same task for workerpool, which runs it in processes.
const workerpool = require('workerpool');
const task = require('./worker_piscina');

workerpool.worker({ task });
