/* The life of a context. */
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "request.h"
#include "subscription.h"

static const char usual_path[] = "/run/esbridge/esbridge.sock";

const struct esbridge_error *esbridge_error(const struct esbridge *e)
{
	static const struct esbridge_error no_context = {
		.code = ESBRIDGE_E_OUT_OF_MEMORY,
		.name = "out_of_memory",
		.text = "out of memory",
		.retry = true,
	};

	return e == NULL ? &no_context : &e->failure.error;
}

const struct esbridge_server *esbridge_server(const struct esbridge *e)
{
	return e->hello_reply == NULL ? NULL : &e->server;
}

const char *esbridge_path(const struct esbridge *e)
{
	return e->path;
}

bool esbridge_is_connected(const struct esbridge *e)
{
	return e->fd >= 0 && e->greeted;
}

static int or_else(int value, int usual)
{
	return value > 0 ? value : usual;
}

static void set_options(struct esbridge *e, const struct esbridge_options *o)
{
	e->connect_timeout_ms = or_else(o->connect_timeout_ms, 5000);
	e->reply_timeout_ms = or_else(o->reply_timeout_ms, 30000);
	e->no_reconnect = o->no_reconnect;
	e->reconnect_min_ms = or_else(o->reconnect_min_ms, 100);
	e->reconnect_max_ms = or_else(o->reconnect_max_ms, 5000);
	if (e->reconnect_max_ms < e->reconnect_min_ms)
		e->reconnect_max_ms = e->reconnect_min_ms;
	e->queue_limit = o->queue_limit > 0 ? o->queue_limit : 256u << 20;
	e->output_limit = o->output_limit > 0 ? o->output_limit : 64u << 20;
	e->backoff_ms = e->reconnect_min_ms;
	reader_init(&e->reader, o->line_limit);
}

static void set_up(struct esbridge *e, const struct esbridge_options *o)
{
	struct link *const lists[] = { &e->unsent, &e->due,   &e->subs,
				       &e->graves, &e->calls, &e->inbox };

	memset(e, 0, sizeof(*e));
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		link_init(lists[i]);
	e->fd = -1;
	e->next_id = REQUEST_FIRST_ID;
	e->random = (unsigned)now_ms() ^ (unsigned)(uintptr_t)e;
	snprintf(e->why, sizeof(e->why), "not connected yet");
	failure_clear(&e->failure);
	set_options(e, o);
}

static const char *path_or_usual(const char *path)
{
	const char *told = path != NULL ? path : getenv("ESBRIDGE_SOCKET");

	return told != NULL && told[0] != '\0' ? told : usual_path;
}

static void context_free(struct esbridge *e);

struct esbridge *esbridge_connect_async(const char *path, const struct esbridge_options *options)
{
	struct esbridge *e = memory_get(sizeof(*e));
	struct esbridge_options o;
	bool good = copy_sized(&o, sizeof(o), options);

	if (e == NULL)
		return NULL;
	set_up(e, &o);
	e->path = memory_text(path_or_usual(path));
	e->client = memory_text(o.client);
	if (e->path == NULL || (o.client != NULL && e->client == NULL)) {
		context_free(e);
		return NULL;
	}
	if (!good) {
		snprintf(e->why, sizeof(e->why), "size of struct esbridge_options is not set");
		failure_set(&e->failure, ESBRIDGE_E_BAD_REQUEST, "%s", e->why);
		e->ended = true;
	}
	return e;
}

/* Notes why there is no connection. */
static void note_unavailable(struct esbridge *e)
{
	failure_set(&e->failure, ESBRIDGE_E_UNAVAILABLE, "%s", e->why);
	e->failure.error.system_error = e->why_errno;
}

struct esbridge *esbridge_connect(const char *path, const struct esbridge_options *options)
{
	struct esbridge *e = esbridge_connect_async(path, options);
	int64_t until;

	if (e == NULL || e->ended)
		return e;
	until = now_ms() + e->connect_timeout_ms;
	/* A daemon whose queue is full is asked again; one that is not there is told at once. */
	while (!e->greeted && (e->failures == 0 || e->why_errno == EAGAIN) && now_ms() < until) {
		if (connection_wait(e, until) < 0 && !e->ended)
			return e;
	}
	if (!e->greeted)
		note_unavailable(e);
	return e;
}

/* The end ----------------------------------------------------------------------------------------- */

static void free_subscriptions(struct link *list)
{
	struct link *l;

	while ((l = list_first(list)) != NULL)
		subscription_free(CONTAINER(l, struct subscription, place));
}

static void context_free(struct esbridge *e)
{
	connection_close(e);
	dispatch_end(e);
	request_free_all(e);
	free_subscriptions(&e->subs);
	free_subscriptions(&e->graves);
	if (e->hello_reply != NULL)
		esbridge_message_free(&e->hello_reply->public);
	reader_free(&e->reader);
	failure_clear(&e->failure);
	request_drop_line(e);
	buffer_free(&e->line);
	memory_release(e->path);
	memory_release(e->client);
	memory_release(e);
}

void context_end(struct esbridge *e)
{
	connection_send(e);
	if (e->watcher != NULL)
		e->watcher(e, true, e->watcher_user);
	e->watcher = NULL;
	e->ended = true;
	snprintf(e->why, sizeof(e->why), "the context was closed");
	request_end_all(e);
	context_free(e);
}

void esbridge_close(struct esbridge *e)
{
	if (e == NULL)
		return;
	e->closing = true;
	if (e->entered == 0)
		context_end(e);
}
