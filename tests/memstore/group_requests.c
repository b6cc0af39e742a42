/*
 * The requests about groups.
 */
#include <stdio.h>

#include "group.h"
#include "handlers.h"
#include "reply.h"

#define CREATE_RESULT(name) \
	ES__CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED__CREATE_PERSISTENT_SUBSCRIPTION_RESULT__##name

/* The three replies have one set of numbers. */
enum group_result {
	GROUP_SUCCESS = CREATE_RESULT(Success),
	GROUP_WRONG = CREATE_RESULT(AlreadyExists), /* update, delete: DoesNotExist */
	GROUP_FAILED = CREATE_RESULT(Fail),
	GROUP_DENIED = CREATE_RESULT(AccessDenied),
};

static const struct {
	const char *name;
	enum strategy strategy;
	bool of_correlation; /* known to versions that have it */
} strategies[] = {
	{ "RoundRobin", STRATEGY_ROUND_ROBIN, false },
	{ "DispatchToSingle", STRATEGY_DISPATCH_TO_SINGLE, false },
	{ "Pinned", STRATEGY_PINNED, false },
	{ "PinnedByCorrelation", STRATEGY_PINNED_BY_CORRELATION, true },
};

/* Whoever may write the server's settings may make, change and delete groups; later versions let
 * operators, too. */
static bool may_manage(struct connection *c, const struct request *r)
{
	struct span settings = span_of("$settings");
	const struct store *store = &c->server->store;

	if (!store->traits->admins_manage && user_is_operator(r->user))
		return true;
	return access_allowed(store, r->user, settings, store_find(store, settings), ACTION_WRITE);
}

/* Adds the key of a group to KEY. Returns it; the bytes are those of KEY. */
static struct span make_key(struct buffer *key, struct span stream, struct span group)
{
	buffer_add(key, stream.at, stream.len);
	buffer_add_text(key, "::");
	buffer_add(key, group.at, group.len);
	return (struct span){ buffer_at(key), buffer_len(key) };
}

static bool find_strategy(const struct traits *traits, struct span name, bool round_robin,
			  enum strategy *strategy)
{
	if (name.len == 0) {
		*strategy = round_robin ? STRATEGY_ROUND_ROBIN : STRATEGY_DISPATCH_TO_SINGLE;
		return true;
	}
	for (size_t i = 0; i < sizeof(strategies) / sizeof(strategies[0]); i++) {
		if (span_equal(name, span_of(strategies[i].name)) &&
		    (!strategies[i].of_correlation || traits->correlation_strategy)) {
			*strategy = strategies[i].strategy;
			return true;
		}
	}
	return false;
}

/* Create and update ---------------------------------------------------------------------------- */

/* Returns false where the consumer strategy is unknown. */
static bool read_settings(const struct traits *traits, const Es__CreatePersistentSubscription *m,
			  struct group_settings *settings)
{
	*settings = (struct group_settings){
		.resolve_links = m->resolve_link_tos,
		.start_from = m->start_from,
		.message_timeout = m->message_timeout_milliseconds,
		.buffer_size = m->buffer_size,
		.read_batch = m->read_batch_size,
		.max_retry_count = m->max_retry_count,
		.checkpoint_after = m->checkpoint_after_time,
		.checkpoint_max = m->checkpoint_max_count,
		.checkpoint_min = m->checkpoint_min_count,
		.consumers_max = m->subscriber_max_count,
	};
	return find_strategy(traits, name_of(m->named_consumer_strategy), m->prefer_round_robin,
			     &settings->strategy);
}

static void create_or_update(struct connection *c, const struct request *r,
			     const Es__CreatePersistentSubscription *m, bool create,
			     struct span key)
{
	enum command reply = create ? CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED
				    : CMD_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
	struct span stream = name_of(m->event_stream_id);
	struct group *group = group_find(c->server, key);
	struct group_settings settings;

	if (!may_manage(c, r)) {
		reply_group(c, reply, r->correlation, GROUP_DENIED, "Access denied.");
	} else if ((group != NULL) == create) {
		reply_group(c, reply, r->correlation, GROUP_WRONG,
			    create ? "The group already exists." : "The group does not exist.");
	} else if (stream.len == 0 || span_equal(stream, span_of("$all"))) {
		reply_group(c, reply, r->correlation, GROUP_FAILED, "A group needs a stream.");
	} else if (!read_settings(traits_of(c), m, &settings)) {
		reply_group(c, reply, r->correlation, GROUP_FAILED,
			    "The consumer strategy does not exist.");
	} else {
		if (create)
			(void)group_make(c->server, key, stream, &settings);
		else
			group_update(group, &settings);
		reply_group(c, reply, r->correlation, GROUP_SUCCESS, "");
	}
}

/* The two messages have the same fields, so one type reads both. */
static void handle_settings(struct connection *c, const struct request *r, bool create)
{
	Es__CreatePersistentSubscription *m =
		es__create_persistent_subscription__unpack(NULL, r->body.len, r->body.at);
	struct buffer buffer = { 0 };
	struct span key;

	if (m != NULL) {
		key = make_key(&buffer, name_of(m->event_stream_id),
			       name_of(m->subscription_group_name));
		if (!buffer.failed)
			create_or_update(c, r, m, create, key);
	} else {
		refuse_body(c, r);
	}
	buffer_free(&buffer);
	es__create_persistent_subscription__free_unpacked(m, NULL);
}

void handle_group_create(struct connection *c, const struct request *r)
{
	handle_settings(c, r, true);
}

void handle_group_update(struct connection *c, const struct request *r)
{
	handle_settings(c, r, false);
}

