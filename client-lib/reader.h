/*
 * Bytes from the daemon, cut into lines and these into messages. Knows no socket.
 */
#ifndef ESBRIDGE_CLIENT_READER_H
#define ESBRIDGE_CLIENT_READER_H

#include "base/buffer.h"
#include "message.h"

struct esbridge_reader {
	struct buffer bytes;
	size_t seen;   /* how many of them are known to hold no LF */
	size_t limit;  /* longest line */
	bool skipping; /* the rest of a line that was too long is thrown away */
	struct json_doc doc;
	struct failure failure;
};

void reader_init(struct esbridge_reader *r, size_t line_limit);
void reader_free(struct esbridge_reader *r);

/* Forgets what has come, for a new connection. */
void reader_reset(struct esbridge_reader *r);

/* The next message, as esbridge_reader_next(). */
int reader_next(struct esbridge_reader *r, struct message **message);

#endif
