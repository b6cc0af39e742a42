// Tests the memstore with node-eventstore-client, and that client and esbridge against each other.
// TAP on standard output. Environment: MODULES, STORE_PORT, BRIDGE (the socket).
'use strict';

const assert = require('assert').strict;
const crypto = require('crypto');
const net = require('net');
const path = require('path');
const readline = require('readline');

const client = require(path.join(process.env.MODULES, 'node_modules', 'node-eventstore-client'));

// crypto.randomUUID() came with Node 14.17; Ubuntu 22.04 has 12.
function uuid() {
	const bytes = crypto.randomBytes(16);

	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const LIMIT = 10000;
const admin = new client.UserCredentials('admin', 'changeit');
const tests = [];
let streams = 0;

function test(name, body) {
	tests.push([name, body]);
}

function stream() {
	streams += 1;
	return 'interop-' + streams;
}

function within(promise, what) {
	let timer;
	const late = new Promise((resolve, reject) => {
		timer = setTimeout(() => reject(new Error('not within ' + LIMIT + ' ms: ' + what)), LIMIT);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// What callbacks deliver, to be awaited one by one.
class Arrivals {
	constructor() {
		this.items = [];
		this.waiting = [];
	}

	push(item) {
		if (this.waiting.length > 0)
			this.waiting.shift()(item);
		else
			this.items.push(item);
	}

	next(what) {
		if (this.items.length > 0)
			return Promise.resolve(this.items.shift());
		return within(new Promise(resolve => this.waiting.push(resolve)), what);
	}

	async take(count, what) {
		const got = [];
		while (got.length < count)
			got.push(await this.next(what + ' ' + got.length));
		return got;
	}
}

// A client of esbridge's socket.
class Bridge {
	constructor() {
		this.socket = net.createConnection(process.env.BRIDGE);
		this.replies = new Map();
		this.pushes = new Arrivals();
		this.id = 0;
		readline.createInterface({ input: this.socket }).on('line', text => this.line(JSON.parse(text)));
	}

	line(message) {
		if (message.push)
			this.pushes.push(message);
		else
			this.replies.get(message.id)(message);
	}

	async ask(request) {
		this.id += 1;
		const id = this.id;
		const reply = await within(new Promise(resolve => {
			this.replies.set(id, resolve);
			this.socket.write(JSON.stringify({ ...request, id }) + '\n');
		}), JSON.stringify(request));
		assert.ok(reply.ok, JSON.stringify(reply));
		return reply.ok;
	}

	async execute(message, body) {
		return (await this.ask({ op: 'execute', message, body })).body;
	}

	close() {
		this.socket.destroy();
	}
}

function json(type, data, metadata) {
	return client.createJsonEventData(uuid(), data || { n: 1 }, metadata || null, type);
}

function some(count) {
	return Array.from({ length: count }, (unused, n) => json('t' + n, { n }));
}

const numbers = events => events.map(e => Number(e.originalEventNumber));
const types = events => events.map(e => e.event.eventType);
const range = (first, count) => Array.from({ length: count }, (unused, n) => first + n);

test('node writes, and reads forward and backward', async node => {
	const s = stream();
	const written = await node.appendToStream(s, client.expectedVersion.noStream, some(10));
	assert.equal(Number(written.nextExpectedVersion), 9);
	const page = await node.readStreamEventsForward(s, 2, 5);
	assert.deepEqual(numbers(page.events), range(2, 5));
	assert.equal(Number(page.nextEventNumber), 7);
	assert.equal(page.isEndOfStream, false);
	assert.equal(JSON.parse(page.events[0].event.data.toString()).n, 2);
	const last = await node.readStreamEventsBackward(s, client.streamPosition.end, 3);
	assert.deepEqual(numbers(last.events), [9, 8, 7]);
	const none = await node.readStreamEventsForward(s, 10, 5);
	assert.equal(none.isEndOfStream, true);
});

test('node reads one event, the last, none, and of no stream', async node => {
	const s = stream();
	const event = json('Created', { a: 1.5 }, { m: 2 });
	await node.appendToStream(s, client.expectedVersion.any, [event]);
	const got = await node.readEvent(s, 0);
	assert.equal(got.status, client.eventReadStatus.Success);
	assert.equal(got.event.event.eventId, event.eventId);
	assert.equal(got.event.event.isJson, true);
	assert.deepEqual(JSON.parse(got.event.event.metadata.toString()), { m: 2 });
	assert.ok(Math.abs(got.event.event.created - Date.now()) < 60000);
	assert.equal((await node.readEvent(s, -1)).event.event.eventType, 'Created');
	assert.equal((await node.readEvent(s, 7)).status, client.eventReadStatus.NotFound);
	assert.equal((await node.readEvent(stream(), 0)).status, client.eventReadStatus.NoStream);
});

test('node gets a wrong expected version', async node => {
	const s = stream();
	await node.appendToStream(s, client.expectedVersion.any, some(3));
	await assert.rejects(node.appendToStream(s, 7, some(1)), client.WrongExpectedVersionError);
	await assert.rejects(node.appendToStream(s, client.expectedVersion.noStream, some(1)), client.WrongExpectedVersionError);
});

test('node repeats a write, and it is stored once', async node => {
	const s = stream();
	const events = some(2);
	for (let i = 0; i < 3; i += 1)
		assert.equal(Number((await node.appendToStream(s, client.expectedVersion.any, events)).nextExpectedVersion), 1);
	assert.equal((await node.readStreamEventsForward(s, 0, 10)).events.length, 2);
});

test('node deletes, softly and for ever', async node => {
	const s = stream();
	await node.appendToStream(s, client.expectedVersion.any, some(2));
	await node.deleteStream(s, 1);
	assert.equal((await node.readStreamEventsForward(s, 0, 10)).status, client.sliceReadStatus.StreamNotFound);
	await node.appendToStream(s, client.expectedVersion.any, some(1));
	assert.deepEqual(numbers((await node.readStreamEventsForward(s, 0, 10)).events), [2]);
	await node.deleteStream(s, client.expectedVersion.any, true);
	assert.equal((await node.readStreamEventsForward(s, 0, 10)).status, client.sliceReadStatus.StreamDeleted);
	await assert.rejects(node.appendToStream(s, client.expectedVersion.any, some(1)), client.StreamDeletedError);
});

test('node makes a transaction', async node => {
	const s = stream();
	const transaction = await node.startTransaction(s, client.expectedVersion.any);
	await transaction.write(some(2));
	await transaction.write(some(1));
	assert.equal(Number((await transaction.commit()).nextExpectedVersion), 2);
	assert.deepEqual(types((await node.readStreamEventsForward(s, 0, 10)).events), ['t0', 't1', 't0']);
});

test('node reads all events, and is refused without credentials', async node => {
	await assert.rejects(node.readAllEventsForward(client.positions.start, 10), client.AccessDeniedError);
	const s = stream();
	await node.appendToStream(s, client.expectedVersion.any, some(5));
	let position = client.positions.start;
	let mine = [];
	for (;;) {
		const page = await node.readAllEventsForward(position, 50, false, admin);
		if (page.isEndOfStream)
			break;
		mine = mine.concat(page.events.filter(e => e.event.eventStreamId === s));
		position = page.nextPosition;
	}
	assert.deepEqual(numbers(mine), range(0, 5));
	const back = await node.readAllEventsBackward(client.positions.end, 5, false, admin);
	assert.deepEqual(numbers(back.events), [4, 3, 2, 1, 0]);
});

test('node sets and reads metadata', async node => {
	const s = stream();
	await node.appendToStream(s, client.expectedVersion.any, some(5));
	await node.setStreamMetadataRaw(s, client.expectedVersion.any, { $maxCount: 2 });
	assert.deepEqual((await node.getStreamMetadataRaw(s)).streamMetadata, { $maxCount: 2 });
	assert.deepEqual(numbers((await node.readStreamEventsForward(s, 0, 10)).events), [3, 4]);
});

test('node subscribes live, and unsubscribes', async node => {
	const s = stream();
	const arrivals = new Arrivals();
	const dropped = new Arrivals();
	await node.appendToStream(s, client.expectedVersion.any, some(1));
	const subscription = await within(node.subscribeToStream(s, false, (unused, e) => arrivals.push(e),
		() => dropped.push(true)), 'subscribed');
	await node.appendToStream(s, client.expectedVersion.any, some(300));
	assert.deepEqual(numbers(await arrivals.take(300, 'event')), range(1, 300));
	subscription.close();
	await dropped.next('dropped');
});

test('node catches up: what is there, then what comes, without gap or duplicate', async node => {
	const s = stream();
	const arrivals = new Arrivals();
	const live = new Arrivals();
	await node.appendToStream(s, client.expectedVersion.any, some(50));
	const subscription = node.subscribeToStreamFrom(s, null, false, (unused, e) => arrivals.push(e),
		() => live.push(true), null, null, 7);
	for (let i = 0; i < 20; i += 1)
		await node.appendToStream(s, client.expectedVersion.any, some(5));
	assert.deepEqual(numbers(await arrivals.take(150, 'event')), range(0, 150));
	await live.next('live');
	subscription.stop();
});

test('node catches up with all streams', async node => {
	const s = stream();
	const arrivals = new Arrivals();
	const subscription = node.subscribeToAllFrom(null, false,
		(unused, e) => { if (e.originalStreamId === s) arrivals.push(e); }, null, null, admin, 11);
	await node.appendToStream(s, client.expectedVersion.any, some(5));
	await node.appendToStream(s, client.expectedVersion.any, some(5));
	assert.deepEqual(numbers(await arrivals.take(10, 'event')), range(0, 10));
	subscription.stop();
});

function settings(from) {
	const s = client.PersistentSubscriptionSettings.create();
	s.startFrom = from;
	s.historyBufferSize = 500;
	s.maxRetryCount = 2;
	return s;
}

test('node uses a group: acks, nacks with retry, park', async node => {
	const s = stream();
	const arrivals = new Arrivals();
	await node.appendToStream(s, client.expectedVersion.any, some(5));
	assert.equal((await node.createPersistentSubscription(s, 'g', settings(0), admin)).status, 'success');
	const subscription = await within(node.connectToPersistentSubscription(s, 'g',
		(unused, e) => arrivals.push(e), null, null, 2, false), 'connected');
	const got = await arrivals.take(2, 'event');
	assert.deepEqual(numbers(got), [0, 1]);
	subscription.acknowledge(got[0]);
	assert.deepEqual(numbers(await arrivals.take(1, 'third')), [2]);
	subscription.fail(got[1], client.PersistentSubscriptionNakEventAction.Retry, 'again');
	const again = await arrivals.next('the second again');
	assert.equal(Number(again.originalEventNumber), 1);
	subscription.fail(again, client.PersistentSubscriptionNakEventAction.Park, 'no use');
	assert.deepEqual(numbers(await arrivals.take(1, 'fourth')), [3]);
	subscription.stop();
	const parked = await node.readStreamEventsForward('$persistentsubscription-' + s + '::g-parked', 0, 10, true, admin);
	assert.deepEqual(parked.events.map(e => Number(e.event.eventNumber)), [1]);
	await node.deletePersistentSubscription(s, 'g', admin);
});

test('node writes, esbridge reads: the same ids, types, data', async (node, bridge) => {
	const s = stream();
	const events = some(3).concat(client.createEventData(uuid(), 'Binary', false, Buffer.from([0, 255, 1]), null));
	await node.appendToStream(s, client.expectedVersion.any, events);
	const read = (await bridge.execute('ReadStreamEvents', { event_stream_id: s })).events.map(e => e.event);
	assert.deepEqual(read.map(e => e.event_id), events.map(e => e.eventId));
	assert.deepEqual(read.map(e => e.event_type), ['t0', 't1', 't2', 'Binary']);
	assert.deepEqual(read.slice(0, 3).map(e => e.data), [{ n: 0 }, { n: 1 }, { n: 2 }]);
	assert.equal(read[3].data_base64, 'AP8B');
});

test('esbridge writes, node reads: the same ids, types, data', async (node, bridge) => {
	const s = stream();
	const mine = uuid();
	const ok = await bridge.ask({ op: 'execute', message: 'WriteEvents', body: { event_stream_id: s, events: [
		{ event_type: 'a', event_id: mine, data: { x: 129.95 }, metadata: { m: 1 } }, { event_type: 'b', data_base64: 'AP8B' }] } });
	const page = await node.readStreamEventsForward(s, 0, 10);
	assert.deepEqual(page.events.map(e => e.event.eventId), ok.event_ids);
	assert.equal(page.events[0].event.eventId, mine);
	assert.equal(page.events[0].event.data.toString(), '{"x":129.95}');
	assert.equal(page.events[0].event.metadata.toString(), '{"m":1}');
	assert.deepEqual([...page.events[1].event.data], [0, 255, 1]);
	assert.deepEqual(page.events.map(e => e.event.isJson), [true, false]);
});

test('node writes, esbridge is told live, and the reverse', async (node, bridge) => {
	const s = stream();
	const arrivals = new Arrivals();
	await bridge.ask({ op: 'subscribe', stream: s });
	const subscription = await node.subscribeToStream(s, false, (unused, e) => arrivals.push(e));
	const events = some(20);
	await node.appendToStream(s, client.expectedVersion.any, events.slice(0, 10));
	await bridge.execute('WriteEvents', { event_stream_id: s,
		events: events.slice(10).map(e => ({ event_type: e.type, event_id: e.eventId })) });
	const ids = events.map(e => e.eventId);
	assert.deepEqual((await bridge.pushes.take(20, 'push')).map(p => p.event.event_id), ids);
	assert.deepEqual((await arrivals.take(20, 'event')).map(e => e.event.eventId), ids);
	subscription.close();
});

test('a group is served by both: each event goes to one of them', async (node, bridge) => {
	const s = stream();
	const seen = new Arrivals();
	await node.createPersistentSubscription(s, 'both', settings(0), admin);
	const sub = (await bridge.ask({ op: 'subscribe', stream: s, group: 'both', in_flight: 3 })).sub;
	const subscription = await node.connectToPersistentSubscription(s, 'both',
		(unused, e) => seen.push('node ' + e.originalEventNumber), null, null, 3, true);
	const answer = (async () => {
		for (;;) {
			const push = await bridge.pushes.next('push');
			if (push.push !== 'event')
				return;
			await bridge.ask({ op: 'ack', sub, events: [push.ack_id] });
			seen.push('bridge ' + push.event.event_number);
		}
	})().catch(() => undefined);
	await node.appendToStream(s, client.expectedVersion.any, some(40));
	const got = await seen.take(40, 'event');
	assert.deepEqual(got.map(text => Number(text.split(' ')[1])).sort((a, b) => a - b), range(0, 40));
	assert.ok(got.some(text => text.startsWith('node')) && got.some(text => text.startsWith('bridge')), 'both were served');
	subscription.stop();
	await bridge.ask({ op: 'unsubscribe', sub });
	bridge.pushes.push({ push: 'end' });
	await answer;
});

// What a reader tells of an event, in one text.
function told(record, commit) {
	return [record.event_stream_id || record.eventStreamId, record.event_number || Number(record.eventNumber || 0),
		record.event_id || record.eventId, record.event_type || record.eventType, commit].join(' ');
}

// Collects what comes until the event with the id LAST.
async function upTo(last, next) {
	const got = [];
	do
		got.push(await next());
	while (!got[got.length - 1].includes(last));
	return got;
}

function nodeReader(arrivals, last) {
	return upTo(last, async () => {
		const e = await arrivals.next('event of node');
		return told(e.originalEvent, e.originalPosition ? Number(e.originalPosition.commitPosition) : '');
	});
}

function bridgeReader(bridge, last, positions) {
	return upTo(last, async () => {
		let push;
		do
			push = await bridge.pushes.next('push of esbridge');
		while (push.push === 'caught_up');
		assert.equal(push.push, 'event', JSON.stringify(push));
		return told(push.event, positions ? push.position.commit : '');
	});
}

function sameOneByOne(mine, theirs, what) {
	theirs.forEach((text, index) => assert.equal(mine[index], text, what + ', event ' + index));
	assert.equal(mine.length, theirs.length, what);
}

// Writers of both kinds, each one write after another; returns the id of the very last event.
async function writeFromBoth(node, bridge, streams) {
	const last = uuid();
	await Promise.all([0, 1, 2].map(async number => {
		for (let i = 0; i < 40; i += 1) {
			const s = streams[(i + number) % streams.length];
			if (number === 0)
				await bridge.execute('WriteEvents', { event_stream_id: s,
					events: range(0, 1 + i % 5).map(n => ({ event_type: 'b' + n, data: { n } })) });
			else
				await node.appendToStream(s, client.expectedVersion.any, some(1 + i % 5));
		}
	}));
	await bridge.execute('WriteEvents', { event_stream_id: streams[0], events: [{ event_type: 'last', event_id: last }] });
	return last;
}

test('catch-up of a stream, of all streams, and live: both see the same, one by one, while both write', async (node, bridge) => {
	const s = stream();
	const other = stream();
	const [one, all, live] = range(0, 3).map(() => new Arrivals());
	const [ourOne, ourAll, ourLive] = range(0, 3).map(() => new Bridge());
	await node.appendToStream(s, client.expectedVersion.any, some(60));
	const subscriptions = [
		await within(node.subscribeToStream(s, false, (unused, e) => live.push(e)), 'subscribed'),
		node.subscribeToStreamFrom(s, null, false, (unused, e) => one.push(e), null, null, null, 7),
		node.subscribeToAllFrom(null, false, (unused, e) => all.push(e), null, null, admin, 11),
	];
	await ourLive.ask({ op: 'subscribe', stream: s });
	await ourOne.ask({ op: 'subscribe', stream: s, from: 'start', read_batch: 7 });
	await ourAll.ask({ op: 'subscribe', stream: '$all', from: 'start', read_batch: 11, resolve_link_tos: false });
	const last = await writeFromBoth(node, bridge, [s, other]);
	const theirs = await Promise.all([one, all, live].map(arrivals => nodeReader(arrivals, last)));
	const mine = await Promise.all([bridgeReader(ourOne, last), bridgeReader(ourAll, last, true), bridgeReader(ourLive, last)]);
	sameOneByOne(mine[0], theirs[0].map(text => text.replace(/ [0-9]*$/, ' ')), 'a stream from its start');
	sameOneByOne(mine[1], theirs[1], 'all streams');
	sameOneByOne(mine[2], theirs[2].map(text => text.replace(/ [0-9]*$/, ' ')), 'live');
	assert.equal(mine[0].length, mine[2].length + 60, 'live has what came after the first 60');
	[ourOne, ourAll, ourLive].forEach(b => b.close());
	subscriptions[0].close();
	subscriptions.slice(1).forEach(subscription => subscription.stop());
});

test('many requests of both at once', async (node, bridge) => {
	const s = stream();
	await Promise.all(range(0, 200).map(n => (n % 2 === 0
		? node.appendToStream(s, client.expectedVersion.any, [json('node')])
		: bridge.execute('WriteEvents', { event_stream_id: s, events: [{ event_type: 'bridge' }] }))));
	const page = await node.readStreamEventsForward(s, 0, 400);
	assert.equal(page.events.length, 200);
	assert.equal(types(page.events).filter(t => t === 'node').length, 100);
});

async function connect() {
	const node = client.EventStoreConnection.create({}, { host: '127.0.0.1', port: Number(process.env.STORE_PORT) }, 'interop');
	const connected = new Promise((resolve, reject) => {
		node.once('connected', resolve);
		node.once('closed', reject);
	});
	node.on('error', () => undefined);
	await node.connect();
	await within(connected, 'connected');
	return node;
}

async function main() {
	let failed = 0;
	console.log('1..' + tests.length);
	for (const [index, [name, body]] of tests.entries()) {
		const bridge = new Bridge();
		let node;
		try {
			node = await connect();
			await body(node, bridge);
			console.log('ok ' + (index + 1) + ' - ' + name);
		} catch (fault) {
			failed += 1;
			console.log('not ok ' + (index + 1) + ' - ' + name);
			String(fault && fault.stack || fault).split('\n').forEach(text => console.log('# ' + text));
		}
		if (node)
			node.close();
		bridge.close();
	}
	process.exit(failed === 0 ? 0 : 1);
}

main();
