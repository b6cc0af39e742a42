#include "store/filters.h"

#include "store/command.h"
#include "store/wire_write.h"

static void close_question(struct store *store)
{
	conversation_close(store, &store->filters_question);
}

static void on_package(struct conversation *c, const struct package *package)
{
	struct store *store = CONTAINER(c, struct store, filters_question);

	close_question(store);
	store->filters = package->command == CMD_BAD_REQUEST ? FILTERS_REFUSED : FILTERS_ASKED;
}

static void on_too_large(struct conversation *c)
{
	close_question(CONTAINER(c, struct store, filters_question));
}

/* The shortest question: one event from the start of the log, by a prefix that is of none. */
static void write_question(struct buffer *out)
{
	static const uint8_t filter[] = { 0x08, 0, 0x10, 1, 0x1a, 1, '?' };

	wire_int(out, 1, 0);
	wire_int(out, 2, 0);
	wire_int(out, 3, 1);
	wire_int(out, 4, 1);
	wire_int(out, 5, 0);
	wire_int(out, 6, 0);
	wire_bytes(out, 7, filter, sizeof(filter));
}

void filters_ask(struct store *store)
{
	struct buffer *out = connection_out(store->connection);
	struct guid id;
	size_t began;

	if (store->filters != FILTERS_NOT_ASKED)
		return;
	store->filters = FILTERS_ASKED;
	store->filters_question.package = on_package;
	store->filters_question.too_large = on_too_large;
	guid_make(&id);
	conversation_open(store, &store->filters_question, &id);
	began = frame_begin(out, CMD_FILTERED_READ_ALL_EVENTS_FORWARD, &id, NULL);
	write_question(out);
	frame_end(out, began);
	connection_flush(store->connection);
}

bool filters_refused(const struct store *store)
{
	return store->filters == FILTERS_REFUSED;
}

void filters_forget(struct store *store)
{
	close_question(store);
	store->filters = FILTERS_NOT_ASKED;
}
