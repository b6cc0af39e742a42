#include "message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "memory.h"

/*
 * Levels of a line whose values are noted. Members of an event are at level 2 of a push, at level 6
 * of the reply to a read.
 */
enum { PUSH_DETAIL = 2, REPLY_DETAIL = 6, DEPTH_MOST = 65535 };
enum { TOKENS_MOST = 1 << 26 };

/* Bytes with the list that frees them. */
struct bytes {
	struct bytes *next;
	size_t len;
	char at[];
};

struct event {
	struct esbridge_event public;
	struct message *owner;
	const struct bytes *data; /* decoded, or NULL as long as nobody has asked */
	const struct bytes *metadata;
};

/* What is being filled: DOC is the line, with its offsets into the message's own copy. */
struct fill {
	struct json_doc *doc;
	struct message *message;
	struct esbridge_record *record; /* the next one */
	struct event *event;            /* the next one */
	char *texts;                    /* room for the next text without its escapes */
};

/* Members --------------------------------------------------------------------------------------- */

enum member_type {
	MEMBER_TEXT,
	MEMBER_RAW,
	MEMBER_INT64,
	MEMBER_INT,
	MEMBER_BOOL,
	MEMBER_POSITION,
	MEMBER_JSON,   /* a payload */
	MEMBER_BASE64, /* the same; WHAT is where its kind goes */
};

/* A member of an object and where it goes. What has another type is as if it were not there. */
struct member {
	const char *name;
	unsigned char len;
	unsigned char type;
	unsigned short to;
	unsigned short what;
};

#define MEMBER(type, name, structure, to) \
	{ \
		name, sizeof(name) - 1, type, (unsigned short)offsetof(structure, to), 0 \
	}
#define PAYLOAD(type, name, to, what) \
	{ \
		name, sizeof(name) - 1, type, (unsigned short)offsetof(struct esbridge_event, to), \
			(unsigned short)offsetof(struct esbridge_event, what) \
	}
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct member position_members[] = {
	MEMBER(MEMBER_INT64, "commit", struct esbridge_position, commit),
	MEMBER(MEMBER_INT64, "prepare", struct esbridge_position, prepare),
};

/* In the order in which the daemon writes them. */
static const struct member event_members[] = {
	MEMBER(MEMBER_TEXT, "event_stream_id", struct esbridge_event, stream),
	MEMBER(MEMBER_INT64, "event_number", struct esbridge_event, number),
	MEMBER(MEMBER_TEXT, "event_id", struct esbridge_event, id),
	MEMBER(MEMBER_TEXT, "event_type", struct esbridge_event, type),
	MEMBER(MEMBER_INT, "data_content_type", struct esbridge_event, data_content_type),
	MEMBER(MEMBER_INT, "metadata_content_type", struct esbridge_event, metadata_content_type),
	MEMBER(MEMBER_TEXT, "created", struct esbridge_event, created),
	MEMBER(MEMBER_INT64, "created_epoch", struct esbridge_event, created_ms),
	PAYLOAD(MEMBER_JSON, "data", raw_data, data_is),
	PAYLOAD(MEMBER_BASE64, "data_base64", raw_data, data_is),
	PAYLOAD(MEMBER_JSON, "metadata", raw_metadata, metadata_is),
	PAYLOAD(MEMBER_BASE64, "metadata_base64", raw_metadata, metadata_is),
};

static const struct member push_members[] = {
	MEMBER(MEMBER_TEXT, "sub", struct esbridge_message, sub),
	MEMBER(MEMBER_TEXT, "ack_id", struct esbridge_message, ack_id),
	MEMBER(MEMBER_INT, "retry_count", struct esbridge_message, retry_count),
	MEMBER(MEMBER_POSITION, "position", struct esbridge_message, position),
	MEMBER(MEMBER_TEXT, "reason", struct esbridge_message, reason),
	MEMBER(MEMBER_INT64, "last_event_number", struct esbridge_message, last_event_number),
	MEMBER(MEMBER_BOOL, "gap", struct esbridge_message, gap),
	MEMBER(MEMBER_BOOL, "hard", struct esbridge_message, hard),
};

