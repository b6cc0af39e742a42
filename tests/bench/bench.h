/*
 * What the parts of the load generator share.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <openssl/ssl.h>

#include "base/buffer.h"
#include "base/guid.h"
#include "store/frame.h"

enum {
	TAG_DIGITS = 10, /* of the number by which a request is known again */
	SETUP_TAG = 2000000000,
	FILL_BATCH = 100, /* events in one write that fills a stream or feeds readers */
	PIDS_MOST = 4,
};

/* In which way the events of a group are acknowledged. */
enum ack_way { ACK_ONE = 1, ACK_LIST, ACK_UP_TO };

/* One run of one workload. The numbers are those of the command line. */
struct run {
	bool bridge;        /* through the daemon, or straight to the store */
	const char *socket; /* of the daemon */
	const char *host;   /* of the store */
	const char *port;
	const char *stream;
	uint32_t count;       /* operations, or events */
	uint32_t connections; /* that work */
	uint32_t idle;        /* further ones that only are there */
	uint32_t in_flight;   /* for each connection */
	uint32_t size;        /* bytes of the data of an event */
	uint32_t page;        /* events asked for in one read */
	uint32_t at;          /* number of the event at which reading begins */
	uint32_t all;         /* 1: of all streams */
	uint32_t subs;        /* further subscriptions, to which nothing comes */
	uint32_t ahead;       /* events written and not yet seen by the slowest reader */
	uint32_t ack;         /* enum ack_way */
	uint32_t tls;         /* 1: the store speaks TLS */
	uint32_t most;        /* milliseconds, after which the good client ends */
	const char *kind;     /* of bad clients, or mix */
	uint32_t turn;        /* 1: the next requests go out when all of the last are answered */
	uint32_t pids[PIDS_MOST]; /* whose processor time is told too; 0: none */

	uint64_t began, ended; /* nanoseconds */
	uint64_t cpu[PIDS_MOST];
	uint64_t own_cpu;
	uint64_t done;     /* what the rate counts: operations, or events delivered */
	uint32_t *latency; /* nanoseconds, `samples` of them, room for `room` */
	size_t samples;
	size_t room;
};

/* A connection to the daemon or to the store, blocking. */
struct peer {
	bool bridge;
	int fd;
	SSL *ssl;        /* NULL: none */
	size_t searched; /* bytes at the front of `in` without an LF in them */
	struct buffer in;
	struct buffer out;
};

/* What came: a reply to one of our requests, or an event, or something else of a subscription. */
enum arrival { ARRIVAL_NONE, ARRIVAL_REPLY, ARRIVAL_EVENT, ARRIVAL_OTHER };

struct arrived {
	enum arrival kind;
	uint32_t tag;      /* of a reply */
	struct guid id;    /* of an event: what is acknowledged */
	size_t bytes;      /* of the whole message */
	const uint8_t *at; /* a package's payload; lives until the next call */
	size_t payload_len;
};

/* Ends the program with a word. */
void die(const char *what) __attribute__((noreturn));

static inline uint64_t clock_of(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

/* Zeroed memory, or the end. */
void *new_array(size_t count, size_t size);

/* The time that is measured begins, and ends. */
void run_begin(struct run *run);
void run_end(struct run *run);

/* Notes that something which was begun at SINCE is done. */
void run_sample(struct run *run, uint64_t since, uint64_t now);

/* Connections ---------------------------------------------------------------------------------- */

/* Connects; where BRIDGE, to the daemon's socket, else to the store, with authentication. */
void peer_open(struct peer *p, const struct run *run, bool bridge);
void peer_close(struct peer *p);

/* The idle connections of RUN, which stay open until the program ends. */
void open_idle(const struct run *run);

/* Sends what waits in p->out. */
void peer_send(struct peer *p);

/* Sends LEN bytes from where they are, over a connection without TLS; nothing waits in p->out. */
void peer_send_alone(struct peer *p, const uint8_t *bytes, size_t len);

/* Waits for more to come. */
void peer_receive(struct peer *p);

/*
 * Takes the next message from what has come. A failed request ends the program. With IDS the id of
 * an event is looked for.
 */
struct arrived peer_next(struct peer *p, bool ids);

/* Sends, and waits for the reply to the request TAG; what a subscription says before is let go. */
struct arrived peer_await(struct peer *p, uint32_t tag);

/* Adds PEER to the set POLLER, with DATA as what epoll gives for it. */
void poll_peer(int poller, struct peer *p, void *data);

/* Requests ------------------------------------------------------------------------------------- */

/*
 * A write is made once as a template and then repeated with another tag and, straight to the store,
 * other event ids.
 */
struct template
{
	struct buffer bytes;
	size_t tag_at;   /* where the tag stands in it */
	size_t ids_at;   /* where the id of the first event stands; 0: none */
	size_t ids_step; /* from one event's id to the next */
	unsigned events;
};

void template_write(struct template *t, const struct peer *p, const struct run *run,
		    unsigned events);
void template_free(struct template *t);
void request_write(struct peer *p, struct template *t, uint32_t tag);

/* One page of a stream, from event FROM on. */
void request_read(struct peer *p, const struct run *run, uint32_t from, uint32_t tag);

/* One page of all streams, from a position on; straight to the store alone. */
void request_read_all(struct peer *p, const struct run *run, int64_t commit, int64_t prepare,
		      uint32_t tag);

void request_create_group(struct peer *p, const char *stream, uint32_t tag);

/* To what comes from now on. */
void request_subscribe(struct peer *p, const char *stream, const char *name, uint32_t tag);

/* To what is there and what comes; through the daemon alone. */
void request_catch_up(struct peer *p, const struct run *run, const char *name, uint32_t tag);

void request_connect_group(struct peer *p, const struct run *run, uint32_t tag);

/* Acknowledges COUNT events in the order of their delivery. */
void request_ack(struct peer *p, const struct run *run, const struct guid *ids, size_t count);

/* Workloads ------------------------------------------------------------------------------------ */

/* Feeds a stream straight at the store, never more than so many events before its reader. */
struct feed {
	struct peer peer;
	struct template template;
	uint64_t *sent_at; /* of each batch */
	uint32_t ahead;
	size_t events; /* written */
	size_t count;  /* to be written: whole batches */
	size_t answered;
};

void feed_open(struct feed *f, const struct run *run);
void feed_close(struct feed *f);

/* Writes on, where the slowest reader has seen SEEN events. */
void feed_on(struct feed *f, size_t seen);

/* Takes the answers to writes that have come. */
void feed_drain(struct feed *f);

void bench_fill(struct run *run);
void bench_idle(struct run *run);
void bench_write(struct run *run);
void bench_read(struct run *run);
void bench_catch_up(struct run *run);
void bench_live(struct run *run);
void bench_group(struct run *run);
void bench_good(struct run *run);
void bench_bad(struct run *run);

#endif
