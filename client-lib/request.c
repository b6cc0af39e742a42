#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_write.h"
#include "memory.h"
#include "subscription.h"

enum {
	FIRST_TABLE = 64,
	KEEP_LINE = 1 << 20,
	GRACE_MS = 1000, /* between the time of the store and that of the reply */
	USUAL_LINE_LIMIT = 16 << 20,
	DEPTH_MOST = 65535,
	TOKENS_MOST = 1 << 24,
};

bool copy_sized(void *to, size_t size, const void *from)
{
	size_t given;

	memset(to, 0, size);
	if (from == NULL)
		return true;
	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given))
		return false;
	memcpy(to, from, given < size ? given : size);
	return true;
}

/* Building a line -------------------------------------------------------------------------------- */

void request_refuse(struct esbridge *e, const char *format, ...)
{
	char text[FAILURE_TEXT];
	va_list list;

	if (e->refused)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST, "%s", text);
	e->refused = true;
}

void request_text(struct esbridge *e, const char *name, const char *text)
{
	if (text == NULL) {
		request_refuse(e, "%s is missing", name);
	} else if (!utf8_check(text, strlen(text))) {
		request_refuse(e, "%s is not valid UTF-8", name);
	} else {
		json_key(&e->line, name);
		json_text(&e->line, text);
	}
}

void request_int(struct esbridge *e, const char *name, int64_t value)
{
	json_key(&e->line, name);
	json_int(&e->line, value);
}

void request_bool(struct esbridge *e, const char *name, bool value)
{
	json_key(&e->line, name);
	json_bool(&e->line, value);
}

/* Refuses JSON, which json_check() did not take, with the place of the fault. */
static void refuse_json(struct esbridge *e, const char *name, const char *json, size_t len)
{
	struct json_token whole;
	struct json_doc doc = {
		.depth = DEPTH_MOST, .detail = 0, .most = 1, .tokens = &whole, .size = 1
	};

	json_parse(&doc, json, len);
	request_refuse(e, "%s is no JSON: %s at byte %zu", name, doc.error, doc.error_at);
}

void request_json(struct esbridge *e, const char *name, const char *json, size_t len)
{
	bool breaks;

	if (!json_check(json, len, DEPTH_MOST, &breaks)) {
		refuse_json(e, name, json, len);
		return;
	}
	json_key(&e->line, name);
	json_raw(&e->line, json, len, breaks);
}

void request_begin(struct esbridge *e, const char *op, const struct esbridge_request *request)
{
	struct esbridge_request r;

	request_drop_line(e);
	buffer_add_byte(&e->line, '{');
	request_text(e, "op", op);
	if (!copy_sized(&r, sizeof(r), request))
		request_refuse(e, "size of struct esbridge_request is not set");
	if (r.timeout_ms < 0)
		request_refuse(e, "timeout_ms is %d; it takes 1 or more, 0 for the default",
			       r.timeout_ms);
	if ((r.username == NULL) != (r.password == NULL))
		request_refuse(e, "username and password go together");
	if (e->refused)
		return;
	if (r.timeout_ms > 0)
		request_int(e, "timeout_ms", r.timeout_ms);
	if (r.correlation_id != NULL)
		request_text(e, "correlation_id", r.correlation_id);
	if (r.payload != NULL)
		request_text(e, "payload", r.payload);
	if (r.username != NULL) {
		e->secret = e->line.secret = true;
		json_key(&e->line, "credentials");
		buffer_add_byte(&e->line, '{');
		request_text(e, "username", r.username);
		request_text(e, "password", r.password);
		buffer_add_byte(&e->line, '}');
	}
}

int request_timeout(const struct esbridge_request *request)
{
	struct esbridge_request r;

	copy_sized(&r, sizeof(r), request);
	if (r.timeout_ms <= 0)
		return 0;
	return r.timeout_ms < INT32_MAX - GRACE_MS ? r.timeout_ms + GRACE_MS : INT32_MAX;
}