static const struct member ok_members[] = {
	MEMBER(MEMBER_TEXT, "sub", struct esbridge_message, sub),
	MEMBER(MEMBER_INT64, "last_event_number", struct esbridge_message, last_event_number),
	MEMBER(MEMBER_RAW, "body", struct esbridge_message, body),
	MEMBER(MEMBER_INT64, "rtt_us", struct message, rtt_us),
	MEMBER(MEMBER_INT, "protocol", struct message, server.protocol),
	MEMBER(MEMBER_TEXT, "version", struct message, version),
};

static const struct member error_members[] = {
	MEMBER(MEMBER_TEXT, "code", struct esbridge_message, code_name),
	MEMBER(MEMBER_TEXT, "message", struct esbridge_message, text),
	MEMBER(MEMBER_BOOL, "retry", struct esbridge_message, retry),
	MEMBER(MEMBER_TEXT, "outcome", struct esbridge_message, reason),
	MEMBER(MEMBER_RAW, "body", struct esbridge_message, body),
};

static const struct member body_members[] = {
	MEMBER(MEMBER_INT64, "first_event_number", struct esbridge_message, first_event_number),
	MEMBER(MEMBER_INT64, "last_event_number", struct esbridge_message, last_event_number),
	MEMBER(MEMBER_INT64, "next_event_number", struct esbridge_message, next_event_number),
	MEMBER(MEMBER_BOOL, "is_end_of_stream", struct esbridge_message, is_end_of_stream),
	MEMBER(MEMBER_INT64, "commit_position", struct esbridge_message, position.commit),
	MEMBER(MEMBER_INT64, "prepare_position", struct esbridge_message, position.prepare),
	MEMBER(MEMBER_INT64, "next_commit_position", struct esbridge_message, next_position.commit),
	MEMBER(MEMBER_INT64, "next_prepare_position", struct esbridge_message,
	       next_position.prepare),
};

static const struct member limit_members[] = {
	MEMBER(MEMBER_INT64, "line", struct esbridge_server, line_limit),
	MEMBER(MEMBER_INT64, "depth", struct esbridge_server, depth_limit),
	MEMBER(MEMBER_INT64, "in_flight", struct esbridge_server, in_flight_limit),
	MEMBER(MEMBER_INT64, "subscriptions", struct esbridge_server, subscription_limit),
};

static const struct esbridge_position nowhere = { -1, -1 };

static struct esbridge_span raw(const struct json_doc *doc, uint32_t i)
{
	return (struct esbridge_span){ doc->text + doc->tokens[i].at, doc->tokens[i].len };
}

/* String token I without quotes and escapes. Nothing where it is no text that UTF-8 can hold. */
static struct esbridge_span text(struct fill *f, uint32_t i)
{
	const struct json_token *t = &f->doc->tokens[i];
	struct esbridge_span span = { f->doc->text + t->at + 1, t->len - 2 };
	struct buffer room = { .data = (uint8_t *)f->texts, .size = t->len, .limit = t->len };

	if (t->kind != JSON_STRING || t->flags & JSON_LONE_SURROGATE)
		return (struct esbridge_span){ NULL, 0 };
	if (!(t->flags & JSON_ESCAPED))
		return span;
	/* A text without its escapes is shorter than with them: the room is enough. */
	json_string_get(f->doc, i, &room);
	span.at = f->texts;
	span.len = buffer_len(&room);
	f->texts += span.len;
	return span;
}

static void take_members(struct fill *f, uint32_t object, const struct member *members,
			 size_t count, void *to);

static void take_int(const struct json_doc *doc, uint32_t i, int *to)
{
	int64_t v;

	if (json_int64_get(doc, i, &v) && v >= INT32_MIN && v <= INT32_MAX)
		*to = (int)v;
}

