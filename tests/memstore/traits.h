/*
 * What differs between the versions of EventStoreDB: one row of a table for each.
 *
 * The rows say what the recordings of these versions show (tests/transcripts), and beyond them what
 * is in the source of EventStore.Core.
 */
#ifndef MEMSTORE_TRAITS_H
#define MEMSTORE_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

/* How a scavenge is answered. */
enum scavenge_reply {
	SCAVENGE_COMPLETED,       /* when it has ended: ScavengeDatabaseCompleted */
	SCAVENGE_STARTED,         /* at once: ScavengeDatabaseResponse */
	SCAVENGE_STARTED_OR_NONE, /* the same, but nothing to those who may not */
	SCAVENGE_NONE,
};

/* Faults of a client that are told to it before the connection is closed. */
enum told_fault {
	TELL_LONG = 1,     /* a length above the limit */
	TELL_EMPTY = 2,    /* a length of 0 */
	TELL_NEGATIVE = 4, /* a negative length */
	TELL_TRUSTED = 8,  /* the flag that is for other nodes */
};

struct traits {
	const char *version;
	enum scavenge_reply scavenge;
	unsigned told;        /* of enum told_fault */
	int64_t number_most;  /* $tb of a stream that is soft-deleted */
	bool write_version;   /* WriteEventsCompleted has current_version */
	bool delete_version;  /* so has DeleteStreamCompleted */
	bool retry_count;     /* a message of a group says how often it was delivered before */
	bool zeros;           /* zero and empty values are written */
	bool small_numbers;   /* clients of version 0 get numbers of 32 bits */
	bool deletes_missing; /* a soft deletion of what is not there succeeds */
	bool filters;         /* the filtered commands are known */
	bool denies_filtered_unfiltered; /* AccessDenied to a filtered read is that of a plain one
					  */
	bool follows_rubbish; /* a link whose text is none leads nowhere; else it is read as it is
			       */
	bool checks_links;    /* who may not read what a link leads to may not read the page */
	bool denies_first;    /* who may do a thing is asked before all else, and told in words */
	bool repeated_positions;   /* a repeated write is told where its last event is */
	bool admins_manage;        /* only admins make groups, not operators */
	bool anonymous_streams;    /* nobody may do what everybody may */
	bool anonymous_groups;     /* nobody may be a consumer */
	bool acks_by_owner;        /* who acknowledges another's message does not free its place */
	bool acks_nothing;         /* an answer to no message at all is no fault */
	bool forgets_retries;      /* what a consumer that goes had out counts as delivered once */
	bool zero_never;           /* a message timeout of 0 is none */
	bool skips_expired;        /* a page begins with the first event that has not expired */
	bool limits_data_alone;    /* the limit of an event's size is one of its data */
	bool correlation_strategy; /* PinnedByCorrelation is known */
	bool new_gossip;           /* the form of gossip from 20.6 on */
	const char *leader;        /* what gossip calls a node that leads, and one that follows */
	const char *follower;
};

/* The traits of VERSION, or NULL. They live as long as the process. */
const struct traits *traits_find(const char *version);

/* The traits of the version with this INDEX, counted from 0, the oldest first; NULL behind the
 * last one. */
const struct traits *traits_at(unsigned index);

#endif
