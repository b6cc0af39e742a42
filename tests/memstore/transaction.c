/*
 * TransactionStart, TransactionWrite and TransactionCommit.
 *
 * What a transaction wrote takes its place in the log at once and is seen when it is committed. A
 * transaction stays known for as long as the store, since a commit may come a second time.
 */
#include "base/mem.h"
#include "decide.h"
#include "handlers.h"
#include "reply.h"

/* A NewEvent message of a transaction, in the store's memory. */
struct pending {
	struct pending *next;
	int64_t prepare;
	int64_t prepare_end;
	struct span message;
};

/* In the store's memory, too. */
struct transaction {
	struct idnode node; /* in server.transactions, by its position in the log */
	struct stream *stream;
	int64_t expected;
	struct pending *first;
	struct pending **last; /* where the next one is hung in */
	bool committed;
};

static struct guid key_of(int64_t id)
{
	struct guid key = { 0 };

	memcpy(key.bytes, &id, sizeof(id));
	return key;
}

static struct transaction *find(const struct server *server, int64_t id)
{
	struct guid key = key_of(id);
	struct idnode *node = idtable_find(&server->transactions, &key);

	return node == NULL ? NULL : CONTAINER(node, struct transaction, node);
}

/* Start ---------------------------------------------------------------------------------------- */

static int64_t start(struct server *server, struct span name, int64_t expected)
{
	struct transaction *t = arena_take(&server->store.arena, sizeof(*t));
	int64_t id = store_take_position(&server->store, name.len);

	*t = (struct transaction){ .stream = store_stream(&server->store, name),
				   .expected = expected };
	t->node.id = key_of(id);
	t->last = &t->first;
	idtable_insert(&server->transactions, &t->node);
	return id;
}

void handle_transaction_start(struct connection *c, const struct request *r)
{
	Es__TransactionStart *m = es__transaction_start__unpack(NULL, r->body.len, r->body.at);
	struct store *store = &c->server->store;
	struct span name;

	if (m == NULL || m->expected_version < EXPECT_ANY || name_of(m->event_stream_id).len == 0) {
		refuse_body(c, r);
		es__transaction_start__free_unpacked(m, NULL);
		return;
	}
	name = field_text(r->body, 1);
	if (access_allowed(store, r->user, name, store_find(store, name), ACTION_WRITE))
		reply_transaction(c, CMD_TRANSACTION_START_COMPLETED, r->correlation,
				  start(c->server, name, m->expected_version),
				  ES__OPERATION_RESULT__Success);
	else
		reply_transaction(c, CMD_TRANSACTION_START_COMPLETED, r->correlation, -1,
				  ES__OPERATION_RESULT__AccessDenied);
	es__transaction_start__free_unpacked(m, NULL);
}

/* Write ---------------------------------------------------------------------------------------- */

static void add_pending(struct store *store, struct transaction *t, struct span message)
{
	struct pending *p = arena_take(&store->arena, sizeof(*p) + message.len);
	uint8_t *copy = (uint8_t *)(p + 1);

	memcpy(copy, message.at, message.len);
	*p = (struct pending){ .message = { copy, message.len } };
	p->prepare = store_take_position(store, message.len);
	p->prepare_end = store->end;
	*t->last = p;
	t->last = &p->next;
}

/* Reads the id and all events into the server's batch, which shows that they are good. */
static bool read_write(struct batch *batch, struct span body, int64_t *id)
{
	struct fields fields = fields_of(body);
	struct field f;

	while (field_next(&fields, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT)
			*id = (int64_t)f.value;
		else if (f.number == 2 ? f.type != WIRE_BYTES || !batch_add(batch, f.bytes)
				       : f.number == 1)
			return false;
	}
	return !fields.bad && *id >= 0;
}

static void write_all(struct store *store, struct transaction *t, struct span body)
{
	struct fields fields = fields_of(body);
	struct field f;

	while (field_next(&fields, &f)) {
		if (f.number == 2)
			add_pending(store, t, f.bytes);
	}
}

/* What is written to a transaction that is not there, or is over, is lost without a word. */
void handle_transaction_write(struct connection *c, const struct request *r)
{
	struct batch *batch = &c->server->batch;
	struct transaction *t;
	int64_t id = 0;

	if (read_write(batch, r->body, &id)) {
		t = find(c->server, id);
		if (t != NULL && !t->committed)
			write_all(&c->server->store, t, r->body);
		reply_transaction(c, CMD_TRANSACTION_WRITE_COMPLETED, r->correlation, id,
				  ES__OPERATION_RESULT__Success);
	} else {
		refuse_body(c, r);
	}
	batch_clear(batch);
}

/* Commit --------------------------------------------------------------------------------------- */

static void append(struct store *store, struct transaction *t, const struct batch *batch,
		   struct outcome *o)
{
	const struct pending *p = t->first;
	struct place place;

	*o = (struct outcome){ .first = stream_last(t->stream) + 1 };
	place.commit = store_take_position(store, 0);
	place.commit_end = store->end;
	for (size_t i = 0; i < batch->count && p != NULL; i++, p = p->next) {
		place.prepare = p->prepare;
		place.prepare_end = p->prepare_end;
		store_append_at(store, t->stream, &batch->events[i], place);
	}
	store->last_commit = place.commit;
	o->last = o->first + (int64_t)batch->count - 1;
	o->prepare = o->commit = place.commit;
	t->committed = true;
}

static void commit(struct server *server, struct transaction *t, struct outcome *o)
{
	struct store *store = &server->store;
	struct batch *batch = &server->batch;
	bool described_deleted = stream_soft_deleted(t->stream->described);
	struct verdict verdict;

	for (const struct pending *p = t->first; p != NULL; p = p->next)
		(void)batch_add(batch, p->message);
	verdict = decide(store, t->stream, t->expected, batch);
	if (verdict.decision == DECISION_APPEND)
		append(store, t, batch, o);
	else
		outcome_of(o, &verdict, t->stream);
	if (verdict.decision == DECISION_APPEND && verdict.undelete)
		undelete(store, t->stream, o->first);
	if (verdict.decision == DECISION_APPEND && described_deleted)
		undelete(store, t->stream->described, stream_last(t->stream->described) + 1);
	batch_clear(batch);
}

void handle_transaction_commit(struct connection *c, const struct request *r)
{
	Es__TransactionCommit *m = es__transaction_commit__unpack(NULL, r->body.len, r->body.at);
	struct transaction *t;
	struct outcome o;

	if (m == NULL || m->transaction_id < 0) {
		refuse_body(c, r);
		es__transaction_commit__free_unpacked(m, NULL);
		return;
	}
	t = find(c->server, m->transaction_id);
	outcome_refused(&o, ES__OPERATION_RESULT__AccessDenied);
	if (t != NULL && access_allowed(&c->server->store, r->user, t->stream->node.name, t->stream,
					ACTION_WRITE))
		commit(c->server, t, &o);
	if (o.result != ES__OPERATION_RESULT__Success)
		o.prepare = o.commit = 0;
	reply_commit(c, r->correlation, m->transaction_id, &o);
	es__transaction_commit__free_unpacked(m, NULL);
}
