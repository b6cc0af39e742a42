/* Reading, and the small requests. */
#include <string.h>

#include "base/json_write.h"
#include "context.h"
#include "memory.h"
#include "request.h"
#include "value.h"

static int64_t finish(struct esbridge *e, const struct esbridge_request *request)
{
	buffer_add_byte(&e->line, '}');
	return request_start(
		e, &(struct request_plan){ .reply = true, .timeout_ms = request_timeout(request) });
}

static void begin(struct esbridge *e, const char *message, const struct esbridge_request *request)
{
	request_begin(e, "execute", request);
	request_text(e, "message", message);
	json_key(&e->line, "body");
	buffer_add_byte(&e->line, '{');
}

int64_t esbridge_start_read_event(struct esbridge *e, const char *stream, int64_t number,
				  const struct esbridge_request *request)
{
	begin(e, "ReadEvent", request);
	request_text(e, "event_stream_id", stream);
	request_int(e, "event_number", number);
	return finish(e, request);
}

struct esbridge_message *esbridge_read_event(struct esbridge *e, const char *stream, int64_t number,
					     const struct esbridge_request *request)
{
	return request_call(e, esbridge_start_read_event(e, stream, number, request));
}

static const char *message_of_read(const struct esbridge_read *r)
{
	if (!request_is_all(r->stream))
		return r->backward ? "ReadStreamEventsBackward" : "ReadStreamEvents";
	if (r->filter != NULL)
		return r->backward ? "FilteredReadAllEventsBackward" : "FilteredReadAllEvents";
	return r->backward ? "ReadAllEventsBackward" : "ReadAllEvents";
}

/* Where R begins: DEFAULT needs no member. */
static void add_from(struct esbridge *e, const struct esbridge_read *r)
{
	bool all = request_is_all(r->stream);
	enum esbridge_from from = r->from;
	struct esbridge_position position = r->position;
	int64_t number = r->number;

	if (from == ESBRIDGE_FROM_DEFAULT)
		return;
	if (from == (all ? ESBRIDGE_FROM_NUMBER : ESBRIDGE_FROM_POSITION)) {
		request_refuse(e, all ? "all streams are read from a position, not from a number"
				      : "a stream is read from a number, not from a position");
		return;
	}
	if (from == ESBRIDGE_FROM_START || from == ESBRIDGE_FROM_END) {
		number = from == ESBRIDGE_FROM_START ? 0 : -1;
		position = (struct esbridge_position){ number, number };
	}
	if (!all) {
		request_int(e, "from_event_number", number);
	} else {
		request_int(e, "commit_position", position.commit);
		request_int(e, "prepare_position", position.prepare);
	}
}

int64_t esbridge_start_read(struct esbridge *e, const struct esbridge_read *read,
			    const struct esbridge_request *request)
{
	struct esbridge_read r;
	bool good = copy_sized(&r, sizeof(r), read);

	begin(e, message_of_read(&r), request);
	if (!good)
		request_refuse(e, "size of struct esbridge_read is not set");
	if (!request_is_all(r.stream))
		request_text(e, "event_stream_id", r.stream);
	if (!request_is_all(r.stream) && r.filter != NULL)
		request_refuse(e, "a filter goes with all streams");
	add_from(e, &r);
	if (r.max_count != 0)
		request_int(e, "max_count", r.max_count);
	if (r.keep_links)
		request_bool(e, "resolve_link_tos", false);
	if (r.filter != NULL)
		request_json(e, "filter", r.filter, strlen(r.filter));
	if (r.require_master != 0)
		request_bool(e, "require_master", r.require_master > 0);
	return finish(e, request);
}

struct esbridge_message *esbridge_read(struct esbridge *e, const struct esbridge_read *read,
				       const struct esbridge_request *request)
{
	return request_call(e, esbridge_start_read(e, read, request));
}

/* Small requests ---------------------------------------------------------------------------------- */

int64_t esbridge_ping(struct esbridge *e, const struct esbridge_request *request)
{
	struct esbridge_message *reply = esbridge_call(e, "ping", NULL, request);
	int64_t rtt = reply == NULL ? -1 : message_of(reply)->rtt_us;

	esbridge_message_free(reply);
	return rtt;
}

struct esbridge_message *esbridge_status(struct esbridge *e, bool all)
{
	return esbridge_call(e, "status", all ? "{\"all\":true}" : NULL, NULL);
}

