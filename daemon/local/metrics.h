/*
 * What is counted of clients and of the process, and all metrics together: the op `metrics`.
 */
#ifndef ESBRIDGE_LOCAL_METRICS_H
#define ESBRIDGE_LOCAL_METRICS_H

#include <stdint.h>

#include "base/buffer.h"
#include "bridge/answer.h"

/* Why a connection was closed. */
enum client_end {
	CLIENT_DONE,          /* it has asked for nothing more, and is answered */
	CLIENT_GONE,          /* it has closed its side, or died */
	CLIENT_SLOW_CONSUMER, /* it has not read for its time */
	CLIENT_OUT_OF_MEMORY,
	CLIENT_SHUTTING_DOWN,
	CLIENT_ENDS,
};

/* Why a connection was refused. */
enum client_refusal { CLIENT_TOO_MANY, CLIENT_NO_DESCRIPTOR, CLIENT_TOO_LATE, CLIENT_REFUSALS };

/* Counted since the start. */
struct local_counters {
	uint64_t accepted;
	uint64_t refused[CLIENT_REFUSALS];
	uint64_t closed[CLIENT_ENDS];
	uint64_t lines; /* taken up */
	uint64_t bytes_in;
	uint64_t bytes_out;
};

/* A word for the log. */
const char *client_end_word(enum client_end end);

struct client;
struct local;

/* Adds all metrics of the process to OUT, in the format that Prometheus reads. */
void local_metrics(const struct local *local, struct buffer *out);

/* Answers `metrics`. */
void answer_metrics(struct client *c, const struct request_id *id);

#endif
