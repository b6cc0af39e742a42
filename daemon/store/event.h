/*
 * An event as the store sends it, looked at in place: spans into the package, no copies.
 */
#ifndef ESBRIDGE_STORE_EVENT_H
#define ESBRIDGE_STORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "store/wire_read.h"

/* EventRecord. All its fields read as 0 or empty where the store leaves them out. */
struct event_record {
	bool present;
	struct span stream;
	int64_t number;
	struct guid id;
	struct span type;
	bool json; /* data_content_type is 1 */
	int32_t data_content_type;
	int32_t metadata_content_type;
	struct span data;
	struct span metadata;
	int64_t created;       /* .NET ticks, kind bits taken off; 0: not sent */
	int64_t created_epoch; /* milliseconds */
};

/* ResolvedEvent or ResolvedIndexedEvent: they differ in the positions alone. */
struct resolved_event {
	struct event_record event;
	struct event_record link;
	bool positioned; /* the positions were sent */
	int64_t commit;
	int64_t prepare;
};

/* Each returns false where the bytes are no message of that kind (wrong wire type, broken, an id of
 * other than 16 bytes). */
bool event_record_read(struct span bytes, struct event_record *record);
bool resolved_event_read(struct span bytes, struct resolved_event *event);

/* The bytes of what it carries. */
static inline size_t resolved_event_bytes(const struct resolved_event *e)
{
	return e->event.data.len + e->event.metadata.len + e->link.data.len + e->link.metadata.len;
}

/* The event that was subscribed to: the link where there is one. Its id is what is acknowledged,
 * its number what is counted. */
static inline const struct event_record *original_event(const struct resolved_event *e)
{
	return e->link.present ? &e->link : &e->event;
}

#endif
