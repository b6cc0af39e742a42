#include <stdio.h>
#include <string.h>

#include "bridge/json_to_message.h"
#include "bridge/reader_parts.h"
#include "eventstore.pb-c.h"
#include "store/filters.h"

enum { KEEP_RENDERING = 64 * 1024 };

static struct reader *reader_of(struct catchup *c)
{
	return CONTAINER(c, struct reader, catchup);
}

/* Under the pressure of memory no window is filled further than this. */
enum { WINDOW_IN_NEED = 1000 };

static bool room_in_need(struct reader *r, size_t bytes)
{
	if (!session_is_full(r->session, bytes) && r->outstanding.count < WINDOW_IN_NEED)
		return true;
	r->session->hungry = true;
	return false;
}

static bool room(struct catchup *c, size_t bytes)
{
	struct reader *r = reader_of(c);

	if (account_is_short() && !room_in_need(r, bytes))
		return false;
	if (!session_has_room(r->session))
		return false;
	return r->window == 0 || r->outstanding.count < (uint32_t)r->window;
}

/* Pushes ---------------------------------------------------------------------------------------- */

/* What is the same in the pushes of all readers of one live event. */
static const struct buffer *render(struct reader *r, const struct resolved_event *event,
				   uint64_t serial)
{
	struct bridge *bridge = r->session->bridge;
	struct rendering *made = &bridge->renderings[r->render.payload];

	if (made->serial != serial) {
		buffer_consume(&made->text, buffer_len(&made->text));
		buffer_shrink(&made->text, KEEP_RENDERING);
		buffer_add_byte(&made->text, '[');
		resolved_event_to_json(event, &r->render, &made->text);
		/* It always follows something: the comma is rendered with it. */
		if (buffer_len(&made->text) > 0)
			*buffer_at(&made->text) = ',';
		made->serial = serial;
		bridge->counters.rendered++;
	}
	return &made->text;
}

static void push_event(struct reader *r, const struct resolved_event *event, uint64_t serial)
{
	struct buffer *out = reader_push_event(r);
	const struct buffer *text;
	char id[GUID_TEXT];

	if (r->window > 0) {
		guid_format(&original_event(event)->id, id);
		buffer_add_text(out, ",\"ack_id\":\"");
		buffer_add(out, id, GUID_TEXT);
		buffer_add_byte(out, '"');
	}
	if (serial == 0 || render_hides(&r->render, event)) {
		resolved_event_to_json(event, &r->render, out);
	} else {
		text = render(r, event, serial);
		buffer_add(out, buffer_at(text), buffer_len(text));
		out->failed |= text->failed; /* half a line must not go out */
	}
	reader_push_end(r);
}

static void on_event(struct catchup *c, const struct resolved_event *event, struct place place,
		     uint64_t serial)
{
	struct reader *r = reader_of(c);

	reader_count(r, event, place, serial != 0);
	if (r->window > 0)
		outstanding_add(&r->outstanding, &original_event(event)->id, place,
				loop_now_us(r->session->bridge->loop));
	push_event(r, event, serial);
	session_count(r->session, 1);
}

/* The delivery at PLACE, or NULL where it was acknowledged meanwhile. */
static struct delivery *delivery_at(struct reader *r, struct place place)
{
	const struct link *order = &r->outstanding.order;

	for (struct link *l = list_first(order); l != NULL; l = list_next(order, l)) {
		struct delivery *d = CONTAINER(l, struct delivery, link);

		if (place_compare(d->place, place) == 0)
			return d;
	}
	return NULL;
}

/* What the store does not have any more, or has something else in its place, needs no
 * acknowledgement. */
static void on_redelivered(struct catchup *c, const struct resolved_event *event,
			   struct place place)
{
	struct reader *r = reader_of(c);
	struct delivery *d = delivery_at(r, place);

	if (d == NULL)
		return;
	if (event == NULL || !guid_equal(&original_event(event)->id, &d->node.id)) {
		outstanding_remove(&r->outstanding, outstanding_find(&r->outstanding, &d->node.id));
		reader_checkpoint_move(r, 1);
		return;
	}
	d->wanted = false;
	d->since_us = loop_now_us(r->session->bridge->loop);
	push_event(r, event, 0);
}

static void on_begun(struct catchup *c, int64_t last)
{
	struct reader *r = reader_of(c);

	if (reader_checkpoint_begun(r, last))
		reader_accepted(r, r->stream[0] != '\0', last);
}

static void on_caught_up(struct catchup *c, int64_t last, struct place position)
{
	struct reader *r = reader_of(c);
	bool one_stream = r->stream[0] != '\0';
	struct buffer *out;

	if (r->mode == READER_LIVE ||
	    !reader_checkpoint_caught_up(r, one_stream ? (struct place){ last, 0 } : position))
		return;
	out = reader_push(r, "caught_up");
	json_key(out, one_stream ? "last_event_number" : "position");
	place_to_json(one_stream ? (struct place){ last, 0 } : position, !one_stream, out);
	reader_checkpoint_tell_end(r, out);
	reader_push_end(r);
}

static void push_deleted(struct reader *r, bool hard)
{
	struct buffer *out = reader_push(r, "stream_deleted");

	json_key(out, "hard");
	json_bool(out, hard);
	reader_push_end(r);
}

static void on_soft_deleted(struct catchup *c)
{
	push_deleted(reader_of(c), false);
}

