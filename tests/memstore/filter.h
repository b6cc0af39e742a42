/*
 * The filters of reads of all streams and of live subscriptions.
 */
#ifndef MEMSTORE_FILTER_H
#define MEMSTORE_FILTER_H

#include <regex.h>

#include "eventstore.pb-c.h"
#include "store.h"

/* What events have to match. One of all zeros lets everything through. */
struct filter {
	bool by_type; /* the type of the event; else the name of its stream */
	bool has_pattern;
	regex_t pattern; /* an extended one of POSIX, where the real server has one of .NET */
	char **prefixes; /* one of them is enough */
	size_t count;
};

/* Makes FILTER from M, which may be NULL. Returns false, and leaves FILTER empty, where the pattern
 * is none. */
bool filter_read(struct filter *filter, const Es__Filter *m);

bool filter_matches(const struct filter *filter, const struct record *record);

void filter_free(struct filter *filter);

#endif