static void take(struct fill *f, uint32_t i, const struct member *member, char *to)
{
	const struct json_token *t = &f->doc->tokens[i];
	void *at = to + member->to;
	struct esbridge_position *position = at;
	struct esbridge_span *span = at;
	enum esbridge_payload *payload = (void *)(to + member->what);

	switch ((enum member_type)member->type) {
	case MEMBER_TEXT:
		*span = text(f, i);
		break;
	case MEMBER_RAW:
		*span = raw(f->doc, i);
		break;
	case MEMBER_INT64:
		json_int64_get(f->doc, i, at);
		break;
	case MEMBER_INT:
		take_int(f->doc, i, at);
		break;
	case MEMBER_BOOL:
		*(bool *)at = t->kind == JSON_TRUE;
		break;
	case MEMBER_POSITION:
		*position = nowhere;
		if (t->kind == JSON_OBJECT)
			take_members(f, i, position_members, ROWS(position_members), position);
		break;
	case MEMBER_JSON:
		*span = raw(f->doc, i);
		*payload = ESBRIDGE_JSON;
		break;
	case MEMBER_BASE64:
		*span = text(f, i);
		*payload = span->at == NULL ? ESBRIDGE_NOTHING : ESBRIDGE_BYTES;
		break;
	}
}

/* Name token I is MEMBER's. Names have no escapes. */
static bool named(const struct json_doc *doc, uint32_t i, const char *name, size_t len)
{
	const struct json_token *t = &doc->tokens[i];

	const char *at = doc->text + t->at + 1;

	return t->len == len + 2 && *at == *name && memcmp(at, name, len) == 0;
}

/*
 * Puts the members of OBJECT that are in the table where they belong in TO. They come mostly in the
 * order of the table, so each is looked for from behind the last one on.
 */
static void take_members(struct fill *f, uint32_t object, const struct member *members,
			 size_t count, void *to)
{
	const struct json_token *tokens = f->doc->tokens;
	size_t at = 0;

	for (uint32_t i = object + 1; i < tokens[object].next; i = tokens[i + 1].next) {
		for (size_t tried = 0; tried < count; tried++) {
			const struct member *member = &members[at];

			at = at + 1 == count ? 0 : at + 1;
			if (named(f->doc, i, member->name, member->len)) {
				take(f, i + 1, member, to);
				break;
			}
		}
	}
}

/* The value of member NAME of token OBJECT, or 0 where it is not there: token 0 is nobody's member.
 */
static uint32_t find(const struct json_doc *doc, uint32_t object, const char *name)
{
	const struct json_token *tokens = doc->tokens;
	size_t len = strlen(name);

	if (tokens[object].kind != JSON_OBJECT)
		return 0;
	for (uint32_t i = object + 1; i < tokens[object].next; i = tokens[i + 1].next) {
		if (named(doc, i, name, len))
			return i + 1;
	}
	return 0;
}

static uint32_t find_kind(const struct json_doc *doc, uint32_t object, const char *name,
			  enum json_kind kind)
{
	uint32_t i = find(doc, object, name);

	return i != 0 && doc->tokens[i].kind == kind ? i : 0;
}

/* Events ---------------------------------------------------------------------------------------- */

static const struct esbridge_event *take_event(struct fill *f, uint32_t object)
{
	struct event *event = f->event;

	if (object == 0)
		return NULL;
	f->event++;
	memset(event, 0, sizeof(*event));
	event->public.number = -1;
	event->public.created_ms = -1;
	event->owner = f->message;
	take_members(f, object, event_members, ROWS(event_members), &event->public);
	return &event->public;
}

/* The members of an object that lead on, each as its token or 0. */
struct parts {
	uint32_t push, ok, error, id;
	uint32_t event, link, position;
};

/* Finds them in OBJECT with one look at each member. */
static struct parts find_parts(const struct json_doc *doc, uint32_t object)
{
	static const struct {
		const char *name;
		unsigned char len;
		unsigned char kind; /* of value; the id may be of any */
		unsigned short to;
	} rows[] = {
		{ "push", 4, JSON_STRING, offsetof(struct parts, push) },
		{ "event", 5, JSON_OBJECT, offsetof(struct parts, event) },
		{ "link", 4, JSON_OBJECT, offsetof(struct parts, link) },
		{ "position", 8, JSON_OBJECT, offsetof(struct parts, position) },
		{ "ok", 2, JSON_OBJECT, offsetof(struct parts, ok) },
		{ "error", 5, JSON_OBJECT, offsetof(struct parts, error) },
	};
	const struct json_token *tokens = doc->tokens;
	struct parts parts;

