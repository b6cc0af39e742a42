/*
 * Whether events may be appended to a stream: expected versions, and requests that come a second
 * time.
 */
#ifndef MEMSTORE_DECIDE_H
#define MEMSTORE_DECIDE_H

#include "batch.h"
#include "reply.h"

enum {
	EXPECT_ANY = -2,
	EXPECT_NONE = -1, /* no stream, or an empty one */
	EXPECT_SOME = -4, /* the stream exists */
};

enum decision {
	DECISION_APPEND,
	DECISION_REPEATED, /* all of it is there already */
	DECISION_WRONG_VERSION,
	DECISION_DELETED,
};

struct verdict {
	enum decision decision;
	bool undelete; /* APPEND: the stream is soft-deleted */
	int64_t first; /* REPEATED: the numbers of what is there */
	int64_t last;
	const struct record *told; /* REPEATED: whose position is told, or NULL */
};

/* Judges whether the EVENTS may follow what is in STREAM, which is NULL where nobody has written to
 * it. */
struct verdict decide(const struct store *store, const struct stream *stream, int64_t expected,
		      const struct batch *events);

/* True where a write may carry EXPECTED. */
static inline bool is_write_version(int64_t expected)
{
	return expected >= EXPECT_ANY || expected == EXPECT_SOME;
}

/*
 * Fills *OUTCOME for a DECISION that is no append: what was written before, or why nothing may be.
 * The numbers that mean nothing are those that the real server gives.
 */
void outcome_of(struct outcome *outcome, const struct verdict *verdict,
		const struct stream *stream);

/* Fills *OUTCOME for a request that is refused with RESULT. */
void outcome_refused(struct outcome *outcome, Es__OperationResult result);

/* Deletes the stream called NAME. Returns what was written, NULL where there was no memory for a
 * long name. */
const struct record *delete_stream(struct store *store, struct span name, bool hard);

/* Appends to "$$STREAM" the metadata that it has, with all before NUMBER hidden. Does nothing where
 * it has none. */
void undelete(struct store *store, struct stream *stream, int64_t number);

#endif
