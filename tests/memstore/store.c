#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/guid.h"
#include "base/mem.h"

enum {
	RECORD_OVERHEAD = 64, /* bytes of the log that a record takes beside its event */
	RECORD_NUMBERS =
		2 + 2 +
		3 * (1 + VARINT_MOST), /* most bytes of a record's numbers with their tags */
};

/* .NET's ticks of 100 ns at the start of 1970, counted from the year 1. */
#define TICKS_AT_EPOCH INT64_C(621355968000000000)

int64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Streams -------------------------------------------------------------------------------------- */

void store_init(struct store *store, const struct traits *traits,
		void (*committed)(void *arg, struct record *record), void *arg)
{
	memset(store, 0, sizeof(*store));
	store->traits = traits;
	store->last_commit = NUMBER_NONE;
	store->committed = committed;
	store->arg = arg;
}

static void free_stream(struct name_node *node)
{
	struct stream *stream = CONTAINER(node, struct stream, node);

	metadata_clear(&stream->metadata);
	free(stream->events);
}

void store_free(struct store *store)
{
	names_each(&store->streams, free_stream);
	names_free(&store->streams);
	ids_free(&store->ids);
	free(store->log);
	free(store->positions);
	acl_free(store->user_acl);
	acl_free(store->system_acl);
	arena_free(&store->arena);
}

struct stream *store_find(const struct store *store, struct span name)
{
	struct name_node *node = names_find(&store->streams, name);

	return node == NULL ? NULL : CONTAINER(node, struct stream, node);
}

static struct stream *make_stream(struct store *store, struct span name)
{
	struct stream *stream = arena_take(&store->arena, sizeof(*stream));
	uint8_t *copy = arena_take(&store->arena, name.len + 1);

	memset(stream, 0, sizeof(*stream));
	if (name.len > 0)
		memcpy(copy, name.at, name.len);
	stream->node.name = (struct span){ copy, name.len };
	link_init(&stream->subscriptions);
	link_init(&stream->groups);
	names_insert(&store->streams, &stream->node);
	return stream;
}

/* Metadata of what has none of its own is of no use, so the stream that "$$x" describes is x alone.
 */
static void link_described(struct store *store, struct stream *stream)
{
	struct span name = stream->node.name;
	struct span inner = { name.at + 2, name.len - 2 };

	if (!is_metastream_name(name) || stream->described != NULL)
		return;
	stream->described = store_find(store, inner);
	if (stream->described == NULL)
		stream->described = make_stream(store, inner);
	stream->described->metastream = stream;
}

struct stream *store_stream(struct store *store, struct span name)
{
	struct stream *stream = store_find(store, name);

	if (stream == NULL)
		stream = make_stream(store, name);
	link_described(store, stream);
	return stream;
}

int64_t stream_first(const struct stream *stream)
{
	int64_t max_count = is_metastream_name(stream->node.name) ? 1 : stream->metadata.max_count;
	int64_t first = stream->metadata.truncate_before;

	if (max_count > 0 && (int64_t)stream->count - max_count > first)
		first = (int64_t)stream->count - max_count;
	return first;
}

bool record_expired(const struct record *record, int64_t now)
{
	int64_t max_age = record->stream->metadata.max_age;

	return max_age > 0 && (now - record->created) / 1000 >= max_age;
}

struct record *stream_event(const struct stream *stream, int64_t number, int64_t now)
{
	struct record *record;

	if (stream == NULL || stream->tombstone != NULL || stream_soft_deleted(stream) ||
	    number < stream_first(stream) || number < 0 || number >= (int64_t)stream->count)
		return NULL;
	record = stream->events[number];
	return record_expired(record, now) ? NULL : record;
}

/* Reads the decimal digits of TEXT; false where there is anything else. */
static bool parse_number(struct span text, int64_t *number)
{
	int64_t n = 0;

	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		n = n * 10 + (text.at[i] - '0');
	}
	*number = n;
	return true;
}

bool link_target(const struct record *link, struct span *name, int64_t *number)
{
	struct span data = record_data(link);
	const uint8_t *sign = data.len == 0 ? NULL : memchr(data.at, '@', data.len);

	if (sign == NULL ||
	    !parse_number((struct span){ data.at, (size_t)(sign - data.at) }, number))
		return false;
	*name = (struct span){ sign + 1, data.len - (size_t)(sign - data.at) - 1 };
	return true;
}

struct record *store_follow(const struct store *store, const struct record *link, int64_t now)
{
	struct span name;
	int64_t number;

	return link_target(link, &name, &number)
		       ? stream_event(store_find(store, name), number, now)
		       : NULL;
}

/* Events --------------------------------------------------------------------------------------- */

int64_t store_take_position(struct store *store, size_t size)
{
	int64_t position = store->end;
	void *positions = store->positions;

	array_reserve(&positions, &store->position_size, store->position_count + 1,
		      sizeof(*store->positions));
	store->positions = positions;
	store->positions[store->position_count++] = position;
	store->end += (int64_t)size + RECORD_OVERHEAD;
	return position;
}

bool store_is_boundary(const struct store *store, int64_t position)
{
	size_t low = 0, high = store->position_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (store->positions[middle] < position)
			low = middle + 1;
		else
			high = middle;
	}
	return position == store->end ||
	       (low < store->position_count && store->positions[low] == position);
}

static uint8_t *put_span(uint8_t *at, struct span bytes)
{
	if (bytes.len > 0)
		memcpy(at, bytes.at, bytes.len);
	return at + bytes.len;
}

