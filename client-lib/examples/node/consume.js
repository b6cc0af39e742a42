#!/usr/bin/env node
// Handles the events of a persistent group, and acknowledges each one when it has been handled:
//
//     consume.js STREAM GROUP
//
// After a restart of this program, the daemon or the store, what was not acknowledged comes again: handle() may see an
// event twice.
'use strict';
const net = require('net');
const readline = require('readline');

const path = process.env.ESBRIDGE_SOCKET || '/run/esbridge/esbridge.sock';
const [stream, group] = process.argv.slice(2);

// The work. Where its promise is rejected, the group delivers the event again.
async function handle(event) {
	console.log(event.event_number, event.event_type, JSON.stringify(event.data));
}

// A line that was cut off, when the daemon went away, says nothing.
function parse(line) {
	try {
		return JSON.parse(line);
	} catch {
		return {};
	}
}

function consume() {
	const socket = net.connect(path);
	const send = (request) => socket.write(JSON.stringify(request) + '\n');
	const said = (line, message = parse(line)) => {
		if (message.push === 'event')
			handle(message.event).then(
				() => send({ op: 'ack', sub: 'work', events: [message.ack_id] }),
				(fault) => send({ op: 'nack', sub: 'work', events: [message.ack_id], action: 'retry', reason: String(fault) }));
		else if (message.push === 'dropped')
			socket.destroy(new Error(`subscription dropped: ${message.reason}`));
		else if (message.error && message.id === 'subscribe')
			socket.destroy(new Error(message.error.message));
		// An ack that was refused (unknown_event) needs no answer: that event comes again.
	};

	socket.on('error', (fault) => console.error(`consume.js: ${fault.message}`));
	socket.on('close', () => setTimeout(consume, 500));
	readline.createInterface({ input: socket }).on('line', said).on('error', () => {});
	send({ op: 'subscribe', id: 'subscribe', sub: 'work', stream, group, in_flight: 20 });
}

if (!group) {
	console.error('usage: consume.js STREAM GROUP');
	process.exit(64);
}
consume();
