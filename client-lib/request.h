/*
 * Requests: from the line that is built to the reply that is taken.
 */
#ifndef ESBRIDGE_CLIENT_REQUEST_H
#define ESBRIDGE_CLIENT_REQUEST_H

#include "context.h"

/* The library's ids begin here, so that lines of the program's own may use those below. */
#define REQUEST_FIRST_ID (INT64_C(1) << 32)

struct request;

/*
 * What the library itself does when the reply comes (MESSAGE) or will not come (NULL, with
 * request->failed set), before the program gets it.
 */
typedef void request_done_fn(struct esbridge *e, struct request *r, struct message *message);

enum request_state {
	REQUEST_OPEN,
	REQUEST_ANSWERED,
	REQUEST_ABANDONED, /* nobody waits for the reply; the line must still be sent to its end */
};

struct request {
	int64_t id; /* 0: no reply is expected */
	enum request_state state;
	struct item item; /* the reply, once it is there */
	struct link out;  /* in `unsent` */
	struct link due;
	int64_t deadline;
	bool changes;              /* may change the store */
	bool bound;                /* to this connection: worthless on another one */
	bool hello;                /* goes out before the daemon has answered hello */
	bool in_front;             /* was moved there */
	bool secret;               /* there is a password in the line */
	bool sent;                 /* the socket has taken its first byte */
	bool internal;             /* the program knows nothing of it */
	struct request *chain;     /* the next one in its bucket of the table */
	enum esbridge_code failed; /* why there is no reply */
	request_done_fn *done;
	struct subscription *sub;
	void *user; /* of the subscription that it is about */
	size_t len;
	char line[];
};

/* Begins a line in e->line: {"op":OP and what REQUEST says, which may be NULL. */
void request_begin(struct esbridge *e, const char *op, const struct esbridge_request *request);

/* Adds a member. TEXT must be UTF-8, JSON must be well-formed: else request_finish() fails. */
void request_text(struct esbridge *e, const char *name, const char *text);
void request_json(struct esbridge *e, const char *name, const char *json, size_t len);
void request_int(struct esbridge *e, const char *name, int64_t value);
void request_bool(struct esbridge *e, const char *name, bool value);

/* The line that is being built is refused: notes the first reason. */
void request_refuse(struct esbridge *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What a request is beside its line. */
struct request_plan {
	bool raw;     /* the line is the program's own, braces and all */
	bool reply;   /* one is expected: the line gets an id */
	bool changes; /* may change the store */
	bool bound;
	bool hello;
	bool internal;
	int timeout_ms; /* 0: the context's */
	request_done_fn *done;
	struct subscription *sub;
};

/*
 * Ends the line and queues it. Returns the request, which is the context's, or NULL with the
 * failure set; nothing is queued then.
 */
struct request *request_finish(struct esbridge *e, const struct request_plan *plan);

/* The same for the public functions: the id, or -1. */
int64_t request_start(struct esbridge *e, const struct request_plan *plan);

/* How long REQUEST, which may be NULL, says that the reply is waited for; 0: it does not say. */
int request_timeout(const struct esbridge_request *request);

/* Waits for the reply to ID, as esbridge_wait(), for one who tells the id to nobody. */
struct esbridge_message *request_call(struct esbridge *e, int64_t id);

/* True where execute of MESSAGE may change the store. */
bool request_changes(const char *message);

/* True where STREAM stands for all streams. */
bool request_is_all(const char *stream);

/* Forgets the line that was begun. */
void request_drop_line(struct esbridge *e);

/* The open request with ID, or NULL. */
struct request *request_find(const struct esbridge *e, int64_t id);

/* MESSAGE is a reply with an id of the library's. Takes the reference. */
void request_reply(struct esbridge *e, struct message *message);

/* The library itself answers R, which is not sent, with MESSAGE. Takes the reference. */
void request_answer_here(struct esbridge *e, struct request *r, struct message *message);

/* R gets no reply, because of CODE. */
void request_fail(struct esbridge *e, struct request *r, enum esbridge_code code);

/* Ends those whose time is over. What is left is in the order of the deadlines. */
void request_expire(struct esbridge *e, int64_t now);

/* SUB goes: no request knows it any more. */
void request_forget_subscription(struct esbridge *e, const struct subscription *sub);

/* Moves R, the last of `unsent`, before all that is not begun. */
void request_to_front(struct esbridge *e, struct request *r);

/* The connection is gone: what was sent on it, and what is worthless on another, ends. */
void request_connection_lost(struct esbridge *e);

/* All that are not sent yet end: there will be no other connection. */
void request_fail_unsent(struct esbridge *e);

/* The reply of R, which is answered, as a message, for its callback; NULL where memory is out. */
struct message *request_answer(struct esbridge *e, struct request *r);

/* Nobody wants the reply any more. */
void request_abandon(struct esbridge *e, struct request *r);

/*
 * Takes R from wherever it is and frees it, now, or when the socket has taken the rest of a line
 * that was begun.
 */
void request_release(struct esbridge *e, struct request *r);

/* The socket has taken all of R, the first of `unsent`. */
void request_was_sent(struct esbridge *e, struct request *r);

/* At the end of the context: all of them, each with its callback where ANSWER. */
void request_end_all(struct esbridge *e);
void request_free_all(struct esbridge *e);

/*
 * Copies the structure FROM of the program, which begins with its size and may be that of another
 * version of the library, into TO, SIZE bytes, with zeros behind. False where the size is not set.
 */
bool copy_sized(void *to, size_t size, const void *from);

#endif