/* Fields as the version writes them: with ZEROS all of them, else those that say something. */
static uint8_t *put_int(uint8_t *at, unsigned number, int64_t value, bool zeros)
{
	return value != 0 || zeros ? int_put(at, number, value) : at;
}

static uint8_t *put_bytes(uint8_t *at, unsigned number, struct span bytes, bool zeros)
{
	if (bytes.len == 0 && !zeros)
		return at;
	return put_span(bytes_put_head(at, number, bytes.len), bytes);
}

/* Writes the EventRecord of EVENT. */
static void encode(struct record *record, const struct new_event *from, bool zeros)
{
	struct span name = record->stream->node.name;
	uint8_t *at = record->bytes;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	record->created = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	at = put_bytes(at, 1, name, zeros);
	at = put_int(at, 2, record->number, zeros);
	at = bytes_put_head(at, 3, GUID_BYTES);
	record->id_at = (uint32_t)(at - record->bytes);
	at = put_span(at, (struct span){ from->id, GUID_BYTES });
	at = put_bytes(at, 4, from->type, zeros);
	at = put_int(at, 5, from->json, zeros);
	at = put_int(at, 6, from->json, zeros);
	at = put_bytes(at, 7, from->data, zeros);
	record->data_at = (uint32_t)(at - record->bytes - from->data.len);
	record->data_len = (uint32_t)from->data.len;
	at = put_bytes(at, 8, from->metadata, zeros);
	at = int_put(at, 9, TICKS_AT_EPOCH + (int64_t)ts.tv_sec * 10000000 + ts.tv_nsec / 100);
	at = int_put(at, 10, record->created);
	record->size = (uint32_t)(at - record->bytes);
}

/* The bytes of the field NUMBER of the EventRecord. */
static struct span record_field(const struct record *record, uint32_t number)
{
	struct fields fields = fields_of((struct span){ record->bytes, record->size });
	struct field field;

	while (field_next(&fields, &field)) {
		if (field.number == number)
			return field.bytes;
	}
	return (struct span){ 0 };
}

struct span record_type(const struct record *record)
{
	return record_field(record, 4);
}

struct span record_metadata(const struct record *record)
{
	return record_field(record, 8);
}

static size_t record_most(const struct stream *stream, const struct new_event *from)
{
	return RECORD_NUMBERS + bytes_size(GUID_BYTES) + bytes_size(stream->node.name.len) +
	       bytes_size(from->type.len) + bytes_size(from->data.len) +
	       bytes_size(from->metadata.len);
}

static struct record *make_record(struct store *store, struct stream *stream, int64_t number,
				  const struct new_event *from)
{
	struct record *record =
		arena_take(&store->arena, sizeof(*record) + record_most(stream, from));

	record->stream = stream;
	record->number = number;
	record->json = from->json;
	record->link = span_equal(from->type, span_of("$>"));
	encode(record, from, store->traits->zeros);
	return record;
}

/* A stream of settings or of metadata takes effect with each event. */
static void take_effect(struct store *store, const struct record *record)
{
	struct stream *described = record->stream->described;

	if (described != NULL) {
		metadata_clear(&described->metadata);
		if (record->json)
			metadata_read(&described->metadata, record_data(record));
		if (described->metadata.truncate_before == store->traits->number_most)
			described->metadata.truncate_before = NUMBER_DELETED;
	} else if (span_equal(record->stream->node.name, span_of("$settings"))) {
		acl_free(store->user_acl);
		acl_free(store->system_acl);
		settings_read(record_data(record), &store->user_acl, &store->system_acl);
	}
}

static void put_in_log(struct store *store, struct record *record, struct place place)
{
	void *log = store->log;

	record->prepare = place.prepare;
	record->prepare_end = place.prepare_end;
	record->commit = place.commit;
	record->commit_end = place.commit_end;
	array_reserve(&log, &store->log_size, store->log_count + 1, sizeof(struct record *));
	store->log = log;
	store->log[store->log_count++] = record;
	store->last_commit = place.commit;
}

static struct place place_of_record(struct store *store, size_t size)
{
	int64_t start = store_take_position(store, size);

	return (struct place){ start, store->end, start, store->end };
}

static void put_in_stream(struct store *store, struct record *record, struct place place)
{
	struct stream *stream = record->stream;
	void *events = stream->events;

	array_reserve(&events, &stream->size, stream->count + 1, sizeof(struct record *));
	stream->events = events;
	stream->events[stream->count++] = record;
	put_in_log(store, record, place);
	ids_put(&store->ids, record);
	take_effect(store, record);
	store->committed(store->arg, record);
}

struct record *store_append(struct store *store, struct stream *stream,
			    const struct new_event *from)
{
	struct record *record = make_record(store, stream, (int64_t)stream->count, from);

	put_in_stream(store, record, place_of_record(store, record->size));
	return record;
}

struct record *store_append_at(struct store *store, struct stream *stream,
			       const struct new_event *from, struct place place)
{
	struct record *record = make_record(store, stream, (int64_t)stream->count, from);

	put_in_stream(store, record, place);
	return record;
}

struct record *store_end_stream(struct store *store, struct stream *stream)
{
	struct new_event from = { .type = span_of("$streamDeleted") };
	struct guid id;
	struct record *record;

	guid_make(&id);
	from.id = id.bytes;
	record = make_record(store, stream, NUMBER_DELETED, &from);
	stream->tombstone = record;
	put_in_log(store, record, place_of_record(store, record->size));
	store->committed(store->arg, record);
	return record;
}