	memset(&parts, 0, sizeof(parts));
	if (tokens[object].kind != JSON_OBJECT)
		return parts;
	for (uint32_t i = object + 1; i < tokens[object].next; i = tokens[i + 1].next) {
		for (size_t k = 0; k < ROWS(rows); k++) {
			if (tokens[i + 1].kind == rows[k].kind &&
			    named(doc, i, rows[k].name, rows[k].len))
				*(uint32_t *)(void *)((char *)&parts + rows[k].to) = i + 1;
		}
		if (named(doc, i, "id", 2))
			parts.id = i + 1;
	}
	return parts;
}

static void take_record(struct fill *f, const struct parts *parts)
{
	struct esbridge_record *record = f->record++;

	record->event = take_event(f, parts->event);
	record->link = take_event(f, parts->link);
	record->position = nowhere;
	if (parts->position != 0)
		take_members(f, parts->position, position_members, ROWS(position_members),
			     &record->position);
}

/* Where the records of a message are. */
struct records {
	struct parts one; /* of the object that is one, where there is no list */
	uint32_t list;    /* the array of them, or 0 */
	size_t count;
};

static struct records find_records(const struct json_doc *doc, const struct parts *line)
{
	struct records r = { .one = *line };
	uint32_t body = line->ok == 0 ? 0 : find_kind(doc, line->ok, "body", JSON_OBJECT);

	if (line->ok != 0 && body == 0)
		return r;
	if (body != 0) {
		r.list = find_kind(doc, body, "events", JSON_ARRAY);
		r.one = find_parts(doc, find_kind(doc, body, "event", JSON_OBJECT));
	}
	if (r.list == 0)
		r.count = r.one.event != 0 || r.one.link != 0;
	for (uint32_t i = r.list + 1; r.list != 0 && i < doc->tokens[r.list].next;
	     i = doc->tokens[i].next)
		r.count += doc->tokens[i].kind == JSON_OBJECT;
	return r;
}

static void take_records(struct fill *f, const struct records *r)
{
	struct esbridge_message *m = &f->message->public;
	const struct json_token *tokens = f->doc->tokens;

	if (r->count == 0)
		return;
	m->records = f->record;
	m->record_count = r->count;
	if (r->list == 0) {
		take_record(f, &r->one);
	} else {
		for (uint32_t i = r->list + 1; i < tokens[r->list].next; i = tokens[i].next) {
			struct parts parts = find_parts(f->doc, i);

			if (tokens[i].kind == JSON_OBJECT)
				take_record(f, &parts);
		}
	}
	m->event = m->records[0].event;
	m->link = m->records[0].link;
}

/* Kinds of lines -------------------------------------------------------------------------------- */

static const char *const pushes[] = {
	[ESBRIDGE_PUSH_EVENT] = "event",
	[ESBRIDGE_PUSH_CAUGHT_UP] = "caught_up",
	[ESBRIDGE_PUSH_INTERRUPTED] = "interrupted",
	[ESBRIDGE_PUSH_RESUMED] = "resumed",
	[ESBRIDGE_PUSH_STREAM_DELETED] = "stream_deleted",
	[ESBRIDGE_PUSH_DROPPED] = "dropped",
};

static void take_push(struct fill *f, uint32_t push)
{
	struct esbridge_message *m = &f->message->public;

	m->kind = ESBRIDGE_PUSH;
	m->push = ESBRIDGE_PUSH_OTHER;
	for (size_t i = ESBRIDGE_PUSH_EVENT; i < ROWS(pushes); i++) {
		if (json_string_is(f->doc, push, pushes[i], strlen(pushes[i])))
			m->push = (enum esbridge_push)i;
	}
	take_members(f, 0, push_members, ROWS(push_members), m);
}

