/* Writing and deleting, by name and type. */
#include <string.h>

#include "base/base64.h"
#include "base/json_write.h"
#include "context.h"
#include "request.h"

/* Deeper JSON goes in base64, since the daemon's limit counts the levels of the whole line. */
enum { DEPTH_ON_LINE = 64, DEPTH_MOST = 65535 };

enum json_is {
	NO_JSON,
	JSON_ON_LINE,   /* may stand in the line as it is */
	JSON_IN_BASE64, /* would not be the same bytes in a line */
};

static enum json_is look_at(const char *at, size_t len)
{
	bool breaks;

	if (json_check(at, len, DEPTH_ON_LINE, &breaks)) {
		bool bare = len > 0 && at[0] != ' ' && at[0] != '\t' && at[len - 1] != ' ' &&
			    at[len - 1] != '\t';

		return breaks || !bare ? JSON_IN_BASE64 : JSON_ON_LINE;
	}
	return json_check(at, len, DEPTH_MOST, &breaks) ? JSON_IN_BASE64 : NO_JSON;
}

/* NAMES: of the member for JSON, for text, and for base64. */
static void add_payload(struct esbridge *e, const char *const names[3], const char *at, size_t len,
			enum esbridge_payload is)
{
	enum json_is json = is == ESBRIDGE_JSON ? look_at(at, len) : NO_JSON;

	if (is == ESBRIDGE_JSON && json == NO_JSON) {
		request_refuse(e, "%s is no JSON", names[0]);
	} else if (json == JSON_ON_LINE) {
		json_key(&e->line, names[0]);
		buffer_add(&e->line, at, len);
	} else if (is == ESBRIDGE_TEXT && !utf8_check(at, len)) {
		request_refuse(e, "%s is not valid UTF-8", names[1]);
	} else if (is == ESBRIDGE_TEXT) {
		json_key(&e->line, names[1]);
		json_quoted(&e->line, at, len);
	} else {
		json_key(&e->line, names[2]);
		json_base64(&e->line, (const uint8_t *)at, len);
	}
}

static void add_event(struct esbridge *e, const struct esbridge_new_event *event)
{
	static const char *const data[] = { "data", "data_text", "data_base64" };
	static const char *const metadata[] = { "metadata", "metadata_text", "metadata_base64" };
	bool is_json = event->content_type == 0 ? event->data_is == ESBRIDGE_JSON
						: event->content_type > 0;

	buffer_add_byte(&e->line, '{');
	request_text(e, "event_type", event->type);
	if (event->id != NULL)
		request_text(e, "event_id", event->id);
	request_int(e, "data_content_type", is_json);
	if (event->data_is != ESBRIDGE_NOTHING)
		add_payload(e, data, event->data, event->data_len, event->data_is);
	if (event->metadata_is != ESBRIDGE_NOTHING)
		add_payload(e, metadata, event->metadata, event->metadata_len, event->metadata_is);
	buffer_add_byte(&e->line, '}');
}

/* Begins {"op":"execute","message":MESSAGE,"body":{"event_stream_id":STREAM */
static void begin(struct esbridge *e, const char *message, const char *stream,
		  const struct esbridge_request *request)
{
	request_begin(e, "execute", request);
	request_text(e, "message", message);
	json_key(&e->line, "body");
	buffer_add_byte(&e->line, '{');
	request_text(e, "event_stream_id", stream);
}

static int64_t finish(struct esbridge *e, const struct esbridge_request *request)
{
	buffer_add_byte(&e->line, '}');
	return request_start(e, &(struct request_plan){ .reply = true,
							.changes = true,
							.timeout_ms = request_timeout(request) });
}

int64_t esbridge_start_write(struct esbridge *e, const char *stream, int64_t expected_version,
			     const struct esbridge_new_event *events, size_t count,
			     const struct esbridge_request *request)
{
	begin(e, "WriteEvents", stream, request);
	request_int(e, "expected_version", expected_version);
	json_key(&e->line, "events");
	buffer_add_byte(&e->line, '[');
	for (size_t i = 0; i < count && !e->refused; i++) {
		json_comma(&e->line);
		add_event(e, &events[i]);
	}
	buffer_add_byte(&e->line, ']');
	return finish(e, request);
}

struct esbridge_message *esbridge_write(struct esbridge *e, const char *stream,
					int64_t expected_version,
					const struct esbridge_new_event *events, size_t count,
					const struct esbridge_request *request)
{
	return request_call(
		e, esbridge_start_write(e, stream, expected_version, events, count, request));
}

int64_t esbridge_write_json(struct esbridge *e, const char *stream, const char *type,
			    const char *json)
{
	struct esbridge_new_event event = {
		.type = type, .data = json, .data_len = strlen(json), .data_is = ESBRIDGE_JSON
	};
	struct esbridge_message *reply = esbridge_write(e, stream, ESBRIDGE_ANY, &event, 1, NULL);
	int64_t number = reply == NULL ? -1 : reply->first_event_number;

	esbridge_message_free(reply);
	return number;
}

int64_t esbridge_start_delete(struct esbridge *e, const char *stream, int64_t expected_version,
			      bool hard, const struct esbridge_request *request)
{
	begin(e, "DeleteStream", stream, request);
	request_int(e, "expected_version", expected_version);
	request_bool(e, "hard_delete", hard);
	return finish(e, request);
}

struct esbridge_message *esbridge_delete(struct esbridge *e, const char *stream,
					 int64_t expected_version, bool hard,
					 const struct esbridge_request *request)
{
	return request_call(e, esbridge_start_delete(e, stream, expected_version, hard, request));
}
