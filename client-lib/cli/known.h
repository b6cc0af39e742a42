/*
 * Which of many events a stream has already, told by their ids. The stream is read along with those
 * that are asked for, so that little of it is in memory however long it is: a few bits for each
 * event, which tell that an id is not there, and one that its event was found.
 */
#ifndef ESBRIDGE_CLI_KNOWN_H
#define ESBRIDGE_CLI_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idtable.h"
#include "cli.h"

struct known {
	struct cli *cli;
	int64_t first;        /* numbers of the events of the stream, as it was at the beginning; */
	int64_t last;         /* -1: there is no stream */
	int64_t next;         /* the one that is read next */
	bool whole;           /* all were read once: the filter has all ids */
	uint64_t filter_mask; /* of a number of a bit of it */
	uint64_t *filter;
	uint8_t *found; /* a bit for each event */
};

/* An event that is asked for. */
struct wanted {
	struct idnode node;  /* has its id */
	struct wanted *twin; /* another with the same id */
	bool named;          /* it has an id; else it is passed over */
	bool there;          /* the answer */
};

/* Looks how long the stream that is the command's first argument is. Returns 0 or an exit status
 * after a failure, which was told. */
int known_begin(struct known *k, struct cli *cli);

/*
 * Sets `there` of the COUNT at WANTED, whose other members but `twin` are set: each event of the
 * stream is there for one of them in all calls. Fast where they come in the order of the stream;
 * else each call reads it once. Returns 0 or an exit status after a failure, which was told; where
 * a signal came the answers are not all there.
 */
int known_find(struct known *k, struct wanted *wanted, size_t count);

void known_free(struct known *k);

#endif
