/* live-mutex' broker: node broker.js SOCKET; says when it is ready. */
'use strict';

const { Broker } = require('live-mutex');

const broker = new Broker({ udsPath: process.argv[2] });
broker.emitter.on('warning', () => {});
broker.emitter.on('error', () => {});
broker.ensure().then(() => console.log('ready'));
