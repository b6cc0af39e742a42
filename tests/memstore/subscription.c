#include "subscription.h"

#include <stdlib.h>

#include "base/mem.h"
#include "filter.h"
#include "group.h"
#include "handlers.h"
#include "reply.h"

struct subscription {
	struct link of_stream;     /* in stream.subscriptions or server.all_subscriptions */
	struct link of_connection; /* in connection.subscriptions */
	struct connection *c;
	struct guid correlation;
	bool resolve_links;
	struct filter filter;
	int32_t interval; /* events after which a checkpoint is told; 0 or less: never */
	int32_t seen;     /* since the last one */
};

static void subscription_free(struct subscription *s)
{
	list_remove(&s->of_stream);
	list_remove(&s->of_connection);
	filter_free(&s->filter);
	free(s);
}

static void deliver_to(const struct store *store, struct subscription *s,
		       const struct record *record)
{
	struct resolved resolved = { .event = record };

	if (s->resolve_links && record->link)
		resolved = (struct resolved){ .event = store_follow(store, record, clock_now()),
					      .link = record };
	if (filter_matches(&s->filter, record))
		reply_appeared(s->c, &s->correlation, &resolved);
	if (s->interval > 0 && ++s->seen >= s->interval) {
		s->seen = 0;
		reply_checkpoint(s->c, &s->correlation, record);
	}
}

/* A link is followed whatever the reader may read: the real server checks nothing here. */
static void deliver(const struct store *store, const struct link *list, const struct record *record)
{
	struct link *next;

	for (struct link *l = list_first(list); l != NULL; l = next) {
		next = list_next(list, l);
		deliver_to(store, CONTAINER(l, struct subscription, of_stream), record);
	}
}

void subscriptions_deliver(struct server *server, const struct record *record)
{
	deliver(&server->store, &record->stream->subscriptions, record);
	deliver(&server->store, &server->all_subscriptions, record);
}

void subscriptions_end(struct connection *c)
{
	struct link *l;

	while ((l = list_first(&c->subscriptions)) != NULL)
		subscription_free(CONTAINER(l, struct subscription, of_connection));
}

size_t subscriptions_drop(struct connection *c, const struct guid *correlation)
{
	struct link *next;
	size_t count = 0;

	for (struct link *l = list_first(&c->subscriptions); l != NULL; l = next) {
		struct subscription *s = CONTAINER(l, struct subscription, of_connection);

		next = list_next(&c->subscriptions, l);
		if (guid_equal(&s->correlation, correlation)) {
			subscription_free(s);
			count++;
		}
	}
	return count;
}

static bool may_subscribe(const struct connection *c, const struct request *r, struct span name)
{
	const struct store *store = &c->server->store;
	struct span checked = name.len == 0 ? span_of("$all") : name;

	return access_allowed(store, r->user, checked, store_find(store, checked), ACTION_READ);
}

/* Takes over what FILTER has. */
static void subscribe(struct connection *c, const struct request *r, struct span name,
		      bool resolve_links, struct filter *filter, int32_t interval)
{
	struct server *server = c->server;
	struct stream *stream = name.len == 0 ? NULL : store_stream(&server->store, name);
	struct subscription *s = mem_new(sizeof(*s));
	int64_t last = stream_last(stream);

	s->c = c;
	s->correlation = *r->correlation;
	s->resolve_links = resolve_links;
	s->filter = *filter;
	s->interval = interval;
	*filter = (struct filter){ 0 };
	list_append(stream != NULL ? &stream->subscriptions : &server->all_subscriptions,
		    &s->of_stream);
	list_append(&c->subscriptions, &s->of_connection);
	reply_subscribed(c, r->correlation, stream != NULL ? &last : NULL);
}

static void subscribe_or_deny(struct connection *c, const struct request *r, struct span name,
			      bool resolve_links, struct filter *filter, int32_t interval)
{
	if (may_subscribe(c, r, name))
		subscribe(c, r, name, resolve_links, filter, interval);
	else
		reply_dropped(c, r->correlation,
			      ES__SUBSCRIPTION_DROPPED__SUBSCRIPTION_DROP_REASON__AccessDenied);
}

void handle_subscribe(struct connection *c, const struct request *r)
{
	Es__SubscribeToStream *m = es__subscribe_to_stream__unpack(NULL, r->body.len, r->body.at);
	struct filter filter = { 0 };

	if (m != NULL)
		subscribe_or_deny(c, r, field_text(r->body, 1), m->resolve_link_tos, &filter, 0);
	else
		refuse_body(c, r);
	es__subscribe_to_stream__free_unpacked(m, NULL);
}

void handle_filtered_subscribe(struct connection *c, const struct request *r)
{
	Es__FilteredSubscribeToStream *m =
		es__filtered_subscribe_to_stream__unpack(NULL, r->body.len, r->body.at);
	struct filter filter = { 0 };

	if (m != NULL && filter_read(&filter, m->filter))
		subscribe_or_deny(c, r, field_text(r->body, 1), m->resolve_link_tos, &filter,
				  m->checkpoint_interval);
	else
		refuse_body(c, r);
	filter_free(&filter);
	es__filtered_subscribe_to_stream__free_unpacked(m, NULL);
}

/* Ends live subscriptions and consumers of groups alike; what is not there is not answered. */
void handle_unsubscribe(struct connection *c, const struct request *r)
{
	size_t count = subscriptions_drop(c, r->correlation);

	if (count == 0)
		count = consumers_leave(c, r->correlation);
	if (count > 0)
		reply_dropped(c, r->correlation,
			      ES__SUBSCRIPTION_DROPPED__SUBSCRIPTION_DROP_REASON__Unsubscribed);
}
