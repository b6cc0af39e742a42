#include "store/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>

#include "base/guid.h"
#include "base/log.h"
#include "base/mem.h"

enum { HEADERS_MOST = 16 * 1024, REASON = 300 };

/* One that gossip may be asked of. */
struct candidate {
	struct endpoint at;
	char name[ENDPOINT_HOST]; /* what its certificate must be for */
};

struct discovery {
	struct loop *loop;
	struct discovery_settings settings;
	const struct discovery_events *events;
	void *arg;

	struct resolver *resolver;

	/* For the search under way. */
	struct tls_context *context;
	const char *name;
	struct endpoint failed; /* port 0: none */
	struct candidate candidates[GOSSIP_NODES];
	size_t count;
	size_t next;
	bool from_gossip; /* they are those of the last gossip: the seeds come after them */
	char reason[REASON];

	const struct node *chosen; /* of `gossip`; NULL: none yet */
	struct gossip
		gossip;      /* the last one; used once, so that an old one does no harm for long */
	struct lookup nodes; /* of the name whose addresses are nodes */
	struct lookup addresses; /* of the candidate that is asked: those not yet tried */
	struct endpoint asked;   /* the address in hand */
	struct evhttp_connection *http;
	struct deadline patience;
	struct job step; /* the next candidate, outside the callbacks of libevent */
};

static unsigned chance(void)
{
	struct guid id;
	unsigned number;

	guid_make(&id);
	memcpy(&number, id.bytes, sizeof(number));
	return number;
}

static void stop_asking(struct discovery *d)
{
	loop_clear_deadline(d->loop, &d->patience);
	if (d->http != NULL)
		evhttp_connection_free(d->http);
	d->http = NULL;
}

void discovery_cancel(struct discovery *d)
{
	stop_asking(d);
	lookup_clear(&d->nodes);
	lookup_clear(&d->addresses);
	job_cancel(&d->step);
}

/* Goes on with the next address or candidate at the end of the turn; WHO was of no use for REASON.
 */
static void pass_on(struct discovery *d, const struct endpoint *who, const char *reason)
{
	char text[ENDPOINT_TEXT];

	endpoint_format(who, text);
	snprintf(d->reason, sizeof(d->reason), "%s: %s", text, reason);
	log_write(LOG_DEBUG, "no gossip from=%s reason=%s", text, log_text(reason, strlen(reason)));
	loop_clear_deadline(d->loop, &d->patience);
	loop_put_off(d->loop, &d->step);
}

/* Candidates ------------------------------------------------------------------------------------ */

static void add_candidate(struct discovery *d, const struct endpoint *at, const char *name)
{
	struct candidate *c = &d->candidates[d->count];

	if (d->count == GOSSIP_NODES)
		return;
	c->at = *at;
	snprintf(c->name, sizeof(c->name), "%s", d->name[0] != '\0' ? d->name : name);
	d->count++;
}

/* So that not all clients of a cluster ask the same node. */
static void shuffle(struct discovery *d)
{
	for (size_t i = d->count; i > 1; i--) {
		size_t other = chance() % i;
		struct candidate c = d->candidates[i - 1];

		d->candidates[i - 1] = d->candidates[other];
		d->candidates[other] = c;
	}
}

static void take_gossip(struct discovery *d)
{
	bool secure = d->context != NULL;

	d->count = d->next = 0;
	for (size_t i = 0; i < d->gossip.count; i++) {
		const struct node *node = &d->gossip.nodes[i];
		struct endpoint e = node_endpoint(node, secure);

		if (node->http.port != 0 && !endpoint_equal(&e, &d->failed))
			add_candidate(d, &node->http, node->http.host);
	}
	d->gossip.count = 0;
	d->from_gossip = true;
	shuffle(d);
}

static void on_nodes(void *arg, const char *fault)
{
	struct discovery *d = arg;
	const struct endpoint *seed = &d->settings.seeds[0];
	const struct evutil_addrinfo *found;

	if (fault != NULL) {
		pass_on(d, seed, fault);
		return;
	}
	while ((found = lookup_next(&d->nodes)) != NULL) {
		struct endpoint at;

		if (endpoint_of_address(found->ai_addr, &at))
			add_candidate(d, &at, seed->host);
	}
	shuffle(d);
	loop_clear_deadline(d->loop, &d->patience);
	loop_put_off(d->loop, &d->step);
}

static void take_seeds(struct discovery *d)
{
	d->count = d->next = 0;
	d->from_gossip = false;
	if (d->settings.by_name) {
		loop_set_deadline(d->loop, &d->patience, d->settings.timeout);
		lookup_start(&d->nodes, d->resolver, &d->settings.seeds[0]);
		return;
	}
	for (size_t i = 0; i < d->settings.seed_count; i++)
		add_candidate(d, &d->settings.seeds[i], d->settings.seeds[i].host);
	shuffle(d);
	loop_put_off(d->loop, &d->step);
}

/* Asking ---------------------------------------------------------------------------------------- */

static void take_answer(struct discovery *d, const char *text, size_t len)
{
	const struct endpoint *who = &d->asked;
	char fault[REASON];

	if (!gossip_read(text, len, &d->gossip, fault, sizeof(fault))) {
		pass_on(d, who, fault);
		return;
	}
	d->chosen = gossip_choose(&d->gossip, d->settings.preference, d->context != NULL,
				  d->failed.port != 0 ? &d->failed : NULL, chance());
	if (d->chosen == NULL) {
		d->gossip.count = 0;
		pass_on(d, who, "it knows of no node that can be used");
		return;
	}
	loop_clear_deadline(d->loop, &d->patience);
	loop_put_off(d->loop, &d->step);
}

