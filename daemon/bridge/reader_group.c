#include <string.h>

#include "bridge/reader_parts.h"
#include "store/wire_write.h"

enum {
	ASK_AGAIN = 100,   /* milliseconds until a dropped subscription is asked for again */
	RELEASE = 20,      /* and until more of what is held back is */
	EVENT_TEXT = 1024, /* bytes of an event's push beside its payload, about */
};

/* Sends what was acknowledged in this turn, in one package. */
static void on_flush(void *arg)
{
	struct reader *r = arg;
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };

	job_cancel(&r->flush);
	if (buffer_len(&r->acks) == 0)
		return;
	subscription_ack(&r->subscription, name,
			 (const struct guid *)(const void *)buffer_at(&r->acks),
			 buffer_len(&r->acks) / GUID_BYTES);
	buffer_consume(&r->acks, buffer_len(&r->acks));
}

void group_flush(struct reader *r)
{
	on_flush(r);
}

/* Takes the first of the list DELIVERED off it, as many as have about MOST bytes and one at least,
 * and has the group deliver them again, for REASON. */
static void retry(struct reader *r, struct outstanding *delivered, size_t most, const char *reason)
{
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };
	struct buffer ids = { .limit = 0 };
	struct delivery *d;
	size_t size = 0;

	while (size <= most && (d = outstanding_first(delivered)) != NULL) {
		size += d->size;
		buffer_add(&ids, d->node.id.bytes, GUID_BYTES);
		outstanding_remove(delivered, d);
		r->session->bridge->counters.nacked[NACK_RETRY]++;
	}
	subscription_nack(&r->subscription, name,
			  (const struct guid *)(const void *)buffer_at(&ids),
			  buffer_len(&ids) / GUID_BYTES, NACK_RETRY, reason, strlen(reason));
	buffer_free(&ids);
}

/* Hands what is outstanding back to the group, so that another consumer gets it at once. */
void group_give_back(struct reader *r)
{
	group_flush(r);
	retry(r, &r->outstanding, SIZE_MAX, "the consumer has gone");
	retry(r, &r->held, SIZE_MAX, "the consumer has gone");
}

/* The client has read: what fits comes again now, the rest when that has been read. Each time
 * counts as a retry, so nothing is to come in vain. */
void group_resume(struct reader *r)
{
	struct bridge *bridge = r->session->bridge;

	if (r->held.count == 0)
		return;
	group_flush(r);
	retry(r, &r->held, bridge->settings.output_cap / 2,
	      "the consumer had not read what it was given");
	if (r->held.count > 0)
		loop_set_deadline(bridge->loop, &r->release, RELEASE);
}

static void on_release(void *arg)
{
	struct reader *r = arg;

	if (session_has_room(r->session))
		group_resume(r);
}

/* What the store says --------------------------------------------------------------------------- */

static void on_confirmed(void *arg, const struct subscription_confirmed *confirmed)
{
	struct reader *r = arg;

	buffer_consume(&r->group_id, buffer_len(&r->group_id));
	buffer_add(&r->group_id, confirmed->id.at, confirmed->id.len);
	if (confirmed->numbered && r->newest < confirmed->last_event_number)
		r->newest = confirmed->last_event_number;
	reader_push_resumed(r, false);
	reader_accepted(r, confirmed->numbered, confirmed->last_event_number);
}

/* What EVENT takes in the output, about: base64 makes four bytes of three. */
static size_t size_of(const struct resolved_event *event)
{
	return resolved_event_bytes(event) / 3 * 4 + EVENT_TEXT;
}

/*
 * A group goes on delivering whatever has become of what it delivered before, so what comes for a
 * client whose output is full is not kept, but its id: it still counts as in flight, and goes back
 * to the group when the client has read. An event that comes again while it stands in that output
 * is there already. False where there is room.
 */
static bool hold(struct reader *r, const struct resolved_event *event)
{
	const struct guid *id = &original_event(event)->id;
	struct delivery *d = outstanding_find(&r->held, id);

	if (session_is_full(r->session, size_of(event))) {
		r->session->hungry = true;
		if (outstanding_find(&r->outstanding, id) == NULL)
			outstanding_move(&r->held, id, 0)->size = size_of(event);
		return true;
	}
	if (d != NULL)
		outstanding_remove(&r->held, d);
	return false;
}

static void on_event(void *arg, const struct resolved_event *event, int32_t retries)
{
	struct reader *r = arg;
	const struct event_record *original = original_event(event);
	char id[GUID_TEXT];
	struct buffer *out;

	if (hold(r, event))
		return;
	reader_count(r, event, (struct place){ original->number, 0 }, retries <= 0);
	outstanding_move(&r->outstanding, &original->id, loop_now_us(r->session->bridge->loop));
	out = reader_push_event(r);
	guid_format(&original->id, id);
	buffer_add_text(out, ",\"ack_id\":\"");
	buffer_add(out, id, GUID_TEXT);
	/* Servers that leave zeros out do not send a count of 0. */
	buffer_add_text(out, "\",\"retry_count\":");
	json_int(out, retries < 0 ? 0 : retries);
	resolved_event_to_json(event, &r->render, out);
	reader_push_end(r);
	session_count(r->session, 1);
}

