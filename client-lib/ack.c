/* Acknowledgements: each goes out as a line of its own, without a reply. */
#include <string.h>

#include "base/json_write.h"
#include "context.h"
#include "request.h"
#include "subscription.h"

enum verdict {
	SEND,
	DONE,    /* there is nothing to be said any more */
	REFUSED, /* the failure says why */
};

/* Whether MESSAGE may be acknowledged, and whether the daemon wants to hear of it. */
static enum verdict judge(struct esbridge *e, const struct esbridge_message *m, bool nack)
{
	const struct message *own = (const struct message *)(const void *)m;
	const struct subscription *sub;

	if (m->push != ESBRIDGE_PUSH_EVENT || m->ack_id.at == NULL) {
		failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST,
			    "the message is no event that expects an acknowledgement");
		return REFUSED;
	}
	sub = subscription_find(e, m->sub);
	if (own->epoch == e->epoch && e->fd >= 0)
		return SEND;
	/* A catch-up subscription has gone on behind it. */
	if (sub != NULL && sub->mode == SUB_CATCHUP && !sub->checkpoint && !nack)
		return DONE;
	failure_set(&e->failure, ESBRIDGE_E_UNKNOWN_EVENT,
		    "event %.*s was delivered on a connection that is gone",
		    ESBRIDGE_PRINT(m->ack_id));
	return REFUSED;
}

static void begin(struct esbridge *e, const char *op, struct esbridge_span sub)
{
	request_begin(e, op, NULL);
	json_key(&e->line, "sub");
	json_quoted(&e->line, sub.at, sub.len);
}

static void add_id(struct esbridge *e, const struct esbridge_message *m)
{
	json_comma(&e->line);
	json_quoted(&e->line, m->ack_id.at, m->ack_id.len);
}

/* Adds the list with the one event that M is. */
static void add_event(struct esbridge *e, const struct esbridge_message *m)
{
	json_key(&e->line, "events");
	buffer_add_byte(&e->line, '[');
	add_id(e, m);
	buffer_add_byte(&e->line, ']');
}

/* Queues the line and, outside of an event loop, sends it at once. */
static int finish(struct esbridge *e)
{
	const struct request *r = request_finish(e, &(struct request_plan){ .bound = true });

	if (r != NULL && !e->async)
		connection_send(e);
	dispatch_watch(e);
	return r == NULL ? -1 : 0;
}

static bool same(struct esbridge_span a, struct esbridge_span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

int esbridge_ack_many(struct esbridge *e, struct esbridge_message *const *messages, size_t count)
{
	size_t sent = 0;

	for (size_t i = 0; i < count; i++) {
		if (judge(e, messages[i], false) == REFUSED)
			return -1;
		if (!same(messages[i]->sub, messages[0]->sub)) {
			failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST,
				    "the events are of different subscriptions");
			return -1;
		}
	}
	if (count == 0)
		return 0;
	begin(e, "ack", messages[0]->sub);
	json_key(&e->line, "events");
	buffer_add_byte(&e->line, '[');
	for (size_t i = 0; i < count; i++) {
		if (judge(e, messages[i], false) != SEND)
			continue;
		add_id(e, messages[i]);
		sent++;
	}
	buffer_add_byte(&e->line, ']');
	return sent == 0 ? 0 : finish(e);
}

int esbridge_ack(struct esbridge *e, const struct esbridge_message *message)
{
	enum verdict verdict = judge(e, message, false);

	if (verdict != SEND)
		return verdict == DONE ? 0 : -1;
	begin(e, "ack", message->sub);
	add_event(e, message);
	return finish(e);
}

int esbridge_ack_up_to(struct esbridge *e, const struct esbridge_message *message)
{
	enum verdict verdict = judge(e, message, false);

	if (verdict != SEND)
		return verdict == DONE ? 0 : -1;
	begin(e, "ack", message->sub);
	json_key(&e->line, "up_to");
	json_quoted(&e->line, message->ack_id.at, message->ack_id.len);
	return finish(e);
}

int esbridge_nack(struct esbridge *e, const struct esbridge_message *message, const char *action,
		  const char *reason)
{
	if (judge(e, message, true) != SEND)
		return -1;
	begin(e, "nack", message->sub);
	add_event(e, message);
	if (action != NULL)
		request_text(e, "action", action);
	if (reason != NULL)
		request_text(e, "reason", reason);
	return finish(e);
}
