#include "store/store.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/farewell.h"
#include "store/filters.h"
#include "store/not_handled.h"
#include "store/operation.h"
#include "store/subscription.h"

enum { NOT_READY_PAUSE = 200 }; /* milliseconds until the store is asked again */

void store_watch(struct store *store, struct watcher *w)
{
	link_init(&w->link);
	list_append(&store->watchers, &w->link);
}

void store_unwatch(struct watcher *w)
{
	list_remove(&w->link);
}

/* Watchers may leave from inside their call, themselves alone. */
static void tell_watchers(struct store *store, bool ready)
{
	struct link *l = list_first(&store->watchers);

	while (l != NULL) {
		struct watcher *w = CONTAINER(l, struct watcher, link);

		l = list_next(&store->watchers, l);
		(ready ? w->ready : w->lost)(w);
	}
}

void store_relieve(struct store *store)
{
	struct link *l;

	for (l = list_first(&store->watchers); l != NULL; l = list_next(&store->watchers, l)) {
		struct watcher *w = CONTAINER(l, struct watcher, link);

		w->relieve(w);
	}
}

/* Subscriptions are re-made first, then what waits is sent. */
static void send_all(struct store *store)
{
	subscriptions_send(store);
	operations_send(store);
}

static void on_ready(void *arg)
{
	struct store *store = arg;

	loop_clear_deadline(store->loop, &store->pause);
	store->changed(store->arg, true);
	subscriptions_send(store);
	tell_watchers(store, true);
	operations_send(store);
}

static void on_pause_over(void *arg)
{
	send_all(arg);
}

static void on_lost(void *arg, const char *reason)
{
	struct store *store = arg;

	store->counters.losses++;
	filters_forget(store);
	loop_clear_deadline(store->loop, &store->pause);
	farewells_forget(store);
	subscriptions_lost(store, reason);
	tell_watchers(store, false);
	operations_lost(store);
	store->changed(store->arg, false);
}

static struct conversation *find(const struct store *store, const struct guid *id)
{
	struct idnode *node = idtable_find(&store->conversations, id);

	return node == NULL ? NULL : CONTAINER(node, struct conversation, node);
}

/* A package for no conversation is an answer that came too late, or an event after an unsubscribe.
 */
static void on_package(void *arg, const struct package *package)
{
	struct conversation *c = find(arg, &package->correlation);

	if (c != NULL)
		c->package(c, package);
}

static bool on_too_large(void *arg, const struct package *head)
{
	struct conversation *c = find(arg, &head->correlation);

	if (c == NULL)
		return false;
	c->too_large(c);
	return true;
}

static void on_gave_up(void *arg)
{
	struct store *store = arg;

	store->gave_up(store->arg);
	/* What waits for a connection would wait in vain. */
	operations_stop(store);
}

static const struct connection_events connection_events = {
	.ready = on_ready,
	.lost = on_lost,
	.package = on_package,
	.too_large = on_too_large,
	.gave_up = on_gave_up,
};

struct store *store_new(struct loop *loop, const struct store_settings *settings,
			void (*gave_up)(void *arg), void (*changed)(void *arg, bool ready),
			void *arg)
{
	struct store *store = mem_new(sizeof(*store));

	store->loop = loop;
	store->settings = *settings;
	store->gave_up = gave_up;
	store->changed = changed;
	store->arg = arg;
	link_init(&store->waiting);
	link_init(&store->in_flight);
	link_init(&store->subscriptions);
	link_init(&store->lives);
	link_init(&store->farewells);
	link_init(&store->watchers);
	turns_init(&store->turns, loop);
	deadline_init(&store->pause, on_pause_over, store);
	store->connection = connection_new(loop, &settings->connection, &connection_events, store);
	return store;
}

void store_free(struct store *store)
{
	farewells_forget(store);
	connection_free(store->connection);
	loop_clear_deadline(store->loop, &store->pause);
	turns_stop(&store->turns);
	idtable_free(&store->conversations);
	free(store);
}

void store_start(struct store *store)
{
	connection_start(store->connection);
}

void store_stop(struct store *store)
{
	turns_stop(&store->turns);
	operations_stop(store);
	connection_stop(store->connection);
}

void conversation_open(struct store *store, struct conversation *c, const struct guid *id)
{
	c->node.id = *id;
	idtable_insert(&store->conversations, &c->node);
}

void conversation_close(struct store *store, struct conversation *c)
{
	idtable_remove(&store->conversations, &c->node);
}

void store_not_handled(struct store *store, const struct package *package)
{
	struct not_handled answer;

	not_handled_read(package, connection_is_secure(store->connection), &answer);
	if (answer.host[0] != '\0') {
		log_write(
			LOG_NOTICE,
			"this node is not the leader, connecting to the one it names leader=%s:%u",
			log_text(answer.host, strlen(answer.host)), answer.port);
		connection_redirect(store->connection, answer.host, answer.port);
	} else if (!deadline_is_set(&store->pause)) {
		loop_set_deadline(store->loop, &store->pause, NOT_READY_PAUSE);
	}
}