static void on_lost(struct catchup *c, const char *reason)
{
	reader_push_interrupted(reader_of(c), reason);
}

static void on_resumed(struct catchup *c, bool gap)
{
	struct reader *r = reader_of(c);

	if (gap)
		reader_checkpoint_data_lost(r);
	reader_push_resumed(r, gap);
}

static const struct refusal refusals[] = {
	[CATCHUP_REFUSED_ACCESS] = { ERROR_ACCESS_DENIED, NULL,
				     "the store denies access to this stream", false },
	[CATCHUP_REFUSED_LOGIN] = { ERROR_NOT_AUTHENTICATED, NULL,
				    "the store does not know this user and password", true },
	[CATCHUP_REFUSED_REQUEST] = { ERROR_SERVER_BAD_REQUEST, NULL,
				      "the store does not accept the request", true },
	[CATCHUP_REFUSED_NODE] = { ERROR_NOT_HANDLED, NULL,
				   "this node of the store does not serve subscriptions", false },
	[CATCHUP_BROKEN] = { ERROR_PROTOCOL_ERROR, NULL,
			     "the store sent a package that has no place in a subscription",
			     false },
	[CATCHUP_TOO_LARGE] = { ERROR_LIMIT_EXCEEDED, NULL, TEXT_EVENT_TOO_LARGE, false },
	[CATCHUP_NO_MEMORY] = { ERROR_OVERLOADED, NULL,
				"there is no memory for an event, or a page of them", false },
	[CATCHUP_STREAM_DELETED] = { ERROR_STREAM_DELETED, NULL, "the stream is deleted", false },
	[CATCHUP_FAILED] = { ERROR_SERVER_ERROR, NULL, "the store could not read the events",
			     false },
};

static void on_ended(struct catchup *c, enum catchup_end why, const struct package *package)
{
	static const struct refusal no_filters = { ERROR_SERVER_BAD_REQUEST, NULL, TEXT_NO_FILTERS,
						   false };
	struct reader *r = reader_of(c);
	bool filtered = buffer_len(&r->filter) > 0;

	if (why == CATCHUP_STREAM_DELETED)
		push_deleted(r, true);
	if (why == CATCHUP_REFUSED_REQUEST && filtered && filters_refused(c->store))
		reader_refuse(r, &no_filters, package);
	else
		reader_refuse(r, &refusals[why], package);
}

static void on_left(struct catchup *c)
{
	reader_left(reader_of(c));
}

static const struct catchup_events catchup_events = {
	.room = room,
	.begun = on_begun,
	.event = on_event,
	.redelivered = on_redelivered,
	.caught_up = on_caught_up,
	.soft_deleted = on_soft_deleted,
	.lost = on_lost,
	.resumed = on_resumed,
	.ended = on_ended,
	.left = on_left,
};

/* Life ------------------------------------------------------------------------------------------ */

bool reader_filter(const struct json_doc *doc, uint32_t object, struct buffer *out, char *fault,
		   size_t fault_size)
{
	char text[FAULT_TEXT];

	if (json_to_part(&es__filter__descriptor, doc, object, "filter", out, text))
		return true;
	snprintf(fault, fault_size, "%s", text);
	return false;
}

void follow_begin(struct reader *r, const struct subscribe_arguments *a)
{
	struct catchup *c = &r->catchup;

	c->events = &catchup_events;
	c->key.stream = r->stream;
	c->key.resolve_link_tos = a->resolve_link_tos;
	c->key.filter = (struct span){ buffer_at(&r->filter), buffer_len(&r->filter) };
	if (a->who != NULL)
		c->key.credentials = *a->who;
	c->from_end = r->mode == READER_LIVE || a->from_end;
	/* Who asks for no window wants what is new; who does must not lose any. */
	c->follows = r->mode == READER_LIVE && r->window == 0;
	c->next = a->from;
	if (r->resumed.set) {
		c->from_end = false;
		catchup_begin_after(c, r->resumed.place);
	}
	c->batch = a->read_batch;
	c->lane = &r->session->lane;
	c->require_master = a->require_master;
	c->timeout_ms = r->session->bridge->settings.operation_timeout;
	catchup_start(c, r->session->bridge->store);
}

bool follow_leave(struct reader *r)
{
	return catchup_leave(&r->catchup);
}

void follow_end(struct reader *r)
{
	catchup_stop(&r->catchup);
}

const char *follow_state(const struct reader *r)
{
	static const char *const states[] = {
		[CATCHUP_IDLE] = "leaving",
		[CATCHUP_BEHIND] = "waiting_for_reader",
		[CATCHUP_QUEUED] = "reading",
		[CATCHUP_READING] = "reading",
		[CATCHUP_GIVING] = "waiting_for_reader",
		[CATCHUP_JOINING] = "joining",
		[CATCHUP_LIVE] = "active",
		[CATCHUP_LOST] = "waiting",
	};

	return states[r->catchup.state];
}

uint32_t follow_asked(const struct reader *r)
{
	return live_asked(&r->catchup.listener);
}

void follow_resume(struct reader *r)
{
	catchup_pump(&r->catchup);
}

bool follow_is_asked(const struct reader *r)
{
	return r->catchup.read.state == OPERATION_IN_FLIGHT ||
	       live_state(&r->catchup.listener) >= SUBSCRIPTION_ASKED;
}
