#include "local/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/execute.h"
#include "bridge/message.h"
#include "local/client_access.h"
#include "local/metrics.h"
#include "local/request_parts.h"
#include "local/status.h"

enum { WORD_MOST = 48 };

static const char no_memory[] = "esbridge has no memory for a request as long as this now";

const struct member_row member_rows[MEMBER_COUNT] = {
	[M_OP] = { "op", T_TEXT, "a string" },
	[M_ID] = { "id", T_ID, "a string of at most 128 bytes or an integer" },
	[M_TIMEOUT_MS] = { "timeout_ms", T_INTEGER, "an integer from 1 to 86400000" },
	[M_CREDENTIALS] = { "credentials", T_OBJECT,
			    "an object with \"username\" and \"password\"" },
	[M_CLIENT] = { "client", T_TEXT, "a string of 1 to 128 bytes" },
	[M_ALL] = { "all", T_BOOL, "true or false" },
	[M_MESSAGE] = { "message", T_TEXT, "a string" },
	[M_BODY] = { "body", T_OBJECT, "an object" },
	[M_CORRELATION_ID] = { "correlation_id", T_TEXT, "a UUID, and not of zeros alone" },
	[M_PAYLOAD] = { "payload", T_TEXT, "\"json\", \"base64\" or \"none\"" },
	[M_STREAM] = { "stream", T_TEXT, "a string of at most 65535 bytes without NUL" },
	[M_MODE] = { "mode", T_TEXT, "\"live\", \"catchup\" or \"persistent\"" },
	[M_SUB] = { "sub", T_TEXT, "a string of 1 to 128 bytes without NUL" },
	[M_RESOLVE_LINK_TOS] = { "resolve_link_tos", T_BOOL, "true or false" },
	[M_GROUP] = { "group", T_TEXT, "a string of 1 to 65535 bytes without NUL" },
	[M_IN_FLIGHT] = { "in_flight", T_INTEGER, "an integer from 1 to 10000" },
	[M_WINDOW] = { "window", T_INTEGER, "an integer from 0 to 100000" },
	[M_FROM] = { "from", T_ANY,
		     "an event number from 0 on, \"start\", \"end\", or for all streams "
		     "{\"commit\",\"prepare\"}" },
	[M_FILTER] = { "filter", T_OBJECT, "an object" },
	[M_READ_BATCH] = { "read_batch", T_INTEGER, "an integer from 1 to 4096" },
	[M_REQUIRE_MASTER] = { "require_master", T_BOOL, "true or false" },
	[M_REQUIRE_LEADER] = { "require_leader", T_BOOL, "true or false" },
	[M_EVENTS] = { "events", T_UUIDS, "an array of the ack_id of events" },
	[M_UP_TO] = { "up_to", T_UUID, "the ack_id of an event" },
	[M_ACTION] = { "action", T_TEXT, "\"park\", \"retry\", \"skip\", \"stop\" or \"unknown\"" },
	[M_REASON] = { "reason", T_TEXT, "a string" },
	[M_CHECKPOINT] = { "checkpoint", T_TEXT, "a string of 1 to 200 bytes without NUL" },
	[M_NAME] = { "name", T_TEXT, "a string of 1 to 200 bytes without NUL" },
	[M_POSITION] = { "position", T_ANY,
			 "an event number from -1 on, or for all streams {\"commit\",\"prepare\"}" },
};

struct op {
	const char *name;
	uint32_t takes; /* one bit for each member, beside op and id */
	uint32_t needs;
	uint32_t permissions; /* one of these bits, where there are any */
	void (*take)(struct line *l);
};

/* Ops ------------------------------------------------------------------------------------------- */

static void take_hello(struct line *l)
{
	struct client *c = l->client;
	char name[NAME_MOST + 1];

	if (line_given(l, M_CLIENT)) {
		if (!line_text(l, M_CLIENT, name, 1, NAME_MOST))
			return;
		free(c->name);
		c->name = mem_text(name);
		log_write(LOG_INFO, "client named client=%u name=%s uid=%u pid=%d", c->number,
			  log_text(name, strlen(name)), (unsigned)c->uid, (int)c->pid);
	}
	answer_hello(c, &l->id);
}

