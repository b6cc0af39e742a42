/*
 * The access rules at work: which of them is for a client, what it is refused, and what is known of
 * transactions.
 */
#ifndef ESBRIDGE_LOCAL_CLIENT_ACCESS_H
#define ESBRIDGE_LOCAL_CLIENT_ACCESS_H

#include "local/access.h"
#include "local/client.h"

/* Learns who C is, and what it may do. Once, when it has connected. */
void client_access_begin(struct client *c);

/* C goes. */
void client_access_end(struct client *c);

/*
 * True where a client that has connected as FD may be taken. Otherwise there are as many as its
 * rule lets be, and *RULE is the name of that.
 */
bool local_takes(const struct local *local, int fd, const char **rule);

/*
 * From now on the rules of ACCESS count, which lives until the next call or the end of LOCAL; the
 * ones before are used no more when it returns. Subscriptions that a client may not have any more
 * are dropped.
 */
void local_set_access(struct local *local, struct access *access);

/* Frees what LOCAL knows of transactions. */
void local_forget_transactions(struct local *local);

/* True where C has one of the permissions NEEDED, a set of bits, or these are none. */
static inline bool client_has(const struct client *c, uint32_t needed)
{
	return needed == 0 || (c->permissions & needed) != 0;
}

/* Refuses the request ID of C, which misses PERMISSION. */
void client_refuse_permission(struct client *c, const struct request_id *id, enum permission needed,
			      enum outcome outcome);

/* May C subscribe to STREAM ("": all), with CHECKPOINT or NULL? False: it has been refused. */
bool client_may_subscribe(struct client *c, const struct request_id *id, const char *stream,
			  const char *checkpoint);

/* May a request of C bring credentials? False: it has been refused. */
bool client_may_bring_credentials(struct client *c, const struct request_id *id);

/* The credentials for what C asks the store: CHOSEN, which the request brought, or else those of
 * its rule, copied to WHO, which the caller wipes then; NULL: the connection's. */
const struct credentials *client_credentials(const struct client *c,
					     const struct credentials *chosen,
					     struct credentials *who);

/* Adds the members `rule` and `permissions` to OUT. */
void client_access_to_json(const struct client *c, struct buffer *out);

#endif