void request_drop_line(struct esbridge *e)
{
	if (e->secret && e->line.data != NULL)
		explicit_bzero(e->line.data, e->line.size);
	e->secret = false;
	e->refused = false;
	e->line.failed = false;
	buffer_consume(&e->line, buffer_len(&e->line));
	buffer_shrink(&e->line, KEEP_LINE);
}

/* The table --------------------------------------------------------------------------------------- */

static struct request **bucket(const struct esbridge *e, int64_t id)
{
	return &e->table[(uint64_t)id & (e->table_size - 1)];
}

static void chain(struct esbridge *e, struct request *r)
{
	struct request **at = bucket(e, r->id);

	r->chain = *at;
	*at = r;
}

/* Makes room for one more. Returns false where there is no memory for it. */
static bool table_room(struct esbridge *e)
{
	struct request **old = e->table;
	size_t old_size = e->table_size;
	size_t size = old_size == 0 ? FIRST_TABLE : old_size * 2;
	struct request **table;

	if (e->table_count < old_size)
		return true;
	table = memory_zeroed(size * sizeof(struct request *));
	if (table == NULL)
		return false;
	e->table = table;
	e->table_size = size;
	for (size_t i = 0; i < old_size; i++) {
		while (old[i] != NULL) {
			struct request *r = old[i];

			old[i] = r->chain;
			chain(e, r);
		}
	}
	memory_release(old);
	return true;
}

struct request *request_find(const struct esbridge *e, int64_t id)
{
	struct request *r = e->table_size == 0 ? NULL : *bucket(e, id);

	while (r != NULL && r->id != id)
		r = r->chain;
	return r;
}

static void table_remove(struct esbridge *e, const struct request *r)
{
	struct request **at = e->table_size == 0 || r->id == 0 ? NULL : bucket(e, r->id);

	while (at != NULL && *at != NULL && *at != r)
		at = &(*at)->chain;
	if (at != NULL && *at == r) {
		*at = r->chain;
		e->table_count--;
	}
}

/* Most have the same time, so the place is at the end or near it. */
static void due_insert(struct esbridge *e, struct request *r)
{
	struct link *pos = &e->due;

	while (pos->prev != &e->due &&
	       CONTAINER(pos->prev, struct request, due)->deadline > r->deadline)
		pos = pos->prev;
	list_insert_before(pos, &r->due);
}

/* Queueing ---------------------------------------------------------------------------------------- */

static enum esbridge_outcome outcome_of(const struct request *r)
{
	if (!r->changes)
		return ESBRIDGE_OUTCOME_NOT_SAID;
	return r->sent ? ESBRIDGE_OUTCOME_UNKNOWN : ESBRIDGE_OUTCOME_NONE;
}

/* Whether the line that was built may be queued. Sets the failure where not. */
static bool may_queue(struct esbridge *e, const struct request_plan *plan)
{
	enum esbridge_outcome none =
		plan->changes ? ESBRIDGE_OUTCOME_NONE : ESBRIDGE_OUTCOME_NOT_SAID;
	int64_t limit = e->server.line_limit > 0 ? e->server.line_limit : USUAL_LINE_LIMIT;
	size_t len = buffer_len(&e->line);

	if (e->refused) {
		e->failure.error.outcome = none;
		return false;
	}
	if (e->line.failed || (plan->reply && !table_room(e))) {
		failure_no_memory(&e->failure);
		e->failure.error.outcome = none;
		return false;
	}
	if ((int64_t)len - 1 > limit) {
		failure_set_outcome(&e->failure, ESBRIDGE_E_LINE_TOO_LONG, none,
				    "the request has %zu bytes, the daemon takes %lld", len - 1,
				    (long long)limit);
		return false;
	}
	if (e->unsent_bytes + len > e->output_limit && !plan->internal) {
		failure_set_outcome(&e->failure, ESBRIDGE_E_OVERLOADED, none,
				    "%zu bytes of requests wait to be sent", e->unsent_bytes);
		return false;
	}
	if (e->ended) {
		failure_set_outcome(&e->failure, ESBRIDGE_E_UNAVAILABLE, none, "%s", e->why);
		e->failure.error.system_error = e->why_errno;
		return false;
	}
	return true;
}

