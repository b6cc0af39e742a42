// The benchmark's workloads with node-eventstore-client, straight to the store.
// Usage: node client.js WORKLOAD [NAME=VALUE...], with the names of bench.c. Environment: MODULES.
// Prints one line of JSON, as bench does.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const client = require(path.join(process.env.MODULES, 'node_modules', 'node-eventstore-client'));

const HEAD = '{"customer":"0f8c7a1e-44","amount":129.95,"currency":"EUR","qty":2,"note":"';
const FILLING = 'please ring twice, ';
const admin = new client.UserCredentials('admin', 'changeit');

const options = { host: '127.0.0.1', port: 1113, count: 1000, connections: 1, in_flight: 1, size: 100, page: 500,
	at: 0, all: 0, ack: 3, stream: 'bench-' + process.pid + '-' + Date.now() };
const pids = [];

function uuid() {
	const bytes = crypto.randomBytes(16);

	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function data() {
	const n = options.size - HEAD.length - 2;
	return Buffer.from(HEAD + FILLING.repeat(Math.ceil(n / FILLING.length)).slice(0, n) + '"}');
}

function cpu(pid) {
	return Number(fs.readFileSync('/proc/' + pid + '/schedstat', 'latin1').split(' ')[0]);
}

function own() {
	const used = process.cpuUsage();
	return (used.user + used.system) * 1000;
}

const run = { done: 0, latency: [] };

function begin() {
	run.cpu = pids.map(cpu);
	run.own = own();
	run.began = process.hrtime.bigint();
}

function end() {
	run.ended = process.hrtime.bigint();
	run.own = own() - run.own;
	run.cpu = pids.map((pid, i) => cpu(pid) - run.cpu[i]);
}

function report() {
	const result = { done: run.done, seconds: Number(run.ended - run.began) / 1e9, own_cpu: run.own, cpu: run.cpu };
	const sorted = run.latency.sort((a, b) => a - b);

	if (sorted.length > 0) {
		result.p50 = sorted[Math.floor((sorted.length - 1) * 0.5)];
		result.p99 = sorted[Math.floor((sorted.length - 1) * 0.99)];
	}
	console.log(JSON.stringify(result));
}

async function open() {
	const connection = client.createConnection({ defaultUserCredentials: admin },
		'tcp://' + options.host + ':' + options.port);
	const connected = new Promise(resolve => connection.once('connected', resolve));

	await connection.connect();
	await connected;
	return connection;
}

function openAll() {
	return Promise.all(Array.from({ length: options.connections }, open));
}

// Keeps in_flight requests on each connection until count of them are answered.
async function keepBusy(connections, request) {
	let sent = 0;

	async function worker(connection) {
		while (sent < options.count) {
			const began = process.hrtime.bigint();
			sent += 1;
			const count = await request(connection);
			run.done += count;
			run.latency.push(Number(process.hrtime.bigint() - began) / 1000);
		}
	}
	begin();
	await Promise.all(connections.map(c => Promise.all(Array.from({ length: options.in_flight }, () => worker(c)))).flat());
	end();
}

async function write(connections) {
	const bytes = data();

	await keepBusy(connections, async connection => {
		await connection.appendToStream(options.stream, client.expectedVersion.any,
			[client.createEventData(uuid(), 'OrderPlaced', true, bytes)]);
		return 1;
	});
}

async function read(connections) {
	await keepBusy(connections, async connection => {
		const page = await connection.readStreamEventsForward(options.stream, options.at, options.page, true);
		if (page.events.length !== options.page)
			throw new Error('a page that is not full');
		return page.events.length;
	});
}

async function catchup([connection]) {
	begin();
	await new Promise((resolve, reject) => {
		const event = () => {
			run.done += 1;
			if (run.done === options.count)
				resolve();
		};
		const dropped = (unused, reason, error) => reject(error || new Error(reason));

		if (options.all)
			connection.subscribeToAllFrom(null, true, event, () => {}, dropped, admin, options.page);
		else
			connection.subscribeToStreamFrom(options.stream, null, true, event, () => {}, dropped, admin, options.page);
	});
	end();
}

async function fill(connection) {
	const bytes = data();

	for (let n = 0; n < options.count; n += 100) {
		await connection.appendToStream(options.stream, client.expectedVersion.any,
			Array.from({ length: 100 }, () => client.createEventData(uuid(), 'OrderPlaced', true, bytes)));
	}
}

async function group([connection]) {
	await fill(connection);
	await connection.createPersistentSubscription(options.stream, 'g', new client.PersistentSubscriptionSettings(true, 0,
		false, 60000, 10, 5000, 500, 5000, 2000, 10, 1000, 0, 'RoundRobin'), admin);
	begin();
	await new Promise((resolve, reject) => {
		let held = [];

		// All that one turn has brought goes in one package, unless they are to go one by one.
		function appeared(subscription, event) {
			run.done += 1;
			if (options.ack === 1) {
				subscription.acknowledge(event);
			} else if (held.push(event) === 1) {
				setImmediate(() => {
					subscription.acknowledge(held);
					held = [];
				});
			}
			if (run.done === options.count)
				setImmediate(resolve);
		}
		connection.connectToPersistentSubscription(options.stream, 'g', appeared,
			(unused, reason, error) => reject(error || new Error(reason)), admin, options.in_flight, false);
	});
	end();
}

const workloads = { write, read, catchup, group };

async function main() {
	for (const text of process.argv.slice(3)) {
		const [name, value] = text.split('=');
		if (name === 'pid')
			pids.push(Number(value));
		else
			options[name] = ['host', 'stream'].includes(name) ? value : Number(value);
	}
	const connections = await openAll();
	await workloads[process.argv[2]](connections);
	report();
	process.exit(0);
}

main().catch(error => {
	console.error(error);
	process.exit(1);
});