static void take_ping(struct line *l)
{
	struct credentials who;
	const struct credentials *chosen;
	uint64_t ms;

	if (line_timeout(l, &ms) && line_credentials(l, &who, &chosen)) {
		chosen = client_credentials(l->client, chosen, &who);
		bridge_ping(&l->client->session, &l->id, chosen, ms);
		mem_wipe(&who, sizeof(who));
	}
}

static void take_status(struct line *l)
{
	bool all = line_given(l, M_ALL) && line_token(l, M_ALL)->kind == JSON_TRUE;

	if (all && !client_has(l->client, PERMISSION_BIT(PERMISSION_ADMIN)))
		client_refuse_permission(l->client, &l->id, PERMISSION_ADMIN, OUTCOME_NOT_SAID);
	else
		answer_status(l->client, &l->id, all);
}

static void take_metrics(struct line *l)
{
	answer_metrics(l->client, &l->id);
}

static const struct message *message(struct line *l)
{
	size_t before = buffer_len(&l->text);
	const struct message *m = NULL;
	struct span name;

	if (line_plain_text(l, l->value[M_MESSAGE], &name))
		m = message_find((const char *)name.at, name.len);
	else
		name = (struct span){ (const uint8_t *)"that name", 9 };
	if (m == NULL)
		line_refuse(l, ERROR_UNKNOWN_MESSAGE,
			    "there is no message '%.*s'; hello lists those that there are",
			    (int)(name.len > WORD_MOST ? WORD_MOST : name.len),
			    (const char *)name.at);
	buffer_cut(&l->text, buffer_len(&l->text) - before);
	return m;
}

static bool correlation(struct line *l, struct guid *id, const struct guid **chosen)
{
	const struct json_token *t;

	*chosen = NULL;
	if (!line_given(l, M_CORRELATION_ID))
		return true;
	t = line_token(l, M_CORRELATION_ID);
	if (!guid_parse(l->doc->text + t->at + 1, t->len - 2, id) || guid_is_zero(id))
		return line_refuse_member(l, M_CORRELATION_ID);
	*chosen = id;
	return true;
}

/* False, and refused, where the client may not send M, whatever it is about. */
static bool is_permitted(struct line *l, const struct message *m)
{
	uint32_t bits = PERMISSION_BIT(m->needs);

	/* A write to the metadata of a stream needs another permission than other writes. */
	if (m->needs == PERMISSION_WRITE)
		bits |= PERMISSION_BIT(PERMISSION_MANAGE);
	if (client_has(l->client, bits))
		return true;
	client_refuse_permission(l->client, &l->id, m->needs,
				 m->kind == MESSAGE_READ ? OUTCOME_NOT_SAID : OUTCOME_NONE);
	return false;
}

static void take_execute(struct line *l)
{
	struct execute_arguments a = { .doc = l->doc };
	const struct credentials *chosen;
	struct credentials who;
	struct guid id;

	a.message = message(l);
	if (a.message != NULL && a.message->kind == MESSAGE_READ && l->client->gone)
		return; /* nobody is there for the answer */
	a.body = line_given(l, M_BODY) ? l->value[M_BODY] : (uint32_t)NO_TOKEN;
	if (a.message == NULL || !is_permitted(l, a.message) || !line_timeout(l, &a.timeout_ms) ||
	    !line_payload_mode(l, &a.payload) || !correlation(l, &id, &a.correlation) ||
	    !line_credentials(l, &who, &chosen))
		return;
	a.who = client_credentials(l->client, chosen, &who);
	if (l->own != NULL && !line_given(l, M_CREDENTIALS)) {
		l->own->secret = false;
		a.line = l->own;
	}
	bridge_execute(&l->client->session, &l->id, &a);
	if (a.who != NULL)
		mem_wipe(&who, sizeof(who));
}

/* To be heard at all. What needs less is open to who may do nothing. */
#define ANYTHING ((1u << PERMISSIONS) - 1)

