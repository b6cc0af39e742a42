#include "bridge/json_to_message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/guid.h"
#include "bridge/layout.h"

#define NO_TOKEN UINT32_MAX

/* How many bytes of a name that is not ours a fault repeats. */
enum { NAME_SHOWN = 40 };

/* Most bytes of a varint, and of the tags that a layout has. */
enum { VARINT_BYTES = 10, TAG_BYTES = 2 };

enum { CONTENT_BYTES = 0, CONTENT_JSON = 1 };

/* The forms in which a payload comes, told by what follows the name of its member. */
enum form { FORM_JSON, FORM_TEXT, FORM_BASE64 };

static const struct {
	const char *suffix;
	size_t len;
} forms[] = {
	[FORM_JSON] = { "", 0 },
	[FORM_TEXT] = { "_text", 5 },
	[FORM_BASE64] = { "_base64", 7 },
};

static const struct {
	const char *word;
	size_t len;
	int64_t version;
} versions[] = {
	{ "any", 3, -2 },
	{ "no_stream", 9, -1 },
	{ "stream_exists", 13, -4 },
};

static const char master_alias[] = "require_leader";

struct encoder {
	const struct json_doc *doc;
	struct buffer *out;
	struct encoded *encoded;       /* what else is to be told, or NULL */
	struct buffer *ids;            /* where the ids of events go, or NULL */
	struct buffer scratch;         /* the last text that had to be unescaped to be looked at */
	bool starved;                  /* there was no memory for that */
	const struct message *message; /* NULL for a part alone */
	bool require_master;
	char *fault;
	size_t said; /* bytes in the fault */
};

/* Where in the body a value is, for faults: each place knows the one around it. They live on the
 * stack. */
struct place {
	const struct place *up; /* NULL for the body itself */
	const char *name;
	const char *suffix; /* what follows the name: the form of a payload */
	int64_t index;      /* of an element, else -1 */
};

/* The members that an object has: each the token of its value. */
struct given {
	uint32_t mask; /* bit I: member I of the layout is here */
	uint32_t token[LAYOUT_MEMBERS];
	uint8_t form[LAYOUT_MEMBERS]; /* enum form, of payloads */
	bool aliased;                 /* require_master was called require_leader */
};

/* A member's name as it was found in the layout. */
struct match {
	unsigned index;
	enum form form;
	bool aliased;
};

