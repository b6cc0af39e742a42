/*
 * Random protobuf messages from a seed, for tests that compare with protobuf-c's own packing.
 */
#ifndef ESBRIDGE_TESTS_ANY_MESSAGE_H
#define ESBRIDGE_TESTS_ANY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* Where a sequence of random numbers is; a seed, any number but 0, gives the same messages
 * everywhere. */
struct any {
	uint64_t state;
};

uint64_t any_bits(struct any *any);

/* A number from 0 to BELOW - 1. */
uint32_t any_below(struct any *any, uint32_t below);

bool any_chance(struct any *any, uint32_t one_in);

/* A number of any size in 64 bits, the small and the marked ones more often. */
int64_t any_int64(struct any *any);

/* A text of up to MOST characters of all lengths in UTF-8, without U+0000; the caller frees it. */
char *any_text(struct any *any, uint32_t most);

/*
 * A message of DESCRIPTOR with random members, about one in four left out; identifiers have 16
 * bytes, payloads are JSON, text or bytes. To be freed with protobuf_c_message_free_unpacked().
 */
ProtobufCMessage *any_message(const ProtobufCMessageDescriptor *descriptor, struct any *any);

/* Places within MESSAGE: the member of FIELD, and what says whether it is there or how many there
 * are (NULL: neither). */
void *any_member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
void *any_quantifier(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

/* Whether the optional FIELD is there. */
bool any_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

/* Any of the integer types, bool and enum as a number, and back. The latter makes the field
 * present. */
int64_t any_number(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
void any_set_number(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		    int64_t value);

/*
 * Whether the LEN bytes at TEXT are what the daemon may put on a line: one JSON value in UTF-8
 * without line breaks. It stands here since jansson.h, which the callers need, and base/json_walk.h
 * name their kinds of values alike.
 */
bool any_is_line(const void *text, size_t len);

#endif
