#include "store/subscription.h"

#include "base/log.h"
#include "store/command.h"
#include "store/farewell.h"
#include "store/filters.h"
#include "store/not_handled.h"
#include "store/wire_write.h"

enum {
	IDS_MOST = 2000, /* ids in one package of acks, the bound that the .NET client keeps */
};

/* What is particular to a kind: its commands, and how its packages are read. */
struct kind {
	uint8_t request;
	uint8_t confirmation;
	uint8_t event;
	uint32_t confirmed_number; /* the field of last_event_number */
	uint32_t confirmed_id;     /* the field of the group's id; 0: none */
};

static const struct kind kinds[] = {
	[SUBSCRIPTION_LIVE] = { CMD_SUBSCRIBE_TO_STREAM, CMD_SUBSCRIPTION_CONFIRMATION,
				CMD_STREAM_EVENT_APPEARED, 2, 0 },
	[SUBSCRIPTION_FILTERED] = { CMD_FILTERED_SUBSCRIBE_TO_STREAM, CMD_SUBSCRIPTION_CONFIRMATION,
				    CMD_STREAM_EVENT_APPEARED, 2, 0 },
	[SUBSCRIPTION_PERSISTENT] = { CMD_CONNECT_TO_PERSISTENT_SUBSCRIPTION,
				      CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION,
				      CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED, 3, 2 },
};

static bool is_open(enum subscription_state state)
{
	return state >= SUBSCRIPTION_ASKED;
}

/* The one place where the state changes. */
static void set_state(struct subscription *sub, enum subscription_state state)
{
	struct store *store = sub->store;

	if (is_open(sub->state) && !is_open(state))
		conversation_close(store, &sub->conversation);
	if (!is_open(sub->state) && is_open(state)) {
		struct guid id;

		guid_next(&id);
		conversation_open(store, &sub->conversation, &id);
	}
	loop_clear_deadline(store->loop, &sub->silence);
	if (state == SUBSCRIPTION_CONFIRMED)
		sub->asked = 0;
	if (state == SUBSCRIPTION_IDLE)
		list_remove(&sub->link);
	else if (sub->state == SUBSCRIPTION_IDLE)
		list_append(&store->subscriptions, &sub->link);
	sub->state = state;
}

static void send_package(struct subscription *sub, uint8_t command, const void *payload, size_t len)
{
	struct connection *connection = sub->store->connection;

	frame_add(connection_out(connection), command, &sub->conversation.node.id,
		  &sub->credentials, payload, len);
	connection_flush(connection);
}

static void ask(struct subscription *sub)
{
	set_state(sub, SUBSCRIPTION_ASKED);
	sub->asked++;
	if (sub->kind == SUBSCRIPTION_FILTERED)
		filters_ask(sub->store);
	loop_set_deadline(sub->store->loop, &sub->silence, sub->store->settings.ask_again);
	send_package(sub, kinds[sub->kind].request, buffer_at(&sub->request),
		     buffer_len(&sub->request));
}

static void leave(struct subscription *sub)
{
	sub->asked++;
	send_package(sub, CMD_UNSUBSCRIBE_FROM_STREAM, NULL, 0);
}

/* The store is told that nobody has what SUB stood for so far. SUB has the state NEXT then. */
static void let_go(struct subscription *sub, enum subscription_state next)
{
	struct guid id = sub->conversation.node.id;

	send_package(sub, CMD_UNSUBSCRIBE_FROM_STREAM, NULL, 0);
	set_state(sub, next);
	farewell_begin(sub->store, &id);
}

static void end(struct subscription *sub, enum subscription_end why, const struct package *package)
{
	set_state(sub, SUBSCRIPTION_IDLE);
	sub->events->ended(sub->arg, why, package);
}

/*
 * The store stands and does not answer. What it has not read yet, or answers late, must not become
 * a second subscription: it is ended under its old correlation id, and asked for under a new one.
 */
static void on_silence(void *arg)
{
	struct subscription *sub = arg;

	if (sub->state == SUBSCRIPTION_LEAVING) {
		leave(sub);
		return;
	}
	log_write(LOG_WARNING, "the store does not answer a subscription, asking again asked=%u",
		  sub->asked);
	let_go(sub, SUBSCRIPTION_WAITING);
	if (store_may_send(sub->store))
		ask(sub);
}

/* Ends SUB for a fault in what the store sent; the store has to be told. */
static void abandon(struct subscription *sub, enum subscription_end why,
		    const struct package *package)
{
	if (sub->state == SUBSCRIPTION_CONFIRMED && sub->events->ending != NULL)
		sub->events->ending(sub->arg);
	let_go(sub, SUBSCRIPTION_IDLE);
	end(sub, why, package);
}

