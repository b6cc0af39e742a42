#include "reply.h"

enum {
	PAGE_MOST = FRAME_MOST - 64 * 1024, /* leaves room for what follows a page's events */
	HTTP_PORT = 2113,
};

const char text_denied[] = "Access denied.";

static const char *const result_texts[] = {
	[ES__OPERATION_RESULT__Success] = NULL,
	[ES__OPERATION_RESULT__PrepareTimeout] = "Prepare phase timeout.",
	[ES__OPERATION_RESULT__CommitTimeout] = "Commit phase timeout.",
	[ES__OPERATION_RESULT__ForwardTimeout] = "Forward timeout.",
	[ES__OPERATION_RESULT__WrongExpectedVersion] = "Wrong expected version.",
	[ES__OPERATION_RESULT__StreamDeleted] = "Stream is deleted.",
	[ES__OPERATION_RESULT__InvalidTransaction] = "Invalid transaction.",
	[ES__OPERATION_RESULT__AccessDenied] = text_denied,
};

/* Fields of a reply as the version writes them: zero and empty values are written or left out. */
static void put_int(struct connection *c, unsigned number, int64_t value)
{
	if (value != 0 || traits_of(c)->zeros)
		add_int(&c->out, number, value);
}

static void put_text(struct connection *c, unsigned number, const char *text)
{
	if (text[0] != '\0' || traits_of(c)->zeros)
		add_text(&c->out, number, text);
}

void reply_empty(struct connection *c, enum command command, const struct guid *correlation)
{
	connection_end(c, connection_begin(c, command, correlation));
}

void reply_text(struct connection *c, enum command command, const struct guid *correlation,
		const char *text)
{
	size_t began = connection_begin(c, command, correlation);

	buffer_add_text(&c->out, text);
	connection_end(c, began);
}

void reply_bad_request(struct connection *c, const struct guid *correlation, const char *text)
{
	reply_text(c, CMD_BAD_REQUEST, correlation, text);
}

/* The additional information is a message in itself, of which the real server fills the addresses
 * for TCP and for HTTP. */
void reply_not_handled(struct connection *c, const struct guid *correlation, unsigned reason,
		       const char *host, unsigned port)
{
	size_t began = connection_begin(c, CMD_NOT_HANDLED, correlation);
	struct buffer info = { 0 };

	put_int(c, 1, reason);
	if (host != NULL) {
		/* Over TLS versions from 20.6 on leave the first pair out; 5.0 is asked for one of
		   the two alone. */
		bool secure = c->server->tls != NULL;

		add_text(&info, secure ? 5 : 1, host);
		add_int(&info, secure ? 6 : 2, port);
		add_text(&info, 3, host);
		add_int(&info, 4, HTTP_PORT);
		add_bytes(&c->out, 2, (struct span){ buffer_at(&info), buffer_len(&info) });
	}
	buffer_free(&info);
	connection_end(c, began);
}

/* Writes --------------------------------------------------------------------------------------- */

static void add_result(struct connection *c, unsigned first_field, Es__OperationResult result)
{
	put_int(c, first_field, result);
	if (result_texts[result] != NULL)
		put_text(c, first_field + 1, result_texts[result]);
}

void reply_write(struct connection *c, const struct guid *correlation, const struct outcome *o)
{
	size_t began = connection_begin(c, CMD_WRITE_EVENTS_COMPLETED, correlation);

	add_result(c, 1, o->result);
	put_int(c, 3, o->first);
	put_int(c, 4, o->last);
	put_int(c, 5, o->prepare);
	put_int(c, 6, o->commit);
	if (traits_of(c)->write_version)
		put_int(c, 7, o->current);
	connection_end(c, began);
}

void reply_delete(struct connection *c, const struct guid *correlation, const struct outcome *o)
{
	size_t began = connection_begin(c, CMD_DELETE_STREAM_COMPLETED, correlation);

	add_result(c, 1, o->result);
	put_int(c, 3, o->prepare);
	put_int(c, 4, o->commit);
	if (traits_of(c)->delete_version)
		put_int(c, 5, o->current);
	connection_end(c, began);
}

void reply_transaction(struct connection *c, enum command command, const struct guid *correlation,
		       int64_t id, Es__OperationResult result)
{
	size_t began = connection_begin(c, command, correlation);

	put_int(c, 1, id);
	add_result(c, 2, result);
	connection_end(c, began);
}

void reply_commit(struct connection *c, const struct guid *correlation, int64_t id,
		  const struct outcome *o)
{
	size_t began = connection_begin(c, CMD_TRANSACTION_COMMIT_COMPLETED, correlation);

	put_int(c, 1, id);
	add_result(c, 2, o->result);
	if (o->result == ES__OPERATION_RESULT__Success)
		put_text(c, 3, "");
	put_int(c, 4, o->first);
	put_int(c, 5, o->last);
	put_int(c, 6, o->prepare);
	put_int(c, 7, o->commit);
	connection_end(c, began);
}

