/*
 * A local client: its socket, its lines in and out, and the rules by which it is read from and
 * written to (PROTOCOL.md, sections 1 and 6).
 */
#ifndef ESBRIDGE_LOCAL_CLIENT_H
#define ESBRIDGE_LOCAL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>

#include "base/buffer.h"
#include "base/json_walk.h"
#include "base/list.h"
#include "base/loop.h"
#include "bridge/message_to_json.h"
#include "bridge/session.h"
#include "local/metrics.h"
#include "local/relief.h"

struct local_settings {
	const char *path;
	mode_t mode;
	const char *group; /* "": as the process has it */
	size_t line_most;  /* bytes of a line, without its LF */
	unsigned depth;
	uint32_t in_flight_most;
	uint32_t subscriptions_most;
	uint32_t clients_most;
	size_t output_pause;    /* unread bytes at which a client is no longer read from */
	size_t output_resume;   /* and at which it is again */
	size_t output_cap;      /* a client with more than this and a line is closed */
	uint32_t stall_timeout; /* milliseconds without a byte taken, after which it is closed */
	uint32_t operation_timeout;
	const char *version; /* of the daemon */
};

struct access;
struct access_rule;
struct transaction;

/* What all clients share. */
struct local {
	struct loop *loop;
	struct bridge *bridge;
	struct local_settings settings;
	struct json_doc doc;   /* lent to each line in turn */
	struct queue requests; /* clients with lines, where others are let go ahead, */
	struct queue pieces;   /* and those in the middle of a long one */
	struct link clients;   /* in the order they came */
	uint32_t client_count;
	unsigned clients_made;
	uint64_t started_us;
	int64_t started_wall_ms;
	struct local_counters counters;
	struct access *access; /* the rules; NULL or empty: there are none */
	struct {
		uint64_t since_us;
		unsigned told;
		unsigned kept_back;
	} refusals;                       /* in the log, of late */
	struct transaction *transactions; /* those that clients under rules have begun */
	struct relief relief;
	bool draining;                        /* the daemon stops: nothing new is taken up */
	void (*emptied)(struct local *local); /* the last client has gone */
};

struct client {
	struct link link;
	struct local *local;
	struct session session;
	int fd;
	unsigned number;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	struct access_rule *rule; /* NULL: there are none, or none is for it */
	uint32_t permissions;     /* bits of PERMISSION_BIT */
	uint32_t in_flight_most;
	uint32_t share;         /* as many may be in flight now */
	bool queued;            /* its lines wait among local->requests */
	uint32_t refusals_told; /* bits: in the log, under these rules */
	struct screen screen;   /* lent to the session where there are rules */
	char *name;             /* as `hello` gave it, or NULL */
	uint64_t since_us;
	struct event *readable;
	struct event *writable;
	struct buffer in;
	struct buffer out;
	size_t searched; /* bytes at the front of `in` without an LF in them */
	bool skipping;   /* the rest of a line that was too long is thrown away */
	bool harmless;   /* the line that was taken up has been read whole and holds no password */
	bool paused;     /* its output is not read: nothing but acks is taken up */
	bool blocked;    /* paused, and the next line is no ack: nothing at all is */
	bool ended;      /* it has shut down its side: what it asked for is finished */
	bool gone;       /* nobody reads any more */
	bool closed;     /* about to be freed */
	bool waits;      /* memory is short: its long line is not read on */
	struct job work; /* lines that wait for the next turn, or the end */
	bool had_piece;  /* of a long line, as much as is read at one time */
	struct job read_on; /* a long line, in turn: `readable` does not wait meanwhile */
	struct job flush;
	struct deadline stall;
	struct deadline paid; /* while the session waits for its meter */
	struct deadline more; /* while its share of the store, or its turn, holds it up */
	uint64_t long_since;  /* when what its lines take became large, of loop_now_us() */
	uint64_t slow_since;  /* while output waits: when it last had taken a MiB, or began to */
	size_t taken;         /* bytes since then */
	uint64_t lines;       /* taken up */
	uint64_t errors;      /* lines that were refused as they stood */
};

/* Takes over FD, a connected socket, not blocking. */
void client_new(struct local *local, int fd);

/* Answers nothing more and frees C at the end of the turn. */
void client_close(struct client *c, enum client_end reason);

/*
 * Bytes that C takes and has not moved for some time, at NOW: a long line, output, events that it
 * has not acknowledged. 0: it is nobody to be relieved of anything.
 */
size_t client_holds(const struct client *c, uint64_t now);

/* Throws away the line or closes C, whichever gives more of that back. */
void client_relieve(struct client *c, uint64_t now);

/* Memory is not short any more. */
void client_go_on(struct client *c);

/* The daemon stops (local->draining is set): C gets the last words, is finished and closed. */
void client_drain(struct client *c);

#endif