__attribute__((format(printf, 2, 3))) static void say(struct encoder *e, const char *format, ...)
{
	size_t room = FAULT_TEXT - e->said;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(e->fault + e->said, room, format, args);
	va_end(args);
	if (n > 0)
		e->said += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_place(struct encoder *e, const struct place *p)
{
	/* The name of a body is left out of the names of its members; that of a part is not. */
	if (p->up != NULL && (p->up->up != NULL || e->message == NULL)) {
		say_place(e, p->up);
		say(e, ".");
	}
	say(e, "%s%s", p->name, p->suffix);
	if (p->index >= 0)
		say(e, "[%" PRId64 "]", p->index);
}

/* Says that what is at P is wrong in the way of TEXT. Returns false, for the caller to pass on. */
static bool wrong(struct encoder *e, const struct place *p, const char *text)
{
	say_place(e, p);
	say(e, " %s", text);
	return false;
}

static bool wrong_enum(struct encoder *e, const struct place *p,
		       const ProtobufCEnumDescriptor *values)
{
	say_place(e, p);
	say(e, " must be one of");
	for (unsigned i = 0; i < values->n_values; i++)
		say(e, "%s \"%s\"", i > 0 ? "," : "", values->values[i].name);
	return false;
}

/* Token NAME is the name of no member of LAYOUT, an object at P. */
static bool wrong_name(struct encoder *e, const struct place *p, const struct layout *layout,
		       uint32_t name)
{
	const struct json_token *t = &e->doc->tokens[name];
	const char *text = e->doc->text + t->at + 1;
	size_t shown = t->len - 2;

	/* Cut between characters: a byte 10xxxxxx continues one. */
	if (shown > NAME_SHOWN) {
		shown = NAME_SHOWN;
		while (shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
			shown--;
	}
	say(e, "unknown member \"%.*s%s\" in ", (int)shown, text, shown < t->len - 2 ? "..." : "");
	say_place(e, p);
	say(e, layout->count > 0 ? "; accepted: " : ", which has no members");
	for (unsigned i = 0; i < layout->count; i++) {
		const struct layout_member *m = &layout->members[i];

		say(e, "%s%s", i > 0 ? ", " : "", m->name);
		if (m->kind == MEMBER_PAYLOAD)
			say(e, ", %s_text, %s_base64", m->name, m->name);
	}
	return false;
}

/* Member MATCH of the object at P is there already. */
static bool wrong_twice(struct encoder *e, const struct place *p, const struct layout_member *m,
			const struct match *match, const struct given *given)
{
	say_place(e, p);
	if (m->kind == MEMBER_MASTER && given->aliased != match->aliased)
		say(e, " takes require_master or %s, not both", master_alias);
	else if (given->form[match->index] != match->form)
		say(e, " takes at most one of %s, %s_text, %s_base64", m->name, m->name, m->name);
	else
		say(e, " has the member %s%s twice", match->aliased ? master_alias : m->name,
		    forms[match->form].suffix);
	return false;
}

/* What a member of each kind takes. */
static const char *const takes[] = {
	[MEMBER_INT32] = "must be an integer from -2147483648 to 2147483647",
	[MEMBER_INT64] = "must be an integer of 64 bits",
	[MEMBER_EXPECTED] =
		"must be an integer of 64 bits, \"any\", \"no_stream\" or \"stream_exists\"",
	[MEMBER_CURRENT] = "must be an integer of 64 bits",
	[MEMBER_CONTENT_TYPE] = "must be an integer from -2147483648 to 2147483647",
	[MEMBER_BOOL] = "must be true or false",
	[MEMBER_MASTER] = "must be true or false",
	[MEMBER_TEXT] = "must be a string",
	[MEMBER_NAME] = "must be a string",
	[MEMBER_BYTES] = "is not base64",
	[MEMBER_ID] = "must be a UUID, as in \"00112233-4455-6677-8899-aabbccddeeff\"",
};

/* Writing ----------------------------------------------------------------------------------------
 */

static size_t varint_len(uint64_t value)
{
	size_t len = 1;

	for (; value >= 0x80; value >>= 7)
		len++;
	return len;
}

static size_t varint_put(uint8_t *at, uint64_t value)
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		at[len++] = (uint8_t)(value | 0x80);
	at[len++] = (uint8_t)value;
	return len;
}

/* Adds the tag of M and VALUE: a number, or the length of what follows. */
static void put_number(struct encoder *e, const struct layout_member *m, uint64_t value)
{
	uint8_t *at = buffer_room(e->out, TAG_BYTES + VARINT_BYTES);

	if (at == NULL)
		return;
	memcpy(at, m->tag, TAG_BYTES);
	buffer_added(e->out, m->tag_len + varint_put(at + m->tag_len, value));
}

static void put_bytes(struct encoder *e, const struct layout_member *m, const void *bytes,
		      size_t len)
{
	put_number(e, m, len);
	buffer_add(e->out, bytes, len);
}

/* The same for a payload, which may be left out. */
static void put_payload(struct encoder *e, const struct layout_member *m, const char *bytes,
			size_t len)
{
	struct encoded *to = e->encoded;

	if (to == NULL || to->large == 0 || len < to->large || to->left_out != NULL) {
		put_bytes(e, m, bytes, len);
		return;
	}
	put_number(e, m, len);
	to->left_out = bytes;
	to->left_out_len = len;
	to->left_out_at = buffer_len(e->out);
}

/* A field whose length is known only when it has been written. */
struct open_field {
	size_t from; /* where its bytes begin, counted from the start of the output */
	size_t room; /* bytes left for the length before them */
};

/* Begins field M, which will have about GUESS bytes. */
static struct open_field field_open(struct encoder *e, const struct layout_member *m, size_t guess)
{
	struct open_field field;

	put_number(e, m, guess);
	field.from = buffer_len(e->out);
	field.room = varint_len(guess);
	return field;
}

/* True where what is left out belongs to FIELD. */
static bool lacks_payload(const struct encoder *e, struct open_field field)
{
	return e->encoded != NULL && e->encoded->left_out != NULL &&
	       e->encoded->left_out_at >= field.from;
}

/* Ends FIELD: everything added since. It is moved only where its length takes more or fewer bytes
 * than was guessed. */
static void field_close(struct encoder *e, struct open_field field)
{
	size_t len = buffer_len(e->out) - field.from;
	bool lacks = lacks_payload(e, field);
	size_t whole = len + (lacks ? e->encoded->left_out_len : 0);
	size_t needs = varint_len(whole);
	uint8_t *at;

	if (needs > field.room && buffer_room(e->out, needs - field.room) == NULL)
		return;
	if (e->out->failed)
		return;
	at = buffer_at(e->out) + field.from;
	if (needs != field.room)
		memmove(at - field.room + needs, at, len);
	if (lacks)
		e->encoded->left_out_at = e->encoded->left_out_at - field.room + needs;
	varint_put(at - field.room, whole);
	if (needs > field.room)
		buffer_added(e->out, needs - field.room);
	else
		buffer_cut(e->out, field.room - needs);
}

/* Values -----------------------------------------------------------------------------------------
 */

/* Gives string token I as bytes, which live until the next call. Returns false for other tokens and
 * lone surrogates. */
static bool get_text(struct encoder *e, uint32_t i, const char **text, size_t *len)
{
	const struct json_token *t = &e->doc->tokens[i];

	if (t->kind != JSON_STRING)
		return false;
	*text = e->doc->text + t->at + 1;
	*len = t->len - 2;
	if ((t->flags & JSON_ESCAPED) == 0)
		return true;
	buffer_cut(&e->scratch, buffer_len(&e->scratch));
	if (!json_string_get(e->doc, i, &e->scratch) || e->scratch.failed) {
		e->starved |= e->scratch.failed;
		return false;
	}
	*len = buffer_len(&e->scratch);
	if (*len > 0)
		*text = (const char *)buffer_at(&e->scratch);
	return true;
}

/* The integer that TEXT is, written as JSON writes one. */
static bool text_to_int64(const char *text, size_t len, int64_t *value)
{
	bool minus = len > 0 && text[0] == '-';
	uint64_t most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	size_t i = minus ? 1 : 0;
	uint64_t v = 0;

	if (i == len || (text[i] == '0' && len > i + 1))
		return false;
	for (; i < len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';

		if (digit > 9 || v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = (int64_t)(minus ? 0 - v : v);
	return true;
}

static bool get_int64(struct encoder *e, uint32_t i, int64_t *value)
{
	const char *text;
	size_t len;

	if (e->doc->tokens[i].kind == JSON_NUMBER)
		return json_int64_get(e->doc, i, value);
	return get_text(e, i, &text, &len) && text_to_int64(text, len, value);
}

static bool encode_int32(struct encoder *e, const struct layout_member *m, const struct place *p,
			 uint32_t i)
{
	int64_t value;

	if (e->doc->tokens[i].kind != JSON_NUMBER || !json_int64_get(e->doc, i, &value) ||
	    value < INT32_MIN || value > INT32_MAX)
		return wrong(e, p, takes[m->kind]);
	put_number(e, m, (uint64_t)value);
	return true;
}

static bool encode_int64(struct encoder *e, const struct layout_member *m, const struct place *p,
			 uint32_t i)
{
	int64_t value;

	if (!get_int64(e, i, &value))
		return wrong(e, p, takes[m->kind]);
	put_number(e, m, (uint64_t)value);
	return true;
}

static bool encode_expected(struct encoder *e, const struct layout_member *m, const struct place *p,
			    uint32_t i)
{
	const char *text;
	size_t len;

	if (!get_text(e, i, &text, &len))
		return encode_int64(e, m, p, i);
	for (size_t v = 0; v < sizeof(versions) / sizeof(*versions); v++) {
		if (versions[v].len == len && memcmp(versions[v].word, text, len) == 0) {
			put_number(e, m, (uint64_t)versions[v].version);
			return true;
		}
	}
	return encode_int64(e, m, p, i);
}

static bool encode_bool(struct encoder *e, const struct layout_member *m, const struct place *p,
			uint32_t i)
{
	uint8_t kind = e->doc->tokens[i].kind;

	if (kind != JSON_TRUE && kind != JSON_FALSE)
		return wrong(e, p, takes[m->kind]);
	put_number(e, m, kind == JSON_TRUE);
	return true;
}

static bool encode_enum(struct encoder *e, const struct layout_member *m, const struct place *p,
			uint32_t i)
{
	const char *text;
	size_t len;

	if (!get_text(e, i, &text, &len))
		return wrong_enum(e, p, m->values);
	for (unsigned v = 0; v < m->values->n_values; v++) {
		const ProtobufCEnumValue *value = &m->values->values[v];

		if (strlen(value->name) == len && memcmp(value->name, text, len) == 0) {
			put_number(e, m, (uint64_t)(int64_t)value->value);
			return true;
		}
	}
	return wrong_enum(e, p, m->values);
}

static bool encode_text(struct encoder *e, const struct layout_member *m, const struct place *p,
			uint32_t i)
{
	const struct json_token *t = &e->doc->tokens[i];
	struct open_field field;

	if (t->kind != JSON_STRING)
		return wrong(e, p, takes[MEMBER_TEXT]);
	if ((t->flags & JSON_LONE_SURROGATE) != 0)
		return wrong(e, p, "has an unpaired surrogate");
	if (t->len == 2 && m->kind == MEMBER_NAME)
		return wrong(e, p, "must not be empty");
	if ((t->flags & JSON_ESCAPED) == 0) {
		put_payload(e, m, e->doc->text + t->at + 1, t->len - 2);
		return true;
	}
	field = field_open(e, m, t->len);
	json_string_get(e->doc, i, e->out);
	field_close(e, field);
	return true;
}

static bool encode_base64(struct encoder *e, const struct layout_member *m, const struct place *p,
			  uint32_t i)
{
	const char *text;
	size_t len;
	size_t got;
	uint8_t *at;
	struct open_field field;

	if (!get_text(e, i, &text, &len))
		return wrong(e, p, takes[MEMBER_BYTES]);
	field = field_open(e, m, base64_bytes_len(len));
	at = buffer_room(e->out, base64_bytes_len(len));
	if (at == NULL)
		return true;
	if (!base64_decode(text, len, at, &got))
		return wrong(e, p, takes[MEMBER_BYTES]);
	buffer_added(e->out, got);
	field_close(e, field);
	return true;
}

static bool encode_payload(struct encoder *e, const struct layout_member *m, const struct place *p,
			   uint32_t i, enum form form)
{
	const struct json_token *t = &e->doc->tokens[i];

	switch (form) {
	case FORM_JSON:
		put_payload(e, m, e->doc->text + t->at, t->len);
		return true;
	case FORM_TEXT:
		return encode_text(e, m, p, i);
	case FORM_BASE64:
		return encode_base64(e, m, p, i);
	}
	return false;
}

static void put_id(struct encoder *e, const struct layout_member *m, const struct guid *id)
{
	put_bytes(e, m, id->bytes, GUID_BYTES);
	if (e->ids != NULL)
		buffer_add(e->ids, id->bytes, GUID_BYTES);
}

static bool encode_id(struct encoder *e, const struct layout_member *m, const struct place *p,
		      uint32_t i)
{
	const char *text;
	size_t len;
	struct guid id;

	if (!get_text(e, i, &text, &len) || !guid_parse(text, len, &id))
		return wrong(e, p, takes[m->kind]);
	if (guid_is_zero(&id))
		return wrong(e, p, "must not be the UUID of zeros");
	put_id(e, m, &id);
	return true;
}

/* Objects ----------------------------------------------------------------------------------------
 */

static bool encode_object(struct encoder *e, const struct layout *layout, const struct place *p,
			  uint32_t object, const struct message_default *defaults);

static bool encode_part(struct encoder *e, const struct layout_member *m, const struct place *p,
			uint32_t i)
{
	struct open_field field = field_open(e, m, e->doc->tokens[i].len);

	if (!encode_object(e, m->part, p, i, NULL))
		return false;
	field_close(e, field);
	return true;
}

static bool encode_value(struct encoder *e, const struct layout_member *m, const struct place *p,
			 uint32_t i, enum form form)
{
	switch (m->kind) {
	case MEMBER_INT32:
	case MEMBER_CONTENT_TYPE:
		return encode_int32(e, m, p, i);
	case MEMBER_INT64:
	case MEMBER_CURRENT:
		return encode_int64(e, m, p, i);
	case MEMBER_EXPECTED:
		return encode_expected(e, m, p, i);
	case MEMBER_BOOL:
	case MEMBER_MASTER:
		return encode_bool(e, m, p, i);
	case MEMBER_ENUM:
	case MEMBER_RESULT:
		return encode_enum(e, m, p, i);
	case MEMBER_TEXT:
	case MEMBER_NAME:
		return encode_text(e, m, p, i);
	case MEMBER_BYTES:
		return encode_base64(e, m, p, i);
	case MEMBER_ID:
		return encode_id(e, m, p, i);
	case MEMBER_PAYLOAD:
		return encode_payload(e, m, p, i, form);
	case MEMBER_RECORD:
	case MEMBER_INDEXED:
	case MEMBER_RESOLVED:
	case MEMBER_PART:
		return encode_part(e, m, p, i);
	}
	return false;
}

static bool encode_list(struct encoder *e, const struct layout_member *m, struct place *p,
			uint32_t list)
{
	const struct json_token *tokens = e->doc->tokens;

	if (tokens[list].kind != JSON_ARRAY)
		return wrong(e, p, "must be an array");
	if (m->required && tokens[list].next == list + 1)
		return wrong(e, p, "must not be empty");
	p->index = 0;
	for (uint32_t i = list + 1; i < tokens[list].next; i = tokens[i].next) {
		if (!encode_value(e, m, p, i, FORM_JSON))
			return false;
		p->index++;
	}
	return true;
}

/* The default of member M, or NULL. *ROWS are in the order of the fields, so each is looked at when
 * its field comes. */
static const struct message_default *default_of(const struct layout_member *m,
						const struct message_default **rows)
{
	const struct message_default *row = *rows;

	if (row == NULL || row->member == NULL || strcmp(row->member, m->name) != 0)
		return NULL;
	*rows = row + 1;
	return row;
}

static bool has_member(const struct layout *layout, const struct given *given, const char *name)
{
	for (unsigned i = 0; i < layout->count; i++) {
		if (strcmp(layout->members[i].name, name) == 0)
			return (given->mask >> i & 1) != 0;
	}
	return false;
}

static void put_default(struct encoder *e, const struct layout *layout,
			const struct layout_member *m, const struct given *given,
			const struct message_default *row)
{
	if (row->unless != NULL && has_member(layout, given, row->unless))
		return;
	switch (row->kind) {
	case DEFAULT_NUMBER:
		put_number(e, m, (uint64_t)row->number);
		break;
	case DEFAULT_TEXT:
		put_bytes(e, m, row->text, strlen(row->text));
		break;
	case DEFAULT_REQUIRE_MASTER:
		put_number(e, m, e->require_master);
		break;
	}
}

/* What is written for a member with neither value nor default: numbers as 0, since some servers
 * insist on having them. */
static void put_absent(struct encoder *e, const struct layout *layout,
		       const struct layout_member *m, const struct given *given)
{
	struct guid id;
	bool json;

	switch (m->kind) {
	case MEMBER_INT32:
	case MEMBER_INT64:
	case MEMBER_EXPECTED:
	case MEMBER_CURRENT:
	case MEMBER_BOOL:
	case MEMBER_MASTER:
	case MEMBER_ENUM:
	case MEMBER_RESULT:
		put_number(e, m, 0);
		break;
	case MEMBER_CONTENT_TYPE:
		json = layout->data >= 0 && (given->mask >> layout->data & 1) != 0 &&
		       given->form[layout->data] == FORM_JSON;
		put_number(e, m, json ? CONTENT_JSON : CONTENT_BYTES);
		break;
	case MEMBER_ID:
		guid_make(&id);
		put_id(e, m, &id);
		break;
	case MEMBER_PAYLOAD:
		put_number(e, m, 0);
		break;
	case MEMBER_TEXT:
	case MEMBER_NAME:
	case MEMBER_BYTES:
	case MEMBER_RECORD:
	case MEMBER_INDEXED:
	case MEMBER_RESOLVED:
	case MEMBER_PART:
		break;
	}
}

/* True where the LEN bytes at TEXT name member M; MATCH then says in which way. */
static bool names(const struct layout_member *m, const char *text, size_t len, struct match *match)
{
	match->form = FORM_JSON;
	match->aliased = false;
	if (len == m->name_len && memcmp(text, m->name, len) == 0)
		return true;
	if (m->kind == MEMBER_MASTER) {
		match->aliased = true;
		return len == sizeof(master_alias) - 1 && memcmp(text, master_alias, len) == 0;
	}
	if (m->kind != MEMBER_PAYLOAD || len < m->name_len ||
	    memcmp(text, m->name, m->name_len) != 0)
		return false;
	for (match->form = FORM_TEXT; match->form <= FORM_BASE64; match->form++) {
		if (len - m->name_len == forms[match->form].len &&
		    memcmp(text + m->name_len, forms[match->form].suffix, forms[match->form].len) ==
			    0)
			return true;
	}
	return false;
}

/* Finds the member that token NAME names, MATCH->index being where to look first: members mostly
 * come in order. */
static bool find_member(const struct layout *layout, const char *text, size_t len,
			struct match *match)
{
	for (unsigned n = 0; n < layout->count; n++) {
		if (match->index >= layout->count)
			match->index = 0;
		if (names(&layout->members[match->index], text, len, match))
			return true;
		match->index++;
	}
	return false;
}

/* Notes which members OBJECT has and where. */
static bool collect(struct encoder *e, const struct layout *layout, const struct place *p,
		    uint32_t object, struct given *given)
{
	const struct json_token *tokens = e->doc->tokens;
	struct match match = { .index = 0 };
	uint32_t value;

	for (uint32_t name = object + 1; name < tokens[object].next; name = tokens[value].next) {
		const char *text;
		size_t len;
		bool readable = get_text(e, name, &text, &len);

		value = tokens[name].next;
		if (readable && len >= 2 && text[0] == 'x' && text[1] == '-')
			continue;
		if (!readable || !find_member(layout, text, len, &match))
			return wrong_name(e, p, layout, name);
		if ((given->mask >> match.index & 1) != 0)
			return wrong_twice(e, p, &layout->members[match.index], &match, given);
		given->mask |= UINT32_C(1) << match.index;
		given->token[match.index] = value;
		given->form[match.index] = (uint8_t)match.form;
		given->aliased |= match.aliased;
		match.index++;
	}
	return true;
}

static bool encode_member(struct encoder *e, const struct layout_member *m, const struct place *up,
			  uint32_t token, enum form form, bool aliased)
{
	struct place p = { up, m->name, forms[form].suffix, -1 };

	if (m->kind == MEMBER_MASTER && aliased)
		p.name = master_alias;
	return m->repeated ? encode_list(e, m, &p, token) : encode_value(e, m, &p, token, form);
}

/* Writes OBJECT, or where it is NO_TOKEN an object without members, in the order of the fields. */
static bool encode_object(struct encoder *e, const struct layout *layout, const struct place *p,
			  uint32_t object, const struct message_default *defaults)
{
	struct given given;

	given.mask = 0;
	given.aliased = false;
	if (object != NO_TOKEN && e->doc->tokens[object].kind != JSON_OBJECT)
		return wrong(e, p, "must be an object");
	if (object != NO_TOKEN && !collect(e, layout, p, object, &given))
		return false;
	for (unsigned i = 0; i < layout->count; i++) {
		const struct layout_member *m = &layout->members[i];
		const struct message_default *row = default_of(m, &defaults);

		if ((given.mask >> i & 1) != 0) {
			if (!encode_member(e, m, p, given.token[i], given.form[i], given.aliased))
				return false;
		} else if (m->required) {
			struct place missing = { p, m->name, "", -1 };

			return wrong(e, &missing, "must be given");
		} else if (row != NULL) {
			put_default(e, layout, m, &given, row);
		} else if (!m->repeated) {
			put_absent(e, layout, m, &given);
		}
	}
	return true;
}

/* Encodes OBJECT as a whole, and takes everything back where it has a fault. */
static bool encode(struct encoder *e, const ProtobufCMessageDescriptor *descriptor,
		   const char *path, uint32_t object)
{
	const struct place p = { NULL, path, "", -1 };
	const struct message_default *defaults = e->message != NULL ? e->message->defaults : NULL;
	size_t len = buffer_len(e->out);
	size_t ids = e->ids != NULL ? buffer_len(e->ids) : 0;
	bool good = encode_object(e, layout_of(descriptor), &p, object, defaults);

	if (!good) {
		buffer_cut(e->out, buffer_len(e->out) - len);
		if (e->ids != NULL)
			buffer_cut(e->ids, buffer_len(e->ids) - ids);
	}
	buffer_free(&e->scratch);
	return good;
}

bool json_to_message(const struct message *message, const struct json_doc *doc, uint32_t body,
		     bool require_master, struct buffer *out, struct encoded *encoded,
		     char fault[FAULT_TEXT])
{
	struct encoder e = {
		.doc = doc,
		.out = out,
		.encoded = encoded,
		.ids = encoded != NULL ? encoded->event_ids : NULL,
		.message = message,
		.require_master = require_master,
		.fault = fault,
	};
	bool good;

	fault[0] = '\0';
	if (encoded != NULL)
		encoded->left_out = NULL;
	good = encode(&e, message->request, "body", body);
	if (encoded != NULL)
		encoded->starved = e.starved || out->failed || (e.ids != NULL && e.ids->failed);
	return good;
}

bool json_to_part(const ProtobufCMessageDescriptor *descriptor, const struct json_doc *doc,
		  uint32_t object, const char *path, struct buffer *out, char fault[FAULT_TEXT])
{
	struct encoder e = { .doc = doc, .out = out, .fault = fault };

	fault[0] = '\0';
	return encode(&e, descriptor, path, object);
}
