#include "local/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/execute.h"
#include "bridge/message.h"
#include "bridge/reader.h"
#include "local/status.h"

/*
 * The members of all requests, by name. A request is first sorted into them, then the op says which
 * of them it takes; so the order of members on the line is free.
 */
enum member {
	M_OP,
	M_ID,
	M_TIMEOUT_MS,
	M_CREDENTIALS,
	M_CLIENT,
	M_ALL,
	M_MESSAGE,
	M_BODY,
	M_CORRELATION_ID,
	M_PAYLOAD,
	M_STREAM,
	M_MODE,
	M_SUB,
	M_RESOLVE_LINK_TOS,
	M_GROUP,
	M_IN_FLIGHT,
	M_WINDOW,
	M_FROM,
	M_FILTER,
	M_READ_BATCH,
	M_REQUIRE_MASTER,
	M_REQUIRE_LEADER,
	M_EVENTS,
	M_UP_TO,
	M_ACTION,
	M_REASON,
	MEMBER_COUNT,
};

enum member_type { T_TEXT, T_ID, T_UUID, T_UUIDS, T_INTEGER, T_BOOL, T_OBJECT, T_ANY };

struct member_row {
	const char *name;
	enum member_type type;
	const char *wanted; /* in words, after "must be " */
};

static const struct member_row members[MEMBER_COUNT] = {
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
	[M_STREAM] = { "stream", T_TEXT, "a string without NUL" },
	[M_MODE] = { "mode", T_TEXT, "\"live\", \"catchup\" or \"persistent\"" },
	[M_SUB] = { "sub", T_TEXT, "a string of 1 to 128 bytes without NUL" },
	[M_RESOLVE_LINK_TOS] = { "resolve_link_tos", T_BOOL, "true or false" },
	[M_GROUP] = { "group", T_TEXT, "a string of at least one byte, without NUL" },
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
};

enum {
	WORD_MOST = 48,
	NAME_MOST = 128,
	TIMEOUT_MOST = 86400000,
	IN_FLIGHT_MOST = 10000,
	WINDOW_MOST = 100000,
	READ_BATCH_MOST = 4096,
};

struct line {
	struct client *client;
	const struct json_doc *doc;
	struct request_id id;
	uint32_t value[MEMBER_COUNT]; /* the token of each member, or 0: not given */
	uint32_t unknown;             /* the token of the first name that is no member's, or 0 */
	struct buffer text;           /* texts with escapes, resolved; ended by NULs */
};

struct op {
	const char *name;
	uint32_t takes; /* one bit for each member, beside op and id */
	uint32_t needs;
	void (*take)(struct line *l);
};

static bool given(const struct line *l, enum member m)
{
	return l->value[m] != 0;
}

static const struct json_token *token(const struct line *l, enum member m)
{
	return &l->doc->tokens[l->value[m]];
}

static void refuse(struct line *l, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct line *l, enum error_code code, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	l->client->errors++;
	session_refuse(&l->client->session, &l->id, code, OUTCOME_NOT_SAID, "%s", text);
}

/* Refuses because of member M. Always false, for the caller to return. */
static bool refuse_member(struct line *l, enum member m)
{
	refuse(l, ERROR_BAD_REQUEST, "%s must be %s", members[m].name, members[m].wanted);
	return false;
}

/* Values ---------------------------------------------------------------------------------------- */

/* The index in WORDS, ended by NULL, of text member M; -1 where it is none of them. */
static int word(const struct line *l, enum member m, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (json_string_is(l->doc, l->value[m], words[i], strlen(words[i])))
			return i;
	}
	return -1;
}

/* Copies text member M, escapes resolved, to TO, NUL-terminated. False, and refused, where it does
 * not suit: LEAST to MOST bytes, no NUL. */
static bool text(struct line *l, enum member m, char *to, size_t least, size_t most)
{
	size_t before = buffer_len(&l->text);
	size_t len;
	bool suits;

	if (!json_string_get(l->doc, l->value[m], &l->text))
		return refuse_member(l, m);
	len = buffer_len(&l->text) - before;
	suits = !l->text.failed && len >= least && len <= most &&
		(len == 0 || memchr(buffer_at(&l->text) + before, '\0', len) == NULL);
	if (suits) {
		if (len > 0)
			memcpy(to, buffer_at(&l->text) + before, len);
		to[len] = '\0';
	}
	buffer_cut(&l->text, len);
	return suits || refuse_member(l, m);
}