/* Packages -------------------------------------------------------------------------------------- */

static bool read_confirmed(const struct kind *kind, const struct package *package,
			   struct subscription_confirmed *confirmed)
{
	struct wire w;
	struct wire_field f = { .number = 0 };

	*confirmed = (struct subscription_confirmed){ .numbered = false };
	wire_start(&w, package->payload, package->payload_len);
	while (wire_next(&w, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT) {
			confirmed->last_commit_position = (int64_t)f.value;
		} else if (f.number == kind->confirmed_number && f.type == WIRE_VARINT) {
			confirmed->numbered = true;
			confirmed->last_event_number = (int64_t)f.value;
		} else if (f.number == kind->confirmed_id && f.type == WIRE_BYTES) {
			confirmed->id = f.bytes;
		}
	}
	return !w.broken;
}

static void on_confirmed(struct subscription *sub, const struct package *package)
{
	struct subscription_confirmed confirmed;

	if (sub->state == SUBSCRIPTION_LEAVING)
		return;
	if (sub->state != SUBSCRIPTION_ASKED ||
	    !read_confirmed(&kinds[sub->kind], package, &confirmed)) {
		abandon(sub, SUBSCRIPTION_UNEXPECTED, package);
		return;
	}
	set_state(sub, SUBSCRIPTION_CONFIRMED);
	sub->events->confirmed(sub->arg, &confirmed);
}

static void on_event(struct subscription *sub, const struct package *package)
{
	struct resolved_event event;
	struct span bytes = { NULL, 0 };
	int32_t retries = -1;
	struct wire w;
	struct wire_field f = { .number = 0 };

	if (sub->state == SUBSCRIPTION_LEAVING)
		return;
	wire_start(&w, package->payload, package->payload_len);
	while (wire_next(&w, &f)) {
		if (f.number == 1 && f.type == WIRE_BYTES)
			bytes = f.bytes;
		else if (f.number == 2 && f.type == WIRE_VARINT)
			retries = (int32_t)f.value;
	}
	if (w.broken || sub->state != SUBSCRIPTION_CONFIRMED ||
	    !resolved_event_read(bytes, &event) || (!event.event.present && !event.link.present)) {
		abandon(sub, SUBSCRIPTION_UNEXPECTED, package);
		return;
	}
	/* Servers from 22.10 on leave zeros out: on the log of all streams there is a position 0.
	 */
	event.positioned = sub->kind != SUBSCRIPTION_PERSISTENT;
	sub->events->event(sub->arg, &event, retries);
}

static void on_dropped(struct subscription *sub, const struct package *package)
{
	uint64_t reason = SUBSCRIPTION_UNSUBSCRIBED;
	struct wire w;
	struct wire_field f = { .number = 0 };

	wire_start(&w, package->payload, package->payload_len);
	while (wire_next(&w, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT)
			reason = f.value;
	}
	if (w.broken || reason > SUBSCRIPTION_TOO_MANY)
		end(sub, SUBSCRIPTION_UNEXPECTED, package);
	else
		end(sub, (enum subscription_end)reason, package);
}

/* A store that has not handled the end of a subscription goes on with it: it is asked again. */
static void on_not_handled(struct subscription *sub, const struct package *package)
{
	if (sub->state == SUBSCRIPTION_LEAVING && sub->asked < FAREWELL_ASKS) {
		loop_set_deadline(sub->store->loop, &sub->silence, FAREWELL_PAUSE);
		return;
	}
	if (sub->state != SUBSCRIPTION_ASKED || !not_handled_passes(package)) {
		end(sub, SUBSCRIPTION_NOT_HANDLED, package);
		return;
	}
	set_state(sub, SUBSCRIPTION_WAITING);
	store_not_handled(sub->store, package);
}

static void on_package(struct conversation *c, const struct package *package)
{
	struct subscription *sub = CONTAINER(c, struct subscription, conversation);
	const struct kind *kind = &kinds[sub->kind];

	if (package->command == kind->event)
		on_event(sub, package);
	else if (package->command == kind->confirmation)
		on_confirmed(sub, package);
	else if (package->command == CMD_SUBSCRIPTION_DROPPED)
		on_dropped(sub, package);
	else if (package->command == CMD_NOT_HANDLED)
		on_not_handled(sub, package);
	else if (package->command == CMD_BAD_REQUEST)
		end(sub, SUBSCRIPTION_BAD_REQUEST, package);
	else if (package->command == CMD_NOT_AUTHENTICATED)
		end(sub, SUBSCRIPTION_NOT_AUTHENTICATED, package);
	else if (package->command !=
		 CMD_CHECKPOINT_REACHED) /* nobody asks for it, and it harms nobody */
		abandon(sub, SUBSCRIPTION_UNEXPECTED, package);
}