static struct request *make(const struct esbridge *e, const struct request_plan *plan, int64_t id)
{
	size_t len = buffer_len(&e->line);
	struct request *r = memory_zeroed(sizeof(*r) + len);

	if (r == NULL)
		return NULL;
	link_init(&r->item.place);
	link_init(&r->out);
	link_init(&r->due);
	r->item.request = r;
	r->id = id;
	r->changes = plan->changes;
	r->bound = plan->bound;
	r->hello = plan->hello;
	r->internal = plan->internal;
	r->secret = e->secret;
	r->done = plan->done;
	r->sub = plan->sub;
	r->user = plan->sub == NULL ? NULL : plan->sub->user;
	r->len = len;
	memcpy(r->line, buffer_at(&e->line), len);
	return r;
}

struct request *request_finish(struct esbridge *e, const struct request_plan *plan)
{
	struct request *r = NULL;

	if (plan->reply)
		request_int(e, "id", e->next_id);
	if (!plan->raw)
		buffer_add_byte(&e->line, '}');
	buffer_add_byte(&e->line, '\n');
	if (may_queue(e, plan)) {
		r = make(e, plan, plan->reply ? e->next_id : 0);
		if (r == NULL)
			failure_no_memory(&e->failure);
	}
	request_drop_line(e);
	if (r == NULL)
		return NULL;
	list_append(&e->unsent, &r->out);
	e->unsent_bytes += r->len;
	if (plan->reply) {
		e->next_id++;
		r->deadline =
			now_ms() + (plan->timeout_ms > 0 ? plan->timeout_ms : e->reply_timeout_ms);
		chain(e, r);
		e->table_count++;
		due_insert(e, r);
	}
	return r;
}

int64_t request_start(struct esbridge *e, const struct request_plan *plan)
{
	const struct request *r = request_finish(e, plan);

	dispatch_watch(e);
	return r == NULL ? -1 : r->id;
}

/* The end of a request ---------------------------------------------------------------------------- */

static void free_now(struct esbridge *e, struct request *r)
{
	if (link_used(&r->out)) {
		e->unsent_bytes -= r->len;
		list_remove(&r->out);
	}
	if (r->secret)
		explicit_bzero(r->line, r->len);
	memory_release(r);
}

void request_release(struct esbridge *e, struct request *r)
{
	table_remove(e, r);
	list_remove(&r->due);
	if (r->item.message != NULL)
		esbridge_message_free(&r->item.message->public);
	r->item.message = NULL;
	if (r->sent && link_used(&r->out))
		r->state = REQUEST_ABANDONED;
	else
		free_now(e, r);
}

void request_was_sent(struct esbridge *e, struct request *r)
{
	list_remove(&r->out);
	e->unsent_bytes -= r->len;
	if (r->id == 0 || r->state == REQUEST_ABANDONED)
		free_now(e, r);
}

void request_abandon(struct esbridge *e, struct request *r)
{
	if (r->state == REQUEST_OPEN && r->done != NULL) {
		r->failed = ESBRIDGE_E_TIMEOUT;
		r->done(e, r, NULL);
	}
	request_release(e, r);
}

static void answered(struct esbridge *e, struct request *r)
{
	struct message *message = r->item.message;

	r->state = REQUEST_ANSWERED;
	list_remove(&r->due);
	if (message != NULL)
		message->public.user = r->user;
	if (r->done != NULL)
		r->done(e, r, message);
	if (r->internal)
		request_release(e, r);
	else if (r->item.fn != NULL)
		dispatch_put(e, &r->item);
}

void request_reply(struct esbridge *e, struct message *message)
{
	struct request *r = request_find(e, message->public.id);

	if (r == NULL || r->state != REQUEST_OPEN) {
		/* It came after its time. */
		esbridge_message_free(&message->public);
		return;
	}
	r->item.message = message;
	answered(e, r);
}

