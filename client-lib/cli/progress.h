/*
 * A line on standard error that tells how far a long work has got, where that is a terminal.
 */
#ifndef ESBRIDGE_CLI_PROGRESS_H
#define ESBRIDGE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

struct progress {
	bool shown; /* standard error is a terminal, and nobody wants it quiet */
	int64_t began_ms;
	int64_t told_ms;
	bool told;
};

void progress_begin(struct progress *p, const struct cli *cli);

/*
 * EVENTS are done; DONE of ALL says how much of the work that is, in whatever unit; ALL 0: nobody
 * knows. Tells it ten times a second at most.
 */
void progress_tell(struct progress *p, int64_t events, int64_t done, int64_t all);

/* Removes the line. */
void progress_end(struct progress *p);

#endif
