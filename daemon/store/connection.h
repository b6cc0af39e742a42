/*
 * The TCP connection to the store, kept up for as long as the process lives: resolve, connect, TLS
 * where it is wanted, authenticate, identify; heartbeats both ways; frames in and out; and after a
 * loss all of it again, later and later.
 *
 * What is said over the connection is not its business: whole packages go up, bytes go down.
 */
#ifndef ESBRIDGE_STORE_CONNECTION_H
#define ESBRIDGE_STORE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/loop.h"
#include "base/tls.h"
#include "store/discovery.h"
#include "store/frame.h"
#include "store/loss.h"
#include "store/outbox.h"

/* All times in milliseconds. The texts belong to the caller and outlive the connection. */
struct connection_settings {
	const char *host; /* a name or an address; not used where there is a cluster */
	uint16_t port;
	const struct discovery_settings *cluster; /* or NULL */
	const char *nameservers;                  /* see resolver_new() */
	const char *username;                     /* "": connect as nobody */
	const char *password;
	const char *name;         /* told to the store, seen in its own lists */
	uint32_t connect_timeout; /* for each address, and for each step of the handshake */
	uint32_t heartbeat_interval;
	uint32_t heartbeat_timeout;
	uint32_t reconnect_delay_min;
	uint32_t reconnect_delay_max;
	uint32_t max_attempts; /* in a row without success; 0: for ever */
	size_t frame_limit;    /* most bytes of a package from the store that are taken in, at most
				  FRAME_MOST */
};

enum connection_state {
	CONNECTION_OFF,         /* not started, or stopped */
	CONNECTION_WAITING,     /* for the next attempt */
	CONNECTION_DISCOVERING, /* a node of the cluster is looked for */
	CONNECTION_RESOLVING,
	CONNECTION_CONNECTING,
	CONNECTION_SECURING, /* the handshake of TLS */
	CONNECTION_AUTHENTICATING,
	CONNECTION_IDENTIFYING,
	CONNECTION_READY,
};

/* Called from inside connection code; they may send, and must not free the connection. */
struct connection_events {
	/* The connection can be used. */
	void (*ready)(void *arg);
	/* A connection that was ready has gone. REASON is a word for logs and status. */
	void (*lost)(void *arg, const char *reason);
	/* A package that is no part of the handshake or of the heartbeats. Its bytes live until the
	 * call returns. */
	void (*package)(void *arg, const struct package *package);
	/* A package longer than the limit has begun: HEAD is all of it that comes. True where it is
	 * known what it is for; its bytes are then thrown away as they arrive. Else the connection
	 * is closed. */
	bool (*too_large)(void *arg, const struct package *head);
	/* max_attempts are used up; nothing more will be tried. */
	void (*gave_up)(void *arg);
};

/* What `status` tells. The texts live until the next turn of the loop. */
struct connection_view {
	const char *state;
	const char *endpoint;   /* HOST:PORT as configured or as a node named it; "": none yet */
	const char *role;       /* of the node, as far as it is known: see node_role_name() */
	const char *last_error; /* "" where there was none */
	const char *tls;        /* the version in use; "": none */
	uint64_t since_ms;      /* how long the state has lasted */
	uint32_t attempts;      /* since it was last ready */
	uint64_t connects;      /* times that it became ready */
	const uint64_t *lost;   /* times that it went, by reason: LOSS_WORDS numbers, see loss.h */
	const uint64_t *failed; /* attempts that came to nothing, in the same way */
	uint64_t bytes_in;
	uint64_t bytes_out;
};

struct connection;

/* SETTINGS are copied, but for the texts they point to. */
struct connection *connection_new(struct loop *loop, const struct connection_settings *settings,
				  const struct connection_events *events, void *arg);

/* Frees it, closing the socket without a word. Not from inside its own callbacks. */
void connection_free(struct connection *c);

/*
 * From the next connection on: TLS by CONTEXT, which is taken over (NULL: none), with a certificate
 * for NAME, a copy of which is kept ("": for the host that is connected to).
 */
void connection_set_tls(struct connection *c, struct tls_context *context, const char *name);

/* From the next connection on: as USERNAME with PASSWORD. These texts too outlive the connection.
 */
void connection_set_user(struct connection *c, const char *username, const char *password);

/* True where the connection in hand has TLS. */
bool connection_is_secure(const struct connection *c);

/* Begins to connect. */
void connection_start(struct connection *c);

/* Sends what waits, as far as the kernel takes it at once, closes, and tries no more. */
void connection_stop(struct connection *c);

bool connection_is_ready(const struct connection *c);

/* True from inside `too_large` where the package is not too long, but no memory is left for it. */
bool connection_is_starved(const struct connection *c);

/*
 * The bytes on their way to the store, to be appended to with frame_add() while the connection is
 * ready. Call connection_flush() afterwards: everything of this turn goes out in one write at its
 * end.
 */
struct buffer *connection_out(struct connection *c);
void connection_flush(struct connection *c);

/*
 * Adds BYTES, a whole package, to those on their way and has them flushed, while the connection is
 * ready. What is large goes out at once, as far as the kernel takes it, and the rest waits where it
 * is, as PARCEL: BYTES stay as they are until they have gone, the connection has, or they are taken
 * back. Never calls back.
 */
void connection_send(struct connection *c, const struct buffer *bytes, struct parcel *parcel);

/* Frees the bytes of PARCEL to be changed, freed or sent again: see outbox_take_back(). */
void connection_take_back(struct connection *c, struct parcel *parcel);

/* Closes the connection for REASON, a word, and reconnects as after any loss. */
void connection_break(struct connection *c, const char *reason);

/* The same, but connects to HOST:PORT at once, where a node has said that the leader is. After a
 * failure there the configured server is tried again. */
void connection_redirect(struct connection *c, const char *host, uint16_t port);

void connection_look(struct connection *c, struct connection_view *view);

#endif
