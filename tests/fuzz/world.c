#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json_walk.h"
#include "base/log.h"
#include "bridge/checkpoint.h"
#include "local/client_access.h"
#include "store/command.h"

enum {
	IDLE_TURNS = 6, /* without anything to read, after which nothing more is expected */
	LONG = 60 * 1000,
	LINE_MOST = 64 * 1024,
	DEPTH = 64,
	VALUES = 65536,
	OUTPUT = 256 * 1024,
};

enum phase { PHASE_CONNECT, PHASE_SPEAK, PHASE_END_OF_INPUT, PHASE_STOP, PHASE_OVER };

struct world {
	const struct script *script;
	struct loop *loop;
	struct bridge bridge;
	struct local local;
	struct access *access;
	int client;           /* the far end of the client's socket */
	int peer;             /* that of the store's; -1: none */
	struct buffer lines;  /* for the client */
	struct buffer frames; /* for the store */
	struct job tick;
	unsigned idle;
	enum phase phase;
};

static int listener = -1;
static uint16_t port;

void *world_arg(const struct world *w)
{
	return w->script->arg;
}

/* The store ------------------------------------------------------------------------------------- */

static void listen_once(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	if (listener >= 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0)
		abort();
	port = ntohs(at.sin_port);
}

/* With a reset, or each round would keep a port for a minute. */
static void hang_up(struct world *w)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (w->peer < 0)
		return;
	(void)setsockopt(w->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(w->peer);
	w->peer = -1;
	buffer_consume(&w->frames, buffer_len(&w->frames));
}

void world_send(struct world *w, const void *bytes, size_t len)
{
	if (w->peer >= 0)
		(void)send(w->peer, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void world_answer(struct world *w, uint8_t command, const struct guid *correlation,
		  const void *payload, size_t len)
{
	struct buffer out = { 0 };

	if (frame_add(&out, command, correlation, NULL, payload, len))
		world_send(w, buffer_at(&out), buffer_len(&out));
	buffer_free(&out);
}

static void answer_request(struct world *w, const struct package *p)
{
	if (p->command == CMD_HEARTBEAT_REQUEST)
		world_answer(w, CMD_HEARTBEAT_RESPONSE, &p->correlation, NULL, 0);
	else if (p->command == CMD_IDENTIFY_CLIENT)
		world_answer(w, CMD_CLIENT_IDENTIFIED, &p->correlation, NULL, 0);
	else
		w->script->request(w, p);
}

static bool hear_store(struct world *w)
{
	struct package package;
	size_t size;
	ssize_t n;

	if (w->peer < 0)
		w->peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (w->peer < 0)
		return false;
	n = buffer_read_fd(&w->frames, w->peer, OUTPUT);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		hang_up(w);
		return true;
	}
	while (w->peer >= 0 && frame_look(buffer_at(&w->frames), buffer_len(&w->frames), FRAME_MOST,
					  &package, &size) == FRAME_WHOLE) {
		answer_request(w, &package);
		buffer_consume(&w->frames, size);
	}
	return n > 0;
}

/* The client ------------------------------------------------------------------------------------ */

static bool hear_daemon(struct world *w)
{
	ssize_t n = buffer_read_fd(&w->lines, w->client, OUTPUT);
	const char *at, *lf;
	bool breaks;

	while ((lf = buffer_len(&w->lines) == 0
			     ? NULL
			     : memchr(buffer_at(&w->lines), '\n', buffer_len(&w->lines))) != NULL) {
		size_t len;

		at = (const char *)buffer_at(&w->lines);
		len = (size_t)(lf - at);
		if (!json_check(at, len, 4 * DEPTH, &breaks))
			abort();
		w->script->line(w, at, len);
		buffer_consume(&w->lines, len + 1);
	}
	return n > 0;
}

static void connect_client(struct world *w)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		abort();
	w->client = ends[0];
	client_new(&w->local, ends[1]);
	if (send(w->client, w->script->lines, w->script->lines_len, MSG_NOSIGNAL) !=
	    (ssize_t)w->script->lines_len)
		abort();
}

/* The course of things -------------------------------------------------------------------------- */

static void stop(struct world *w)
{
	w->local.draining = true;
	for (struct link *l = list_first(&w->local.clients); l != NULL;
	     l = list_next(&w->local.clients, l))
		client_drain(CONTAINER(l, struct client, link));
	store_stop(w->bridge.store);
}

static void next_phase(struct world *w)
{
	switch (w->phase) {
	case PHASE_CONNECT:
		connect_client(w);
		w->phase = PHASE_SPEAK;
		break;
	case PHASE_SPEAK:
		if (w->script->more(w))
			break;
		if (w->script->ruled == RULED_LATE)
			local_set_access(&w->local, w->access);
		(void)shutdown(w->client, SHUT_WR);
		w->phase = PHASE_END_OF_INPUT;
		break;
	case PHASE_END_OF_INPUT:
		stop(w);
		w->phase = PHASE_STOP;
		break;
	case PHASE_STOP:
		w->phase = PHASE_OVER;
		break;
	case PHASE_OVER:
		break;
	}
}

