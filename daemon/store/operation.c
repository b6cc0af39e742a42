#include "store/operation.h"

#include "base/account.h"
#include "store/command.h"
#include "store/filters.h"
#include "store/not_handled.h"

static void on_package(struct conversation *c, const struct package *package);
static void on_too_large(struct conversation *c);
static void on_deadline(void *arg);

void operation_init(struct operation *op, struct store *store)
{
	op->store = store;
	op->conversation.package = on_package;
	op->conversation.too_large = on_too_large;
	link_init(&op->link);
	parcel_init(&op->parcel);
	deadline_init(&op->deadline, on_deadline, op);
}

/* Large packages are the account's business; what is left for small ones is a quarter of it. */
static size_t small_bytes(const struct operation *op)
{
	size_t len = buffer_len(&op->frame);

	return len > ACCOUNT_LARGE ? 0 : len;
}

/* The one place where the state changes. */
static void set_state(struct operation *op, enum operation_state state)
{
	struct store *store = op->store;

	if (op->state == OPERATION_IN_FLIGHT) {
		connection_take_back(store->connection, &op->parcel);
		conversation_close(store, &op->conversation);
		store->in_flight_count--;
	}
	if (op->state == OPERATION_IDLE) {
		store->operation_count++;
		store->small_bytes += small_bytes(op);
	}
	list_remove(&op->link);
	op->state = state;
	switch (state) {
	case OPERATION_IDLE:
		loop_clear_deadline(store->loop, &op->deadline);
		store->operation_count--;
		store->small_bytes -= small_bytes(op);
		break;
	case OPERATION_WAITING:
		break;
	case OPERATION_IN_FLIGHT:
		conversation_open(store, &op->conversation, &op->conversation.node.id);
		list_append(&store->in_flight, &op->link);
		store->in_flight_count++;
		break;
	}
}

static void end(struct operation *op, enum operation_end how, const struct package *package)
{
	set_state(op, OPERATION_IDLE);
	op->ended(op, how, package);
}

/* Puts OP among those that wait, at the place of its sequence: what is sent again keeps its order.
 */
static void wait_in_order(struct operation *op)
{
	struct store *store = op->store;
	struct link *l = store->waiting.prev;

	set_state(op, OPERATION_WAITING);
	/* What comes back after a loss is older than all that waits. */
	if (!list_empty(&store->waiting) &&
	    CONTAINER(store->waiting.next, struct operation, link)->sequence > op->sequence)
		l = &store->waiting;
	while (l != &store->waiting &&
	       CONTAINER(l, struct operation, link)->sequence > op->sequence)
		l = l->prev;
	list_insert_before(l->next, &op->link);
}

static void send_now(struct operation *op)
{
	struct store *store = op->store;

	if (op->sent)
		store->counters.repeated++;
	op->sent = true;
	store->turns.others += !op->has_turn;
	if (op->filtered)
		filters_ask(store);
	set_state(op, OPERATION_IN_FLIGHT);
	connection_send(store->connection, &op->frame, &op->parcel);
}

bool operation_start(struct operation *op, const struct guid *id, uint64_t timeout_ms)
{
	struct store *store = op->store;

	if (store->operation_count >= store->settings.operations_most ||
	    account_refuses(buffer_len(&op->frame)) ||
	    store->small_bytes + small_bytes(op) > account.limit / 4)
		return false;
	op->conversation.node.id = *id;
	op->sequence = ++store->sequence;
	op->sent = op->doubtful = false;
	store->counters.operations++;
	if (store_may_send(store) && list_empty(&store->waiting))
		send_now(op);
	else
		wait_in_order(op);
	loop_set_deadline(store->loop, &op->deadline, timeout_ms);
	return true;
}

void operation_cancel(struct operation *op)
{
	if (op->state != OPERATION_IDLE)
		set_state(op, OPERATION_IDLE);
}

static void on_deadline(void *arg)
{
	struct operation *op = arg;

	op->store->counters.timeouts++;
	if (op->state == OPERATION_IN_FLIGHT)
		end(op, OPERATION_TIMEOUT, NULL);
	else
		end(op, op->sent || op->doubtful ? OPERATION_LOST : OPERATION_UNAVAILABLE, NULL);
}

static void on_package(struct conversation *c, const struct package *package)
{
	struct operation *op = CONTAINER(c, struct operation, conversation);

	if (op->sequence > op->store->answered)
		op->store->answered = op->sequence;
	if (package->command == op->answer ||
	    (package->command == op->other_answer && op->other_answer != 0)) {
		end(op, OPERATION_ANSWERED, package);
		return;
	}
	switch (package->command) {
	case CMD_BAD_REQUEST:
		end(op, OPERATION_BAD_REQUEST, package);
		break;
	case CMD_NOT_AUTHENTICATED:
		end(op, OPERATION_NOT_AUTHENTICATED, package);
		break;
	case CMD_NOT_HANDLED:
		if (not_handled_passes(package)) {
			/* The store did nothing with it this time: whatever it is, it may be sent
			 * again. */
			op->sent = false;
			wait_in_order(op);
			store_not_handled(op->store, package);
		} else {
			end(op, OPERATION_NOT_HANDLED, package);
		}
		break;
	default: /* commands are the peer's numbers, not ours */
		end(op, OPERATION_UNEXPECTED, package);
		break;
	}
}

static void on_too_large(struct conversation *c)
{
	end(CONTAINER(c, struct operation, conversation), OPERATION_TOO_LARGE, NULL);
}

void operations_send(struct store *store)
{
	struct link *l;

	while (store_may_send(store) && (l = list_first(&store->waiting)) != NULL)
		send_now(CONTAINER(l, struct operation, link));
}

/* From the last to the first, so that each finds its place among the waiting at once. */
static void put_back(struct store *store, struct link *lost)
{
	struct link *l = store->in_flight.prev;

	while (l != &store->in_flight) {
		struct operation *op = CONTAINER(l, struct operation, link);

		l = l->prev;
		if (op->repeatable) {
			op->doubtful = true;
			wait_in_order(op);
		} else {
			set_state(op, OPERATION_WAITING);
			list_prepend(lost, &op->link);
		}
	}
}

void operations_lost(struct store *store)
{
	struct link lost;
	struct link *l;

	link_init(&lost);
	put_back(store, &lost);
	while ((l = list_first(&lost)) != NULL)
		end(CONTAINER(l, struct operation, link), OPERATION_LOST, NULL);
}

void operations_stop(struct store *store)
{
	struct link *l;

	while ((l = list_first(&store->in_flight)) != NULL)
		end(CONTAINER(l, struct operation, link), OPERATION_CANCELLED, NULL);
	while ((l = list_first(&store->waiting)) != NULL)
		end(CONTAINER(l, struct operation, link), OPERATION_CANCELLED, NULL);
}