struct esbridge_message *esbridge_execute_json(struct esbridge *e, const char *message,
					       const struct json_t *body,
					       const struct esbridge_request *request)
{
	request_begin(e, "execute", request);
	request_text(e, "message", message);
	json_key(&e->line, "body");
	if (!value_is_object(body))
		request_refuse(e, "body is no JSON object");
	else
		value_dump(body, &e->line);
	return request_call(e, request_start(e, &(struct request_plan){
							.reply = true,
							.changes = request_changes(message),
							.timeout_ms = request_timeout(request) }));
}

/* A walk ------------------------------------------------------------------------------------------ */

struct esbridge_cursor {
	struct esbridge *e;
	struct esbridge_read read;
	struct esbridge_request request;
	char *texts[5];                /* copies of what the two above point to */
	struct esbridge_message *page; /* that is being looked at, or NULL */
	size_t at;                     /* the next of its records */
	int64_t next;                  /* the request for the page behind it, -1: none */
	bool end;
};

/* Copies *TEXT, which may be NULL, into the cursor. False where memory is out. */
static bool keep(struct esbridge_cursor *c, size_t place, const char **text)
{
	c->texts[place] = memory_text(*text);
	if (*text != NULL && c->texts[place] == NULL)
		return false;
	*text = c->texts[place];
	return true;
}

static bool keep_texts(struct esbridge_cursor *c)
{
	return keep(c, 0, &c->read.stream) && keep(c, 1, &c->read.filter) &&
	       keep(c, 2, &c->request.username) && keep(c, 3, &c->request.password) &&
	       keep(c, 4, &c->request.payload);
}

static void ask(struct esbridge_cursor *c)
{
	c->next = esbridge_start_read(c->e, &c->read, &c->request);
}

struct esbridge_cursor *esbridge_cursor_new(struct esbridge *e, const struct esbridge_read *read,
					    const struct esbridge_request *request)
{
	struct esbridge_cursor *c = memory_zeroed(sizeof(*c));
	bool good;

	if (c == NULL) {
		failure_no_memory(&e->failure);
		return NULL;
	}
	c->e = e;
	c->next = -1;
	good = copy_sized(&c->read, sizeof(c->read), read) &&
	       copy_sized(&c->request, sizeof(c->request), request);
	c->read.size = good ? sizeof(c->read) : 0;
	c->request.size = sizeof(c->request);
	/* One id for many requests would be refused. */
	c->request.correlation_id = NULL;
	if (keep_texts(c))
		ask(c);
	else
		failure_no_memory(&e->failure);
	if (c->next < 0) {
		esbridge_cursor_free(c);
		return NULL;
	}
	return c;
}

void esbridge_cursor_free(struct esbridge_cursor *c)
{
	struct request *r;

	if (c == NULL)
		return;
	r = c->next < 0 ? NULL : request_find(c->e, c->next);
	if (r != NULL)
		request_abandon(c->e, r);
	esbridge_message_free(c->page);
	if (c->texts[3] != NULL)
		explicit_bzero(c->texts[3], strlen(c->texts[3]));
	for (size_t i = 0; i < sizeof(c->texts) / sizeof(c->texts[0]); i++)
		memory_release(c->texts[i]);
	memory_release(c);
}

/* Asks for what is behind the page, unless it is the last one. */
static void go_on(struct esbridge_cursor *c)
{
	const struct esbridge_message *page = c->page;
	bool all = request_is_all(c->read.stream);

	c->next = -1;
	/* All streams have no flag for the end: a page with nothing in it is behind it. With a
	 * filter there is one, and a page of which nothing has passed is not the end. */
	c->end = page->is_end_of_stream ||
		 (all && c->read.filter == NULL && page->record_count == 0);
	if (c->end)
		return;
	c->read.from = all ? ESBRIDGE_FROM_POSITION : ESBRIDGE_FROM_NUMBER;
	c->read.number = page->next_event_number;
	c->read.position = page->next_position;
	ask(c);
}

/* Takes the next page. -1 where it failed; it may be tried again. */
static int turn_page(struct esbridge_cursor *c)
{
	if (c->next < 0)
		ask(c);
	esbridge_message_free(c->page);
	c->page = esbridge_wait(c->e, c->next);
	c->at = 0;
	if (c->page == NULL) {
		if (request_find(c->e, c->next) == NULL)
			c->next = -1;
		return -1;
	}
	go_on(c);
	return 0;
}

int esbridge_cursor_next(struct esbridge_cursor *c, const struct esbridge_record **record)
{
	*record = NULL;
	while (c->page == NULL || c->at == c->page->record_count) {
		if (c->page != NULL && c->end)
			return 0;
		if (turn_page(c) < 0)
			return -1;
	}
	*record = &c->page->records[c->at++];
	return 1;
}