/* The socket has taken nothing of R, and will not. */
static void take_back(struct esbridge *e, struct request *r)
{
	if (!r->sent && link_used(&r->out)) {
		e->unsent_bytes -= r->len;
		list_remove(&r->out);
	}
}

void request_answer_here(struct esbridge *e, struct request *r, struct message *message)
{
	take_back(e, r);
	r->item.message = message;
	answered(e, r);
}

void request_fail(struct esbridge *e, struct request *r, enum esbridge_code code)
{
	r->failed = code;
	take_back(e, r);
	answered(e, r);
}

void request_expire(struct esbridge *e, int64_t now)
{
	struct link *l;

	while ((l = list_first(&e->due)) != NULL) {
		struct request *r = CONTAINER(l, struct request, due);

		if (r->deadline > now)
			return;
		request_fail(e, r, r->sent ? ESBRIDGE_E_TIMEOUT : ESBRIDGE_E_UNAVAILABLE);
	}
}

void request_forget_subscription(struct esbridge *e, const struct subscription *sub)
{
	for (struct link *l = list_first(&e->due); l != NULL; l = list_next(&e->due, l)) {
		struct request *r = CONTAINER(l, struct request, due);

		if (r->sub == sub)
			r->sub = NULL;
	}
}

void request_to_front(struct esbridge *e, struct request *r)
{
	struct link *pos;

	list_remove(&r->out);
	pos = e->unsent.next;
	if (e->first_sent > 0)
		pos = pos->next;
	/* Behind those that were put there before. */
	while (pos != &e->unsent && CONTAINER(pos, struct request, out)->in_front)
		pos = pos->next;
	r->in_front = true;
	list_insert_before(pos, &r->out);
}

void request_connection_lost(struct esbridge *e)
{
	struct link gone, *l, *next;

	e->first_sent = 0;
	/* Lines that belong to the old connection, whole or in part. */
	for (l = list_first(&e->unsent); l != NULL; l = next) {
		struct request *r = CONTAINER(l, struct request, out);

		next = list_next(&e->unsent, l);
		if (!r->sent && !r->bound)
			continue;
		e->unsent_bytes -= r->len;
		list_remove(&r->out);
		if (r->id == 0 || r->state == REQUEST_ABANDONED)
			free_now(e, r);
	}
	link_init(&gone);
	for (l = list_first(&e->due); l != NULL; l = next) {
		const struct request *r = CONTAINER(l, struct request, due);

		next = list_next(&e->due, l);
		if (!link_used(&r->out)) {
			list_remove(l);
			list_append(&gone, l);
		}
	}
	while ((l = list_first(&gone)) != NULL)
		request_fail(e, CONTAINER(l, struct request, due), ESBRIDGE_E_CONNECTION_LOST);
}

void request_fail_unsent(struct esbridge *e)
{
	struct link *l;

	while ((l = list_first(&e->unsent)) != NULL) {
		struct request *r = CONTAINER(l, struct request, out);

		if (r->id == 0)
			free_now(e, r);
		else
			request_fail(e, r, ESBRIDGE_E_UNAVAILABLE);
	}
}

void request_end_all(struct esbridge *e)
{
	struct link *l;

	while ((l = list_first(&e->due)) != NULL)
		request_fail(e, CONTAINER(l, struct request, due), ESBRIDGE_E_CLOSED);
}

void request_free_all(struct esbridge *e)
{
	struct link *l;

	while ((l = list_first(&e->unsent)) != NULL) {
		struct request *r = CONTAINER(l, struct request, out);

		e->unsent_bytes -= r->len;
		list_remove(l);
		if (r->id == 0 || r->state == REQUEST_ABANDONED)
			free_now(e, r);
	}
	for (size_t i = 0; i < e->table_size; i++) {
		while (e->table[i] != NULL)
			request_release(e, e->table[i]);
	}
	memory_release(e->table);
}

