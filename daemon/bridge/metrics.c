#include "bridge/metrics.h"

#include <string.h>

#include "bridge/checkpoint.h"
#include "bridge/reader.h"
#include "bridge/session.h"

_Static_assert(READER_PERSISTENT + 1 == METRICS_MODES, "a word for each mode");

/* All of them, as they are told. */
struct numbers {
	struct bridge_counters counters;
	struct reader_totals totals;
	uint64_t errors[ERROR_COUNT];
	uint64_t in_flight;
	uint64_t checkpoints_held;
	uint64_t checkpoints_dirty;
	uint64_t checkpoint_failures;
	struct histogram checkpoint_writes;
};

#define AT(member) offsetof(struct numbers, member)

static const char *message_word(size_t i)
{
	return i < MESSAGE_COUNT ? message_table[i].name : i == MESSAGE_COUNT ? "ping" : NULL;
}

static const char *error_word(size_t i)
{
	return i < ERROR_COUNT ? error_name((enum error_code)i) : NULL;
}

static const char *mode_word(size_t i)
{
	return i < METRICS_MODES ? reader_mode_name((enum reader_mode)i) : NULL;
}

static const char *action_word(size_t i)
{
	static const char *const words[] = { "unknown", "park", "retry", "skip", "stop", NULL };

	return words[i];
}

static const struct metric table[] = {
	{ "esbridge_operation_duration_seconds", METRIC_HISTOGRAM, AT(counters.operations), 0,
	  "message", message_word,
	  "Time from taking up an execute or ping to its reply, whatever that is." },
	{ "esbridge_requests_in_flight", METRIC_GAUGE, AT(in_flight), 0, NULL, NULL,
	  "Requests of clients that wait for their reply, also of clients that have gone." },
	{ "esbridge_errors_total", METRIC_COUNTER, AT(errors), 0, "code", error_word,
	  "Errors told to clients, by code." },
	{ "esbridge_events_pushed_total", METRIC_COUNTER, AT(counters.pushed), 0, "mode", mode_word,
	  "Events given to subscriptions, those that a nack brought again left out." },
	{ "esbridge_events_rendered_total", METRIC_COUNTER, AT(counters.rendered), 0, NULL, NULL,
	  "Live events turned into JSON, once for all readers that share them." },
	{ "esbridge_event_delivery_seconds", METRIC_HISTOGRAM, AT(counters.delivery), 0, "mode",
	  mode_word,
	  "Age of an event, by the clocks of both machines, when it came live and was pushed." },
	{ "esbridge_events_acked_total", METRIC_COUNTER, AT(counters.acked), 0, "mode", mode_word,
	  "Events acknowledged." },
	{ "esbridge_events_nacked_total", METRIC_COUNTER, AT(counters.nacked), 0, "action",
	  action_word, "Events that were nacked, or given back when their client went." },
	{ "esbridge_ack_latency_seconds", METRIC_HISTOGRAM, AT(counters.acks), 0, "mode", mode_word,
	  "Time from the push of an event to its ack or nack." },
	{ "esbridge_subscriptions", METRIC_GAUGE, AT(totals.subscriptions), 0, "mode", mode_word,
	  "Subscriptions of clients." },
	{ "esbridge_subscriptions_dropped_total", METRIC_COUNTER, AT(counters.dropped), 0, NULL,
	  NULL, "Subscriptions that the store or the daemon has ended." },
	{ "esbridge_window_events", METRIC_GAUGE, AT(totals.window), 0, "mode", mode_word,
	  "Most events that may be delivered and not acknowledged, all subscriptions together." },
	{ "esbridge_window_used_events", METRIC_GAUGE, AT(totals.outstanding), 0, "mode", mode_word,
	  "Events delivered and not acknowledged, all subscriptions together." },
	{ "esbridge_consumer_lag_events", METRIC_GAUGE, AT(totals.lag), 0, "mode", mode_word,
	  "How many events the subscription that is furthest behind has still to be given or to ack." },
	{ "esbridge_checkpoints_held", METRIC_GAUGE, AT(checkpoints_held), 0, NULL, NULL,
	  "Checkpoints that subscriptions hold." },
	{ "esbridge_checkpoints_unsaved", METRIC_GAUGE, AT(checkpoints_dirty), 0, NULL, NULL,
	  "Checkpoints that stand further than what is stored of them." },
	{ "esbridge_checkpoint_write_seconds", METRIC_HISTOGRAM, AT(checkpoint_writes), 0, NULL,
	  NULL, "Time to store a group of checkpoints, in which the daemon does nothing else." },
	{ "esbridge_checkpoint_failures_total", METRIC_COUNTER, AT(checkpoint_failures), 0, NULL,
	  NULL, "Failures to open, read or write the file of checkpoints." },
	{ .name = NULL },
};

static void add_checkpoints(const struct checkpoints *k, struct numbers *n)
{
	struct checkpoints_view view;

	checkpoints_look(k, &view);
	n->checkpoints_held = view.held;
	n->checkpoints_dirty = view.dirty;
	n->checkpoint_failures = view.failures;
	n->checkpoint_writes = *view.durations;
}

void bridge_metrics(const struct bridge *bridge, const struct reader_totals *totals,
		    struct buffer *out)
{
	struct numbers n = {
		.counters = bridge->counters,
		.totals = *totals,
		.in_flight = bridge->requests,
	};

	for (int i = 0; i < ERROR_COUNT; i++)
		n.errors[i] = error_count((enum error_code)i);
	add_checkpoints(bridge->checkpoints, &n);
	metrics_render(table, &n, out);
}
