#include "store/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"

#define HOSTS "/etc/hosts"

struct resolver {
	struct loop *loop;
	const char *nameservers;
	struct evdns_base *dns; /* made when a name has to be resolved */
};

struct resolver *resolver_new(struct loop *loop, const char *nameservers)
{
	struct resolver *r = mem_new(sizeof(*r));

	r->loop = loop;
	r->nameservers = nameservers;
	return r;
}

void resolver_free(struct resolver *r)
{
	if (r->dns != NULL)
		evdns_base_free(r->dns, 0);
	free(r);
}

static void add_nameservers(struct resolver *r)
{
	const char *list = r->nameservers;
	char text[ENDPOINT_TEXT];
	struct endpoint e;

	(void)evdns_base_load_hosts(r->dns, HOSTS);
	while (endpoint_next(&list, &e)) {
		endpoint_format(&e, text);
		(void)evdns_base_nameserver_ip_add(r->dns, text);
	}
}

/* False where there is no name server. */
static bool open_dns(struct resolver *r)
{
	bool given = r->nameservers[0] != '\0';

	if (r->dns != NULL)
		return true;
	r->dns = evdns_base_new(loop_base(r->loop),
				EVDNS_BASE_DISABLE_WHEN_INACTIVE |
					(given ? 0 : EVDNS_BASE_INITIALIZE_NAMESERVERS));
	if (r->dns != NULL && given)
		add_nameservers(r);
	return r->dns != NULL;
}

void lookup_init(struct lookup *l, void (*done)(void *arg, const char *fault), void *arg)
{
	*l = (struct lookup){ .done = done, .arg = arg };
}

static void finish(struct lookup *l, struct evutil_addrinfo *found, const char *fault)
{
	l->found = found;
	l->next = found;
	l->done(l->arg, found == NULL ? fault : NULL);
}

static void on_resolved(int result, struct evutil_addrinfo *found, void *arg)
{
	struct lookup *l = arg;

	if (result == EVUTIL_EAI_CANCEL)
		return; /* L may be gone */
	l->request = NULL;
	finish(l, found, result != 0 ? evutil_gai_strerror(result) : "no address");
}

void lookup_start(struct lookup *l, struct resolver *r, const struct endpoint *e)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_STREAM,
					 .ai_flags = EVUTIL_AI_NUMERICHOST };
	struct evdns_getaddrinfo_request *request;
	struct evutil_addrinfo *found = NULL;
	char port[8];

	lookup_clear(l);
	snprintf(port, sizeof(port), "%u", e->port);
	if (evutil_getaddrinfo(e->host, port, &hints, &found) == 0) {
		finish(l, found, "no address");
		return;
	}
	if (!open_dns(r)) {
		finish(l, NULL, "no name server is configured");
		return;
	}
	hints.ai_flags = 0;
	/* NULL where the answer has come before the call returns: then DONE may have begun anew. */
	request = evdns_getaddrinfo(r->dns, e->host, port, &hints, on_resolved, l);
	if (request != NULL)
		l->request = request;
}

void lookup_clear(struct lookup *l)
{
	if (l->request != NULL)
		evdns_getaddrinfo_cancel(l->request);
	l->request = NULL;
	if (l->found != NULL)
		evutil_freeaddrinfo(l->found);
	l->found = NULL;
	l->next = NULL;
}

const struct evutil_addrinfo *lookup_next(struct lookup *l)
{
	const struct evutil_addrinfo *next = l->next;

	if (next != NULL)
		l->next = next->ai_next;
	return next;
}