static void on_too_large(struct conversation *c)
{
	struct subscription *sub = CONTAINER(c, struct subscription, conversation);

	if (sub->state != SUBSCRIPTION_LEAVING)
		abandon(sub, SUBSCRIPTION_TOO_LARGE, NULL);
}

/* For the owner --------------------------------------------------------------------------------- */

void subscription_start(struct subscription *sub, struct store *store)
{
	sub->store = store;
	sub->conversation.package = on_package;
	sub->conversation.too_large = on_too_large;
	sub->asked = 0;
	deadline_init(&sub->silence, on_silence, sub);
	link_init(&sub->link);
	set_state(sub, SUBSCRIPTION_WAITING);
	if (store_may_send(store))
		ask(sub);
}

bool subscription_leave(struct subscription *sub)
{
	if (sub->state != SUBSCRIPTION_ASKED && sub->state != SUBSCRIPTION_CONFIRMED) {
		if (sub->state == SUBSCRIPTION_WAITING)
			set_state(sub, SUBSCRIPTION_IDLE);
		return sub->state == SUBSCRIPTION_LEAVING;
	}
	set_state(sub, SUBSCRIPTION_LEAVING);
	sub->asked = 0;
	leave(sub);
	return true;
}

void subscription_cancel(struct subscription *sub)
{
	if (is_open(sub->state))
		let_go(sub, SUBSCRIPTION_IDLE);
	else if (sub->state == SUBSCRIPTION_WAITING)
		set_state(sub, SUBSCRIPTION_IDLE);
}

static size_t begin_ids(struct subscription *sub, uint8_t command, struct span name,
			const struct guid *ids, size_t count)
{
	struct buffer *out = connection_out(sub->store->connection);
	size_t began = frame_begin(out, command, &sub->conversation.node.id, &sub->credentials);

	wire_bytes(out, 1, name.at, name.len);
	for (size_t i = 0; i < count; i++)
		wire_bytes(out, 2, ids[i].bytes, GUID_BYTES);
	return began;
}

static void end_ids(struct subscription *sub, size_t began)
{
	frame_end(connection_out(sub->store->connection), began);
	connection_flush(sub->store->connection);
}

void subscription_ack(struct subscription *sub, struct span name, const struct guid *ids,
		      size_t count)
{
	while (count > 0 && sub->state == SUBSCRIPTION_CONFIRMED) {
		size_t n = count < IDS_MOST ? count : IDS_MOST;

		end_ids(sub, begin_ids(sub, CMD_PERSISTENT_SUBSCRIPTION_ACK_EVENTS, name, ids, n));
		ids += n;
		count -= n;
	}
}

void subscription_nack(struct subscription *sub, struct span name, const struct guid *ids,
		       size_t count, int action, const char *reason, size_t reason_len)
{
	while (count > 0 && sub->state == SUBSCRIPTION_CONFIRMED) {
		struct buffer *out = connection_out(sub->store->connection);
		size_t n = count < IDS_MOST ? count : IDS_MOST;
		size_t began = begin_ids(sub, CMD_PERSISTENT_SUBSCRIPTION_NAK_EVENTS, name, ids, n);

		if (reason_len > 0)
			wire_bytes(out, 3, reason, reason_len);
		wire_int(out, 4, action);
		end_ids(sub, began);
		ids += n;
		count -= n;
	}
}

/* For the store --------------------------------------------------------------------------------- */

void subscriptions_send(struct store *store)
{
	struct link *l = list_first(&store->subscriptions);

	while (l != NULL && store_may_send(store)) {
		struct subscription *sub = CONTAINER(l, struct subscription, link);

		l = list_next(&store->subscriptions, l);
		if (sub->state == SUBSCRIPTION_WAITING)
			ask(sub);
	}
}

static void lose(struct subscription *sub, const char *reason)
{
	enum subscription_state was = sub->state;

	if (was == SUBSCRIPTION_LEAVING) {
		end(sub, SUBSCRIPTION_UNSUBSCRIBED, NULL);
		return;
	}
	if (was != SUBSCRIPTION_WAITING)
		set_state(sub, SUBSCRIPTION_WAITING);
	if (was == SUBSCRIPTION_CONFIRMED)
		sub->events->lost(sub->arg, reason);
}

void subscriptions_lost(struct store *store, const char *reason)
{
	struct link *l = list_first(&store->subscriptions);

	while (l != NULL) {
		struct link *next = list_next(&store->subscriptions, l);

		lose(CONTAINER(l, struct subscription, link), reason);
		l = next;
	}
}
