/*
 * The context: one connection to the daemon and all that goes over it.
 *
 * connection.c has the socket and knows when there is one. request.c has what is asked and what
 * becomes of it, subscription.c what is subscribed to. dispatch.c hands out what has come. The
 * typed calls of write.c and read.c stand on request.c alone.
 *
 * Requests wait in `unsent`, in order, until the socket has taken them. Those that get a reply are
 * in `table` from their start until their reply has come or their time is over, and in `due` in the
 * order of their deadlines. What has come waits in `calls` where it has a callback, else in
 * `inbox`.
 */
#ifndef ESBRIDGE_CLIENT_CONTEXT_H
#define ESBRIDGE_CLIENT_CONTEXT_H

#include "base/buffer.h"
#include "base/list.h"
#include "esbridge.h"
#include "failure.h"
#include "message.h"
#include "reader.h"

enum { WHY_TEXT = 200, VERSION_SIZE = 32 };

/* What was told to the watcher, or would be. */
struct wanted {
	int fd;
	short events;
	int64_t at; /* when esbridge_process() is to be called, -1: never */
};

struct esbridge {
	char *path;
	char *client;
	int connect_timeout_ms;
	int reply_timeout_ms;
	int reconnect_min_ms;
	int reconnect_max_ms;
	bool no_reconnect;
	size_t queue_limit;
	size_t output_limit;

	int fd;             /* -1: no connection */
	unsigned epoch;     /* number of the connection, from 1 */
	bool greeted;       /* the daemon has answered hello on it */
	bool lines_wait;    /* memory was out for a line that has come */
	bool write_broken;  /* it takes no more; what it has said is still read */
	bool ended;         /* the last connection is gone and `no_reconnect` forbids another */
	int backoff_ms;     /* after the next failure */
	int64_t attempt_at; /* when to connect again, while there is no connection */
	unsigned random;    /* spreads the attempts of many programs */
	unsigned failures;  /* attempts that have failed */
	char why[WHY_TEXT]; /* there is no connection */
	int why_errno;
	struct esbridge_reader reader;
	struct esbridge_server server; /* `hello_reply` holds its texts */
	struct message *hello_reply;
	char server_version[VERSION_SIZE];

	struct buffer line; /* the line that is being built */
	bool refused;       /* it will not be sent: the failure says why */
	bool secret;        /* it has a password in it */
	struct link unsent;
	size_t unsent_bytes;
	size_t first_sent; /* bytes of the first of them that the socket has taken */
	struct request **table;
	size_t table_size; /* a power of two, or 0 */
	size_t table_count;
	int64_t next_id;
	struct link due;

	struct link subs;   /* subscriptions that there are or will be */
	struct link graves; /* those that have ended, and whose last push has been handed out */
	unsigned next_sub;

	struct link calls;
	struct link inbox;
	size_t queued_bytes; /* of the messages in both */
	esbridge_fn *on_message;
	void *on_message_user;

	bool async;       /* esbridge_process() sends, not each acknowledgement */
	unsigned entered; /* callbacks that are running */
	bool closing;     /* esbridge_close() was called in one of them */
	esbridge_watch_fn *watcher;
	void *watcher_user;
	struct wanted told;

	struct failure failure;
};

/* Milliseconds on a clock that never goes back. */
int64_t now_ms(void);

/* connection.c ----------------------------------------------------------------------------------- */

/*
 * Does what is due without waiting: connects, reads, sends, lets times run out. REVENTS as from
 * poll(2). -1 with the failure set: memory is out, or there is no connection and will be none.
 */
int connection_turn(struct esbridge *e, short revents);

/*
 * Waits until something is due or UNTIL (-1: for ever), and does it. 1: a turn was made. 0: a
 * signal was caught. -1 as above.
 */
int connection_wait(struct esbridge *e, int64_t until);

/* Hands to the socket what it takes at once. */
void connection_send(struct esbridge *e);

/* The connection is gone, because of WHY; ERRNO where a system call says so, else 0. */
void connection_lost(struct esbridge *e, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Closes the socket and no more. */
void connection_close(struct esbridge *e);

/* When there is something to do although nothing comes, on now_ms()'s clock; -1: never. */
int64_t connection_due(const struct esbridge *e);

/* dispatch.c ------------------------------------------------------------------------------------- */

/* Puts ITEM, whose message, request, function and user are set, where it is handed out from. */
void dispatch_put(struct esbridge *e, struct item *item);

/* Calls all callbacks for which something has come. Returns whether there were any. */
bool dispatch_calls(struct esbridge *e);

/* Events of SUB are handed out no more. ALL: what else it says neither. */
void dispatch_purge(struct esbridge *e, const struct subscription *sub, bool all);

/* Frees ITEM with what it holds. */
void dispatch_discard(struct esbridge *e, struct item *item);

/* At the end of each function that may have changed what is waited for: tells the watcher. */
void dispatch_watch(struct esbridge *e);

/* The context ends: calls the callbacks of the requests, throws away the rest of what has come. */
void dispatch_end(struct esbridge *e);

/* context.c -------------------------------------------------------------------------------------- */

/* Ends all that goes on in E, and frees it. */
void context_end(struct esbridge *e);

#endif
