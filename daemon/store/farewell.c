#include "store/farewell.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/command.h"

enum { FAREWELLS_MOST = 4096 }; /* that one store has at one time; more are not followed */

struct farewell {
	struct conversation conversation;
	struct link link;
	struct store *store;
	struct deadline next; /* when it is asked again, or given up */
	unsigned asked;
	bool refused; /* the store has not handled what was sent last */
};

static void forget(struct farewell *f)
{
	struct store *store = f->store;

	conversation_close(store, &f->conversation);
	loop_clear_deadline(store->loop, &f->next);
	list_remove(&f->link);
	store->farewell_count--;
	loop_park(store->loop, f, free);
}

static void on_next(void *arg)
{
	struct farewell *f = arg;
	struct connection *connection = f->store->connection;

	if (!f->refused) {
		forget(f);
		return;
	}
	f->refused = false;
	f->asked++;
	loop_set_deadline(f->store->loop, &f->next, f->store->settings.ask_again);
	/* Nobody's credentials are kept for it: the store asks for none. */
	frame_add(connection_out(connection), CMD_UNSUBSCRIBE_FROM_STREAM, &f->conversation.node.id,
		  NULL, NULL, 0);
	connection_flush(connection);
}

/* What the subscription still brings is nobody's. */
static void on_package(struct conversation *c, const struct package *package)
{
	struct farewell *f = CONTAINER(c, struct farewell, conversation);

	if (package->command == CMD_NOT_HANDLED && f->asked < FAREWELL_ASKS) {
		f->refused = true;
		loop_set_deadline(f->store->loop, &f->next, FAREWELL_PAUSE);
	} else if (package->command == CMD_SUBSCRIPTION_DROPPED ||
		   package->command == CMD_NOT_HANDLED || package->command == CMD_BAD_REQUEST ||
		   package->command == CMD_NOT_AUTHENTICATED) {
		forget(f);
	}
}

static void on_too_large(struct conversation *c)
{
	(void)c;
}

void farewell_begin(struct store *store, const struct guid *id)
{
	struct farewell *f;

	if (store->farewell_count >= FAREWELLS_MOST)
		return;
	f = mem_new(sizeof(*f));
	f->store = store;
	f->conversation.package = on_package;
	f->conversation.too_large = on_too_large;
	f->asked = 1;
	link_init(&f->link);
	list_append(&store->farewells, &f->link);
	store->farewell_count++;
	conversation_open(store, &f->conversation, id);
	deadline_init(&f->next, on_next, f);
	loop_set_deadline(store->loop, &f->next, store->settings.ask_again);
}

void farewells_forget(struct store *store)
{
	while (!list_empty(&store->farewells))
		forget(CONTAINER(list_first(&store->farewells), struct farewell, link));
}
