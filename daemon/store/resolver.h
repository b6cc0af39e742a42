/*
 * Host names to addresses, without blocking: by /etc/hosts and DNS. An address written as such is
 * its own answer, and needs no name server.
 */
#ifndef ESBRIDGE_STORE_RESOLVER_H
#define ESBRIDGE_STORE_RESOLVER_H

#include <stdbool.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "base/endpoint.h"
#include "base/loop.h"

struct resolver;

/* NAMESERVERS: addresses with their ports, see endpoint_next(); "": those of /etc/resolv.conf. It
 * outlives the resolver. */
struct resolver *resolver_new(struct loop *loop, const char *nameservers);

/* After all look-ups have been cancelled. */
void resolver_free(struct resolver *r);

/* One name looked up, and the addresses that came of it. */
struct lookup {
	struct evdns_getaddrinfo_request *request; /* NULL: none is under way */
	struct evutil_addrinfo *found;
	const struct evutil_addrinfo *next; /* of those found */
	void (*done)(void *arg, const char *fault);
	void *arg;
};

/* DONE is called with ARG when the addresses have been found, or with FAULT, a text for people. */
void lookup_init(struct lookup *l, void (*done)(void *arg, const char *fault), void *arg);

/* Forgets what L had found and looks for E. DONE may be called before this returns. There is no
 * timeout but that of the name servers. */
void lookup_start(struct lookup *l, struct resolver *r, const struct endpoint *e);

/* Ends what is under way without a call, and forgets what was found. Harmless at any time. */
void lookup_clear(struct lookup *l);

/* The next of the addresses found, with the port that was asked for; it lives until L is cleared.
 * NULL: there are no more. */
const struct evutil_addrinfo *lookup_next(struct lookup *l);

static inline bool lookup_is_under_way(const struct lookup *l)
{
	return l->request != NULL;
}

static inline bool lookup_has_more(const struct lookup *l)
{
	return l->next != NULL;
}

#endif