static void take_ok(struct fill *f, uint32_t ok)
{
	struct esbridge_message *m = &f->message->public;
	uint32_t body = find_kind(f->doc, ok, "body", JSON_OBJECT);
	uint32_t limits;

	m->kind = ESBRIDGE_OK;
	m->ok = raw(f->doc, ok);
	take_members(f, ok, ok_members, ROWS(ok_members), f->message);
	if (body != 0)
		take_members(f, body, body_members, ROWS(body_members), m);
	limits =
		f->message->server.protocol == 0 ? 0 : find_kind(f->doc, ok, "limits", JSON_OBJECT);
	if (limits != 0)
		take_members(f, limits, limit_members, ROWS(limit_members), &f->message->server);
}

static void take_error(struct fill *f, uint32_t error)
{
	struct esbridge_message *m = &f->message->public;
	char name[FAILURE_NAME];

	m->kind = ESBRIDGE_ERROR;
	take_members(f, error, error_members, ROWS(error_members), m);
	snprintf(name, sizeof(name), "%.*s", ESBRIDGE_PRINT(m->code_name));
	m->code = esbridge_code_of(name);
	if (esbridge_span_is(m->reason, "none"))
		m->outcome = ESBRIDGE_OUTCOME_NONE;
	else if (esbridge_span_is(m->reason, "unknown"))
		m->outcome = ESBRIDGE_OUTCOME_UNKNOWN;
	m->reason = (struct esbridge_span){ NULL, 0 };
}

static void take_id(struct fill *f, uint32_t id)
{
	struct esbridge_message *m = &f->message->public;

	if (id == 0)
		return;
	m->id_text = raw(f->doc, id);
	json_int64_get(f->doc, id, &m->id);
}

/* A message --------------------------------------------------------------------------------------- */

/* Most bytes that the texts of DOC need whose escapes are to be resolved. */
static size_t texts_size(const struct json_doc *doc)
{
	size_t size = 0;

	for (uint32_t i = 0; i < doc->count; i++)
		size += doc->tokens[i].flags & JSON_ESCAPED ? doc->tokens[i].len : 0;
	return size;
}

/* A message with a copy of LINE and room for all that will be found in it, or NULL. */
static struct message *allocate(struct fill *f, size_t records, const char *line, size_t len)
{
	size_t events_at = sizeof(struct message) + records * sizeof(*f->record);
	size_t line_at = events_at + 2 * records * sizeof(*f->event);
	size_t size = line_at + len + 1 + texts_size(f->doc);
	struct message *m = memory_get(size);
	char *at = (char *)m;

	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof(*m));
	atomic_init(&m->references, 1);
	link_init(&m->item.place);
	m->item.message = m;
	m->size = size;
	m->rtt_us = -1;
	m->public.retry_count = -1;
	m->public.last_event_number = -1;
	m->public.first_event_number = -1;
	m->public.next_event_number = -1;
	m->public.position = nowhere;
	m->public.next_position = nowhere;
	f->message = m;
	f->record = (void *)(at + sizeof(struct message));
	f->event = (void *)(at + events_at);
	f->texts = at + line_at + len + 1;
	memcpy(at + line_at, line, len);
	at[line_at + len] = '\0';
	m->public.line = (struct esbridge_span){ at + line_at, len };
	f->doc->text = at + line_at;
	return m;
}

void message_doc_init(struct json_doc *doc)
{
	json_doc_init(doc, DEPTH_MOST, PUSH_DETAIL, TOKENS_MOST);
}

bool message_no_memory(const struct json_doc *doc)
{
	return doc->error != NULL && strcmp(doc->error, "out of memory") == 0;
}

static bool parse(struct json_doc *doc, const char *line, size_t len, struct failure *f)
{
	static const char push[] = "{\"push\"";

	doc->detail = len >= sizeof(push) - 1 && memcmp(line, push, sizeof(push) - 1) == 0
			      ? PUSH_DETAIL
			      : REPLY_DETAIL;
	if (json_parse(doc, line, len))
		return true;
	if (message_no_memory(doc))
		failure_no_memory(f);
	else
		failure_set(f, ESBRIDGE_E_PROTOCOL_ERROR,
			    "the daemon wrote a line that is no JSON: %s at byte %zu", doc->error,
			    doc->error_at);
	return false;
}

