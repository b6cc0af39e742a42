/*
 * Bad clients, each of which does one thing for ever, and a good one that is measured beside them.
 *
 * What they do is rated: the processors are for the daemon, not for those who trouble it. They run
 * at the lowest priority, in a process of their own, until the end of standard input.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum {
	MIB = 1024 * 1024,
	LINE_MOST = 16 * MIB, /* the daemon's own, as it comes */
	FLOOD = 300, /* requests of a client that does not read, each time it is its turn */
	SUBSCRIPTIONS = 64,
	PAGES = 8, /* asked for one behind the other, */
	PAGE = 4096,
	CHUNK = 256 * 1024, /* bytes sent or read each time, where that is much */
	PIECE = 16 * 1024,  /* of these in one call: some kernels let nobody else have the processor
			       while they copy */
};

struct bad;

/* What a kind of bad client does: when it has come, and then every so often; and after how many
 * milliseconds it goes, and comes again. 0: not before the daemon closes it. */
struct kind {
	const char *name;
	void (*begin)(struct bad *b);
	void (*act)(struct bad *b);
	uint32_t every, life;
};

struct bad {
	const struct kind *kind;
	struct peer peer;
	unsigned number; /* tells it from others of its kind */
	bool open;
	bool ended;                /* the daemon has closed it */
	const struct buffer *line; /* that it sends, or NULL */
	size_t sent;               /* bytes of that */
	uint64_t due, until;       /* nanoseconds */
};

static struct run *the_run;

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Sends up to MOST of LEN bytes, as far as they are taken. Returns how many were. */
static size_t push(struct bad *b, const char *bytes, size_t len, size_t most)
{
	size_t sent = 0;
	ssize_t n;

	most = least(len, most);
	do {
		n = send(b->peer.fd, bytes + sent, least(most - sent, PIECE),
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
	} while (n > 0 && sent < most);
	if (n < 0 && errno != EAGAIN)
		b->ended = true;
	return sent;
}

/* Reads up to MOST bytes, and forgets them. */
static void drain(struct bad *b, size_t most)
{
	static char bytes[PIECE];
	size_t got = 0;
	ssize_t n;

	do {
		n = recv(b->peer.fd, bytes, least(most - got, PIECE), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0 && got < most);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		b->ended = true;
}

/* Sends what stands in the peer's buffer; the rest is let go, for the peer does not read. */
static void push_out(struct bad *b)
{
	struct buffer *out = &b->peer.out;

	push(b, (const char *)buffer_at(out), buffer_len(out), SIZE_MAX);
	buffer_consume(out, buffer_len(out));
}

/* The kinds ------------------------------------------------------------------------------------ */

static void nothing(struct bad *b)
{
	(void)b;
}

static void send_byte(struct bad *b)
{
	push(b, "{", 1, 1);
}

/* Of one event each, to be written or read. */
static void flood(struct bad *b)
{
	static struct template write;
	struct run one = *the_run;

	one.page = 1;
	if (write.events == 0)
		template_write(&write, &b->peer, the_run, 1);
	for (uint32_t i = 0; i < FLOOD; i += 2) {
		request_write(&b->peer, &write, i);
		request_read(&b->peer, &one, 0, i + 1);
	}
	push_out(b);
}

static void subscribe(struct bad *b, unsigned count)
{
	struct run all = *the_run;

	all.all = 1;
	for (unsigned i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		request_catch_up(&b->peer, &all, name, i);
	}
	push_out(b);
}

static void subscribe_once(struct bad *b)
{
	subscribe(b, 1);
}

static void subscribe_to_all(struct bad *b)
{
	subscribe(b, SUBSCRIPTIONS);
}

static void read_byte(struct bad *b)
{
	drain(b, 1);
}

static void ask_pages(struct bad *b)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		char line[160];

		snprintf(line, sizeof(line),
			 "{\"op\":\"execute\",\"id\":%" PRIu32
			 ",\"message\":\"ReadAllEvents\",\"body\":{\"max_count\":%d}}\n",
			 i, PAGE);
		buffer_add_text(&b->peer.out, line);
	}
	push_out(b);
}

/* One half never reads, the other half slowly. */
static void read_page(struct bad *b)
{
	if (b->number % 2 == 0)
		drain(b, CHUNK);
}

/* A line of SIZE bytes that asks for nothing, with MORE in it again and again, and LAST as its
 * end. */
static struct buffer long_line(size_t size, const char *more, const char *last)
{
	static const char head[] = "{\"op\":\"ping\",\"id\":1,\"x-more\":";
	struct buffer line = { 0 };

	buffer_add(&line, head, sizeof(head) - 1);
	buffer_add_text(&line, more[0] == '0' ? "[" : "\"");
	while (buffer_len(&line) + strlen(more) + strlen(last) < size)
		buffer_add_text(&line, more);
	buffer_add_text(&line, last);
	if (line.failed)
		die("out of memory");
	return line;
}

/* One that is taken up; one of as many values as can be; one that is too long; one that is no JSON
 * at its very end; one that has no end. */
