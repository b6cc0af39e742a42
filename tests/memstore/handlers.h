/*
 * The handlers of the requests, one for each command. Each answers or lets stand unanswered what
 * the real server does; a body that it cannot read it answers with BadRequest.
 */
#ifndef MEMSTORE_HANDLERS_H
#define MEMSTORE_HANDLERS_H

#include "dispatch.h"

typedef void handler(struct connection *c, const struct request *r);

handler handle_write_events;
handler handle_delete_stream;
handler handle_transaction_start;
handler handle_transaction_write;
handler handle_transaction_commit;
handler handle_read_event;
handler handle_read_forward;
handler handle_read_backward;
handler handle_read_all_forward;
handler handle_read_all_backward;
handler handle_filtered_forward;
handler handle_filtered_backward;
handler handle_subscribe;
handler handle_filtered_subscribe;
handler handle_unsubscribe;
handler handle_group_create;
handler handle_group_update;
handler handle_group_delete;
handler handle_group_connect;
handler handle_group_ack;
handler handle_group_nak;

/* The name of a stream or group in a message, which is NULL where it is absent. */
static inline struct span name_of(const char *text)
{
	return span_of(text != NULL ? text : "");
}

/* Says that a body is none of what the command wants. */
void refuse_body(struct connection *c, const struct request *r);

#endif
