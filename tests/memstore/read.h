/*
 * What the reads of one stream and of all streams share.
 */
#ifndef MEMSTORE_READ_H
#define MEMSTORE_READ_H

#include "access.h"
#include "reply.h"

/*
 * Fills *RESOLVED with RECORD as a reader gets it: with the event it leads to, where it is a link
 * and RESOLVE_LINKS. Returns false where the link leads to a stream that USER may not read. NOW is
 * in milliseconds since 1970.
 */
bool resolve(const struct store *store, const struct user *user, const struct record *record,
	     bool resolve_links, int64_t now, struct resolved *resolved);

/* Why no page can have MAX_COUNT events, or NULL where it can. */
const char *page_size_error(int32_t max_count);

#endif
