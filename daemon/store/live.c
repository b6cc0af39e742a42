#include "store/live.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/wire_write.h"

enum { ASK_AGAIN = 100 }; /* milliseconds until a dropped subscription is asked for again */

struct live {
	struct link link; /* on store->lives */
	struct store *store;
	char *stream;
	bool resolve_link_tos;
	struct buffer filter;
	struct subscription subscription;
	struct link listeners;
	struct link *cursor; /* the listener that is next, while an event goes round */
	struct place last;   /* of the newest event known; commit -1: none */
	struct deadline again;
	bool leaving; /* the last listener waits for the store to confirm */
};

struct place place_of(const struct resolved_event *event, bool one_stream)
{
	if (one_stream)
		return (struct place){ original_event(event)->number, 0 };
	return (struct place){ event->commit, event->prepare };
}

/* Going round the listeners: any of them may leave meanwhile ------------------------------------ */

static void start_round(struct live *live)
{
	live->cursor = live->listeners.next;
}

static struct live_listener *next_listener(struct live *live)
{
	struct link *l = live->cursor;

	if (l == &live->listeners)
		return NULL;
	live->cursor = l->next;
	return CONTAINER(l, struct live_listener, link);
}

static void live_free(void *object)
{
	struct live *live = object;

	mem_wipe(&live->subscription.credentials, sizeof(live->subscription.credentials));
	buffer_free(&live->subscription.request);
	buffer_free(&live->filter);
	free(live->stream);
	free(live);
}

static void take_off(struct live_listener *l)
{
	struct live *live = l->live;

	if (live->cursor == &l->link)
		live->cursor = l->link.next;
	list_remove(&l->link);
	l->live = NULL;
	l->begun = false;
}

static void live_end(struct live *live)
{
	subscription_cancel(&live->subscription);
	loop_clear_deadline(live->store->loop, &live->again);
	list_remove(&live->link);
	loop_park(live->store->loop, live, live_free);
}

/* What the store says --------------------------------------------------------------------------- */

static void on_confirmed(void *arg, const struct subscription_confirmed *confirmed)
{
	struct live *live = arg;
	struct live_listener *l;

	if (live->stream[0] == '\0')
		live->last = (struct place){ confirmed->last_commit_position,
					     confirmed->last_commit_position };
	else
		live->last = (struct place){ confirmed->last_event_number, 0 };
	start_round(live);
	while ((l = next_listener(live)) != NULL) {
		l->begun = true;
		l->events->begun(l, live->last);
	}
}

static void on_event(void *arg, const struct resolved_event *event, int32_t retries)
{
	static uint64_t serial;
	struct live *live = arg;
	struct live_event e = { event, place_of(event, live->stream[0] != '\0'), ++serial };
	struct live_listener *l;

	(void)retries;
	live->last = e.place;
	start_round(live);
	while ((l = next_listener(live)) != NULL) {
		if (l->begun)
			l->events->event(l, &e);
	}
}

static void lose(struct live *live)
{
	struct live_listener *l;

	start_round(live);
	while ((l = next_listener(live)) != NULL) {
		bool was = l->begun;

		l->begun = false;
		if (was)
			l->events->lost(l);
	}
}

static void on_lost(void *arg, const char *reason)
{
	(void)reason;
	lose(arg);
}

static void on_ended(void *arg, enum subscription_end why, const struct package *package)
{
	struct live *live = arg;
	struct live_listener *l;

	if (why == SUBSCRIPTION_UNSUBSCRIBED && !live->leaving) {
		loop_set_deadline(live->store->loop, &live->again, ASK_AGAIN);
		lose(live);
		return;
	}
	list_remove(&live->link); /* whoever joins again from inside a call gets a new one */
	start_round(live);
	while ((l = next_listener(live)) != NULL) {
		take_off(l);
		l->events->ended(l, why, package);
	}
	live_end(live);
}

static const struct subscription_events subscription_events = {
	.confirmed = on_confirmed,
	.event = on_event,
	.lost = on_lost,
	.ended = on_ended,
};

static void on_again(void *arg)
{
	struct live *live = arg;

	subscription_start(&live->subscription, live->store);
}

/* Joining --------------------------------------------------------------------------------------- */

static bool is_for(const struct live *live, const struct live_key *key)
{
	return live->resolve_link_tos == key->resolve_link_tos &&
	       strcmp(live->stream, key->stream) == 0 &&
	       strcmp(live->subscription.credentials.login, key->credentials.login) == 0 &&
	       strcmp(live->subscription.credentials.password, key->credentials.password) == 0 &&
	       buffer_len(&live->filter) == key->filter.len &&
	       (key->filter.len == 0 ||
		memcmp(buffer_at(&live->filter), key->filter.at, key->filter.len) == 0);
}

static struct live *live_new(struct store *store, const struct live_key *key)
{
	struct live *live = mem_new(sizeof(*live));
	struct buffer *request = &live->subscription.request;

	live->store = store;
	live->stream = mem_text(key->stream);
	live->resolve_link_tos = key->resolve_link_tos;
	buffer_add(&live->filter, key->filter.at, key->filter.len);
	live->last = (struct place){ -1, 0 };
	link_init(&live->listeners);
	live->cursor = &live->listeners;
	deadline_init(&live->again, on_again, live);
	live->subscription.kind = key->filter.len > 0 ? SUBSCRIPTION_FILTERED : SUBSCRIPTION_LIVE;
	live->subscription.credentials = key->credentials;
	live->subscription.events = &subscription_events;
	live->subscription.arg = live;
	wire_bytes(request, 1, key->stream, strlen(key->stream));
	wire_int(request, 2, key->resolve_link_tos);
	if (key->filter.len > 0) {
		wire_bytes(request, 3, key->filter.at, key->filter.len);
		wire_int(request, 4, -1); /* no CheckpointReached */
	}
	list_append(&store->lives, &live->link);
	subscription_start(&live->subscription, store);
	return live;
}

static struct live *live_find(struct store *store, const struct live_key *key)
{
	struct link *l;

	for (l = list_first(&store->lives); l != NULL; l = list_next(&store->lives, l)) {
		struct live *live = CONTAINER(l, struct live, link);

		if (is_for(live, key))
			return live;
	}
	return live_new(store, key);
}

void live_join(struct live_listener *l, struct store *store, const struct live_key *key)
{
	struct live *live = live_find(store, key);

	l->live = live;
	l->begun = live->subscription.state == SUBSCRIPTION_CONFIRMED;
	link_init(&l->link);
	list_append(&live->listeners, &l->link);
	if (l->begun)
		l->events->begun(l, live->last);
}

bool live_leave_politely(struct live_listener *l)
{
	struct live *live = l->live;

	if (live == NULL)
		return false;
	if (live->listeners.next->next != &live->listeners ||
	    !subscription_leave(&live->subscription)) {
		live_leave(l);
		return false;
	}
	live->leaving = true;
	l->begun = false;
	list_remove(&live->link); /* whoever joins now gets a new one */
	return true;
}

enum subscription_state live_state(const struct live_listener *l)
{
	return l->live == NULL ? SUBSCRIPTION_IDLE : l->live->subscription.state;
}

uint32_t live_asked(const struct live_listener *l)
{
	return l->live == NULL ? 0 : l->live->subscription.asked;
}

void live_leave(struct live_listener *l)
{
	struct live *live = l->live;

	if (live == NULL)
		return;
	take_off(l);
	if (list_empty(&live->listeners))
		live_end(live);
}