static void begin_line(struct bad *b)
{
	enum { LINES = 5 };
	static struct buffer lines[LINES];

	if (buffer_len(&lines[0]) == 0) {
		lines[0] = long_line(LINE_MOST, "please ring twice, ", "\"}\n");
		lines[1] = long_line(LINE_MOST, "0,", "0]}\n");
		lines[2] = long_line(LINE_MOST + MIB, "please ring twice, ", "\"}\n");
		lines[3] = long_line(LINE_MOST, "please ring twice, ", "\"]\n");
		lines[4] = long_line(LINE_MOST, "please ring twice, ", "");
	}
	b->line = &lines[b->number++ % LINES];
	b->sent = 0;
}

static void send_line(struct bad *b)
{
	size_t len = buffer_len(b->line);

	b->sent += push(b, (const char *)buffer_at(b->line) + b->sent, len - b->sent, CHUNK);
	drain(b, CHUNK);
	if (b->sent == len && buffer_at(b->line)[len - 1] == '\n')
		begin_line(b);
}

static void say_hello(struct bad *b)
{
	buffer_add_text(&b->peer.out, "{\"op\":\"hello\",\"id\":1}\n");
	push_out(b);
}

static const struct kind kinds[] = {
	{ "trickle", nothing, send_byte, 1000, 0 },
	{ "flood", nothing, flood, 20, 5000 },
	{ "sip", subscribe_once, read_byte, 1000, 0 },
	{ "churn", say_hello, nothing, 1000, 50 },
	{ "long", begin_line, send_line, 40, 20000 },
	{ "subscribe", subscribe_to_all, nothing, 1000, 5000 },
	{ "pages", ask_pages, read_page, 100, 5000 },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Their life ----------------------------------------------------------------------------------- */

/* A part of so many milliseconds, in nanoseconds: not all do the same at once. */
static uint64_t part_of(uint32_t ms, unsigned number)
{
	return (uint64_t)ms * 1000000u * (number * 37u % 100u) / 100u;
}

static void come(struct bad *b, uint64_t now, unsigned number)
{
	peer_open(&b->peer, the_run, true);
	b->open = true;
	b->ended = false;
	b->due = now + part_of(b->kind->every, number);
	b->until = b->kind->life == 0 ? UINT64_MAX
				      : now + b->kind->life * UINT64_C(1000000) -
						part_of(b->kind->life, number) / 2;
	b->kind->begin(b);
}

static void live(struct bad *b, uint64_t now)
{
	if (b->ended || now >= b->until) {
		peer_close(&b->peer);
		come(b, now, 0);
	} else if (now >= b->due) {
		b->kind->act(b);
		b->due = now + b->kind->every * UINT64_C(1000000);
	}
}

static const struct kind *kind_of(const struct run *run, unsigned number)
{
	for (unsigned i = 0; i < KINDS; i++) {
		if (strcmp(run->kind, kinds[i].name) == 0)
			return &kinds[i];
	}
	if (strcmp(run->kind, "mix") != 0)
		die("no such kind of bad client");
	return &kinds[number % KINDS];
}

static void open_all(struct bad *list, const struct run *run)
{
	for (unsigned i = 0; i < run->connections; i++) {
		list[i].kind = kind_of(run, i);
		list[i].number = strcmp(run->kind, "mix") == 0 ? i / KINDS : i;
		come(&list[i], clock_ns(), i);
	}
}

/* True at the end of standard input. */
static bool is_over(int ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&in, 1, ms) > 0;
}

void bench_bad(struct run *run)
{
	struct bad *list = new_array(run->connections, sizeof(*list));

	/* Also where all else is run in real time. */
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }) < 0)
		die("the priority cannot be lowered");
	the_run = run;
	open_all(list, run);
	printf("ready\n");
	fflush(stdout);
	run_begin(run);
	while (!is_over(1)) {
		uint64_t now = clock_ns();

		for (unsigned i = 0; i < run->connections; i++)
			live(&list[i], now);
		run->done++;
	}
	run_end(run);
	for (unsigned i = 0; i < run->connections; i++)
		peer_close(&list[i].peer);
	free(list);
}

/* The good one --------------------------------------------------------------------------------- */

/* A write and a read of one event in turn, one in flight, for so many requests or milliseconds. */
void bench_good(struct run *run)
{
	uint64_t end = clock_ns() + run->most * UINT64_C(1000000);
	struct template write;
	struct peer p;

	run->page = 1;
	peer_open(&p, run, run->bridge);
	template_write(&write, &p, run, 1);
	run_begin(run);
	while (run->done < run->count && clock_ns() < end) {
		uint64_t began = clock_ns();
		uint32_t tag = (uint32_t)run->done++;

		if (tag % 2 == 0)
			request_write(&p, &write, tag);
		else
			request_read(&p, run, 0, tag);
		peer_await(&p, tag);
		run_sample(run, began, clock_ns());
	}
	run_end(run);
	template_free(&write);
	peer_close(&p);
}
