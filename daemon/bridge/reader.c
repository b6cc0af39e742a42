#include "bridge/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/execute.h"
#include "bridge/outstanding.h"
#include "store/live.h"
#include "store/wire_write.h"

enum {
	ASK_AGAIN = 100,       /* milliseconds until a dropped subscription is asked for again */
	KEEP_RENDERING = 64 * 1024,
	NACK_RETRY = 2,        /* of the store's NakAction */
};

/* The number of the event that ends a hard-deleted stream. */
#define DELETED INT64_MAX

struct reader {
	struct link link;                /* on the session's subscriptions */
	struct session *session;
	char *name;
	char *stream;                    /* "": all */
	char *group;                     /* NULL: live */
	int32_t window;                  /* 0: no acknowledgements are expected */
	struct render render;
	struct subscription subscription; /* to the group */
	struct live_listener listener;   /* to the live events */
	struct request subscribing;      /* until the first confirmation */
	struct request leaving;          /* while `unsubscribe` waits for the store */
	bool is_subscribing;
	bool is_leaving;
	bool leave_when_confirmed;       /* `unsubscribe` came before the confirmation */
	bool interrupted;                /* the client was told, and not yet that it goes on */
	struct deadline time;            /* of the request under way */
	struct deadline again;           /* when to ask again after a drop */

	struct outstanding outstanding;
	struct buffer group_id;          /* what acks carry: stream::group, as confirmed */
	struct buffer acks;              /* ids acknowledged in this turn of the loop */
	struct job flush;

	uint64_t delivered;
	uint64_t acked;
	uint64_t retried;                /* nacks with retry */
	int64_t last_number;             /* of the last event delivered; -1: none */
};

/* Pushes ---------------------------------------------------------------------------------------- */

static struct buffer *push(struct reader *r, const char *what)
{
	struct buffer *out = r->session->out;

	buffer_add_text(out, "{\"push\":\"");
	buffer_add_text(out, what);
	buffer_add_text(out, "\",\"sub\":");
	json_text(out, r->name);
	return out;
}

static void push_end(struct reader *r)
{
	buffer_add(r->session->out, "}\n", 2);
	r->session->events->wrote(r->session);
}

static void push_with_reason(struct reader *r, const char *what, const char *reason)
{
	struct buffer *out = push(r, what);

	json_key(out, "reason");
	json_text(out, reason);
	push_end(r);
}

static void push_interrupted(struct reader *r, const char *reason)
{
	if (r->interrupted)
		return;
	r->interrupted = true;
	push_with_reason(r, "interrupted", reason);
}

static void push_resumed(struct reader *r)
{
	struct buffer *out;

	if (!r->interrupted)
		return;
	r->interrupted = false;
	out = push(r, "resumed");
	if (r->group == NULL)
		buffer_add_text(out, ",\"gap\":true");
	push_end(r);
}

/* Life ------------------------------------------------------------------------------------------ */

static void reader_free(void *object)
{
	struct reader *r = object;

	mem_wipe(&r->subscription.credentials, sizeof(r->subscription.credentials));
	buffer_free(&r->subscription.request);
	buffer_free(&r->group_id);
	buffer_free(&r->acks);
	outstanding_free(&r->outstanding);
	free(r->name);
	free(r->stream);
	free(r->group);
	free(r);
}

/* Sends what was acknowledged in this turn, in one package. */
static void flush_acks(void *arg)
{
	struct reader *r = arg;
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };

	job_cancel(&r->flush);
	if (buffer_len(&r->acks) == 0)
		return;
	subscription_ack(&r->subscription, name, (const struct guid *)(const void *)buffer_at(&r->acks),
			 buffer_len(&r->acks) / GUID_BYTES);
	buffer_consume(&r->acks, buffer_len(&r->acks));
}