/* Integer member M where it is given, else STANDARD. False, and refused, where it is not within
 * LEAST and MOST. */
static bool integer(struct line *l, enum member m, int64_t standard, int64_t least, int64_t most,
		    int64_t *value)
{
	*value = standard;
	if (!given(l, m) ||
	    (json_int64_get(l->doc, l->value[m], value) && *value >= least && *value <= most))
		return true;
	return refuse_member(l, m);
}

static bool timeout(struct line *l, uint64_t *ms)
{
	int64_t value;

	if (!integer(l, M_TIMEOUT_MS, l->client->local->settings.operation_timeout, 1, TIMEOUT_MOST,
		     &value))
		return false;
	*ms = (uint64_t)value;
	return true;
}

static bool payload_mode(struct line *l, enum payload_mode *mode)
{
	static const char *const words[] = { "json", "base64", "none", NULL };
	static const enum payload_mode modes[] = { PAYLOAD_JSON, PAYLOAD_BASE64, PAYLOAD_NONE };
	int i = 0;

	if (given(l, M_PAYLOAD))
		i = word(l, M_PAYLOAD, words);
	if (i < 0)
		return refuse_member(l, M_PAYLOAD);
	*mode = modes[i];
	return true;
}

static bool credential(struct line *l, uint32_t t, char to[CREDENTIAL_MOST + 1])
{
	size_t before = buffer_len(&l->text);
	size_t len;
	bool suits;

	if (l->doc->tokens[t].kind != JSON_STRING || !json_string_get(l->doc, t, &l->text))
		return false;
	len = buffer_len(&l->text) - before;
	suits = len <= CREDENTIAL_MOST;
	if (suits) {
		if (len > 0)
			memcpy(to, buffer_at(&l->text) + before, len);
		to[len] = '\0';
		suits = strlen(to) == len;
	}
	if (len > 0)
		mem_wipe(buffer_at(&l->text) + before, len);
	buffer_cut(&l->text, len);
	return suits;
}

/* Reads `credentials` into WHO and sets *GIVEN. */
static bool credentials(struct line *l, struct credentials *who, const struct credentials **chosen)
{
	const struct json_doc *doc = l->doc;
	uint32_t end, i;
	bool login = false, password = false;

	*chosen = NULL;
	if (!given(l, M_CREDENTIALS))
		return true;
	end = token(l, M_CREDENTIALS)->next;
	for (i = l->value[M_CREDENTIALS] + 1; i < end; i = doc->tokens[i + 1].next) {
		bool *seen = json_string_is(doc, i, "username", 8)   ? &login
			     : json_string_is(doc, i, "password", 8) ? &password
								     : NULL;

		if (seen == NULL || *seen ||
		    !credential(l, i + 1, seen == &login ? who->login : who->password))
			break;
		*seen = true;
	}
	if (i < end || !login || !password || who->login[0] == '\0') {
		mem_wipe(who, sizeof(*who));
		refuse(l, ERROR_BAD_REQUEST,
		       "credentials must be an object with \"username\" and \"password\", strings of "
		       "at most %d bytes",
		       CREDENTIAL_MOST);
		return false;
	}
	*chosen = who;
	return true;
}

/* Ops ------------------------------------------------------------------------------------------- */

