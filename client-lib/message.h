/*
 * A line of the daemon taken apart: one piece of memory with the line, its events, and the texts
 * whose escapes had to be resolved. Numbers of references count across threads.
 */
#ifndef ESBRIDGE_CLIENT_MESSAGE_H
#define ESBRIDGE_CLIENT_MESSAGE_H

#include <stdatomic.h>

#include "base/json_walk.h"
#include "base/list.h"
#include "esbridge.h"
#include "failure.h"

struct request;
struct subscription;

/* Something that waits to be handed to the program: in a request (its reply), or in a message. */
struct item {
	struct link place; /* in one of the context's queues */
	struct message *message;
	struct request *request; /* that it is the answer to, or NULL */
	struct subscription *sub;
	esbridge_fn *fn; /* NULL: esbridge_next() hands it out */
	void *user;
};

struct message {
	struct esbridge_message public; /* first, so that one pointer serves for both */
	atomic_int references;
	struct item item;
	struct bytes *decoded; /* payloads that were asked for */
	size_t size;           /* bytes that it takes */
	unsigned epoch;        /* number of the connection that brought it */
	int64_t rtt_us;        /* of a ping */

	/* of the reply to hello; the text of the version goes with the message */
	struct esbridge_server server;
	struct esbridge_span version;
};

static inline struct message *message_of(struct esbridge_message *public)
{
	return (struct message *)(void *)public;
}

/* True where DOC could not be parsed for lack of memory. */
bool message_no_memory(const struct json_doc *doc);

/* The limits with which lines are parsed. */
void message_doc_init(struct json_doc *doc);

/*
 * Makes a message of the LEN bytes at LINE. NULL with F set: they are no line of the protocol, or
 * memory is out.
 */
struct message *message_new(struct json_doc *doc, const char *line, size_t len, struct failure *f);

/*
 * Makes a message of the line in B, which the library itself has written, and frees B. NULL where
 * memory is out.
 */
struct message *message_of_line(struct buffer *b);

#endif
