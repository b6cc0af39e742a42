/*
 * What is said to clients, in the exact shape of the server that is played: which fields are there,
 * and which are written although they are zero. Another version's shapes belong here and nowhere
 * else.
 */
#ifndef MEMSTORE_REPLY_H
#define MEMSTORE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "eventstore.pb-c.h"
#include "store.h"

extern const char text_denied[];

/* A package with no payload, or with a text. */
void reply_empty(struct connection *c, enum command command, const struct guid *correlation);
void reply_text(struct connection *c, enum command command, const struct guid *correlation,
		const char *text);

/* BadRequest with TEXT. The connection stays. */
void reply_bad_request(struct connection *c, const struct guid *correlation, const char *text);

/* NotHandled for REASON; HOST and PORT are where the master is, unless HOST is NULL. */
void reply_not_handled(struct connection *c, const struct guid *correlation, unsigned reason,
		       const char *host, unsigned port);

/* What came of a write, a deletion or the end of a transaction. */
struct outcome {
	Es__OperationResult result;
	int64_t first; /* of the numbers written */
	int64_t last;
	int64_t prepare; /* of the last record */
	int64_t commit;
	int64_t current; /* the stream's last number, where that was not the one expected */
};

void reply_write(struct connection *c, const struct guid *correlation, const struct outcome *o);
void reply_delete(struct connection *c, const struct guid *correlation, const struct outcome *o);

/* TransactionStartCompleted and TransactionWriteCompleted: COMMAND says which. */
void reply_transaction(struct connection *c, enum command command, const struct guid *correlation,
		       int64_t id, Es__OperationResult result);
void reply_commit(struct connection *c, const struct guid *correlation, int64_t id,
		  const struct outcome *o);

/* An event as it is delivered: with the link that led to it, or a link that leads nowhere. */
struct resolved {
	const struct record *event; /* NULL: the link leads nowhere */
	const struct record *link;  /* or NULL */
};

/* What an event's number, position and id are for who reads: those of the link if there is one. */
static inline const struct record *resolved_original(const struct resolved *r)
{
	return r->link != NULL ? r->link : r->event;
}

/* EVENT is NULL where there is none to give. */
void reply_read_event(struct connection *c, const struct guid *correlation,
		      Es__ReadEventCompleted__ReadEventResult result, const struct resolved *event);

/* A page is a package whose events are added one by one, between its begin and its end. */
struct page {
	struct connection *c;
	size_t began;
	size_t count;
	bool filtered; /* a page of all streams */
};

/* True while a further event, RESOLVED, fits into a package. */
bool page_has_room(const struct page *page, const struct resolved *resolved);

void stream_page_begin(struct page *page, struct connection *c, enum command command,
		       const struct guid *correlation);
void stream_page_add(struct page *page, const struct resolved *resolved);

struct stream_page_end {
	Es__ReadStreamEventsCompleted__ReadStreamResult result;
	int64_t next;
	int64_t last;
	bool end_of_stream;
	const char *error; /* "" where there is none */
	bool no_position;  /* the last position is not told */
};

void stream_page_end(struct page *page, const struct stream_page_end *end);

/* COMMIT and PREPARE are the position read from. */
void all_page_begin(struct page *page, struct connection *c, enum command command,
		    const struct guid *correlation, int64_t commit, int64_t prepare);
void all_page_add(struct page *page, const struct resolved *resolved);

struct all_page_end {
	Es__ReadAllEventsCompleted__ReadAllResult result;
	int64_t next_commit;
	int64_t next_prepare;
	bool end_of_stream; /* in filtered pages */
	const char *error;  /* or NULL */
};

void all_page_end(struct page *page, const struct all_page_end *end);

/* LAST is the stream's last number, NULL for all streams. */
void reply_subscribed(struct connection *c, const struct guid *correlation, const int64_t *last);
void reply_appeared(struct connection *c, const struct guid *correlation,
		    const struct resolved *resolved);
void reply_dropped(struct connection *c, const struct guid *correlation,
		   Es__SubscriptionDropped__SubscriptionDropReason reason);

/* The replies to create, update and delete a group, which have one shape. REASON is "" on success.
 */
void reply_group(struct connection *c, enum command command, const struct guid *correlation,
		 int result, const char *reason);
void reply_joined(struct connection *c, const struct guid *correlation, struct span key,
		  int64_t last);
void reply_delivered(struct connection *c, const struct guid *correlation,
		     const struct resolved *resolved, int32_t retry_count);

/* Up to RECORD all was looked at for a filtered subscription. */
void reply_checkpoint(struct connection *c, const struct guid *correlation,
		      const struct record *record);

/* ScavengeDatabaseCompleted, and ScavengeDatabaseResponse in its place from version 5 on. */
void reply_scavenged(struct connection *c, const struct guid *correlation, bool allowed);
void reply_scavenge_started(struct connection *c, const struct guid *correlation, bool allowed);

#endif
