/*
 * Every package that real servers sent (tests/transcripts) is decoded twice, by our own reader
 * field by field and by protobuf-c into objects, and both must say the same.
 */
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "base/mem.h"
#include "eventstore.pb-c.h"
#include "store/command.h"
#include "store/event.h"
#include "store/frame.h"
#include "suites.h"

typedef const ProtobufCMessageDescriptor *descriptor;

/* What each answer of the server is; NULL: no protobuf message. */
static const struct {
	uint8_t command;
	const char *name; /* as in the transcripts */
	descriptor is;
} answers[] = {
	{ CMD_HEARTBEAT_RESPONSE, "HeartbeatResponse", NULL },
	{ CMD_PONG, "Pong", NULL },
	{ CMD_AUTHENTICATED, "Authenticated", NULL },
	{ CMD_NOT_AUTHENTICATED, "NotAuthenticated", NULL },
	{ CMD_BAD_REQUEST, "BadRequest", NULL },
	{ CMD_CLIENT_IDENTIFIED, "ClientIdentified", &es__client_identified__descriptor },
	{ CMD_NOT_HANDLED, "NotHandled", &es__not_handled__descriptor },
	{ CMD_WRITE_EVENTS_COMPLETED, "WriteEventsCompleted",
	  &es__write_events_completed__descriptor },
	{ CMD_DELETE_STREAM_COMPLETED, "DeleteStreamCompleted",
	  &es__delete_stream_completed__descriptor },
	{ CMD_TRANSACTION_START_COMPLETED, "TransactionStartCompleted",
	  &es__transaction_start_completed__descriptor },
	{ CMD_TRANSACTION_WRITE_COMPLETED, "TransactionWriteCompleted",
	  &es__transaction_write_completed__descriptor },
	{ CMD_TRANSACTION_COMMIT_COMPLETED, "TransactionCommitCompleted",
	  &es__transaction_commit_completed__descriptor },
	{ CMD_READ_EVENT_COMPLETED, "ReadEventCompleted", &es__read_event_completed__descriptor },
	{ CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED, "ReadStreamEventsForwardCompleted",
	  &es__read_stream_events_completed__descriptor },
	{ CMD_READ_STREAM_EVENTS_BACKWARD_COMPLETED, "ReadStreamEventsBackwardCompleted",
	  &es__read_stream_events_completed__descriptor },
	{ CMD_READ_ALL_EVENTS_FORWARD_COMPLETED, "ReadAllEventsForwardCompleted",
	  &es__read_all_events_completed__descriptor },
	{ CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED, "ReadAllEventsBackwardCompleted",
	  &es__read_all_events_completed__descriptor },
	{ CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED, "FilteredReadAllEventsForwardCompleted",
	  &es__filtered_read_all_events_completed__descriptor },
	{ CMD_FILTERED_READ_ALL_EVENTS_BACKWARD_COMPLETED, "FilteredReadAllEventsBackwardCompleted",
	  &es__filtered_read_all_events_completed__descriptor },
	{ CMD_SUBSCRIPTION_CONFIRMATION, "SubscriptionConfirmation",
	  &es__subscription_confirmation__descriptor },
	{ CMD_STREAM_EVENT_APPEARED, "StreamEventAppeared",
	  &es__stream_event_appeared__descriptor },
	{ CMD_SUBSCRIPTION_DROPPED, "SubscriptionDropped", &es__subscription_dropped__descriptor },
	{ CMD_CHECKPOINT_REACHED, "CheckpointReached", &es__checkpoint_reached__descriptor },
	{ CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION, "PersistentSubscriptionConfirmation",
	  &es__persistent_subscription_confirmation__descriptor },
	{ CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED,
	  "PersistentSubscriptionStreamEventAppeared",
	  &es__persistent_subscription_stream_event_appeared__descriptor },
	{ CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED, "CreatePersistentSubscriptionCompleted",
	  &es__create_persistent_subscription_completed__descriptor },
	{ CMD_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED, "UpdatePersistentSubscriptionCompleted",
	  &es__update_persistent_subscription_completed__descriptor },
	{ CMD_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED, "DeletePersistentSubscriptionCompleted",
	  &es__delete_persistent_subscription_completed__descriptor },
	{ CMD_SCAVENGE_DATABASE_COMPLETED, "ScavengeDatabaseCompleted",
	  &es__scavenge_database_completed__descriptor },
};

enum { ANSWERS = sizeof(answers) / sizeof(answers[0]), LINE_MOST = 1 << 20 };

/* Where the test is, for its messages. */
struct place {
	const char *file;
	unsigned line;
	unsigned packages; /* decoded so far */
	unsigned events;
};

/* One member ----------------------------------------------------------------------------------- */

