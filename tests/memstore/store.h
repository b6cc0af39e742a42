/*
 * What is stored: streams, their events, and the log of all events in the order of their positions.
 *
 * An event is stored once, as the protobuf bytes of its EventRecord, which reads and subscriptions
 * copy. Nothing is ever taken out: limits and deletions hide events from readers of the stream
 * alone.
 */
#ifndef MEMSTORE_STORE_H
#define MEMSTORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "base/buffer.h"
#include "base/guid.h"
#include "base/list.h"
#include "ids.h"
#include "metadata.h"
#include "names.h"
#include "traits.h"

#define NUMBER_DELETED \
	INT64_MAX /* the event number of a tombstone, and the last one of a hard-deleted stream */

enum { NUMBER_NONE = -1 };

/* An event as a client sends it. The bytes are the client's. */
struct new_event {
	const uint8_t *id; /* 16 bytes, not all zero */
	struct span type;
	struct span data;
	struct span metadata;
	bool json;
};

/* An event in the log; lives as long as the store. */
struct record {
	struct stream *stream;
	int64_t number;
	int64_t prepare; /* where its record starts and ends in the log */
	int64_t prepare_end;
	int64_t commit; /* where the record that made it visible starts and ends: its own but in a
			   transaction */
	int64_t commit_end;
	int64_t created; /* milliseconds since 1970 */
	uint32_t id_at;  /* where in `bytes` id and data lie */
	uint32_t data_at;
	uint32_t data_len;
	uint32_t size; /* of `bytes` */
	bool json;
	bool link;
	uint8_t bytes[];
};

struct stream {
	struct name_node node;  /* in store.streams, by name */
	struct record **events; /* by number */
	size_t count;
	size_t size; /* places in `events` */
	struct record *tombstone;
	struct metadata metadata;
	struct stream *described;  /* of "$$x": x */
	struct stream *metastream; /* of x: "$$x", where anybody has written to it */
	struct link subscriptions; /* live ones; of the server */
	struct link groups;        /* persistent ones; of the server */
};

struct store {
	const struct traits *traits;
	struct names streams;
	struct arena arena;
	struct ids ids;
	struct record **log; /* in the order of (commit, prepare) */
	size_t log_count;
	size_t log_size;
	int64_t *positions; /* where each record starts, ascending */
	size_t position_count;
	size_t position_size;
	int64_t end;          /* where the next record will start */
	int64_t last_commit;  /* where the last record starts that made something visible */
	struct acl *user_acl; /* from "$settings", or NULL */
	struct acl *system_acl;
	void (*committed)(void *arg,
			  struct record *record); /* called for each event that became visible */
	void *arg;
};

/* TRAITS lives as long as STORE. */
void store_init(struct store *store, const struct traits *traits,
		void (*committed)(void *arg, struct record *record), void *arg);
void store_free(struct store *store);

/* The stream called NAME, or NULL where nobody has named it for more than reading. */
struct stream *store_find(const struct store *store, struct span name);

/* The stream called NAME, made if need be. It lives as long as the store. */
struct stream *store_stream(struct store *store, struct span name);

/* Takes room in the log for a record of about SIZE bytes and returns its position; `end` is behind
 * it. */
int64_t store_take_position(struct store *store, size_t size);

/* Stores FROM as the next event of STREAM, at the end of the log, and calls `committed`. */
struct record *store_append(struct store *store, struct stream *stream,
			    const struct new_event *from);

/* Where an event of a transaction lies. */
struct place {
	int64_t prepare;
	int64_t prepare_end;
	int64_t commit;
	int64_t commit_end;
};

/* As store_append(), at PLACE, which is behind everything visible. */
struct record *store_append_at(struct store *store, struct stream *stream,
			       const struct new_event *from, struct place place);

/* Ends STREAM for good with a tombstone. */
struct record *store_end_stream(struct store *store, struct stream *stream);

/* True where a record starts at POSITION or the log ends there. */
bool store_is_boundary(const struct store *store, int64_t position);

static inline struct span record_id(const struct record *record)
{
	return (struct span){ record->bytes + record->id_at, GUID_BYTES };
}

/* The type of the event. */
struct span record_type(const struct record *record);

/* What came with the event, empty where nothing did. */
struct span record_metadata(const struct record *record);

static inline struct span record_data(const struct record *record)
{
	return (struct span){ record->bytes + record->data_at, record->data_len };
}

static inline bool is_system_name(struct span name)
{
	return name.len > 0 && name.at[0] == '$';
}

static inline bool is_metastream_name(struct span name)
{
	return name.len >= 2 && name.at[0] == '$' && name.at[1] == '$';
}

/* A NUL-terminated text as a span. */
static inline struct span span_of(const char *text)
{
	return (struct span){ (const uint8_t *)text, strlen(text) };
}

/* The number of the last event; NULL is a stream that nobody knows. */
static inline int64_t stream_last(const struct stream *stream)
{
	if (stream == NULL)
		return NUMBER_NONE;
	return stream->tombstone != NULL ? NUMBER_DELETED : (int64_t)stream->count - 1;
}

static inline bool stream_soft_deleted(const struct stream *stream)
{
	return stream != NULL && stream->tombstone == NULL &&
	       stream->metadata.truncate_before == NUMBER_DELETED;
}

/* The lowest number that $maxCount and $tb leave readable. */
int64_t stream_first(const struct stream *stream);

/* True where EVENT is older than $maxAge lets it be. NOW is in milliseconds since 1970. */
bool record_expired(const struct record *record, int64_t now);

/* The event NUMBER of STREAM if a reader may see it, or NULL. */
struct record *stream_event(const struct stream *stream, int64_t number, int64_t now);

/* Where LINK, an event of type $>, leads: to the event NUMBER of the stream NAME. False where it
 * has no such text. */
bool link_target(const struct record *link, struct span *name, int64_t *number);

/* The event that LINK, an event of type $>, leads to, or NULL. */
struct record *store_follow(const struct store *store, const struct record *link, int64_t now);

/* Milliseconds since 1970. */
int64_t clock_now(void);

#endif