static void take_hello(struct line *l)
{
	struct client *c = l->client;
	char name[NAME_MOST + 1];

	if (given(l, M_CLIENT)) {
		if (!text(l, M_CLIENT, name, 1, NAME_MOST))
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

	if (timeout(l, &ms) && credentials(l, &who, &chosen)) {
		bridge_ping(&l->client->session, &l->id, chosen, ms);
		mem_wipe(&who, sizeof(who));
	}
}

static void take_status(struct line *l)
{
	/* Only an access rule gives `admin` (PROTOCOL, section 3), and without rules nobody has it.
	 */
	if (given(l, M_ALL) && token(l, M_ALL)->kind == JSON_TRUE)
		refuse(l, ERROR_PERMISSION_DENIED,
		       "the status of all clients needs the permission admin");
	else
		answer_status(l->client, &l->id);
}

static const struct message *message(struct line *l)
{
	char name[WORD_MOST + 1];
	const struct message *m = NULL;
	size_t before = buffer_len(&l->text);
	size_t len;

	if (json_string_get(l->doc, l->value[M_MESSAGE], &l->text)) {
		len = buffer_len(&l->text) - before;
		m = message_find((const char *)buffer_at(&l->text) + before, len);
		snprintf(name, sizeof(name), "%.*s", (int)(len > WORD_MOST ? WORD_MOST : len),
			 (const char *)buffer_at(&l->text) + before);
		buffer_cut(&l->text, len);
	} else {
		snprintf(name, sizeof(name), "that name");
	}
	if (m == NULL)
		refuse(l, ERROR_UNKNOWN_MESSAGE,
		       "there is no message '%s'; hello lists those that there are", name);
	return m;
}

static bool correlation(struct line *l, struct guid *id, const struct guid **chosen)
{
	const struct json_token *t;

	*chosen = NULL;
	if (!given(l, M_CORRELATION_ID))
		return true;
	t = token(l, M_CORRELATION_ID);
	if (!guid_parse(l->doc->text + t->at + 1, t->len - 2, id) || guid_is_zero(id))
		return refuse_member(l, M_CORRELATION_ID);
	*chosen = id;
	return true;
}

static void take_execute(struct line *l)
{
	struct execute_arguments a = { .doc = l->doc };
	struct credentials who;
	struct guid id;

	a.message = message(l);
	a.body = given(l, M_BODY) ? l->value[M_BODY] : (uint32_t)NO_TOKEN;
	if (a.message == NULL || !timeout(l, &a.timeout_ms) || !payload_mode(l, &a.payload) ||
	    !correlation(l, &id, &a.correlation) || !credentials(l, &who, &a.who))
		return;
	bridge_execute(&l->client->session, &l->id, &a);
	if (a.who != NULL)
		mem_wipe(&who, sizeof(who));
}

/*
 * Text member M of at least LEAST bytes, NUL-terminated, kept in l->text for the rest of the line:
 * the caller has made room enough there, so that it does not move. False, and refused, where it
 * does not suit.
 */
static bool kept_text(struct line *l, enum member m, size_t least, const char **kept)
{
	size_t before = buffer_len(&l->text);
	size_t len;

	if (!json_string_get(l->doc, l->value[m], &l->text))
		return refuse_member(l, m);
	len = buffer_len(&l->text) - before;
	buffer_add_byte(&l->text, '\0');
	if (l->text.failed || len < least)
		return refuse_member(l, m);
	*kept = (const char *)buffer_at(&l->text) + before;
	return strlen(*kept) == len || refuse_member(l, m);
}

/* Which members go with which mode. */
struct mode_row {
	const char *name;
	uint32_t takes;
};

#define BIT(m) (1u << (m))

static const struct mode_row modes[] = {
	[READER_LIVE] = { "live", BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) },
	[READER_CATCHUP] = { "catchup", BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) |
						BIT(M_FROM) | BIT(M_READ_BATCH) |
						BIT(M_REQUIRE_MASTER) | BIT(M_REQUIRE_LEADER) },
	[READER_PERSISTENT] = { "persistent", BIT(M_GROUP) | BIT(M_IN_FLIGHT) },
};

/* The members that only some modes take. */
enum {
	OF_MODES = BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) | BIT(M_FROM) |
		   BIT(M_READ_BATCH) | BIT(M_REQUIRE_MASTER) | BIT(M_REQUIRE_LEADER) |
		   BIT(M_GROUP) | BIT(M_IN_FLIGHT)
};

/* The mode that is given, or else the one that the other members tell (PROTOCOL, section 3). */
static bool subscribe_mode(struct line *l, enum reader_mode *mode)
{
	static const char *const words[] = { "live", "catchup", "persistent", NULL };
	int i = given(l, M_GROUP)  ? READER_PERSISTENT
		: given(l, M_FROM) ? READER_CATCHUP
				   : READER_LIVE;

	if (given(l, M_MODE))
		i = word(l, M_MODE, words);
	if (i < 0)
		return refuse_member(l, M_MODE);
	*mode = (enum reader_mode)i;
	for (int m = 0; m < MEMBER_COUNT; m++) {
		if (given(l, (enum member)m) && (OF_MODES & ~modes[i].takes & BIT(m)) != 0) {
			refuse(l, ERROR_BAD_REQUEST, "%s is not for subscriptions of mode \"%s\"",
			       members[m].name, modes[i].name);
			return false;
		}
	}
	if (*mode == READER_PERSISTENT && !given(l, M_GROUP)) {
		refuse(l, ERROR_BAD_REQUEST, "a persistent subscription needs group");
		return false;
	}
	return true;
}

