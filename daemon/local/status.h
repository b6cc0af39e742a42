/*
 * What a client is told of the daemon and of itself: `hello` and `status`.
 */
#ifndef ESBRIDGE_LOCAL_STATUS_H
#define ESBRIDGE_LOCAL_STATUS_H

#include "local/client.h"

/* Each answers the request ID of C at once; ALL: with every client. */
void answer_hello(struct client *c, const struct request_id *id);
void answer_status(struct client *c, const struct request_id *id, bool all);

#endif
