/*
 * What the mapping between JSON and protobuf needs of a message descriptor, made ready once for
 * each descriptor: names with their lengths, keys as they are written on both sides, and how each
 * member is treated.
 */
#ifndef ESBRIDGE_BRIDGE_LAYOUT_H
#define ESBRIDGE_BRIDGE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "store/wire_read.h"

/* How a member is read and written: its type, or a meaning of its own that its name tells. */
enum member_kind {
	MEMBER_INT32,
	MEMBER_INT64,
	MEMBER_EXPECTED, /* expected_version: a number or a word */
	MEMBER_CURRENT,  /* current_version: means something beside WrongExpectedVersion alone */
	MEMBER_CONTENT_TYPE, /* data_content_type: its default hangs on the form of the data */
	MEMBER_BOOL,
	MEMBER_MASTER, /* require_master, also require_leader */
	MEMBER_ENUM,
	MEMBER_RESULT, /* the enum that tells how an operation ended */
	MEMBER_TEXT,
	MEMBER_NAME, /* a text that may not be empty */
	MEMBER_BYTES,
	MEMBER_ID,       /* 16 bytes, a UUID in JSON */
	MEMBER_PAYLOAD,  /* bytes that come as a JSON value, as a text or in base64 */
	MEMBER_RECORD,   /* EventRecord */
	MEMBER_INDEXED,  /* ResolvedIndexedEvent */
	MEMBER_RESOLVED, /* ResolvedEvent */
	MEMBER_PART,     /* any other message */
};

/* Most members of a message, and one more than the highest number of one; a unit test holds the
 * .proto to it. */
enum { LAYOUT_MEMBERS = 16, LAYOUT_NUMBERS = 32, LAYOUT_KEY = 40 };

struct layout_member {
	const char *name;
	size_t name_len;
	enum member_kind kind;
	bool repeated;
	bool required; /* a body without it is refused */
	enum wire_type wire;
	uint8_t tag[2]; /* number and wire type as they are encoded */
	uint8_t tag_len;
	uint8_t key_len;
	char key[LAYOUT_KEY]; /* ,"name": as it stands behind another member, no NUL counted */
	const ProtobufCEnumDescriptor *values; /* enums */
	const struct layout *part;             /* messages */
};

struct layout {
	const ProtobufCMessageDescriptor *descriptor;
	const struct layout *next; /* in its chain of the table of layouts */
	unsigned count;
	int data;                      /* index of the payload `data`, or -1 */
	int result;                    /* index of the member of kind MEMBER_RESULT, or -1 */
	uint8_t place[LAYOUT_NUMBERS]; /* index + 1 of the member of each number, 0 for none */
	struct layout_member members[LAYOUT_MEMBERS]; /* in the order of their numbers */
};

/* Returns the layout of DESCRIPTOR, a message of eventstore.proto. It is made at the first call and
 * lives for ever. */
const struct layout *layout_of(const ProtobufCMessageDescriptor *descriptor);

#endif