static bool span_is(struct span span, const void *bytes, size_t len)
{
	return span.len == len && (len == 0 || memcmp(span.at, bytes, len) == 0);
}

static void compare_message(struct place *place, const ProtobufCMessage *message,
			    struct span bytes);

static size_t width(const ProtobufCFieldDescriptor *d)
{
	switch (d->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_BOOL:
		return 4;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	}
	return 0;
}

/* True where field F says what protobuf-c put at MEMBER. */
static bool same(struct place *place, const ProtobufCFieldDescriptor *d, const void *member,
		 const struct wire_field *f)
{
	const ProtobufCBinaryData *binary = member;
	const char *const *text = member;
	const ProtobufCMessage *const *message = member;

	if (d->type == PROTOBUF_C_TYPE_STRING)
		return f->type == WIRE_BYTES && span_is(f->bytes, *text, strlen(*text));
	if (d->type == PROTOBUF_C_TYPE_BYTES)
		return f->type == WIRE_BYTES && span_is(f->bytes, binary->data, binary->len);
	if (d->type == PROTOBUF_C_TYPE_MESSAGE) {
		compare_message(place, *message, f->bytes);
		return f->type == WIRE_BYTES;
	}
	if (f->type != WIRE_VARINT)
		return false;
	if (d->type == PROTOBUF_C_TYPE_BOOL)
		return *(const protobuf_c_boolean *)member == (f->value != 0);
	if (width(d) == 8)
		return *(const uint64_t *)member == f->value;
	return *(const uint32_t *)member == (uint32_t)f->value;
}

/* Events --------------------------------------------------------------------------------------- */

static bool binary_is(struct span span, protobuf_c_boolean has, ProtobufCBinaryData binary)
{
	return has ? span_is(span, binary.data, binary.len) : span.len == 0;
}

static bool text_is(struct span span, const char *text)
{
	return text == NULL ? span.len == 0 : span_is(span, text, strlen(text));
}

/* protobuf-c leaves 0 in what was not sent, so no `has` need be asked. */
static bool same_record(const struct event_record *ours, const Es__EventRecord *theirs)
{
	if (theirs == NULL)
		return !ours->present;
	return ours->present && text_is(ours->stream, theirs->event_stream_id) &&
	       ours->number == theirs->event_number &&
	       (!theirs->has_event_id || span_is((struct span){ ours->id.bytes, GUID_BYTES },
						 theirs->event_id.data, theirs->event_id.len)) &&
	       text_is(ours->type, theirs->event_type) &&
	       ours->data_content_type == theirs->data_content_type &&
	       ours->json == (theirs->data_content_type == 1) &&
	       ours->metadata_content_type == theirs->metadata_content_type &&
	       binary_is(ours->data, theirs->has_data, theirs->data) &&
	       binary_is(ours->metadata, theirs->has_metadata, theirs->metadata) &&
	       ours->created == (theirs->created & INT64_C(0x3fffffffffffffff)) &&
	       ours->created_epoch == theirs->created_epoch;
}

/* Compares what store/event.h makes of MESSAGE, if that is an event. */
static bool same_event(struct place *place, const ProtobufCMessage *message, struct span bytes)
{
	const Es__ResolvedEvent *all = (const Es__ResolvedEvent *)(const void *)message;
	const Es__ResolvedIndexedEvent *indexed =
		(const Es__ResolvedIndexedEvent *)(const void *)message;
	struct resolved_event e;
	bool positioned = message->descriptor == &es__resolved_event__descriptor;

	if (!positioned && message->descriptor != &es__resolved_indexed_event__descriptor)
		return true;
	place->events++;
	if (!resolved_event_read(bytes, &e))
		return false;
	if (!positioned)
		return same_record(&e.event, indexed->event) &&
		       same_record(&e.link, indexed->link) && !e.positioned;
	return same_record(&e.event, all->event) && same_record(&e.link, all->link) &&
	       e.positioned == (all->has_commit_position || all->has_prepare_position) &&
	       e.commit == all->commit_position && e.prepare == all->prepare_position;
}

/* Messages ------------------------------------------------------------------------------------- */

/* The place of the member that D describes, its AT-th value where it is repeated. */
static const void *member_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *d,
			     size_t at)
{
	const char *base = (const char *)message;

	if (d->label != PROTOBUF_C_LABEL_REPEATED)
		return base + d->offset;
	if (at >= *(const size_t *)(const void *)(base + d->quantifier_offset))
		return NULL;
	return *(const char *const *)(const void *)(base + d->offset) + at * width(d);
}

