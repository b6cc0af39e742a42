#include "decide.h"

#include "base/guid.h"

static struct verdict refused(enum decision decision)
{
	return (struct verdict){ .decision = decision };
}

static struct verdict append_to(const struct stream *stream)
{
	return (struct verdict){ .decision = DECISION_APPEND,
				 .undelete = stream_soft_deleted(stream) };
}

/* With no number to go by, the ids decide: all known in this stream, or the first of them unknown.
 */
static struct verdict decide_by_ids(const struct store *store, const struct stream *stream,
				    const struct batch *events)
{
	struct verdict v = append_to(stream);

	for (size_t i = 0; i < events->count; i++) {
		const struct record *known = ids_find(&store->ids, events->events[i].id);

		if (known == NULL || known->stream != stream)
			return i == 0 ? v : refused(DECISION_WRONG_VERSION);
		if (i == 0)
			v.first = known->number;
		v.last = known->number;
	}
	if (events->count > 0)
		v.decision = DECISION_REPEATED;
	return v;
}

static bool has_id_at(const struct stream *stream, int64_t number, const uint8_t *id)
{
	return number < (int64_t)stream->count &&
	       memcmp(record_id(stream->events[number]).at, id, GUID_BYTES) == 0;
}

/* EXPECTED is below the last number: every event must be the one that follows it in the stream. */
static struct verdict decide_by_numbers(const struct stream *stream, int64_t expected,
					const struct batch *events)
{
	struct verdict v = { .decision = DECISION_REPEATED,
			     .first = expected + 1,
			     .last = expected };

	for (size_t i = 0; i < events->count; i++) {
		if (has_id_at(stream, v.last + 1, events->events[i].id)) {
			v.last++;
			continue;
		}
		if (i == 0 && expected == EXPECT_NONE && stream_soft_deleted(stream))
			return append_to(stream);
		return refused(DECISION_WRONG_VERSION);
	}
	return events->count > 0 ? v : refused(DECISION_WRONG_VERSION);
}

/* A stream that has nothing but metadata exists. */
static bool exists(const struct stream *stream)
{
	return stream_last(stream) >= 0 || (stream != NULL && stream_last(stream->metastream) >= 0);
}

static struct verdict judge(const struct store *store, const struct stream *stream,
			    int64_t expected, const struct batch *events)
{
	int64_t last = stream_last(stream);

	if (last == NUMBER_DELETED)
		return refused(DECISION_DELETED);
	if (expected == EXPECT_SOME && stream_soft_deleted(stream))
		return refused(DECISION_DELETED);
	if (expected == EXPECT_SOME && !exists(stream))
		return refused(DECISION_WRONG_VERSION);
	if (expected == EXPECT_ANY || expected == EXPECT_SOME)
		return decide_by_ids(store, stream, events);
	if (expected > last)
		return refused(DECISION_WRONG_VERSION);
	return expected == last ? append_to(stream) : decide_by_numbers(stream, expected, events);
}

struct verdict decide(const struct store *store, const struct stream *stream, int64_t expected,
		      const struct batch *events)
{
	struct verdict v = judge(store, stream, expected, events);

	if (v.decision == DECISION_REPEATED && store->traits->repeated_positions)
		v.told = stream->events[v.last];
	return v;
}

void outcome_refused(struct outcome *outcome, Es__OperationResult result)
{
	*outcome = (struct outcome){
		.result = result,
		.first = INT32_MIN,
		.last = INT32_MIN,
		.prepare = INT32_MIN,
		.commit = 0,
		.current = NUMBER_NONE,
	};
}

void outcome_of(struct outcome *outcome, const struct verdict *verdict, const struct stream *stream)
{
	switch (verdict->decision) {
	case DECISION_APPEND:
	case DECISION_REPEATED:
		*outcome = (struct outcome){
			.first = verdict->first, .last = verdict->last, .prepare = -1, .commit = -1
		};
		if (verdict->told != NULL)
			outcome->prepare = outcome->commit = verdict->told->prepare;
		break;
	case DECISION_WRONG_VERSION:
		outcome_refused(outcome, ES__OPERATION_RESULT__WrongExpectedVersion);
		outcome->current = stream_last(stream);
		break;
	case DECISION_DELETED:
		outcome_refused(outcome, ES__OPERATION_RESULT__StreamDeleted);
		break;
	}
}

void undelete(struct store *store, struct stream *stream, int64_t number)
{
	struct stream *metastream = stream->metastream;
	struct new_event event = { .type = span_of("$metadata"), .json = true };
	struct buffer json = { 0 };
	struct guid id;

	if (stream_last(metastream) < 0 || stream_last(metastream) == NUMBER_DELETED)
		return;
	if (metadata_set_truncate_before(record_data(metastream->events[metastream->count - 1]),
					 number, &json) &&
	    !json.failed) {
		guid_make(&id);
		event.id = id.bytes;
		event.data = (struct span){ buffer_at(&json), buffer_len(&json) };
		store_append(store, metastream, &event);
	}
	buffer_free(&json);
}