struct message *message_new(struct json_doc *doc, const char *line, size_t len, struct failure *f)
{
	struct fill fill = { .doc = doc };
	struct records records;
	struct parts line_parts;

	if (!parse(doc, line, len, f))
		return NULL;
	line_parts = find_parts(doc, 0);
	if ((line_parts.push != 0) + (line_parts.ok != 0) + (line_parts.error != 0) != 1) {
		failure_set(f, ESBRIDGE_E_PROTOCOL_ERROR,
			    "the daemon wrote a line that is neither ok nor error nor push: %.*s",
			    (int)(len < 200 ? len : 200), line);
		return NULL;
	}
	records = find_records(doc, &line_parts);
	if (allocate(&fill, records.count, line, len) == NULL) {
		failure_no_memory(f);
		return NULL;
	}
	if (line_parts.push != 0)
		take_push(&fill, line_parts.push);
	else if (line_parts.ok != 0)
		take_ok(&fill, line_parts.ok);
	else
		take_error(&fill, line_parts.error);
	take_id(&fill, line_parts.push == 0 ? line_parts.id : 0);
	take_records(&fill, &records);
	return fill.message;
}

struct message *message_of_line(struct buffer *b)
{
	struct failure failure = { .message = NULL };
	struct message *message = NULL;
	struct json_doc doc;

	message_doc_init(&doc);
	if (!b->failed)
		message = message_new(&doc, (const char *)buffer_at(b), buffer_len(b), &failure);
	json_doc_free(&doc);
	buffer_free(b);
	return message;
}

/* References -------------------------------------------------------------------------------------- */

struct esbridge_message *esbridge_message_ref(struct esbridge_message *message)
{
	atomic_fetch_add_explicit(&message_of(message)->references, 1, memory_order_relaxed);
	return message;
}

void esbridge_message_free(struct esbridge_message *message)
{
	struct message *m = message == NULL ? NULL : message_of(message);

	if (m == NULL || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) != 1)
		return;
	while (m->decoded != NULL) {
		struct bytes *next = m->decoded->next;

		memory_release(m->decoded);
		m->decoded = next;
	}
	memory_release(m);
}

/* Payloads ---------------------------------------------------------------------------------------- */

static const struct bytes *decode(struct message *owner, struct esbridge_span base64)
{
	struct bytes *bytes = memory_get(sizeof(*bytes) + base64_bytes_len(base64.len) + 1);

	if (bytes == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	if (!base64_decode(base64.at, base64.len, (uint8_t *)bytes->at, &bytes->len)) {
		memory_release(bytes);
		errno = EINVAL;
		return NULL;
	}
	bytes->next = owner->decoded;
	owner->decoded = bytes;
	return bytes;
}

static int payload(struct message *owner, enum esbridge_payload is, struct esbridge_span raw_part,
		   const struct bytes **decoded, struct esbridge_span *bytes)
{
	*bytes = raw_part;
	if (is != ESBRIDGE_BYTES)
		return 0;
	if (*decoded == NULL)
		*decoded = decode(owner, raw_part);
	if (*decoded == NULL)
		return -1;
	*bytes = (struct esbridge_span){ (*decoded)->at, (*decoded)->len };
	return 0;
}

/* The program is given a pointer to const; what was decoded is kept behind it. */
static struct event *event_of(const struct esbridge_event *public)
{
	return (struct event *)(void *)(uintptr_t) public;
}

int esbridge_event_data(const struct esbridge_event *event, struct esbridge_span *bytes)
{
	struct event *own = event_of(event);

	return payload(own->owner, event->data_is, event->raw_data, &own->data, bytes);
}

int esbridge_event_metadata(const struct esbridge_event *event, struct esbridge_span *bytes)
{
	struct event *own = event_of(event);

	return payload(own->owner, event->metadata_is, event->raw_metadata, &own->metadata, bytes);
}
