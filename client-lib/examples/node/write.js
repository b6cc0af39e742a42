#!/usr/bin/env node
// Writes each line of standard input, a JSON value, as an event:
//
//     write.js STREAM TYPE <lines
//
// Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
// store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once.
'use strict';
const { randomUUID } = require('crypto');
const net = require('net');
const readline = require('readline');

const path = process.env.ESBRIDGE_SOCKET || '/run/esbridge/esbridge.sock';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Bridge {
	// The answer to a request. Rejects when the connection ends before it has come.
	ask(request) {
		return new Promise((resolve, reject) => {
			this.waiting = { resolve, reject };
			if (!this.socket) this.connect();
			this.socket.write(JSON.stringify(request) + '\n');
		});
	}

	connect() {
		const lost = (fault) => {
			this.socket = null;
			this.waiting?.reject(fault);
		};
		this.socket = net.connect(path);
		this.socket.on('error', lost).on('close', () => lost(new Error('the daemon went away')));
		const lines = readline.createInterface({ input: this.socket }).on('error', () => {});
		lines.on('line', (line) => {
			try {
				this.waiting.resolve(JSON.parse(line));
			} catch (fault) {
				this.waiting.reject(fault); // cut off, when the daemon went away
			}
		});
	}
}

async function write(bridge, stream, type, data) {
	const events = [{ event_id: randomUUID(), event_type: type, data }];
	const request = { op: 'execute', message: 'WriteEvents', body: { event_stream_id: stream, events } };
	for (;;) {
		const answer = await bridge.ask(request).catch((fault) => ({ error: { message: fault.message, retry: true } }));
		if (answer.ok) return;
		if (!answer.error.retry) throw new Error(answer.error.message);
		console.error(`write.js: ${answer.error.message}`);
		await pause(500);
	}
}

async function main(stream, type) {
	const bridge = new Bridge();
	for await (const line of readline.createInterface({ input: process.stdin }))
		await write(bridge, stream, type, JSON.parse(line));
}

main(...process.argv.slice(2)).then(() => process.exit(0), (fault) => {
	console.error(`write.js: ${fault.message}`);
	process.exit(1);
});