/* A position of the log of all streams. */
static bool position(struct line *l, uint32_t object, struct place *place)
{
	const struct json_doc *doc = l->doc;
	uint32_t end = doc->tokens[object].next;
	bool commit = false, prepare = false;

	if (doc->tokens[object].kind != JSON_OBJECT)
		return false;
	for (uint32_t i = object + 1; i < end; i = doc->tokens[i + 1].next) {
		bool *seen = json_string_is(doc, i, "commit", 6)    ? &commit
			     : json_string_is(doc, i, "prepare", 7) ? &prepare
								    : NULL;
		int64_t *value = seen == &commit ? &place->commit : &place->prepare;

		if (seen == NULL || *seen || doc->tokens[i + 1].kind != JSON_NUMBER ||
		    !json_int64_get(doc, i + 1, value) || *value < 0)
			return false;
		*seen = true;
	}
	return commit && prepare;
}

static bool from(struct line *l, struct subscribe_arguments *a)
{
	uint32_t t = l->value[M_FROM];
	int64_t number = 0;

	if (!given(l, M_FROM) || json_string_is(l->doc, t, "start", 5))
		return true;
	a->from_end = token(l, M_FROM)->kind == JSON_STRING && json_string_is(l->doc, t, "end", 3);
	if (a->from_end)
		return true;
	if (a->stream[0] == '\0')
		return position(l, t, &a->from) || refuse_member(l, M_FROM);
	if (token(l, M_FROM)->kind != JSON_NUMBER || !json_int64_get(l->doc, t, &number) ||
	    number < 0 || number == INT64_MAX)
		return refuse_member(l, M_FROM);
	a->from.commit = number;
	return true;
}

/* The filter is encoded into l->text, which has room for it and does not move. */
static bool filter(struct line *l, struct subscribe_arguments *a)
{
	size_t before = buffer_len(&l->text);
	char fault[512];

	if (!given(l, M_FILTER))
		return true;
	if (a->stream[0] != '\0') {
		refuse(l, ERROR_BAD_REQUEST, "filter is for all streams alone");
		return false;
	}
	if (!reader_filter(l->doc, l->value[M_FILTER], &l->text, fault, sizeof(fault))) {
		refuse(l, ERROR_BAD_REQUEST, "%s", fault);
		return false;
	}
	a->filter = (struct span){ buffer_at(&l->text) + before, buffer_len(&l->text) - before };
	return true;
}

static bool numbers(struct line *l, struct subscribe_arguments *a)
{
	int64_t window = 0, batch = 0;

	if (a->mode == READER_PERSISTENT ? !integer(l, M_IN_FLIGHT, 10, 1, IN_FLIGHT_MOST, &window)
					 : !integer(l, M_WINDOW, 0, 0, WINDOW_MOST, &window))
		return false;
	if (!integer(l, M_READ_BATCH, 500, 1, READ_BATCH_MOST, &batch))
		return false;
	if (given(l, M_REQUIRE_MASTER) && given(l, M_REQUIRE_LEADER)) {
		refuse(l, ERROR_BAD_REQUEST,
		       "require_master and require_leader are the same, one alone may be given");
		return false;
	}
	a->window = (int32_t)window;
	a->read_batch = (int32_t)batch;
	a->require_master = l->client->local->bridge->settings.require_master;
	if (given(l, M_REQUIRE_MASTER))
		a->require_master = token(l, M_REQUIRE_MASTER)->kind == JSON_TRUE;
	if (given(l, M_REQUIRE_LEADER))
		a->require_master = token(l, M_REQUIRE_LEADER)->kind == JSON_TRUE;
	if (given(l, M_RESOLVE_LINK_TOS))
		a->resolve_link_tos = token(l, M_RESOLVE_LINK_TOS)->kind == JSON_TRUE;
	return true;
}

