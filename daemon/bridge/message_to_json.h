/*
 * A protobuf message of the store becomes a JSON body: the descriptor says which members there are,
 * in which order and of what type; the values are read from the bytes in place.
 */
#ifndef ESBRIDGE_BRIDGE_MESSAGE_TO_JSON_H
#define ESBRIDGE_BRIDGE_MESSAGE_TO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buffer.h"
#include "store/event.h"

enum payload_mode { PAYLOAD_JSON, PAYLOAD_BASE64, PAYLOAD_NONE };

/* What keeps events of some streams from a client, where links lead to them. */
struct screen {
	bool (*shows)(void *arg, struct span stream);
	void *arg;
};

struct render {
	enum payload_mode payload;
	unsigned depth;              /* stored JSON deeper than this comes as base64 */
	const struct screen *screen; /* NULL: everything is shown */
};

/* True where EVENT is one that a link leads to and that RENDER does not show: only the link is. */
static inline bool render_hides(const struct render *render, const struct resolved_event *event)
{
	return render->screen != NULL && event->link.present && event->event.present &&
	       !render->screen->shows(render->screen->arg, event->event.stream);
}

/*
 * Adds the LEN bytes at BYTES, a message DESCRIPTOR, as a JSON object to OUT. *RESULT, where not
 * NULL, becomes the name of the value of its `result` member (an absent one is the value 0), or
 * NULL where the message has none or the value has no name.
 *
 * Rules beyond the descriptors (PROTOCOL.md, section 8): scalars that the store leaves out appear
 * as 0 or false; empty texts are left out; `current_version` only where the result is
 * WrongExpectedVersion, and not for a store that sends zeros but no version; numbers of -2147483648
 * are left out; enum values by name (a value without one: its number); an absent sub-message is
 * left out, and so is one with nothing in it; EventRecord, ResolvedEvent and ResolvedIndexedEvent
 * as below; repeated members always, as arrays.
 *
 * Returns false, with what OUT held before, where the bytes are no such message: the caller answers
 * protocol_error.
 */
bool message_to_json(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
		     const struct render *render, struct buffer *out, const char **result);

/*
 * Adds RECORD as an object: event_stream_id, event_number, event_id, event_type, data_content_type,
 * metadata_content_type, created (RFC 3339, UTC, six digits of a second), created_epoch, and the
 * payloads (PROTOCOL.md, section 5): `data`, `metadata` where the record is flagged JSON and the
 * part is one JSON text in valid UTF-8 of at most render->depth levels (line breaks between tokens
 * as spaces, a byte order mark left out), else `data_base64`, `metadata_base64`; empty: neither.
 */
void event_record_to_json(const struct event_record *record, const struct render *render,
			  struct buffer *out);

/*
 * Adds the members of EVENT to an object that is open in OUT: "event":{..} and "link":{..} where
 * present, "position":{"commit":..,"prepare":..} where it has one. An event that is hidden is left
 * out, as one that a link leads to no more.
 */
void resolved_event_to_json(const struct resolved_event *event, const struct render *render,
			    struct buffer *out);

#endif
