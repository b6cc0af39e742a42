/*
 * A JSON body becomes a protobuf message: the descriptor says which members there are and of what
 * type, and the bytes are written as they go to the store, with no object in between. Payloads are
 * copied out of the line as they stand there, or left where they are.
 */
#ifndef ESBRIDGE_BRIDGE_JSON_TO_MESSAGE_H
#define ESBRIDGE_BRIDGE_JSON_TO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/json_walk.h"
#include "bridge/message.h"

enum { FAULT_TEXT = 512 };

/* What the caller wants to know of an encoded body. */
struct encoded {
	struct buffer *event_ids; /* given by the caller, may be NULL: the 16 bytes of each event's
				     id, in order, are added */
	bool starved; /* set by the call: something is missing for want of memory alone */
	size_t large; /* given by the caller: the first payload that needs no decoding and has so
			 many bytes is left out of OUT; 0: none is */
	/* What was left out, as it stands in the line, and how many bytes OUT then had: there it
	 * belongs. All lengths before it count it. NULL: nothing was. */
	const char *left_out;
	size_t left_out_len;
	size_t left_out_at;
};

/*
 * Encodes token BODY of DOC, an object, as MESSAGE's request and adds it to OUT. BODY 0xffffffff
 * means no body: {}.
 *
 * Strict: an unknown member, a member of the wrong type, one given twice (also under its alias), a
 * number out of range for its field, an enum value of no name, an id that is no UUID, an empty
 * event_type or event_stream_id, broken base64, a text with a lone surrogate make it return false
 * with what is wrong and what is accepted in FAULT (the member named by its path:
 * "events[3].data_base64"); OUT then holds what it held, and the caller answers bad_request.
 * Members that begin with "x-" are ignored.
 *
 * Rules beyond the descriptors (PROTOCOL.md, sections 3 and 5): the defaults of the row;
 * expected_version also as "any", "no_stream", "stream_exists"; require_leader for require_master,
 * not both; enum values by name; 64-bit integers also as strings; UUIDs as text; of an event
 * `data`, `data_text`, `data_base64` at most one, and the same for metadata; data_content_type 1
 * with `data`, 0 with the others unless given, metadata_content_type 0 .. as given; event_id made
 * where it is missing; filter (required where the message has one). REQUIRE_MASTER is the
 * configured default.
 */
bool json_to_message(const struct message *message, const struct json_doc *doc, uint32_t body,
		     bool require_master, struct buffer *out, struct encoded *encoded,
		     char fault[FAULT_TEXT]);

/* The same for a sub-message alone (`filter` of subscribe): token OBJECT as DESCRIPTOR, PATH its
 * name in faults. */
bool json_to_part(const ProtobufCMessageDescriptor *descriptor, const struct json_doc *doc,
		  uint32_t object, const char *path, struct buffer *out, char fault[FAULT_TEXT]);

#endif