/* What became of it ------------------------------------------------------------------------------- */

static const char *failed_text(const struct esbridge *e, const struct request *r)
{
	switch (r->failed) {
	case ESBRIDGE_E_CONNECTION_LOST:
		return "the connection to the daemon went before it answered";
	case ESBRIDGE_E_TIMEOUT:
		return "the daemon has not answered in time";
	case ESBRIDGE_E_CLOSED:
		return "the context was closed";
	default:
		return e->fd >= 0 ? "not sent within the time allowed" : e->why;
	}
}

struct message *request_answer(struct esbridge *e, struct request *r)
{
	enum esbridge_outcome outcome = outcome_of(r);
	struct buffer b;

	if (r->item.message != NULL)
		return r->item.message;
	buffer_init(&b, 0);
	buffer_add_byte(&b, '{');
	json_key(&b, "id");
	json_int(&b, r->id);
	json_key(&b, "error");
	buffer_add_byte(&b, '{');
	json_key(&b, "code");
	json_text(&b, esbridge_code_name(r->failed));
	json_key(&b, "message");
	json_text(&b, failed_text(e, r));
	json_key(&b, "retry");
	json_bool(&b, failure_may_be_retried(r->failed));
	if (outcome != ESBRIDGE_OUTCOME_NOT_SAID) {
		json_key(&b, "outcome");
		json_text(&b, outcome == ESBRIDGE_OUTCOME_NONE ? "none" : "unknown");
	}
	buffer_add(&b, "}}", 2);
	r->item.message = message_of_line(&b);
	if (r->item.message != NULL)
		r->item.message->public.user = r->user;
	return r->item.message;
}

/* Takes the answer of R: the message where it is ESBRIDGE_OK, else NULL with the failure set. */
static struct esbridge_message *take_answer(struct esbridge *e, struct request *r)
{
	struct message *message = r->item.message;

	if (message == NULL) {
		failure_set_outcome(&e->failure, r->failed, outcome_of(r), "%s", failed_text(e, r));
		if (r->failed == ESBRIDGE_E_UNAVAILABLE)
			e->failure.error.system_error = e->why_errno;
		request_release(e, r);
		return NULL;
	}
	r->item.message = NULL;
	request_release(e, r);
	if (message->public.kind == ESBRIDGE_OK)
		return &message->public;
	failure_take(&e->failure, &message->public);
	return NULL;
}

struct esbridge_message *esbridge_wait(struct esbridge *e, int64_t id)
{
	struct esbridge_message *answer;
	struct request *r = id < 0 ? NULL : request_find(e, id);

	if (r == NULL || r->item.fn != NULL) {
		if (id >= 0)
			failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST,
				    "no reply to request %lld is to be waited for", (long long)id);
		return NULL;
	}
	/* A caught signal does not end this wait: the time of the request does. */
	while (r->state == REQUEST_OPEN) {
		if (e->queued_bytes >= e->queue_limit) {
			failure_set(&e->failure, ESBRIDGE_E_OVERLOADED,
				    "%zu bytes of messages wait for esbridge_next()",
				    e->queued_bytes);
			dispatch_watch(e);
			return NULL;
		}
		if (connection_wait(e, -1) < 0 && r->state == REQUEST_OPEN) {
			dispatch_watch(e);
			return NULL;
		}
	}
	answer = take_answer(e, r);
	dispatch_watch(e);
	return answer;
}

int esbridge_on_reply(struct esbridge *e, int64_t id, esbridge_fn *fn, void *user)
{
	struct request *r = id < 0 ? NULL : request_find(e, id);

	if (r == NULL || r->item.fn != NULL || fn == NULL) {
		if (id >= 0)
			failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST,
				    "no reply to request %lld is expected", (long long)id);
		return -1;
	}
	r->item.fn = fn;
	r->item.user = user;
	if (r->state == REQUEST_ANSWERED)
		dispatch_put(e, &r->item);
	dispatch_watch(e);
	return 0;
}