/* Events --------------------------------------------------------------------------------------- */

/* A client of version 0 sees numbers of 32 bits; the only number that is ever larger is a
 * tombstone's. */
static int64_t number_for(const struct connection *c, int64_t number)
{
	return c->small_numbers && number == NUMBER_DELETED ? INT32_MAX : number;
}

static bool is_shortened(const struct connection *c, const struct record *record)
{
	return c->small_numbers && record->number == NUMBER_DELETED;
}

static size_t size_for(const struct connection *c, const struct record *record)
{
	if (!is_shortened(c, record))
		return record->size;
	return record->size - varint_size((uint64_t)NUMBER_DELETED) + varint_size(INT32_MAX);
}

static size_t field_size(const struct connection *c, const struct record *record)
{
	return record == NULL ? 0 : bytes_size(size_for(c, record));
}

static void add_record(struct connection *c, unsigned field, const struct record *record)
{
	size_t before, after;

	if (record == NULL)
		return;
	add_head(&c->out, field, size_for(c, record));
	if (!is_shortened(c, record)) {
		buffer_add(&c->out, record->bytes, record->size);
		return;
	}
	before = bytes_size(record->stream->node.name.len);
	after = before + 1 + varint_size((uint64_t)NUMBER_DELETED);
	buffer_add(&c->out, record->bytes, before);
	put_int(c, 2, INT32_MAX);
	buffer_add(&c->out, record->bytes + after, record->size - after);
}

/* The fields that ResolvedEvent and ResolvedIndexedEvent share. */
static size_t pair_size(const struct connection *c, const struct resolved *r)
{
	return field_size(c, r->event) + field_size(c, r->link);
}

static void add_pair(struct connection *c, const struct resolved *r)
{
	add_record(c, 1, r->event);
	add_record(c, 2, r->link);
}

static void add_indexed(struct connection *c, unsigned field, const struct resolved *r)
{
	add_head(&c->out, field, pair_size(c, r));
	add_pair(c, r);
}

static void add_positioned(struct connection *c, unsigned field, const struct resolved *r)
{
	const struct record *original = resolved_original(r);

	add_head(&c->out, field,
		 pair_size(c, r) + 2 + varint_size((uint64_t)original->commit) +
			 varint_size((uint64_t)original->prepare));
	add_pair(c, r);
	put_int(c, 3, original->commit);
	put_int(c, 4, original->prepare);
}

/* Reads ---------------------------------------------------------------------------------------- */

void reply_read_event(struct connection *c, const struct guid *correlation,
		      Es__ReadEventCompleted__ReadEventResult result, const struct resolved *event)
{
	static const struct resolved none;
	size_t began = connection_begin(c, CMD_READ_EVENT_COMPLETED, correlation);

	put_int(c, 1, result);
	add_indexed(c, 2, event != NULL ? event : &none);
	if (traits_of(c)->denies_first &&
	    result == ES__READ_EVENT_COMPLETED__READ_EVENT_RESULT__AccessDenied)
		put_text(c, 3, text_denied);
	connection_end(c, began);
}

bool page_has_room(const struct page *page, const struct resolved *resolved)
{
	size_t size = buffer_len(&page->c->out) - page->began;

	return page->count == 0 ||
	       size + pair_size(page->c, resolved) + 4 * FIELD_MOST <= PAGE_MOST;
}

void stream_page_begin(struct page *page, struct connection *c, enum command command,
		       const struct guid *correlation)
{
	*page = (struct page){ .c = c, .began = connection_begin(c, command, correlation) };
}

void stream_page_add(struct page *page, const struct resolved *resolved)
{
	add_indexed(page->c, 1, resolved);
	page->count++;
}

void stream_page_end(struct page *page, const struct stream_page_end *end)
{
	struct connection *c = page->c;

	put_int(c, 2, end->result);
	put_int(c, 3, end->next);
	put_int(c, 4, number_for(c, end->last));
	put_int(c, 5, end->end_of_stream);
	put_int(c, 6, end->no_position ? 0 : c->server->store.last_commit);
	put_text(c, 7, end->error);
	connection_end(c, page->began);
}

static bool is_filtered(enum command command)
{
	return command == CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED ||
	       command == CMD_FILTERED_READ_ALL_EVENTS_BACKWARD_COMPLETED;
}