/* Takes R off its session; the store forgets it, acks that were given go out before. */
static void reader_end(struct reader *r)
{
	struct session *s = r->session;
	struct loop *loop = s->bridge->loop;

	flush_acks(r);
	subscription_cancel(&r->subscription);
	live_leave(&r->listener);
	loop_clear_deadline(loop, &r->time);
	loop_clear_deadline(loop, &r->again);
	list_remove(&r->link);
	s->subscription_count--;
	loop_park(loop, r, reader_free);
}

/* Answers both requests that may be under way, where R ends before the store has answered them. */
static void fail_requests(struct reader *r, enum error_code code, const char *text)
{
	if (r->is_subscribing) {
		r->is_subscribing = false;
		request_fail(&r->subscribing, code, OUTCOME_NOT_SAID, "%s", text);
	}
	if (r->is_leaving) {
		r->is_leaving = false;
		request_fail(&r->leaving, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			     "subscription '%s' never came to be", r->name);
	}
}

/* Tells the client that R is over, by the answer that it waits for or by a push, and ends it. */
static void drop(struct reader *r, enum error_code code, const char *reason, const char *text)
{
	struct session *s = r->session;

	if (r->is_subscribing)
		fail_requests(r, code, text);
	else
		push_with_reason(r, "dropped", reason);
	reader_end(r);
	s->events->eased(s);
}

static void left(struct reader *r)
{
	struct session *s = r->session;
	struct buffer *out = request_out(&r->leaving);

	answer_ok(out, &r->leaving.id);
	json_key(out, "sub");
	json_text(out, r->name);
	answer_end(out);
	request_end(&r->leaving);
	r->is_leaving = false;
	reader_end(r);
	s->events->eased(s);
}

static void leave(struct reader *r)
{
	bool wait;

	flush_acks(r);
	wait = r->group == NULL ? live_leave_politely(&r->listener) : subscription_leave(&r->subscription);
	if (!wait)
		left(r);
}

/* What the store says ---------------------------------------------------------------------------- */

/* NUMBERED: the store has told LAST, the number of the newest event. */
static void answer_subscribed(struct reader *r, bool numbered, int64_t last)
{
	struct buffer *out = request_out(&r->subscribing);

	answer_ok(out, &r->subscribing.id);
	json_key(out, "sub");
	json_text(out, r->name);
	json_key(out, "mode");
	json_text(out, r->group != NULL ? "persistent" : "live");
	json_key(out, "window");
	json_int(out, r->window);
	if (numbered) {
		json_key(out, "last_event_number");
		json_int(out, last);
	}
	answer_end(out);
	r->is_subscribing = false;
	request_end(&r->subscribing);
	loop_clear_deadline(r->session->bridge->loop, &r->time);
}

static void drop_deleted(struct reader *r)
{
	push(r, "stream_deleted");
	buffer_add_text(r->session->out, ",\"hard\":true");
	push_end(r);
	drop(r, ERROR_STREAM_DELETED, "stream_deleted", "the stream is deleted");
}

static void confirmed_to(struct reader *r, bool numbered, int64_t last)
{
	if (r->is_subscribing)
		answer_subscribed(r, numbered, last);
	push_resumed(r);
	if (r->leave_when_confirmed)
		leave(r);
	else if (r->group == NULL && numbered && last == DELETED)
		drop_deleted(r);
}

static void on_confirmed(void *arg, const struct subscription_confirmed *confirmed)
{
	struct reader *r = arg;

	buffer_consume(&r->group_id, buffer_len(&r->group_id));
	buffer_add(&r->group_id, confirmed->id.at, confirmed->id.len);
	confirmed_to(r, confirmed->numbered, confirmed->last_event_number);
}

static void count_event(struct reader *r, const struct event_record *original)
{
	r->delivered++;
	r->last_number = original->number;
	r->session->bridge->pushed++;
}

