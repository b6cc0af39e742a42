#include "gossip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <jansson.h>

#include "base/log.h"
#include "server.h"

enum { HTTP_NOT_HERE = 404 };

static void set(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new(object, name, value);
}

/* A TLS server tells its port as the secure one, and 0 for the other. */
static json_t *member_of(const struct node *node)
{
	const struct options *o = node->server->options;
	bool secure = node->server->tls != NULL;
	json_t *m = json_object();
	char id[48];

	(void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012u", node->number);
	set(m, "instanceId", json_string(id));
	set(m, "timeStamp", json_string("2026-01-01T00:00:00.000000Z"));
	set(m, "state", json_string(node->state));
	set(m, "isAlive", json_boolean(!node->down && !node->cut));
	set(m, "externalTcpIp", json_string(o->address));
	set(m, "externalTcpPort", json_integer(secure ? 0 : node->port));
	set(m, "externalSecureTcpPort", json_integer(secure ? node->port : 0));
	set(m, o->traits->new_gossip ? "httpEndPointIp" : "externalHttpIp",
	    json_string(o->address));
	set(m, o->traits->new_gossip ? "httpEndPointPort" : "externalHttpPort",
	    json_integer(node->http_port));
	if (o->traits->new_gossip)
		set(m, "isReadOnlyReplica", json_boolean(node->kind == NODE_REPLICA));
	set(m, "epochNumber", json_integer(0));
	set(m, "nodePriority", json_integer(0));
	return m;
}

static char *document_of(const struct node *node)
{
	json_t *root = json_object();
	json_t *members = json_array();
	char *text;

	for (unsigned i = 0; i < node->server->node_count; i++)
		(void)json_array_append_new(members, member_of(&node->server->nodes[i]));
	set(root, "members", members);
	set(root, "serverIp", json_string(node->server->options->address));
	set(root, "serverPort", json_integer(node->http_port));
	text = json_dumps(root, 0);
	json_decref(root);
	return text;
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct node *node = arg;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
	struct evbuffer *body;
	char *text;

	if (node->cut)
		return; /* whoever asks hears nothing; the request goes with its connection */
	if (path == NULL || strcmp(path, "/gossip") != 0) {
		evhttp_send_error(request, HTTP_NOT_HERE, NULL);
		return;
	}
	body = evbuffer_new();
	text = document_of(node);
	if (body != NULL && text != NULL) {
		(void)evbuffer_add(body, text, strlen(text));
		evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
				  "application/json; charset=utf-8");
		evhttp_send_reply(request, HTTP_OK, "OK", body);
	}
	free(text);
	if (body != NULL)
		evbuffer_free(body);
}

static struct bufferevent *make_tls(struct event_base *base, void *arg)
{
	struct node *node = arg;

	return tls_bufferevent(node->server->tls, base, NULL);
}

bool gossip_open(struct node *node)
{
	struct server *server = node->server;
	const char *address = server->options->address;
	struct evhttp_bound_socket *bound;

	node->http = evhttp_new(loop_base(server->loop));
	if (node->http == NULL)
		return false;
	if (server->tls != NULL)
		evhttp_set_bevcb(node->http, make_tls, node);
	evhttp_set_gencb(node->http, on_request, node);
	bound = evhttp_bind_socket_with_handle(node->http, address, (uint16_t)node->http_port);
	if (bound == NULL) {
		log_write(LOG_ERROR, "cannot listen for HTTP address=%s port=%u", address,
			  node->http_port);
		return false;
	}
	node->http_port = node_port_of(evhttp_bound_socket_get_fd(bound));
	return true;
}

void gossip_close(struct node *node)
{
	if (node->http != NULL)
		evhttp_free(node->http);
	node->http = NULL;
}
