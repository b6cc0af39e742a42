/*
 * One line of a client: checked, taken apart and handed to the bridge. Nothing has an effect before
 * the whole line has been found right.
 */
#ifndef ESBRIDGE_LOCAL_REQUEST_H
#define ESBRIDGE_LOCAL_REQUEST_H

#include "local/client.h"

/* Which lines are taken up. */
enum heed {
	HEED_ALL,
	HEED_SILENT,  /* acks and nacks without an id; for any other nothing happens */
	HEED_NOTHING, /* all are refused as overloaded */
};

/*
 * Takes up the line of LEN bytes at LINE (no LF at its end) of client C: exactly one answer goes
 * out for it, now or later, but for acks without an id. The line lives until the call returns.
 * OWN: the buffer in which it lies with nothing else but its LF, whose memory may then be taken
 * over, or NULL.
 *
 * False where it is not taken up, by HEED.
 */
bool request_take(struct client *c, const char *line, size_t len, struct buffer *own,
		  enum heed heed);

#endif