/* An event of the group. */
static void on_event(void *arg, const struct resolved_event *event, int32_t retries)
{
	struct reader *r = arg;
	const struct event_record *original = original_event(event);
	char id[GUID_TEXT];
	struct buffer *out;

	count_event(r, original);
	outstanding_add(&r->outstanding, &original->id);
	out = push(r, "event");
	guid_format(&original->id, id);
	buffer_add_text(out, ",\"ack_id\":\"");
	buffer_add(out, id, GUID_TEXT);
	/* Servers that leave zeros out do not send a count of 0. */
	buffer_add_text(out, "\",\"retry_count\":");
	json_int(out, retries < 0 ? 0 : retries);
	resolved_event_to_json(event, &r->render, out);
	push_end(r);
}

/* What was delivered over a connection that is gone can no longer be acknowledged: the store delivers it again. */
static void forget_deliveries(struct reader *r)
{
	outstanding_clear(&r->outstanding);
	buffer_consume(&r->acks, buffer_len(&r->acks));
	job_cancel(&r->flush);
}

/* The connection went. */
static void on_lost(void *arg, const char *reason)
{
	struct reader *r = arg;

	(void)reason;
	forget_deliveries(r);
	push_interrupted(r, "connection_lost");
}

/* The group was deleted or updated, or the server goes down: asking again tells which. */
static void on_unasked_drop(struct reader *r)
{
	forget_deliveries(r);
	if (!r->is_subscribing)
		push_interrupted(r, "group_changed");
	loop_set_deadline(r->session->bridge->loop, &r->again, ASK_AGAIN);
}

static void on_again(void *arg)
{
	struct reader *r = arg;

	subscription_start(&r->subscription, r->session->bridge->store);
}

static void refuse_with_text(struct reader *r, enum error_code code, const char *what,
			     const struct package *package)
{
	const char *text = (const char *)package->payload;
	size_t len = 0;
	char message[400];

	while (len < package->payload_len && len < 300 && text[len] != '\n' && text[len] != '\r')
		len++;
	snprintf(message, sizeof(message), "%s%s%.*s", what, len > 0 ? ": " : "", (int)len, text);
	drop(r, code, error_name(code), message);
}

static void ended(struct reader *r, enum subscription_end why, const struct package *package)
{
	if (r->is_leaving && !r->is_subscribing) {
		left(r);
		return;
	}
	switch (why) {
	case SUBSCRIPTION_UNSUBSCRIBED:
		on_unasked_drop(r);
		break;
	case SUBSCRIPTION_ACCESS_DENIED:
		drop(r, ERROR_ACCESS_DENIED, "access_denied", "the store denies access to this stream");
		break;
	case SUBSCRIPTION_NOT_FOUND:
	case SUBSCRIPTION_DELETED:
		drop(r, ERROR_NOT_FOUND, "persistent_subscription_deleted",
		     "the store has no such group on this stream");
		break;
	case SUBSCRIPTION_TOO_MANY:
		drop(r, ERROR_SUBSCRIBER_MAX_COUNT_REACHED, "subscriber_max_count_reached",
		     "the group has as many subscribers as it takes");
		break;
	case SUBSCRIPTION_BAD_REQUEST:
		refuse_with_text(r, ERROR_SERVER_BAD_REQUEST, "the store does not accept the request", package);
		break;
	case SUBSCRIPTION_NOT_AUTHENTICATED:
		refuse_with_text(r, ERROR_NOT_AUTHENTICATED, "the store does not know this user and password",
				 package);
		break;
	case SUBSCRIPTION_NOT_HANDLED:
		drop(r, ERROR_NOT_HANDLED, "not_handled", "this node of the store does not serve subscriptions");
		break;
	case SUBSCRIPTION_UNEXPECTED:
		drop(r, ERROR_PROTOCOL_ERROR, "protocol_error",
		     "the store sent a package that has no place in a subscription");
		break;
	}
}

static void on_ended(void *arg, enum subscription_end why, const struct package *package)
{
	ended(arg, why, package);
}

