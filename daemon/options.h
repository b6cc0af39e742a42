/*
 * The command line.
 */
#ifndef ESBRIDGE_OPTIONS_H
#define ESBRIDGE_OPTIONS_H

#include <stdbool.h>

#include "config.h"

enum options_action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT_CONFIG, ACTION_END };

struct options {
	enum options_action action;
	int status;         /* for ACTION_END: what to exit with */
	const char *file;   /* -c, or NULL */
	const char *socket; /* --socket, or NULL */
	const char *server; /* --server, or NULL */
	int verbose;        /* how often -v was given */
};

/* Reads the command line. What --help and --version say, and what is wrong, has been printed when
 * it returns ACTION_END. The texts are ARGV's. */
void options_read(struct options *o, int argc, char **argv);

/*
 * Fills CONFIG from the file and the options. Returns 0, or what to exit with: the mistakes have
 * been printed to standard error then.
 */
int options_config(const struct options *o, struct config *config);

#endif