static const struct op ops[] = {
	{ "execute",
	  BIT(M_MESSAGE) | BIT(M_BODY) | BIT(M_CORRELATION_ID) | BIT(M_PAYLOAD) |
		  BIT(M_TIMEOUT_MS) | BIT(M_CREDENTIALS),
	  BIT(M_MESSAGE), 0, take_execute },
	{ "ack", BIT(M_SUB) | BIT(M_EVENTS) | BIT(M_UP_TO), BIT(M_SUB), 0, take_ack },
	{ "nack", BIT(M_SUB) | BIT(M_EVENTS) | BIT(M_UP_TO) | BIT(M_ACTION) | BIT(M_REASON),
	  BIT(M_SUB), 0, take_nack },
	{ "subscribe",
	  BIT(M_STREAM) | BIT(M_MODE) | BIT(M_SUB) | OF_MODES | BIT(M_PAYLOAD) | BIT(M_TIMEOUT_MS) |
		  BIT(M_CREDENTIALS),
	  BIT(M_STREAM), PERMISSION_BIT(PERMISSION_SUBSCRIBE), take_subscribe },
	{ "unsubscribe", BIT(M_SUB) | BIT(M_TIMEOUT_MS), BIT(M_SUB), 0, take_unsubscribe },
	{ "ping", BIT(M_TIMEOUT_MS) | BIT(M_CREDENTIALS), 0, ANYTHING, take_ping },
	{ "status", BIT(M_ALL), 0, 0, take_status },
	{ "checkpoint", BIT(M_ACTION) | BIT(M_NAME) | BIT(M_POSITION), 0,
	  PERMISSION_BIT(PERMISSION_SUBSCRIBE) | PERMISSION_BIT(PERMISSION_MANAGE),
	  take_checkpoint },
	{ "hello", BIT(M_CLIENT), 0, 0, take_hello },
	{ "metrics", 0, 0, ANYTHING, take_metrics },
};

enum { OP_COUNT = sizeof(ops) / sizeof(ops[0]) };

/* The line -------------------------------------------------------------------------------------- */

static int member_of(const struct json_doc *doc, uint32_t name)
{
	const struct json_token *t = &doc->tokens[name];
	const char *text = doc->text + t->at + 1;
	bool escaped = (t->flags & JSON_ESCAPED) != 0;

	for (int m = 0; m < MEMBER_COUNT; m++) {
		const char *wanted = member_rows[m].name;

		/* All members but a few are told by their first letter. */
		if ((escaped || *text == *wanted) &&
		    json_string_is(doc, name, wanted, strlen(wanted)))
			return m;
	}
	return -1;
}

static bool is_id(const struct json_token *t)
{
	if (t->kind == JSON_STRING)
		return t->len <= REQUEST_ID_MOST + 2 && (t->flags & JSON_LONE_SURROGATE) == 0;
	return t->kind == JSON_NUMBER && (t->flags & JSON_INTEGER) != 0 &&
	       t->len <= REQUEST_ID_MOST;
}

static bool is_uuid(const struct json_doc *doc, uint32_t i)
{
	const struct json_token *t = &doc->tokens[i];
	struct guid id;

	return t->kind == JSON_STRING && guid_parse(doc->text + t->at + 1, t->len - 2, &id);
}

static bool all_uuids(const struct json_doc *doc, uint32_t array)
{
	uint32_t end = doc->tokens[array].next;
	uint32_t i = array + 1;

	while (i < end && is_uuid(doc, i))
		i = doc->tokens[i].next;
	return i == end;
}

static bool has_type(const struct line *l, enum member m, uint32_t value)
{
	const struct json_token *t = &l->doc->tokens[value];

	switch (member_rows[m].type) {
	case T_TEXT:
		return t->kind == JSON_STRING;
	case T_ID:
		return is_id(t);
	case T_INTEGER:
		return t->kind == JSON_NUMBER;
	case T_BOOL:
		return t->kind == JSON_TRUE || t->kind == JSON_FALSE;
	case T_OBJECT:
		return t->kind == JSON_OBJECT;
	case T_ANY:
		return true;
	case T_UUID:
		return is_uuid(l->doc, value);
	case T_UUIDS:
		return t->kind == JSON_ARRAY && all_uuids(l->doc, value);
	}
	return false;
}