/* Any request ------------------------------------------------------------------------------------- */

static void refuse_names(struct esbridge *e, const struct json_doc *doc)
{
	static const char *const ours[] = { "op", "id" };

	for (uint32_t i = 1; i < doc->count; i = doc->tokens[i + 1].next) {
		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++) {
			if (json_string_is(doc, i, ours[k], strlen(ours[k])))
				request_refuse(e,
					       "members may not have \"%s\": the library sets it",
					       ours[k]);
		}
	}
}

/* Adds the members of the object in JSON to the line. */
static void add_members(struct esbridge *e, const char *json)
{
	struct json_doc doc;
	bool breaks;

	json_doc_init(&doc, DEPTH_MOST, 1, TOKENS_MOST);
	if (!json_parse(&doc, json, strlen(json)) && message_no_memory(&doc))
		e->line.failed = true;
	else if (doc.error != NULL)
		request_refuse(e, "members are no JSON: %s at byte %zu", doc.error, doc.error_at);
	else if (doc.tokens[0].kind != JSON_OBJECT)
		request_refuse(e, "members are no JSON object");
	else
		refuse_names(e, &doc);
	if (!e->refused && !e->line.failed && doc.count > 1) {
		const char *at = json + doc.tokens[0].at;

		json_check(at, doc.tokens[0].len, DEPTH_MOST, &breaks);
		json_comma(&e->line);
		json_raw(&e->line, at + 1, doc.tokens[0].len - 2, breaks);
	}
	json_doc_free(&doc);
}

int64_t esbridge_start(struct esbridge *e, const char *op, const char *members,
		       const struct esbridge_request *request)
{
	request_begin(e, op, request);
	if (members != NULL)
		add_members(e, members);
	return request_start(
		e, &(struct request_plan){ .reply = true,
					   .changes = op != NULL && strcmp(op, "execute") == 0,
					   .timeout_ms = request_timeout(request) });
}

bool request_is_all(const char *stream)
{
	return stream == NULL || stream[0] == '\0' || strcmp(stream, "$all") == 0;
}

bool request_changes(const char *message)
{
	return message != NULL && strncmp(message, "Read", 4) != 0 &&
	       strncmp(message, "FilteredRead", 12) != 0;
}

int64_t esbridge_start_execute(struct esbridge *e, const char *message, const char *body,
			       const struct esbridge_request *request)
{
	request_begin(e, "execute", request);
	request_text(e, "message", message);
	if (body != NULL)
		request_json(e, "body", body, strlen(body));
	else
		request_json(e, "body", "{}", 2);
	return request_start(e, &(struct request_plan){ .reply = true,
							.changes = request_changes(message),
							.timeout_ms = request_timeout(request) });
}

struct esbridge_message *request_call(struct esbridge *e, int64_t id)
{
	struct esbridge_message *answer = esbridge_wait(e, id);
	struct request *r;

	if (answer != NULL)
		return answer;
	/* Nobody else knows the id. */
	r = id < 0 ? NULL : request_find(e, id);
	if (r != NULL)
		request_abandon(e, r);
	return NULL;
}

struct esbridge_message *esbridge_call(struct esbridge *e, const char *op, const char *members,
				       const struct esbridge_request *request)
{
	return request_call(e, esbridge_start(e, op, members, request));
}

struct esbridge_message *esbridge_execute(struct esbridge *e, const char *message, const char *body,
					  const struct esbridge_request *request)
{
	return request_call(e, esbridge_start_execute(e, message, body, request));
}

int esbridge_send_line(struct esbridge *e, const char *line, size_t len)
{
	const struct request *r;

	request_drop_line(e);
	if (memchr(line, '\n', len) != NULL || memchr(line, '\r', len) != NULL)
		request_refuse(e, "a line may not have line breaks in it");
	buffer_add(&e->line, line, len);
	r = request_finish(e, &(struct request_plan){ .raw = true });
	dispatch_watch(e);
	return r == NULL ? -1 : 0;
}
