/*
 * What is counted of the store, for `metrics`.
 */
#ifndef ESBRIDGE_STORE_METRICS_H
#define ESBRIDGE_STORE_METRICS_H

#include "store/store.h"

/* Adds the metrics of STORE to OUT, see base/metrics.h. */
void store_metrics(const struct store *store, struct buffer *out);

#endif