/* Delete --------------------------------------------------------------------------------------- */

void handle_group_delete(struct connection *c, const struct request *r)
{
	enum command reply = CMD_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED;
	Es__DeletePersistentSubscription *m =
		es__delete_persistent_subscription__unpack(NULL, r->body.len, r->body.at);
	struct buffer buffer = { 0 };
	struct group *group;

	if (m == NULL) {
		refuse_body(c, r);
		return;
	}
	group = group_find(c->server, make_key(&buffer, name_of(m->event_stream_id),
					       name_of(m->subscription_group_name)));
	if (!may_manage(c, r)) {
		reply_group(c, reply, r->correlation, GROUP_DENIED, "Access denied.");
	} else if (group == NULL) {
		reply_group(c, reply, r->correlation, GROUP_WRONG, "The group does not exist.");
	} else {
		group_delete(group);
		reply_group(c, reply, r->correlation, GROUP_SUCCESS, "");
	}
	buffer_free(&buffer);
	es__delete_persistent_subscription__free_unpacked(m, NULL);
}

/* Connect -------------------------------------------------------------------------------------- */

#define DROP_REASON(name) ES__SUBSCRIPTION_DROPPED__SUBSCRIPTION_DROP_REASON__##name

static void connect_group(struct connection *c, const struct request *r,
			  const Es__ConnectToPersistentSubscription *m, struct span key)
{
	const struct store *store = &c->server->store;
	struct span stream = name_of(m->event_stream_id);
	struct group *group = group_find(c->server, key);

	if ((r->user == NULL && !store->traits->anonymous_groups) ||
	    !access_allowed(store, r->user, stream, store_find(store, stream), ACTION_READ))
		reply_dropped(c, r->correlation, DROP_REASON(AccessDenied));
	else if (group == NULL)
		reply_dropped(c, r->correlation, DROP_REASON(NotFound));
	else if (group_is_full(group))
		reply_dropped(c, r->correlation, DROP_REASON(SubscriberMaxCountReached));
	else
		group_join(group, c, r->correlation, m->allowed_in_flight_messages);
}

void handle_group_connect(struct connection *c, const struct request *r)
{
	Es__ConnectToPersistentSubscription *m =
		es__connect_to_persistent_subscription__unpack(NULL, r->body.len, r->body.at);
	struct buffer buffer = { 0 };

	if (m != NULL && name_of(m->subscription_id).len > 0 &&
	    name_of(m->event_stream_id).len > 0 && m->allowed_in_flight_messages >= 0)
		connect_group(c, r, m,
			      make_key(&buffer, name_of(m->event_stream_id),
				       name_of(m->subscription_id)));
	else
		refuse_body(c, r);
	buffer_free(&buffer);
	es__connect_to_persistent_subscription__free_unpacked(m, NULL);
}

/* Ack and nak ---------------------------------------------------------------------------------- */

/* PersistentSubscriptionAckEvents, or PersistentSubscriptionNakEvents, which has more. */
struct answer {
	struct span key;
	struct span reason;
	uint64_t action;
	size_t count; /* of ids */
};

static const enum nak naks[] = {
	[ES__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__NAK_ACTION__Unknown] = NAK_RETRY,
	[ES__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__NAK_ACTION__Park] = NAK_PARK,
	[ES__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__NAK_ACTION__Retry] = NAK_RETRY,
	[ES__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__NAK_ACTION__Skip] = NAK_DONE,
	[ES__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__NAK_ACTION__Stop] = NAK_DONE,
};

static bool read_answer_field(struct answer *answer, const struct field *f)
{
	switch (f->number) {
	case 1:
		answer->key = f->bytes;
		return f->type == WIRE_BYTES;
	case 2:
		answer->count++;
		return f->type == WIRE_BYTES && f->bytes.len == GUID_BYTES;
	case 3:
		answer->reason = f->bytes;
		return f->type == WIRE_BYTES;
	case 4:
		answer->action = f->value;
		return f->type == WIRE_VARINT && f->value < sizeof(naks) / sizeof(naks[0]);
	default:
		return true; /* of a later version of the protocol */
	}
}

/* NOTHING: an answer to no message will do. */
static bool read_answer(struct answer *answer, struct span body, bool nothing)
{
	struct fields fields = fields_of(body);
	struct field f;

	while (field_next(&fields, &f)) {
		if (!read_answer_field(answer, &f))
			return false;
	}
	return !fields.bad && (nothing || (answer->key.len > 0 && answer->count > 0));
}

static void answer_each(struct group *group, const struct request *r, const struct answer *answer,
			bool ack)
{
	struct fields fields = fields_of(r->body);
	struct field f;
	struct guid id;

	while (field_next(&fields, &f)) {
		if (f.number != 2)
			continue;
		memcpy(id.bytes, f.bytes.at, GUID_BYTES);
		if (ack)
			group_acknowledge(group, r->correlation, &id);
		else
			group_refuse(group, r->correlation, &id, naks[answer->action],
				     answer->reason);
	}
	group_go_on(group);
}

/* Neither is ever answered, but where it cannot be read. */
static void handle_answer(struct connection *c, const struct request *r, bool ack)
{
	struct answer answer = { 0 };
	struct group *group;

	if (!read_answer(&answer, r->body, traits_of(c)->acks_nothing)) {
		refuse_body(c, r);
		return;
	}
	group = group_find(c->server, answer.key);
	if (group != NULL)
		answer_each(group, r, &answer, ack);
}

void handle_group_ack(struct connection *c, const struct request *r)
{
	handle_answer(c, r, true);
}

void handle_group_nak(struct connection *c, const struct request *r)
{
	handle_answer(c, r, false);
}