/* Everything but the credentials. NAME is where the name of the subscription goes. */
static bool subscribe_arguments(struct line *l, struct subscribe_arguments *a,
				char name[NAME_MOST + 1])
{
	if (!subscribe_mode(l, &a->mode) || !kept_text(l, M_STREAM, 0, &a->stream) ||
	    (given(l, M_GROUP) && !kept_text(l, M_GROUP, 1, &a->group)) ||
	    (given(l, M_SUB) && !text(l, M_SUB, name, 1, NAME_MOST)) || !numbers(l, a) ||
	    !payload_mode(l, &a->payload) || !timeout(l, &a->timeout_ms))
		return false;
	a->name = given(l, M_SUB) ? name : NULL;
	if (strcmp(a->stream, "$all") == 0)
		a->stream = "";
	if (a->mode == READER_PERSISTENT && a->stream[0] == '\0') {
		refuse(l, ERROR_BAD_REQUEST,
		       "stream must be the name of a stream: the store has no groups on all streams over TCP");
		return false;
	}
	return from(l, a) && filter(l, a);
}

static void take_subscribe(struct line *l)
{
	struct subscribe_arguments a = { .resolve_link_tos = true };
	struct credentials who;
	char name[NAME_MOST + 1];

	/* No text, nor what is made of it, is longer than its token: with this room the buffer does
	 * not move under what it holds. */
	if (buffer_room(&l->text, (size_t)l->doc->tokens[0].len * 2 + 64) == NULL) {
		refuse(l, ERROR_LIMIT_EXCEEDED, "the request is too long");
		return;
	}
	if (!subscribe_arguments(l, &a, name) || !credentials(l, &who, &a.who))
		return;
	reader_subscribe(&l->client->session, &l->id, &a);
	if (a.who != NULL)
		mem_wipe(&who, sizeof(who));
}

static void take_unsubscribe(struct line *l)
{
	char name[NAME_MOST + 1];
	uint64_t ms;

	if (text(l, M_SUB, name, 1, NAME_MOST) && timeout(l, &ms))
		reader_unsubscribe(&l->client->session, &l->id, name, ms);
}

static void acknowledge(struct line *l, struct ack_arguments *a)
{
	char name[NAME_MOST + 1];

	if (!text(l, M_SUB, name, 1, NAME_MOST))
		return;
	if (given(l, M_EVENTS) == given(l, M_UP_TO)) {
		refuse(l, ERROR_BAD_REQUEST, "either events or up_to is needed, and not both");
		return;
	}
	a->doc = l->doc;
	a->events = given(l, M_EVENTS) ? l->value[M_EVENTS] : (uint32_t)NO_TOKEN;
	a->up_to = given(l, M_UP_TO) ? l->value[M_UP_TO] : (uint32_t)NO_TOKEN;
	reader_acknowledge(&l->client->session, &l->id, name, a);
}

static void take_ack(struct line *l)
{
	struct ack_arguments a = { .negative = false };

	acknowledge(l, &a);
}

static void take_nack(struct line *l)
{
	/* The numbers of the store's NakAction. */
	static const char *const words[] = { "unknown", "park", "retry", "skip", "stop", NULL };
	struct ack_arguments a = { .negative = true, .action = 2 };

	if (given(l, M_ACTION))
		a.action = word(l, M_ACTION, words);
	if (a.action < 0) {
		refuse_member(l, M_ACTION);
		return;
	}
	if (given(l, M_REASON)) {
		if (!json_string_get(l->doc, l->value[M_REASON], &l->text)) {
			refuse_member(l, M_REASON);
			return;
		}
		a.reason = (const char *)buffer_at(&l->text);
		a.reason_len = buffer_len(&l->text);
	}
	acknowledge(l, &a);
}