static void on_answer(struct evhttp_request *request, void *arg)
{
	struct discovery *d = arg;
	const struct endpoint *who = &d->asked;
	struct evbuffer *body;
	char reason[64];
	size_t len;

	if (request == NULL || evhttp_request_get_response_code(request) == 0) {
		pass_on(d, who, d->context != NULL ? "no answer by HTTPS" : "no answer by HTTP");
		return;
	}
	if (evhttp_request_get_response_code(request) != HTTP_OK) {
		snprintf(reason, sizeof(reason), "HTTP status %d",
			 evhttp_request_get_response_code(request));
		pass_on(d, who, reason);
		return;
	}
	body = evhttp_request_get_input_buffer(request);
	len = evbuffer_get_length(body);
	take_answer(d, len == 0 ? "" : (const char *)evbuffer_pullup(body, -1), len);
}

static bool open_http(struct discovery *d, const struct candidate *c)
{
	struct event_base *base = loop_base(d->loop);
	struct bufferevent *bev = NULL;

	if (d->context != NULL) {
		bev = tls_bufferevent(d->context, base, c->name);
		if (bev == NULL)
			return false;
	}
	d->http = evhttp_connection_base_bufferevent_new(base, NULL, bev, d->asked.host,
							 d->asked.port);
	if (d->http == NULL) {
		if (bev != NULL)
			bufferevent_free(bev);
		return false;
	}
	evhttp_connection_set_max_body_size(d->http, GOSSIP_BYTES);
	evhttp_connection_set_max_headers_size(d->http, HEADERS_MOST);
	return true;
}

static bool send_request(struct discovery *d, const struct candidate *c)
{
	struct evhttp_request *request = evhttp_request_new(on_answer, d);
	struct evkeyvalq *headers;
	char host[ENDPOINT_TEXT];

	if (request == NULL)
		return false;
	endpoint_format(&c->at, host);
	headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", host);
	evhttp_add_header(headers, "Accept", "application/json");
	evhttp_add_header(headers, "Connection", "close");
	return evhttp_make_request(d->http, request, EVHTTP_REQ_GET, "/gossip?format=json") == 0;
}

/* Asks the candidate in hand at ADDRESS. libevent would resolve its name as well, but tries the
 * first address alone. */
static void ask(struct discovery *d, const struct sockaddr *address)
{
	const struct candidate *c = &d->candidates[d->next - 1];

	loop_set_deadline(d->loop, &d->patience, d->settings.timeout);
	if (!endpoint_of_address(address, &d->asked) || !open_http(d, c) || !send_request(d, c))
		pass_on(d, &c->at, "cannot be asked");
}

static void on_addresses(void *arg, const char *fault)
{
	struct discovery *d = arg;

	if (fault != NULL)
		pass_on(d, &d->asked, fault);
	else
		loop_put_off(d->loop, &d->step);
}

static void look_up(struct discovery *d, const struct candidate *c)
{
	d->asked = c->at;
	loop_set_deadline(d->loop, &d->patience, d->settings.timeout);
	lookup_start(&d->addresses, d->resolver, &c->at);
}

/* The patience with a name server or a candidate is over. */
static void on_patience(void *arg)
{
	struct discovery *d = arg;
	bool nodes = lookup_is_under_way(&d->nodes);

	if (nodes)
		lookup_clear(&d->nodes);
	else if (lookup_is_under_way(&d->addresses))
		lookup_clear(&d->addresses);
	pass_on(d, nodes ? &d->settings.seeds[0] : &d->asked, "no answer in time");
}

static void on_step(void *arg)
{
	struct discovery *d = arg;
	const struct evutil_addrinfo *address;

	stop_asking(d);
	if (d->chosen != NULL)
		d->events->found(d->arg, d->chosen);
	else if ((address = lookup_next(&d->addresses)) != NULL)
		ask(d, address->ai_addr);
	else if (d->next < d->count)
		look_up(d, &d->candidates[d->next++]);
	else if (d->from_gossip)
		take_seeds(d);
	else
		d->events->failed(d->arg, d->reason);
}

/* Life ------------------------------------------------------------------------------------------ */

struct discovery *discovery_new(struct loop *loop, const struct discovery_settings *settings,
				struct resolver *resolver, const struct discovery_events *events,
				void *arg)
{
	struct discovery *d = mem_new(sizeof(*d));

	d->loop = loop;
	d->settings = *settings;
	d->resolver = resolver;
	d->events = events;
	d->arg = arg;
	deadline_init(&d->patience, on_patience, d);
	job_init(&d->step, on_step, d);
	lookup_init(&d->nodes, on_nodes, d);
	lookup_init(&d->addresses, on_addresses, d);
	return d;
}

void discovery_free(struct discovery *d)
{
	if (d == NULL)
		return;
	discovery_cancel(d);
	free(d);
}

void discovery_start(struct discovery *d, struct tls_context *context, const char *name,
		     const struct endpoint *failed)
{
	discovery_cancel(d);
	d->chosen = NULL;
	d->context = context;
	d->name = name;
	d->failed = failed != NULL ? *failed : (struct endpoint){ .port = 0 };
	snprintf(d->reason, sizeof(d->reason), "no node of the cluster answers");
	take_gossip(d);
	loop_put_off(d->loop, &d->step);
}
