#include "store/metrics.h"

#include <string.h>

#include "base/metrics.h"

/* All of them, as they are told. */
struct numbers {
	uint64_t up;
	uint64_t connects;
	uint64_t lost[LOSS_WORDS];
	uint64_t failed[LOSS_WORDS];
	uint64_t operations;
	uint64_t repeated;
	uint64_t timeouts;
	uint64_t in_flight;
	uint64_t queued;
	uint64_t bytes_in;
	uint64_t bytes_out;
};

#define AT(member) offsetof(struct numbers, member)

static const struct metric table[] = {
	{ "esbridge_store_up", METRIC_GAUGE, AT(up), 0, NULL, NULL,
	  "1 while the connection to the store can be used, else 0." },
	{ "esbridge_store_connects_total", METRIC_COUNTER, AT(connects), 0, NULL, NULL,
	  "Times that the connection to the store became usable." },
	{ "esbridge_store_connections_lost_total", METRIC_COUNTER, AT(lost), 0, "reason", loss_word,
	  "Usable connections to the store that ended, by reason." },
	{ "esbridge_store_connect_failures_total", METRIC_COUNTER, AT(failed), 0, "reason",
	  loss_word, "Attempts to connect to the store that failed, by reason." },
	{ "esbridge_store_operations_total", METRIC_COUNTER, AT(operations), 0, NULL, NULL,
	  "Operations begun: requests of clients, and reads for their subscriptions." },
	{ "esbridge_store_operations_repeated_total", METRIC_COUNTER, AT(repeated), 0, NULL, NULL,
	  "Operations sent again after a lost connection." },
	{ "esbridge_store_operation_timeouts_total", METRIC_COUNTER, AT(timeouts), 0, NULL, NULL,
	  "Operations whose time was over before an answer came, sent or not." },
	{ "esbridge_store_operations_in_flight", METRIC_GAUGE, AT(in_flight), 0, NULL, NULL,
	  "Operations sent and not answered." },
	{ "esbridge_store_operations_queued", METRIC_GAUGE, AT(queued), 0, NULL, NULL,
	  "Operations that wait to be sent." },
	{ "esbridge_store_received_bytes_total", METRIC_COUNTER, AT(bytes_in), 0, NULL, NULL,
	  "Bytes received from the store." },
	{ "esbridge_store_sent_bytes_total", METRIC_COUNTER, AT(bytes_out), 0, NULL, NULL,
	  "Bytes sent to the store." },
	{ .name = NULL },
};

void store_metrics(const struct store *store, struct buffer *out)
{
	struct connection_view view;
	struct numbers n = {
		.up = store_is_ready(store),
		.operations = store->counters.operations,
		.repeated = store->counters.repeated,
		.timeouts = store->counters.timeouts,
		.in_flight = store->in_flight_count,
		.queued = store->operation_count - store->in_flight_count,
	};

	connection_look(store->connection, &view);
	n.connects = view.connects;
	memcpy(n.lost, view.lost, sizeof(n.lost));
	memcpy(n.failed, view.failed, sizeof(n.failed));
	n.bytes_in = view.bytes_in;
	n.bytes_out = view.bytes_out;
	metrics_render(table, &n, out);
}