static const struct op ops[] = {
	{ "execute",
	  BIT(M_MESSAGE) | BIT(M_BODY) | BIT(M_CORRELATION_ID) | BIT(M_PAYLOAD) |
		  BIT(M_TIMEOUT_MS) | BIT(M_CREDENTIALS),
	  BIT(M_MESSAGE), take_execute },
	{ "ack", BIT(M_SUB) | BIT(M_EVENTS) | BIT(M_UP_TO), BIT(M_SUB), take_ack },
	{ "nack", BIT(M_SUB) | BIT(M_EVENTS) | BIT(M_UP_TO) | BIT(M_ACTION) | BIT(M_REASON),
	  BIT(M_SUB), take_nack },
	{ "subscribe",
	  BIT(M_STREAM) | BIT(M_MODE) | BIT(M_SUB) | OF_MODES | BIT(M_PAYLOAD) | BIT(M_TIMEOUT_MS) |
		  BIT(M_CREDENTIALS),
	  BIT(M_STREAM), take_subscribe },
	{ "unsubscribe", BIT(M_SUB) | BIT(M_TIMEOUT_MS), BIT(M_SUB), take_unsubscribe },
	{ "ping", BIT(M_TIMEOUT_MS) | BIT(M_CREDENTIALS), 0, take_ping },
	{ "status", BIT(M_ALL), 0, take_status },
	{ "hello", BIT(M_CLIENT), 0, take_hello },
};

enum { OP_COUNT = sizeof(ops) / sizeof(ops[0]) };

/* The line -------------------------------------------------------------------------------------- */

static int member_of(const struct json_doc *doc, uint32_t name)
{
	for (int m = 0; m < MEMBER_COUNT; m++) {
		size_t len = strlen(members[m].name);

		if (json_string_is(doc, name, members[m].name, len))
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

	switch (members[m].type) {
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
		if (given(l, M_ID) || !has_type(l, M_ID, i + 1)) {
			if (given(l, M_ID))
				refuse(l, ERROR_BAD_REQUEST, "id is given twice");
			else
				refuse_member(l, M_ID);
			return false;
		}
		l->value[M_ID] = i + 1;
	}
	if (given(l, M_ID)) {
		t = token(l, M_ID);
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
		if (given(l, (enum member)m)) {
			refuse(l, ERROR_BAD_REQUEST, "%s is given twice", members[m].name);
			return false;
		}
		if (!has_type(l, (enum member)m, i + 1))
			return refuse_member(l, (enum member)m);
		l->value[m] = i + 1;
	}
	return true;
}

static const struct op *find_op(struct line *l)
{
	const struct json_token *t;

	if (!given(l, M_OP)) {
		refuse(l, ERROR_BAD_REQUEST, "op is missing");
		return NULL;
	}
	for (size_t i = 0; i < OP_COUNT; i++) {
		if (json_string_is(l->doc, l->value[M_OP], ops[i].name, strlen(ops[i].name)))
			return &ops[i];
	}
	t = token(l, M_OP);
	refuse(l, ERROR_UNKNOWN_OP,
	       "there is no op %.*s; there are hello, ping, status, execute, subscribe, "
	       "unsubscribe, ack, nack",
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
						 used > 0 ? ", " : "", members[m].name);
	}
	refuse(l, ERROR_BAD_REQUEST, "%s takes no member %.*s; it takes %s", op->name,
	       t->len > 64 ? 64 : (int)t->len, l->doc->text + t->at, list);
	return false;
}

static bool suits(struct line *l, const struct op *op)
{
	if (l->unknown != 0)
		return refuse_unknown(l, op, l->unknown);
	for (int m = M_ID + 1; m < MEMBER_COUNT; m++) {
		/* The name of a member stands just before its value. */
		if (given(l, (enum member)m) && (op->takes & BIT(m)) == 0)
			return refuse_unknown(l, op, l->value[m] - 1);
		if (!given(l, (enum member)m) && (op->needs & BIT(m)) != 0) {
			refuse(l, ERROR_BAD_REQUEST, "%s needs the member \"%s\", %s", op->name,
			       members[m].name, members[m].wanted);
			return false;
		}
	}
	return true;
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

static void take_object(struct line *l)
{
	const struct op *op;

	if (!find_id(l) || !sort_members(l) || (op = find_op(l)) == NULL || !suits(l, op))
		return;
	if (l->client->local->draining)
		refuse(l, ERROR_SHUTTING_DOWN, "esbridge is shutting down");
	else
		op->take(l);
}

bool request_take(struct client *c, const char *text_of_line, size_t len, bool silent_alone)
{
	struct json_doc *doc = &c->local->doc;
	struct line l = { .client = c, .doc = doc };
	bool well = json_parse(doc, text_of_line, len);

	if (silent_alone && (!well || !is_silent(doc)))
		return false;
	if (!well)
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
