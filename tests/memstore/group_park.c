/*
 * Messages that are put aside: links in a stream of the group.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/guid.h"
#include "group_parts.h"

void group_parked_name(const struct group *group, struct buffer *name)
{
	buffer_add_text(name, "$persistentsubscription-");
	buffer_add(name, group->node.name.at, group->node.name.len);
	buffer_add_text(name, "-parked");
}

/* The link's own text where it leads nowhere, else the number and the stream of the event. */
static void add_target(struct buffer *out, const struct message *message)
{
	const struct record *event = message->resolved.event;
	struct span data;
	char number[24];

	if (event == NULL) {
		data = record_data(message->resolved.link);
		buffer_add(out, data.at, data.len);
		return;
	}
	(void)snprintf(number, sizeof(number), "%" PRId64 "@", event->number);
	buffer_add_text(out, number);
	buffer_add(out, event->stream->node.name.at, event->stream->node.name.len);
}

static char *make_metadata(const struct message *message, const char *reason)
{
	char added[64];
	struct timespec ts;
	struct tm tm;
	size_t len;
	json_t *json;
	char *text;

	clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	len = strftime(added, sizeof(added), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(added + len, sizeof(added) - len, ".%06ld+00:00", ts.tv_nsec / 1000);
	json = json_pack("{s:s, s:s, s:I}", "added", added, "reason", reason,
			 "subscriptionEventNumber",
			 (json_int_t)resolved_original(&message->resolved)->number);
	text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	return text;
}

void group_park(struct group *group, const struct message *message, const char *reason)
{
	struct store *store = &group->server->store;
	struct buffer name = { 0 }, data = { 0 };
	char *metadata = make_metadata(message, reason);
	struct new_event event = { .type = span_of("$>") };
	struct guid id;

	guid_make(&id);
	group_parked_name(group, &name);
	add_target(&data, message);
	event.id = id.bytes;
	event.data = (struct span){ buffer_at(&data), buffer_len(&data) };
	event.metadata = span_of(metadata != NULL ? metadata : "");
	if (!name.failed && !data.failed)
		store_append(
			store,
			store_stream(store, (struct span){ buffer_at(&name), buffer_len(&name) }),
			&event);
	buffer_free(&name);
	buffer_free(&data);
	free(metadata);
}