static void compare_message(struct place *place, const ProtobufCMessage *message, struct span bytes)
{
	size_t seen[32] = { 0 };
	struct wire w;
	struct wire_field f;

	ck_assert_uint_le(message->descriptor->n_fields, sizeof(seen) / sizeof(seen[0]));
	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		const ProtobufCFieldDescriptor *d =
			protobuf_c_message_descriptor_get_field(message->descriptor, f.number);
		size_t *count = d == NULL ? NULL : &seen[d - message->descriptor->fields];
		const void *member = d == NULL ? NULL : member_at(message, d, (*count)++);

		ck_assert_msg(member != NULL, "%s:%u: %s has no member %u", place->file,
			      place->line, message->descriptor->name, f.number);
		ck_assert_msg(same(place, d, member, &f), "%s:%u: %s.%s differs", place->file,
			      place->line, message->descriptor->name, d->name);
	}
	ck_assert_msg(!w.broken, "%s:%u: broken", place->file, place->line);
	ck_assert_msg(same_event(place, message, bytes), "%s:%u: the event differs", place->file,
		      place->line);
}

/* Lines ---------------------------------------------------------------------------------------- */

/* Turns hexadecimal digits into a frame: the prefix is not in the transcripts. Returns its length.
 */
static size_t read_frame(const char *hex, uint8_t *frame)
{
	size_t len = strspn(hex, "0123456789abcdef") / 2;

	for (size_t i = 0; i < len; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		frame[FRAME_PREFIX + i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	for (size_t i = 0; i < FRAME_PREFIX; i++)
		frame[i] = (uint8_t)(len >> (8 * i));
	return FRAME_PREFIX + len;
}

static descriptor find_answer(const struct place *place, const struct package *p, const char *name)
{
	for (size_t i = 0; i < ANSWERS; i++) {
		if (answers[i].command != p->command)
			continue;
		ck_assert_msg(strcmp(answers[i].name, name) == 0, "%s:%u: %s", place->file,
			      place->line, name);
		/*
		 * From 5.0 on the answer to ScavengeDatabase is another message under the same
		 * command.
		 */
		if (p->command == CMD_SCAVENGE_DATABASE_COMPLETED &&
		    strstr(place->file, "/3.9.4/") == NULL &&
		    strstr(place->file, "/4.1.4/") == NULL)
			return &es__scavenge_database_response__descriptor;
		return answers[i].is;
	}
	ck_abort_msg("%s:%u: unknown command %02x", place->file, place->line, p->command);
	return NULL;
}

/* LINE is `S CONNECTION NAME HEX`. */
static void check_package(struct place *place, const char *line, uint8_t *frame)
{
	char name[64];
	int at = 0;
	size_t len, size;
	struct package p;
	descriptor is;
	ProtobufCMessage *message;

	ck_assert_int_eq(sscanf(line, "S %*u %63s %n", name, &at), 1);
	len = read_frame(line + at, frame);
	ck_assert_msg(frame_look(frame, len, FRAME_MOST, &p, &size) == FRAME_WHOLE && size == len,
		      "%s:%u: no frame", place->file, place->line);
	place->packages++;
	is = find_answer(place, &p, name);
	if (is == NULL)
		return;
	message = protobuf_c_message_unpack(is, NULL, p.payload_len, p.payload);
	ck_assert_msg(message != NULL, "%s:%u: protobuf-c cannot read it", place->file,
		      place->line);
	compare_message(place, message, (struct span){ p.payload, p.payload_len });
	ck_assert_uint_eq(message->n_unknown_fields, 0);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void check_file(struct place *place)
{
	FILE *file = fopen(place->file, "re");
	uint8_t *frame = mem_new(LINE_MOST / 2);
	char *line = mem_new(LINE_MOST);

	ck_assert_ptr_nonnull(file);
	for (place->line = 1; fgets(line, LINE_MOST, file) != NULL; place->line++) {
		ck_assert_msg(strchr(line, '\n') != NULL, "%s:%u: too long", place->file,
			      place->line);
		if (line[0] == 'S')
			check_package(place, line, frame);
	}
	fclose(file);
	free(frame);
	free(line);
}

START_TEST(both_decoders_agree)
{
	const char *source = getenv("SRCDIR");
	char pattern[PATH_MAX];
	struct place place = { 0 };
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/tests/transcripts/*/*.txt",
		 source == NULL ? "." : source);
	ck_assert_msg(glob(pattern, 0, NULL, &files) == 0, "no transcripts: %s", pattern);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		place.file = files.gl_pathv[i];
		check_file(&place);
	}
	globfree(&files);
	ck_assert_uint_gt(place.packages, 2000);
	ck_assert_uint_gt(place.events, 500);
}
END_TEST

Suite *transcripts_suite(void)
{
	Suite *s = suite_create("transcripts");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, both_decoders_agree);
	suite_add_tcase(s, tc);
	return s;
}