static const struct subscription_events subscription_events = {
	.confirmed = on_confirmed,
	.event = on_event,
	.lost = on_lost,
	.ended = on_ended,
};

/* Live events ------------------------------------------------------------------------------------ */

static void on_begun(struct live_listener *l, struct place last)
{
	struct reader *r = CONTAINER(l, struct reader, listener);

	confirmed_to(r, r->stream[0] != '\0', last.commit);
}

static bool is_tombstone(const struct reader *r, const struct event_record *e)
{
	size_t len = strlen(r->stream);

	return e->number == DELETED && len > 0 && e->stream.len == len && memcmp(e->stream.at, r->stream, len) == 0;
}

/* What is the same in the pushes of all readers of one event. */
static const struct buffer *render(struct reader *r, const struct live_event *e)
{
	struct bridge *bridge = r->session->bridge;
	struct rendering *made = &bridge->renderings[r->render.payload];

	if (made->serial != e->serial) {
		buffer_consume(&made->text, buffer_len(&made->text));
		buffer_shrink(&made->text, KEEP_RENDERING);
		resolved_event_to_json(e->event, &r->render, &made->text);
		made->serial = e->serial;
		bridge->rendered++;
	}
	return &made->text;
}

static void on_live_event(struct live_listener *l, const struct live_event *e)
{
	struct reader *r = CONTAINER(l, struct reader, listener);
	struct session *s = r->session;
	const struct event_record *original = original_event(e->event);
	const struct buffer *text;

	if (is_tombstone(r, original)) {
		drop_deleted(r);
		return;
	}
	if (session_is_full(s)) {
		log_write(LOG_WARNING, "a live subscription is not read from and is dropped client=%u reason=slow_consumer sub=%s",
			  s->number, log_text(r->name, strlen(r->name)));
		drop(r, ERROR_SLOW_CONSUMER, "slow_consumer", "the client does not read");
		return;
	}
	count_event(r, original);
	text = render(r, e);
	push(r, "event");
	buffer_add_byte(s->out, ',');
	buffer_add(s->out, buffer_at(text), buffer_len(text));
	s->out->failed |= text->failed; /* half a line must not go out */
	push_end(r);
}

static void on_live_lost(struct live_listener *l)
{
	push_interrupted(CONTAINER(l, struct reader, listener), "connection_lost");
}

static void on_live_ended(struct live_listener *l, enum subscription_end why, const struct package *package)
{
	ended(CONTAINER(l, struct reader, listener), why, package);
}

static const struct live_events live_events = {
	.begun = on_begun,
	.event = on_live_event,
	.lost = on_live_lost,
	.ended = on_live_ended,
};

/* subscribe -------------------------------------------------------------------------------------- */

static enum subscription_state state_of(const struct reader *r)
{
	return r->group == NULL ? live_state(&r->listener) : r->subscription.state;
}

/* The time of `subscribe` or of `unsubscribe` is over. */
static void on_time(void *arg)
{
	struct reader *r = arg;
	struct session *s = r->session;
	bool asked = state_of(r) >= SUBSCRIPTION_ASKED;

	if (r->is_subscribing) {
		fail_requests(r, asked ? ERROR_TIMEOUT : ERROR_UNAVAILABLE,
			      asked ? "the store did not confirm the subscription within the time allowed" :
				      "no connection to the store within the time allowed");
	} else if (r->is_leaving) {
		r->is_leaving = false;
		request_fail(&r->leaving, ERROR_TIMEOUT, OUTCOME_NOT_SAID,
			     "the store did not confirm within the time allowed; nothing more comes of '%s'",
			     r->name);
	}
	reader_end(r);
	s->events->eased(s);
}

static struct reader *find(const struct session *s, const char *name)
{
	const struct link *l;

	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		struct reader *r = CONTAINER(l, struct reader, link);

		if (strcmp(r->name, name) == 0)
			return r;
	}
	return NULL;
}