static void on_tick(void *arg)
{
	struct world *w = arg;
	bool heard = hear_store(w);

	if (w->phase > PHASE_CONNECT && hear_daemon(w))
		heard = true;
	w->idle = heard ? 0 : w->idle + 1;
	if (w->idle > IDLE_TURNS) {
		w->idle = 0;
		next_phase(w);
	}
	if (w->phase == PHASE_OVER)
		loop_stop(w->loop);
	else
		loop_put_off(w->loop, &w->tick);
}

/* Beginning and end ----------------------------------------------------------------------------- */

static void on_gave_up(void *arg)
{
	(void)arg;
	abort(); /* it may try for ever */
}

static void on_changed(void *arg, bool ready)
{
	(void)arg;
	(void)ready;
}

static void set_up_access(struct world *w)
{
	static const char *const streams[] = { "s*", "orders-?", "!*-2", "!secret" };
	struct access_rule *rule = calloc(1, sizeof(*rule));

	w->access = calloc(1, sizeof(*w->access));
	if (rule == NULL || w->access == NULL)
		abort();
	*rule = (struct access_rule){
		.name = strdup("fuzz"),
		.everybody = true,
		.permissions = PERMISSION_BIT(PERMISSION_READ) | PERMISSION_BIT(PERMISSION_WRITE) |
			       PERMISSION_BIT(PERMISSION_SUBSCRIBE),
		.username = strdup("rule"),
		.request_credentials = true,
		.in_flight = 50,
		.subscriptions = 10,
		.meter.rate = 1000 * 1000,
	};
	if (rule->name == NULL || rule->username == NULL)
		abort();
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		if (access_patterns_add(&rule->streams, streams[i], strlen(streams[i]), true) !=
		    NULL)
			abort();
	*w->access = (struct access){ .rules = rule, .count = 1 };
	if (w->script->ruled == RULED_ALWAYS)
		local_set_access(&w->local, w->access);
}

static void set_up(struct world *w)
{
	const struct checkpoint_settings checkpoints = { .delay = LONG,
							 .acks = 1,
							 .timeout = LONG };
	struct store_settings store = {
		.connection = { .host = "127.0.0.1",
				.port = port,
				.nameservers = "",
				.username = "",
				.password = "",
				.name = "fuzz",
				.connect_timeout = LONG,
				.heartbeat_interval = LONG,
				.heartbeat_timeout = LONG,
				.reconnect_delay_min = 0,
				.reconnect_delay_max = 1,
				.frame_limit = 1024 * 1024 },
		.operations_most = 1000,
		.ask_again = LONG,
	};

	w->loop = loop_new();
	w->bridge.loop = w->local.loop = w->loop;
	w->bridge.settings = (struct bridge_settings){ .operation_timeout = LONG,
						       .depth = DEPTH,
						       .output_pause = OUTPUT,
						       .output_cap = 4 * OUTPUT };
	w->local.bridge = &w->bridge;
	w->local.settings = (struct local_settings){ .path = "",
						     .group = "",
						     .line_most = LINE_MOST,
						     .depth = DEPTH,
						     .in_flight_most = 100,
						     .subscriptions_most = 20,
						     .clients_most = 1,
						     .output_pause = OUTPUT,
						     .output_resume = OUTPUT / 4,
						     .output_cap = 4 * OUTPUT,
						     .stall_timeout = LONG,
						     .operation_timeout = LONG,
						     .version = "0" };
	link_init(&w->local.clients);
	relief_init(&w->local);
	json_doc_init(&w->local.doc, DEPTH, 4, VALUES);
	/* A file that cannot be: what is on disk would make one round depend on those before. */
	w->bridge.checkpoints = checkpoints_new(w->loop, "/dev/null/none", &checkpoints);
	w->bridge.store = store_new(w->loop, &store, on_gave_up, on_changed, w);
	job_init(&w->tick, on_tick, w);
	set_up_access(w);
}

static void tear_down(struct world *w)
{
	struct link *l;

	hang_up(w);
	while ((l = list_first(&w->local.clients)) != NULL)
		client_close(CONTAINER(l, struct client, link), CLIENT_SHUTTING_DOWN);
	if (w->bridge.requests != 0)
		abort();
	local_forget_transactions(&w->local);
	access_free(w->access);
	store_free(w->bridge.store);
	checkpoints_free(w->bridge.checkpoints);
	bridge_free(&w->bridge);
	json_doc_free(&w->local.doc);
	loop_free(w->loop);
	close(w->client);
	buffer_free(&w->lines);
	buffer_free(&w->frames);
}

void world_play(const struct script *script)
{
	struct world w = { .script = script, .client = -1, .peer = -1 };

	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	listen_once();
	set_up(&w);
	store_start(w.bridge.store);
	loop_put_off(w.loop, &w.tick);
	loop_run(w.loop);
	tear_down(&w);
}