/* What was delivered over a connection that is gone can no longer be acknowledged: the store
 * delivers it again. */
static void forget_deliveries(struct reader *r)
{
	outstanding_clear(&r->outstanding);
	outstanding_clear(&r->held);
	loop_clear_deadline(r->session->bridge->loop, &r->release);
	buffer_consume(&r->acks, buffer_len(&r->acks));
	job_cancel(&r->flush);
}

/* The connection went. */
static void on_lost(void *arg, const char *reason)
{
	struct reader *r = arg;

	(void)reason;
	forget_deliveries(r);
	reader_push_interrupted(r, "connection_lost");
}

/* The group was deleted or updated, or the server goes down: asking again tells which. */
static void on_unasked_drop(struct reader *r)
{
	forget_deliveries(r);
	if (!r->is_subscribing)
		reader_push_interrupted(r, "group_changed");
	loop_set_deadline(r->session->bridge->loop, &r->again, ASK_AGAIN);
}

static void on_again(void *arg)
{
	struct reader *r = arg;

	subscription_start(&r->subscription, r->session->bridge->store);
}

static const struct refusal refusals[] = {
	[SUBSCRIPTION_ACCESS_DENIED] = { ERROR_ACCESS_DENIED, NULL,
					 "the store denies access to this stream", false },
	[SUBSCRIPTION_NOT_FOUND] = { ERROR_NOT_FOUND, "persistent_subscription_deleted",
				     "the store has no such group on this stream", false },
	[SUBSCRIPTION_DELETED] = { ERROR_NOT_FOUND, "persistent_subscription_deleted",
				   "the store has no such group on this stream", false },
	[SUBSCRIPTION_TOO_MANY] = { ERROR_SUBSCRIBER_MAX_COUNT_REACHED, NULL,
				    "the group has as many subscribers as it takes", false },
	[SUBSCRIPTION_BAD_REQUEST] = { ERROR_SERVER_BAD_REQUEST, NULL,
				       "the store does not accept the request", true },
	[SUBSCRIPTION_NOT_AUTHENTICATED] = { ERROR_NOT_AUTHENTICATED, NULL,
					     "the store does not know this user and password",
					     true },
	[SUBSCRIPTION_NOT_HANDLED] = { ERROR_NOT_HANDLED, NULL,
				       "this node of the store does not serve subscriptions",
				       false },
	[SUBSCRIPTION_UNEXPECTED] = { ERROR_PROTOCOL_ERROR, NULL,
				      "the store sent a package that has no place in a subscription",
				      false },
	[SUBSCRIPTION_TOO_LARGE] = { ERROR_LIMIT_EXCEEDED, NULL, TEXT_EVENT_TOO_LARGE, false },
};

static void on_ended(void *arg, enum subscription_end why, const struct package *package)
{
	struct reader *r = arg;

	if (r->is_leaving && !r->is_subscribing)
		reader_left(r);
	else if (why == SUBSCRIPTION_UNSUBSCRIBED)
		on_unasked_drop(r);
	else
		reader_refuse(r, &refusals[why], package);
}

/* Acks that were given go out before the end. */
static void on_ending(void *arg)
{
	group_flush(arg);
}

static const struct subscription_events subscription_events = {
	.ending = on_ending,
	.confirmed = on_confirmed,
	.event = on_event,
	.lost = on_lost,
	.ended = on_ended,
};

/* Life ------------------------------------------------------------------------------------------ */

void group_begin(struct reader *r, const struct subscribe_arguments *a)
{
	struct buffer *b = &r->subscription.request;

	job_init(&r->flush, on_flush, r);
	deadline_init(&r->again, on_again, r);
	deadline_init(&r->release, on_release, r);
	r->subscription.kind = SUBSCRIPTION_PERSISTENT;
	r->subscription.events = &subscription_events;
	r->subscription.arg = r;
	if (a->who != NULL)
		r->subscription.credentials = *a->who;
	wire_bytes(b, 1, r->group, strlen(r->group));
	wire_bytes(b, 2, r->stream, strlen(r->stream));
	wire_int(b, 3, r->window);
	subscription_start(&r->subscription, r->session->bridge->store);
}

bool group_leave(struct reader *r)
{
	group_flush(r);
	return subscription_leave(&r->subscription);
}

void group_end(struct reader *r)
{
	group_flush(r);
	subscription_cancel(&r->subscription);
	loop_clear_deadline(r->session->bridge->loop, &r->again);
	loop_clear_deadline(r->session->bridge->loop, &r->release);
}

const char *group_state(const struct reader *r)
{
	static const char *const states[] = {
		[SUBSCRIPTION_IDLE] = "interrupted",  [SUBSCRIPTION_WAITING] = "waiting",
		[SUBSCRIPTION_ASKED] = "subscribing", [SUBSCRIPTION_CONFIRMED] = "active",
		[SUBSCRIPTION_LEAVING] = "leaving",
	};

	return states[r->subscription.state];
}

uint32_t group_asked(const struct reader *r)
{
	return r->subscription.asked;
}

bool group_is_asked(const struct reader *r)
{
	return r->subscription.state >= SUBSCRIPTION_ASKED;
}