static char *choose_name(struct session *s, const char *wanted)
{
	char name[32];

	if (wanted != NULL)
		return mem_text(wanted);
	do
		snprintf(name, sizeof(name), "s%llu", (unsigned long long)++s->subscriptions_made);
	while (find(s, name) != NULL);
	return mem_text(name);
}

/* The package that asks for the group. */
static void write_request(struct reader *r)
{
	struct buffer *b = &r->subscription.request;

	wire_bytes(b, 1, r->group, strlen(r->group));
	wire_bytes(b, 2, r->stream, strlen(r->stream));
	wire_int(b, 3, r->window);
}

/* Begins at the store; the answer may come at once, where the live subscription is there already. */
static void begin(struct reader *r, const struct subscribe_arguments *a)
{
	struct store *store = r->session->bridge->store;
	struct live_key key = { .stream = r->stream, .resolve_link_tos = a->resolve_link_tos };

	if (r->group != NULL) {
		if (a->who != NULL)
			r->subscription.credentials = *a->who;
		subscription_start(&r->subscription, store);
		return;
	}
	if (a->who != NULL)
		key.credentials = *a->who;
	live_join(&r->listener, store, &key);
	mem_wipe(&key.credentials, sizeof(key.credentials));
}

static struct reader *reader_new(struct session *s, const struct subscribe_arguments *a)
{
	struct reader *r = mem_new(sizeof(*r));

	r->session = s;
	r->name = choose_name(s, a->name);
	r->stream = mem_text(a->stream);
	r->group = a->group == NULL ? NULL : mem_text(a->group);
	r->window = a->group == NULL ? 0 : a->in_flight;
	r->render = (struct render){ a->payload, s->bridge->settings.depth };
	r->last_number = -1;
	r->listener.events = &live_events;
	r->subscription.kind = SUBSCRIPTION_PERSISTENT;
	r->subscription.events = &subscription_events;
	r->subscription.arg = r;
	if (r->group != NULL)
		write_request(r);
	outstanding_init(&r->outstanding);
	job_init(&r->flush, flush_acks, r);
	deadline_init(&r->time, on_time, r);
	deadline_init(&r->again, on_again, r);
	return r;
}

void reader_subscribe(struct session *s, const struct request_id *id, const struct subscribe_arguments *a)
{
	struct reader *r;

	if (a->name != NULL && find(s, a->name) != NULL) {
		session_refuse(s, id, ERROR_ALREADY_EXISTS, OUTCOME_NOT_SAID,
			       "sub '%s' is in use on this connection", a->name);
		return;
	}
	if (s->subscription_count >= s->bridge->settings.subscriptions_most) {
		session_refuse(s, id, ERROR_LIMIT_EXCEEDED, OUTCOME_NOT_SAID,
			       "a client may have %u subscriptions", s->bridge->settings.subscriptions_most);
		return;
	}
	r = reader_new(s, a);
	list_append(&s->subscriptions, &r->link);
	s->subscription_count++;
	request_begin(&r->subscribing, s, id);
	r->is_subscribing = true;
	loop_set_deadline(s->bridge->loop, &r->time, a->timeout_ms);
	begin(r, a);
}

void reader_unsubscribe(struct session *s, const struct request_id *id, const char *name, uint64_t timeout_ms)
{
	struct reader *r = find(s, name);

	if (r == NULL || r->is_leaving) {
		session_refuse(s, id, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			       "there is no subscription '%s' on this connection", name);
		return;
	}
	request_begin(&r->leaving, s, id);
	r->is_leaving = true;
	if (r->is_subscribing) {
		r->leave_when_confirmed = true;
		return;
	}
	loop_set_deadline(s->bridge->loop, &r->time, timeout_ms);
	leave(r);
}

/* ack and nack ----------------------------------------------------------------------------------- */

struct ack_run {
	struct reader *reader;
	const struct ack_arguments *arguments;
	struct buffer ids;      /* of a nack: those to send */
	struct buffer unknown;  /* tokens' spans of those that are not outstanding */
	uint32_t count;
};

