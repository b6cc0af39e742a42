/*
 * What is counted of requests and subscriptions, for `metrics`.
 */
#ifndef ESBRIDGE_BRIDGE_METRICS_H
#define ESBRIDGE_BRIDGE_METRICS_H

#include "base/metrics.h"
#include "bridge/message.h"

/* The numbers of enum reader_mode, and of the store's NakAction. */
enum { METRICS_MODES = 3, METRICS_ACTIONS = 5 };

/* Counted by the bridge since the start. */
struct bridge_counters {
	struct histogram operations[MESSAGE_COUNT + 1]; /* in the order of the table; last: ping */
	struct histogram delivery[METRICS_MODES];       /* from `created` to the push */
	struct histogram acks[METRICS_MODES];           /* from the push to the ack or nack */
	uint64_t pushed[METRICS_MODES];                 /* events */
	uint64_t rendered; /* live events made into JSON, once for all readers that share them */
	uint64_t acked[METRICS_MODES];
	uint64_t nacked[METRICS_ACTIONS];
	uint64_t dropped; /* subscriptions that ended with that push */
};

/* What all subscriptions are at, by mode. */
struct reader_totals {
	uint64_t subscriptions[METRICS_MODES];
	uint64_t window[METRICS_MODES];      /* the sum of their windows */
	uint64_t outstanding[METRICS_MODES]; /* delivered and not acknowledged */
	uint64_t lag[METRICS_MODES];         /* of the one that is furthest behind */
};

struct bridge;

/* Adds the metrics of BRIDGE, and TOTALS, to OUT, see base/metrics.h. */
void bridge_metrics(const struct bridge *bridge, const struct reader_totals *totals,
		    struct buffer *out);

#endif
