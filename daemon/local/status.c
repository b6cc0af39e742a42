#include "local/status.h"

#include "base/account.h"
#include "base/json_write.h"
#include "bridge/checkpoint_ops.h"
#include "bridge/message.h"
#include "bridge/reader.h"
#include "local/client_access.h"

static void add_number(struct buffer *out, const char *key, uint64_t value)
{
	json_key(out, key);
	json_uint(out, value);
}

static void add_text(struct buffer *out, const char *key, const char *value)
{
	json_key(out, key);
	json_text(out, value);
}

void answer_hello(struct client *c, const struct request_id *id)
{
	const struct local_settings *settings = &c->local->settings;
	struct buffer *out = c->session.out;

	answer_ok(out, id);
	add_number(out, "protocol", 1);
	add_text(out, "version", settings->version);
	json_key(out, "limits");
	buffer_add_byte(out, '{');
	add_number(out, "line", settings->line_most);
	add_number(out, "depth", settings->depth);
	add_number(out, "in_flight", c->in_flight_most);
	add_number(out, "subscriptions", c->session.subscriptions_most);
	buffer_add_text(
		out,
		"},\"features\":[\"live\",\"catchup\",\"window\",\"filter\",\"persistent\",\"checkpoint\",\"metrics\"],\"messages\":[");
	for (const struct message *m = message_table; m->name != NULL; m++) {
		json_comma(out);
		json_text(out, m->name);
	}
	buffer_add_byte(out, ']');
	client_access_to_json(c, out);
	answer_end(out);
	c->session.events->wrote(&c->session);
}

static void add_store(struct buffer *out, const struct store *store)
{
	struct connection_view view;

	connection_look(store->connection, &view);
	json_key(out, "store");
	buffer_add_byte(out, '{');
	add_text(out, "state", view.state);
	add_text(out, "endpoint", view.endpoint);
	/* The protocol does not tell the role of a node; discovery by gossip does. */
	add_text(out, "role", view.role);
	if (view.tls[0] != '\0')
		add_text(out, "tls", view.tls);
	add_number(out, "since_ms", view.since_ms);
	add_number(out, "connect_attempts", view.attempts);
	add_number(out, "connects", view.connects);
	if (view.last_error[0] != '\0')
		add_text(out, "last_error", view.last_error);
	add_number(out, "in_flight", store->in_flight_count);
	add_number(out, "queued", store->operation_count - store->in_flight_count);
	add_number(out, "operations", store->counters.operations);
	add_number(out, "repeated", store->counters.repeated);
	add_number(out, "timeouts", store->counters.timeouts);
	add_number(out, "bytes_in", view.bytes_in);
	add_number(out, "bytes_out", view.bytes_out);
	buffer_add_byte(out, '}');
}

/* IN_FLIGHT is what C has asked for without an answer. */
static void add_client(struct buffer *out, const struct client *c)
{
	buffer_add_byte(out, '{');
	add_number(out, "number", c->number);
	if (c->name != NULL)
		add_text(out, "name", c->name);
	add_number(out, "uid", c->uid);
	add_number(out, "gid", c->gid);
	add_number(out, "pid", (uint64_t)c->pid);
	client_access_to_json(c, out);
	add_number(out, "since_ms", (loop_clock_us() - c->since_us) / 1000);
	add_number(out, "lines", c->lines);
	add_number(out, "errors", c->errors);
	add_number(out, "in_flight", c->session.in_flight);
	json_key(out, "subscriptions");
	reader_list(&c->session, out);
	buffer_add_byte(out, '}');
}

static void add_clients(struct buffer *out, const struct local *local)
{
	json_key(out, "clients");
	buffer_add_byte(out, '[');
	for (const struct link *l = list_first(&local->clients); l != NULL;
	     l = list_next(&local->clients, l)) {
		json_comma(out);
		add_client(out, CONTAINER(l, struct client, link));
	}
	buffer_add_byte(out, ']');
}

void answer_status(struct client *c, const struct request_id *id, bool all)
{
	const struct local *local = c->local;
	struct buffer *out = c->session.out;

	answer_ok(out, id);
	add_text(out, "version", local->settings.version);
	add_number(out, "uptime_ms", (loop_clock_us() - local->started_us) / 1000);
	add_number(out, "client_count", local->client_count);
	add_number(out, "requests", local->bridge->requests);
	add_number(out, "executed", local->bridge->executed);
	add_number(out, "events_pushed", bridge_pushed(local->bridge));
	json_key(out, "memory");
	buffer_add_byte(out, '{');
	add_number(out, "used", account.used);
	add_number(out, "limit", account.limit);
	buffer_add_byte(out, '}');
	json_key(out, "read_only");
	json_bool(out, local->bridge->settings.read_only);
	add_store(out, local->bridge->store);
	checkpoints_to_json(local->bridge->checkpoints, out);
	json_key(out, "client");
	add_client(out, c);
	if (all)
		add_clients(out, local);
	answer_end(out);
	c->session.events->wrote(&c->session);
}
