/*
 * WriteEvents and DeleteStream.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/guid.h"
#include "decide.h"
#include "handlers.h"
#include "reply.h"

struct write_request {
	struct span name;
	int64_t expected;
	struct batch *batch;
};

static bool read_field(struct write_request *w, const struct field *f)
{
	switch (f->number) {
	case 1:
		w->name = f->bytes;
		return f->type == WIRE_BYTES;
	case 2:
		w->expected = (int64_t)f->value;
		return f->type == WIRE_VARINT;
	case 3:
		return f->type == WIRE_BYTES && batch_add(w->batch, f->bytes);
	case 4:
		return f->type == WIRE_VARINT;
	default:
		return true; /* of a later version of the protocol */
	}
}

static bool read_write(struct write_request *w, struct span body)
{
	struct fields fields = fields_of(body);
	struct field field;

	while (field_next(&fields, &field)) {
		if (!read_field(w, &field))
			return false;
	}
	return !fields.bad && w->name.len > 0 && is_write_version(w->expected);
}

/* A batch with nothing in it leaves a record that only takes its place in the log. */
static void append_nothing(struct store *store, struct outcome *o)
{
	o->prepare = o->commit = store_take_position(store, 0);
	store->last_commit = o->commit;
}

static void append(struct store *store, struct stream *stream, const struct batch *batch,
		   bool deleted, struct outcome *o)
{
	const struct record *last = NULL;
	bool described_deleted = stream_soft_deleted(stream->described);

	*o = (struct outcome){ .first = stream_last(stream) + 1, .last = stream_last(stream) };
	for (size_t i = 0; i < batch->count; i++)
		last = store_append(store, stream, &batch->events[i]);
	if (last == NULL) {
		append_nothing(store, o);
	} else {
		o->last = last->number;
		o->prepare = last->prepare;
		o->commit = last->commit;
	}
	if (deleted)
		undelete(store, stream, o->first);
	if (described_deleted)
		undelete(store, stream->described, stream_last(stream->described) + 1);
}

static void write_batch(struct connection *c, const struct request *r,
			const struct write_request *w)
{
	struct store *store = &c->server->store;
	struct stream *stream = store_find(store, w->name);
	struct verdict verdict;
	struct outcome o;

	if (!access_allowed(store, r->user, w->name, stream, ACTION_WRITE)) {
		outcome_refused(&o, ES__OPERATION_RESULT__AccessDenied);
		reply_write(c, r->correlation, &o);
		return;
	}
	verdict = decide(store, stream, w->expected, w->batch);
	if (verdict.decision == DECISION_APPEND)
		append(store, store_stream(store, w->name), w->batch, verdict.undelete, &o);
	else
		outcome_of(&o, &verdict, stream);
	reply_write(c, r->correlation, &o);
}

void handle_write_events(struct connection *c, const struct request *r)
{
	struct write_request w = { .batch = &c->server->batch };

	if (read_write(&w, r->body))
		write_batch(c, r, &w);
	else
		refuse_body(c, r);
	batch_clear(w.batch);
}

/* Deletion ------------------------------------------------------------------------------------- */

/* A soft deletion is metadata that hides everything, and replaces whatever metadata there was. */
static const struct record *delete_softly(struct store *store, struct stream *stream)
{
	char all_hidden[64];
	struct new_event event = { .type = span_of("$metadata"), .json = true };
	struct buffer name = { 0 };
	const struct record *record;
	struct guid id;

	buffer_add_text(&name, "$$");
	buffer_add(&name, stream->node.name.at, stream->node.name.len);
	if (name.failed)
		return NULL;
	(void)snprintf(all_hidden, sizeof(all_hidden), "{\"$tb\":%" PRId64 "}",
		       store->traits->number_most);
	event.data = span_of(all_hidden);
	guid_make(&id);
	event.id = id.bytes;
	record = store_append(
		store, store_stream(store, (struct span){ buffer_at(&name), buffer_len(&name) }),
		&event);
	buffer_free(&name);
	return record;
}

const struct record *delete_stream(struct store *store, struct span name, bool hard)
{
	struct stream *stream = store_stream(store, name);

	return hard ? store_end_stream(store, stream) : delete_softly(store, stream);
}

/* A deletion is judged as a write of an event with a new id. */
static struct verdict decide_deletion(const struct store *store, const struct stream *stream,
				      int64_t expected)
{
	struct guid id;
	struct new_event event = { .id = id.bytes };
	struct batch batch = { .events = &event, .count = 1 };

	guid_make(&id);
	return decide(store, stream, expected, &batch);
}

/* Where the stream is not there, some versions do not take its metadata for it. */
static bool is_missing(const struct store *store, const struct stream *stream,
		       const Es__DeleteStream *m)
{
	return !store->traits->deletes_missing && !m->hard_delete && stream_last(stream) < 0;
}

static void delete_as_asked(struct connection *c, const struct request *r,
			    const Es__DeleteStream *m)
{
	struct store *store = &c->server->store;
	struct span name = field_text(r->body, 1);
	struct stream *stream = store_find(store, name);
	const struct record *record = NULL;
	struct verdict verdict;
	struct outcome o;

	outcome_refused(&o, ES__OPERATION_RESULT__AccessDenied);
	if (access_allowed(store, r->user, name, stream, ACTION_DELETE)) {
		verdict = decide_deletion(store, stream, m->expected_version);
		if (verdict.decision == DECISION_APPEND && is_missing(store, stream, m))
			verdict.decision = DECISION_WRONG_VERSION;
		outcome_of(&o, &verdict, stream);
		if (verdict.decision == DECISION_APPEND)
			record = delete_stream(store, name, m->hard_delete);
	}
	o.prepare = record != NULL ? record->prepare : -1;
	o.commit = record != NULL ? record->commit : -1;
	if (record != NULL)
		o.current = m->hard_delete ? NUMBER_DELETED - 1 : record->number;
	reply_delete(c, r->correlation, &o);
}

/* From 21.10 on a stream may also just be expected to be there. */
static bool is_version(const struct connection *c, int64_t expected)
{
	return expected == EXPECT_SOME && traits_of(c)->delete_version;
}

void handle_delete_stream(struct connection *c, const struct request *r)
{
	Es__DeleteStream *m = es__delete_stream__unpack(NULL, r->body.len, r->body.at);

	if (m != NULL && name_of(m->event_stream_id).len > 0 &&
	    (m->expected_version >= EXPECT_ANY || is_version(c, m->expected_version)))
		delete_as_asked(c, r, m);
	else
		refuse_body(c, r);
	es__delete_stream__free_unpacked(m, NULL);
}