static void take_delivery(struct ack_run *run, struct delivery *d)
{
	struct reader *r = run->reader;

	buffer_add(run->arguments->negative ? &run->ids : &r->acks, d->node.id.bytes, GUID_BYTES);
	outstanding_remove(&r->outstanding, d);
	run->count++;
}

static struct delivery *delivery_of(const struct ack_run *run, uint32_t token)
{
	const struct json_doc *doc = run->arguments->doc;
	const struct json_token *t = &doc->tokens[token];
	struct guid id;

	/* The text stands between two quotes; an id needs no escapes. */
	if (!guid_parse(doc->text + t->at + 1, t->len - 2, &id))
		return NULL;
	return outstanding_find(&run->reader->outstanding, &id);
}

static void take_list(struct ack_run *run)
{
	const struct json_doc *doc = run->arguments->doc;
	uint32_t end = doc->tokens[run->arguments->events].next;

	for (uint32_t i = run->arguments->events + 1; i < end; i = doc->tokens[i].next) {
		struct delivery *d = delivery_of(run, i);

		if (d != NULL) {
			take_delivery(run, d);
			continue;
		}
		json_comma(&run->unknown);
		buffer_add(&run->unknown, doc->text + doc->tokens[i].at, doc->tokens[i].len);
	}
}

static void take_up_to(struct ack_run *run)
{
	const struct json_doc *doc = run->arguments->doc;
	const struct json_token *t = &doc->tokens[run->arguments->up_to];
	struct delivery *last = delivery_of(run, run->arguments->up_to);
	struct delivery *d;

	if (last == NULL) {
		buffer_add(&run->unknown, doc->text + t->at, t->len);
		return;
	}
	do {
		d = outstanding_first(&run->reader->outstanding);
		take_delivery(run, d);
	} while (d != last);
}

static void send_acks(struct ack_run *run)
{
	struct reader *r = run->reader;
	const struct ack_arguments *a = run->arguments;
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };

	if (!a->negative) {
		r->acked += run->count;
		loop_put_off(r->session->bridge->loop, &r->flush);
		return;
	}
	flush_acks(r);
	r->retried += a->action == NACK_RETRY ? run->count : 0;
	subscription_nack(&r->subscription, name, (const struct guid *)(const void *)buffer_at(&run->ids),
			  buffer_len(&run->ids) / GUID_BYTES, a->action, a->reason, a->reason_len);
}

static void answer_acks(struct ack_run *run, const struct request_id *id)
{
	struct session *s = run->reader->session;
	struct buffer *out = s->out;

	if (buffer_len(&run->unknown) > 0) {
		answer_error(out, id, ERROR_UNKNOWN_EVENT, OUTCOME_NOT_SAID,
			     "events that are not outstanding on subscription '%s'", run->reader->name);
		buffer_add_text(out, ",\"body\":{\"events\":[");
		buffer_add(out, buffer_at(&run->unknown), buffer_len(&run->unknown));
		buffer_add_text(out, "]}");
	} else if (id->len > 0) {
		answer_ok(out, id);
		buffer_add_text(out, run->arguments->negative ? "\"nacked\":" : "\"acked\":");
		json_uint(out, run->count);
	} else {
		return;
	}
	answer_end(out);
	s->events->wrote(s);
}

void reader_acknowledge(struct session *s, const struct request_id *id, const char *name,
			const struct ack_arguments *a)
{
	struct ack_run run = { .reader = find(s, name), .arguments = a };

	if (run.reader == NULL || run.reader->is_leaving) {
		session_refuse(s, id, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			       "there is no subscription '%s' on this connection", name);
		return;
	}
	if (run.reader->window == 0) {
		session_refuse(s, id, ERROR_BAD_REQUEST, OUTCOME_NOT_SAID,
			       "subscription '%s' expects no acknowledgements", name);
		return;
	}
	if (a->events != NO_TOKEN)
		take_list(&run);
	else
		take_up_to(&run);
	send_acks(&run);
	answer_acks(&run, id);
	buffer_free(&run.ids);
	buffer_free(&run.unknown);
}

