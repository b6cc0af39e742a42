/*
 * What the parts of the load generator share.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "base/guid.h"
#include "store/frame.h"

enum {
	CONNECTIONS_MOST = 1024,
	IN_FLIGHT_MOST = 65536,
	COUNT_MOST = 1000000000, /* the tags of set-up requests are above */
	TAG_DIGITS = 10,         /* of the number by which a request is known again */
};

/* One run of one workload. */
struct run {
	bool bridge;      /* through the daemon, or straight to the store */
	const char *path; /* of the daemon's socket */
	uint16_t port;    /* of the store */
	size_t count;     /* operations, or events */
	unsigned connections;
	unsigned in_flight; /* for each connection */
	char stream[40];
	uint64_t began, ended; /* nanoseconds */
	uint32_t *latency;     /* nanoseconds, `samples` of them, room for `count` */
	size_t samples;
};

/* A connection to the daemon or to the store, blocking. */
struct peer {
	bool bridge;
	int fd;
	struct buffer in;
	struct buffer out;
};

/* What came: a reply to one of our requests, or an event. */
enum arrival { ARRIVAL_NONE, ARRIVAL_REPLY, ARRIVAL_EVENT };

struct arrived {
	enum arrival kind;
	uint32_t tag;   /* of a reply */
	struct guid id; /* of an event: what is acknowledged */
};

/* Ends the program with a word. */
void die(const char *what) __attribute__((noreturn));

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Connects; where BRIDGE, to the daemon's socket, else to the store. */
void peer_open(struct peer *p, const struct run *run, bool bridge);
void peer_close(struct peer *p);

/* Sends what waits in p->out. */
void peer_send(struct peer *p);

/* Waits for more to come. */
void peer_receive(struct peer *p);

/*
 * Takes the next message from what has come. A failed request ends the program. With IDS the id of
 * an event is looked for.
 */
struct arrived peer_next(struct peer *p, bool ids);

/* Waits for the reply to the request TAG; events that come before are an error. */
void peer_await(struct peer *p, uint32_t tag);

/*
 * Requests, added to p->out. A write is made once as a template and then repeated with another tag
 * and, straight to the store, other event ids.
 */
struct template
{
	struct buffer bytes;
	size_t tag_at;   /* where the tag stands in it */
	size_t ids_at;   /* where the id of the first event stands; 0: none */
	size_t ids_step; /* from one event's id to the next */
	unsigned events;
};

void template_write(struct template *t, const struct peer *p, const char *stream, unsigned events);
void template_free(struct template *t);
void request_write(struct peer *p, struct template *t, uint32_t tag);
void request_create_group(struct peer *p, const char *stream, uint32_t tag);
void request_subscribe(struct peer *p, const char *stream, uint32_t tag);
void request_connect_group(struct peer *p, const char *stream, unsigned in_flight, uint32_t tag);

/* Acknowledges COUNT events in the order of their delivery. */
void request_ack(struct peer *p, const char *stream, const struct guid *ids, size_t count);

/* The workloads. */
void bench_write(struct run *run);
void bench_live(struct run *run);
void bench_group(struct run *run);

#endif
