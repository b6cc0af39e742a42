/*
 * One client: its socket, what it sent and was not yet looked at, and what waits to be sent to it.
 *
 * All that one turn of the loop has for a client goes out in one write at the end of the turn.
 */
#ifndef MEMSTORE_CONNECTION_H
#define MEMSTORE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "access.h"
#include "base/buffer.h"
#include "base/list.h"
#include "base/loop.h"
#include "fault.h"
#include "server.h"
#include "store/command.h"
#include "store/frame.h"

/* Who sends what carries no credentials. */
enum default_user { DEFAULT_NOBODY, DEFAULT_KNOWN, DEFAULT_REFUSED };

struct connection {
	struct server *server;
	struct node *node;         /* that it is a connection to */
	struct link link;          /* in server.connections */
	struct link subscriptions; /* live ones, by their `of_connection` */
	struct link consumers;     /* of groups, by their `of_connection` */
	struct buffer in;
	struct buffer out;
	struct tls *tls;        /* NULL: the connection is plain */
	struct event *readable; /* libevent's */
	struct event *writable;
	struct job flush;
	struct deadline heartbeat;
	struct link delayed;     /* packages that a rule holds back */
	struct effect effect;    /* of the rule for the request at hand */
	struct guid effect_of;   /* that request's correlation id */
	uint64_t reads;          /* reads that brought something */
	uint64_t reads_seen;     /* `reads` when the heartbeat's deadline was set */
	const struct user *user; /* where DEFAULT_KNOWN */
	enum default_user default_user;
	int fd;
	bool securing;      /* the handshake of TLS is under way */
	bool heartbeat_due; /* a request was sent and nothing has come since */
	bool small_numbers; /* identified as version 0: event numbers have 32 bits */
	bool confused;      /* identified as a version that is none: nothing works any more */
	bool paused;        /* not read from until its output has gone */
	bool doomed;        /* left too much waiting: closed at the end of the turn */
	bool closed;
	bool stalled;   /* by a rule: nothing is read or sent */
	bool kept;      /* the package in front has met its rule and is to be handled */
	bool finishing; /* closed when what waits has gone; nothing more is read or added */
	bool resetting; /* the same, with a reset */
};

/* Takes over FD, a socket that is connected to NODE. */
void connection_make(struct node *node, int fd);

/* Ends the connection; the object is freed at the end of the turn. Does nothing the second time. */
void connection_close(struct connection *c);

/* Tries to send what waits, then closes. */
void connection_close_after_output(struct connection *c);

/* What the version that C is served as has of its own. */
static inline const struct traits *traits_of(const struct connection *c)
{
	return c->server->store.traits;
}

/* By rule: neither reads nor sends until connection_resume(), which does nothing where C is not
 * stalled. */
void connection_stall(struct connection *c);
void connection_resume(struct connection *c);

/* By rule: sends what waits, then closes or RESETs the connection, at the end of the turn. */
void connection_finish(struct connection *c, bool reset);

/* Sends BYTES as they are. */
void connection_send(struct connection *c, const void *bytes, size_t len);

/* Begins a package to the client; its payload is then written to c->out. Returns what
 * connection_end() wants. */
static inline size_t connection_begin(struct connection *c, enum command command,
				      const struct guid *correlation)
{
	return frame_begin(&c->out, (uint8_t)command, correlation, NULL);
}

/*
 * Ends the package and has it sent at the end of the turn. A client that leaves too much waiting is
 * closed then. */
void connection_end(struct connection *c, size_t began);

#endif