/* The client or the daemon goes -------------------------------------------------------------------- */

/* Hands what is outstanding back to the group, so that another consumer gets it at once. */
static void give_back(struct reader *r)
{
	static const char reason[] = "the consumer has gone";
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };
	struct buffer ids = { .limit = 0 };
	struct delivery *d;

	flush_acks(r);
	while ((d = outstanding_first(&r->outstanding)) != NULL) {
		buffer_add(&ids, d->node.id.bytes, GUID_BYTES);
		outstanding_remove(&r->outstanding, d);
	}
	subscription_nack(&r->subscription, name, (const struct guid *)(const void *)buffer_at(&ids),
			  buffer_len(&ids) / GUID_BYTES, NACK_RETRY, reason, sizeof(reason) - 1);
	buffer_free(&ids);
}

/* The requests under way end with the session, which forgets them. */
static void end_silently(struct reader *r)
{
	if (r->is_subscribing)
		request_end(&r->subscribing);
	if (r->is_leaving)
		request_end(&r->leaving);
	give_back(r);
	reader_end(r);
}

void reader_end_all(struct session *s)
{
	struct link *l;

	while ((l = list_first(&s->subscriptions)) != NULL)
		end_silently(CONTAINER(l, struct reader, link));
}

void reader_end_acknowledging(struct session *s)
{
	struct link *l = list_first(&s->subscriptions);

	while (l != NULL) {
		struct reader *r = CONTAINER(l, struct reader, link);

		l = list_next(&s->subscriptions, l);
		if (r->window > 0 && !r->is_subscribing && !r->is_leaving) {
			give_back(r);
			reader_end(r);
		}
	}
}

void reader_drop_all(struct session *s)
{
	struct link *l;

	while ((l = list_first(&s->subscriptions)) != NULL) {
		struct reader *r = CONTAINER(l, struct reader, link);

		if (r->is_leaving && !r->is_subscribing)
			left(r);
		else
			drop(r, ERROR_SHUTTING_DOWN, "shutting_down", "esbridge is shutting down");
	}
}

void reader_list(const struct session *s, struct buffer *out)
{
	static const char *const states[] = {
		[SUBSCRIPTION_IDLE] = "interrupted", [SUBSCRIPTION_WAITING] = "waiting",
		[SUBSCRIPTION_ASKED] = "subscribing", [SUBSCRIPTION_CONFIRMED] = "active",
		[SUBSCRIPTION_LEAVING] = "leaving",
	};
	const struct link *l;

	buffer_add_byte(out, '[');
	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		const struct reader *r = CONTAINER(l, struct reader, link);

		json_comma(out);
		buffer_add_text(out, "{\"sub\":");
		json_text(out, r->name);
		json_key(out, "mode");
		json_text(out, r->group != NULL ? "persistent" : "live");
		json_key(out, "stream");
		json_text(out, r->stream[0] == '\0' ? "$all" : r->stream);
		if (r->group != NULL) {
			json_key(out, "group");
			json_text(out, r->group);
		}
		json_key(out, "state");
		json_text(out, states[state_of(r)]);
		json_key(out, "window");
		json_int(out, r->window);
		json_key(out, "outstanding");
		json_uint(out, r->outstanding.count);
		json_key(out, "delivered");
		json_uint(out, r->delivered);
		json_key(out, "acked");
		json_uint(out, r->acked);
		json_key(out, "retried");
		json_uint(out, r->retried);
		if (r->last_number >= 0) {
			json_key(out, "last_event_number");
			json_int(out, r->last_number);
		}
		buffer_add_byte(out, '}');
	}
	buffer_add_byte(out, ']');
}