static bool is_extension(const struct json_doc *doc, uint32_t name)
{
	const struct json_token *t = &doc->tokens[name];

	return t->len >= 4 && memcmp(doc->text + t->at, "\"x-", 3) == 0;
}

/*
 * Finds the id before all else, so that every later fault can be told with it. An id that is wrong
 * or given twice is told without one.
 */
static bool find_id(struct line *l)
{
	const struct json_doc *doc = l->doc;
	const struct json_token *t;

	for (uint32_t i = 1; i < doc->count; i = doc->tokens[i + 1].next) {
		if (!json_string_is(doc, i, "id", 2))
			continue;
		if (line_given(l, M_ID) || !has_type(l, M_ID, i + 1)) {
			if (line_given(l, M_ID))
				line_refuse(l, ERROR_BAD_REQUEST, "id is given twice");
			else
				line_refuse_member(l, M_ID);
			return false;
		}
		l->value[M_ID] = i + 1;
		l->given |= BIT(M_ID);
	}
	if (line_given(l, M_ID)) {
		t = line_token(l, M_ID);
		l->id.len = (unsigned char)t->len;
		memcpy(l->id.text, doc->text + t->at, t->len);
	}
	return true;
}

/* Sorts the members. False, and refused, where one is given twice or has the wrong type. */
static bool sort_members(struct line *l)
{
	const struct json_doc *doc = l->doc;

	for (uint32_t i = 1; i < doc->count; i = doc->tokens[i + 1].next) {
		int m = member_of(doc, i);

		if (m < 0 && l->unknown == 0 && !is_extension(doc, i))
			l->unknown = i;
		if (m < 0 || m == M_ID)
			continue;
		if (line_given(l, (enum member)m)) {
			line_refuse(l, ERROR_BAD_REQUEST, "%s is given twice", member_rows[m].name);
			return false;
		}
		if (!has_type(l, (enum member)m, i + 1))
			return line_refuse_member(l, (enum member)m);
		l->value[m] = i + 1;
		l->given |= BIT(m);
	}
	return true;
}

static const struct op *find_op(struct line *l)
{
	const struct json_token *t;

	if (!line_given(l, M_OP)) {
		line_refuse(l, ERROR_BAD_REQUEST, "op is missing");
		return NULL;
	}
	for (size_t i = 0; i < OP_COUNT; i++) {
		if (json_string_is(l->doc, l->value[M_OP], ops[i].name, strlen(ops[i].name)))
			return &ops[i];
	}
	t = line_token(l, M_OP);
	line_refuse(l, ERROR_UNKNOWN_OP,
		    "there is no op %.*s; there are hello, ping, status, metrics, execute, "
		    "subscribe, unsubscribe, ack, nack, checkpoint",
		    t->len > 64 ? 64 : (int)t->len, l->doc->text + t->at);
	return NULL;
}

/* Refuses the member whose name is token NAME, and tells which OP takes. */
static bool refuse_unknown(struct line *l, const struct op *op, uint32_t name)
{
	const struct json_token *t = &l->doc->tokens[name];
	char list[320] = "";
	size_t used = 0;

	for (int m = 0; m < MEMBER_COUNT; m++) {
		if (m == M_OP || m == M_ID || (op->takes & BIT(m)) != 0)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 used > 0 ? ", " : "", member_rows[m].name);
	}
	line_refuse(l, ERROR_BAD_REQUEST, "%s takes no member %.*s; it takes %s", op->name,
		    t->len > 64 ? 64 : (int)t->len, l->doc->text + t->at, list);
	return false;
}

