/*
 * The daemon as a whole: the order in which its rooms start, reload and stop.
 */
#ifndef ESBRIDGE_DAEMON_H
#define ESBRIDGE_DAEMON_H

#include "config.h"
#include "options.h"

/* Runs until it is told to end. CONFIG is kept and changed by reloads. Returns what to exit with.
 */
int daemon_run(struct config *config, const struct options *options);

#endif