void all_page_begin(struct page *page, struct connection *c, enum command command,
		    const struct guid *correlation, int64_t commit, int64_t prepare)
{
	*page = (struct page){ .c = c,
			       .began = connection_begin(c, command, correlation),
			       .filtered = is_filtered(command) };
	put_int(c, 1, commit);
	put_int(c, 2, prepare);
}

void all_page_add(struct page *page, const struct resolved *resolved)
{
	add_positioned(page->c, 3, resolved);
	page->count++;
}

void all_page_end(struct page *page, const struct all_page_end *end)
{
	struct connection *c = page->c;

	unsigned field = 6;

	put_int(c, 4, end->next_commit);
	put_int(c, 5, end->next_prepare);
	if (page->filtered)
		put_int(c, field++, end->end_of_stream);
	if (end->result != ES__READ_ALL_EVENTS_COMPLETED__READ_ALL_RESULT__Success)
		put_int(c, field, end->result);
	if (end->error != NULL)
		put_text(c, field + 1, end->error);
	connection_end(c, page->began);
}

/* Subscriptions -------------------------------------------------------------------------------- */

void reply_subscribed(struct connection *c, const struct guid *correlation, const int64_t *last)
{
	size_t began = connection_begin(c, CMD_SUBSCRIPTION_CONFIRMATION, correlation);

	put_int(c, 1, c->server->store.last_commit);
	if (last != NULL)
		put_int(c, 2, number_for(c, *last));
	connection_end(c, began);
}

void reply_appeared(struct connection *c, const struct guid *correlation,
		    const struct resolved *resolved)
{
	size_t began = connection_begin(c, CMD_STREAM_EVENT_APPEARED, correlation);

	add_positioned(c, 1, resolved);
	connection_end(c, began);
}

void reply_dropped(struct connection *c, const struct guid *correlation,
		   Es__SubscriptionDropped__SubscriptionDropReason reason)
{
	size_t began = connection_begin(c, CMD_SUBSCRIPTION_DROPPED, correlation);

	if (reason != ES__SUBSCRIPTION_DROPPED__SUBSCRIPTION_DROP_REASON__Unsubscribed)
		put_int(c, 1, reason);
	connection_end(c, began);
}

void reply_checkpoint(struct connection *c, const struct guid *correlation,
		      const struct record *record)
{
	size_t began = connection_begin(c, CMD_CHECKPOINT_REACHED, correlation);

	put_int(c, 1, record->commit);
	put_int(c, 2, record->prepare);
	connection_end(c, began);
}

void reply_group(struct connection *c, enum command command, const struct guid *correlation,
		 int result, const char *reason)
{
	size_t began = connection_begin(c, command, correlation);

	put_int(c, 1, result);
	put_text(c, 2, reason);
	connection_end(c, began);
}

void reply_joined(struct connection *c, const struct guid *correlation, struct span key,
		  int64_t last)
{
	size_t began = connection_begin(c, CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION, correlation);

	put_int(c, 1, c->server->store.last_commit);
	add_bytes(&c->out, 2, key);
	put_int(c, 3, number_for(c, last));
	connection_end(c, began);
}

void reply_delivered(struct connection *c, const struct guid *correlation,
		     const struct resolved *resolved, int32_t retry_count)
{
	size_t began =
		connection_begin(c, CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED, correlation);

	add_indexed(c, 1, resolved);
	if (traits_of(c)->retry_count)
		put_int(c, 2, retry_count);
	connection_end(c, began);
}

void reply_scavenged(struct connection *c, const struct guid *correlation, bool allowed)
{
	size_t began = connection_begin(c, CMD_SCAVENGE_DATABASE_COMPLETED, correlation);

	put_int(c, 1,
		allowed ? ES__SCAVENGE_DATABASE_COMPLETED__SCAVENGE_RESULT__Success
			: ES__SCAVENGE_DATABASE_COMPLETED__SCAVENGE_RESULT__Failed);
	if (!allowed)
		put_text(c, 2, text_denied);
	put_int(c, 3, 0);
	put_int(c, 4, 0);
	connection_end(c, began);
}

void reply_scavenge_started(struct connection *c, const struct guid *correlation, bool allowed)
{
	size_t began = connection_begin(c, CMD_SCAVENGE_DATABASE_COMPLETED, correlation);
	char text[GUID_TEXT + 1] = "";
	struct guid id;

	put_int(c, 1,
		allowed ? ES__SCAVENGE_DATABASE_RESPONSE__SCAVENGE_RESULT__Started
			: ES__SCAVENGE_DATABASE_RESPONSE__SCAVENGE_RESULT__Unauthorized);
	if (allowed) {
		guid_make(&id);
		guid_format(&id, text);
		put_text(c, 2, text);
	}
	connection_end(c, began);
}