static bool suits(struct line *l, const struct op *op)
{
	const uint32_t takes = op->takes | BIT(M_OP) | BIT(M_ID);

	if (l->unknown != 0)
		return refuse_unknown(l, op, l->unknown);
	if ((l->given & ~takes) == 0 && (op->needs & ~l->given) == 0)
		return true;
	/* The first member that is at fault is told. */
	for (int m = M_ID + 1; m < MEMBER_COUNT; m++) {
		/* The name of a member stands just before its value. */
		if (line_given(l, (enum member)m) && (op->takes & BIT(m)) == 0)
			return refuse_unknown(l, op, l->value[m] - 1);
		if (!line_given(l, (enum member)m) && (op->needs & BIT(m)) != 0) {
			line_refuse(l, ERROR_BAD_REQUEST, "%s needs the member \"%s\", %s",
				    op->name, member_rows[m].name, member_rows[m].wanted);
			return false;
		}
	}
	return false;
}

static void refuse_bad_json(struct line *l, size_t offset, const char *reason)
{
	struct buffer *out = l->client->session.out;

	l->client->errors++;
	answer_error(out, &l->id, ERROR_BAD_JSON, OUTCOME_NOT_SAID, "%s at byte %zu", reason,
		     offset);
	json_key(out, "offset");
	json_uint(out, offset);
	answer_end(out);
	l->client->session.events->wrote(&l->client->session);
}

/* True for an ack or nack without an id: it puts nothing into the output unless it fails. */
static bool is_silent(const struct json_doc *doc)
{
	bool acks = false;

	if (doc->tokens[0].kind != JSON_OBJECT)
		return false;
	for (uint32_t i = 1; i < doc->count; i = doc->tokens[i + 1].next) {
		if (json_string_is(doc, i, "id", 2))
			return false;
		if (json_string_is(doc, i, "op", 2))
			acks = doc->tokens[i + 1].kind == JSON_STRING &&
			       (json_string_is(doc, i + 1, "ack", 3) ||
				json_string_is(doc, i + 1, "nack", 4));
	}
	return acks;
}

/* A good request that is not taken up, whatever it is. */
static void refuse_unheard(struct line *l, const struct op *op, enum error_code code,
			   const char *why)
{
	const struct message *m = op->take == take_execute ? message(l) : NULL;
	enum outcome outcome = OUTCOME_NOT_SAID;

	if (op->take == take_execute && m == NULL)
		return;
	if (m != NULL && m->kind != MESSAGE_READ)
		outcome = OUTCOME_NONE;
	l->client->errors++;
	session_refuse(&l->client->session, &l->id, code, outcome, "%s", why);
}

/* The first of the permissions that would do is told. */
static void refuse_op(struct line *l, const struct op *op)
{
	enum permission p = PERMISSION_NOT_SAID;

	while ((op->permissions & PERMISSION_BIT(p)) == 0)
		p++;
	client_refuse_permission(l->client, &l->id, p, OUTCOME_NOT_SAID);
}

static void take_object(struct line *l)
{
	const struct op *op;

	if (!find_id(l) || !sort_members(l))
		return;
	l->client->harmless = !line_given(l, M_CREDENTIALS);
	if ((op = find_op(l)) == NULL || !suits(l, op))
		return;
	if (l->client->local->draining)
		refuse_unheard(l, op, ERROR_SHUTTING_DOWN, "esbridge is shutting down");
	else if (!client_has(l->client, op->permissions))
		refuse_op(l, op);
	else if (l->heed == HEED_NOTHING)
		refuse_unheard(l, op, ERROR_OVERLOADED, no_memory);
	else
		op->take(l);
}

bool request_take(struct client *c, const char *text_of_line, size_t len, struct buffer *own,
		  enum heed heed)
{
	struct json_doc *doc = &c->local->doc;
	struct line l = { .client = c, .heed = heed, .doc = doc, .own = own };
	bool well = json_parse(doc, text_of_line, len);

	if (heed == HEED_SILENT && (!well || !is_silent(doc)))
		return false;
	if (!well && doc->error == json_starved)
		line_refuse(&l, ERROR_OVERLOADED, "%s", no_memory);
	else if (!well)
		refuse_bad_json(&l, doc->error_at, doc->error);
	else if (doc->tokens[0].kind != JSON_OBJECT)
		refuse_bad_json(&l, doc->tokens[0].at,
				"a request must be a JSON object, and is none,");
	else
		take_object(&l);
	buffer_free(&l.text);
	json_doc_shrink(doc, 4096);
	return true;
}
