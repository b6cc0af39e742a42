#include "daemon.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/account.h"
#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "bridge/checkpoint.h"
#include "local/client_access.h"
#include "local/listener.h"
#include "local/metrics_http.h"
#include "service.h"

enum {
	SIGNALS = 3,
	SPARE_BYTES = 24 * 1024 * 1024, /* of buffers, kept to be used again */
	AGE = 2000, /* milliseconds until what was not used is freed, at least */
};

struct daemon {
	struct config *config;
	const struct options *options;
	struct loop *loop;
	struct bridge bridge;
	struct local local;
	struct listener *listener;
	struct metrics_http *metrics; /* NULL: not wanted */
	struct event *signals[SIGNALS];
	struct service service;
	struct deadline age;   /* when memory that nobody has used lately is given back */
	struct deadline drain; /* the end of the patience with clients at the stop */
	struct job end;
	char host[ENDPOINT_HOST];
	struct discovery_settings cluster;
	bool stopping;
	int status;
};

/* Settings -------------------------------------------------------------------------------------- */

static void fill_store(struct daemon *d, struct store_settings *s)
{
	const struct config *c = d->config;
	uint16_t port = 0;

	memset(s, 0, sizeof(*s));
	endpoint_split(c->store.server, d->host, sizeof(d->host), &port);
	s->connection.host = d->host;
	s->connection.port = port;
	config_cluster(c, &d->cluster);
	s->connection.cluster = d->cluster.seed_count > 0 ? &d->cluster : NULL;
	s->connection.nameservers = c->store.nameservers;
	s->connection.name = c->store.connection_name;
	s->connection.username = c->store.username;
	s->connection.password = c->store.password;
	s->connection.connect_timeout = (uint32_t)c->store.connect_timeout;
	s->connection.heartbeat_interval = (uint32_t)c->store.heartbeat_interval;
	s->connection.heartbeat_timeout = (uint32_t)c->store.heartbeat_timeout;
	s->connection.reconnect_delay_min = (uint32_t)c->store.reconnect_delay_min;
	s->connection.reconnect_delay_max = (uint32_t)c->store.reconnect_delay_max;
	s->connection.max_attempts = (uint32_t)c->store.max_attempts;
	s->connection.frame_limit = (size_t)c->store.frame_limit;
	s->operations_most = (uint32_t)c->store.queue;
	s->ask_again = (uint32_t)c->store.operation_timeout;
}

/* From the next connection on. Where the files are wrong, which was not so a moment ago, all stays
 * as it is. */
static void apply_tls(struct daemon *d)
{
	const struct config *c = d->config;
	char fault[TLS_FAULT];
	struct tls_context *context = config_tls(c, fault);

	if (fault[0] != '\0') {
		log_write(LOG_ERROR, "the settings of TLS stay as they were reason=%s",
			  log_text(fault, strlen(fault)));
		return;
	}
	if (c->store.tls == TLS_REQUIRE && !c->store.tls_verify)
		log_write(LOG_WARNING, "certificates are not checked: anybody between here and the "
				       "store can read and change everything (tls_verify = no)");
	connection_set_tls(d->bridge.store->connection, context, c->store.tls_server_name);
}

static struct checkpoint_settings checkpoint_settings(const struct config *c)
{
	return (struct checkpoint_settings){
		.delay = (uint32_t)c->daemon.checkpoint_delay,
		.acks = (uint32_t)c->daemon.checkpoint_acks,
		.timeout = (uint32_t)c->daemon.checkpoint_timeout,
	};
}

/* What can change while the daemon runs. */
static void apply(struct daemon *d)
{
	const struct config *c = d->config;
	struct local_settings *local = &d->local.settings;
	struct bridge_settings *bridge = &d->bridge.settings;
	struct checkpoint_settings checkpoints = checkpoint_settings(c);

	log_setup((enum log_level)config_log_level(c), (enum log_prefix)c->daemon.log_prefix,
		  (enum log_format)c->daemon.log_format);
	local->line_most = (size_t)c->limits.line;
	local->depth = bridge->depth = (unsigned)c->limits.depth;
	local->in_flight_most = (uint32_t)c->limits.in_flight;
	local->subscriptions_most = (uint32_t)c->limits.subscriptions;
	local->clients_most = (uint32_t)c->limits.clients;
	local->output_pause = (size_t)c->limits.output_pause;
	local->output_resume = (size_t)c->limits.output_resume;
	bridge->output_pause = local->output_pause;
	local->output_cap = bridge->output_cap = (size_t)c->limits.output_cap;
	local->stall_timeout = (uint32_t)c->limits.client_stall_timeout;
	local->operation_timeout = bridge->operation_timeout = (uint32_t)c->store.operation_timeout;
	bridge->require_master = c->store.require_master;
	bridge->read_only = c->daemon.read_only;
	bridge->slow_operation = (uint32_t)c->daemon.slow_operation;
	if (d->bridge.checkpoints != NULL)
		checkpoints_set(d->bridge.checkpoints, &checkpoints);
	d->local.doc.depth = local->depth;
	if (d->bridge.store != NULL) {
		d->bridge.store->settings.operations_most = (uint32_t)c->store.queue;
		account_set_limit((size_t)c->limits.memory);
		d->bridge.store->settings.ask_again = (uint32_t)c->store.operation_timeout;
		apply_tls(d);
		connection_set_user(d->bridge.store->connection, c->store.username,
				    c->store.password);
	}
}

static void complain(void *arg, const char *text)
{
	(void)arg;
	log_write(LOG_ERROR, "%s", text);
}

static void tell_change(void *arg, const struct setting *row, bool taken)
{
	(void)arg;
	if (taken)
		log_write(LOG_NOTICE, "setting changed setting=%s.%s", row->section, row->name);
	else
		log_write(LOG_WARNING, "setting takes effect after a restart only setting=%s.%s",
			  row->section, row->name);
}

static void changed(void *arg, const struct setting *row)
{
	tell_change(arg, row, row->reloadable);
}

/* Makes the rules of FRESH those of the daemon, whether they differ or not: who a name stands for
 * may have changed. */
static void take_rules(struct daemon *d, struct config *fresh)
{
	struct config *c = d->config;
	struct settings_sections rules = c->rules;
	struct access *access = c->access;

	if (!settings_sections_equal(&rules, &fresh->rules))
		log_write(LOG_NOTICE, "setting changed setting=%s", rules.kind);
	c->rules = fresh->rules;
	c->access = fresh->access;
	fresh->rules = rules;
	fresh->access = access;
	local_set_access(&d->local, c->access);
}

static void reload(struct daemon *d)
{
	struct config fresh;

	if (d->options->file == NULL) {
		log_write(LOG_WARNING, "there is no file of settings to read again");
		return;
	}
	service_reloading();
	if (config_load(&fresh, d->options->file, complain, NULL)) {
		settings_reload(config_table, d->config, &fresh, changed, d);
		apply(d);
		take_rules(d, &fresh);
		config_free(&fresh);
		if (d->metrics != NULL)
			metrics_http_warn(d->metrics);
		log_write(LOG_NOTICE, "settings read again file=%s", d->options->file);
	} else {
		log_write(LOG_ERROR, "the settings stay as they were file=%s", d->options->file);
	}
	service_ready(&d->service);
}

/* Stopping -------------------------------------------------------------------------------------- */

static void end(void *arg)
{
	struct daemon *d = arg;

	loop_clear_deadline(d->loop, &d->drain);
	store_stop(d->bridge.store);
	loop_stop(d->loop);
}

static void on_emptied(struct local *local)
{
	struct daemon *d = CONTAINER(local, struct daemon, local);

	if (d->stopping)
		loop_put_off(d->loop, &d->end);
}

static void on_drain_over(void *arg)
{
	struct daemon *d = arg;

	log_write(LOG_WARNING, "clients have not finished in time clients=%u requests=%u",
		  d->local.client_count, d->bridge.requests);
	end(d);
}

static void stop(struct daemon *d, int status)
{
	struct link *l, *next;

	if (d->stopping) {
		end(d);
		return;
	}
	log_write(LOG_NOTICE, "stopping clients=%u requests=%u", d->local.client_count,
		  d->bridge.requests);
	service_stopping(&d->service);
	service_status(&d->service, "finishing what is under way");
	d->stopping = true;
	d->status = status;
	d->local.draining = true;
	listener_drain(d->listener);
	loop_set_deadline(d->loop, &d->drain, (uint64_t)d->config->daemon.drain_timeout);
	for (l = list_first(&d->local.clients); l != NULL; l = next) {
		next = list_next(&d->local.clients, l);
		client_drain(CONTAINER(l, struct client, link));
	}
	if (d->local.client_count == 0)
		loop_put_off(d->loop, &d->end);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	if (number != SIGHUP)
		stop(d, EX_OK);
	else if (!d->stopping)
		reload(d);
}

/* The store ------------------------------------------------------------------------------------- */

static void on_store_changed(void *arg, bool ready)
{
	struct daemon *d = arg;
	struct connection_view view;

	if (d->stopping)
		return;
	connection_look(d->bridge.store->connection, &view);
	if (ready)
		service_status(&d->service, "connected to %s", view.endpoint);
	else
		service_status(&d->service, "not connected to %s: %s", view.endpoint,
			       view.last_error);
}

static void on_gave_up(void *arg)
{
	stop(arg, EX_UNAVAILABLE);
}

/* Starting -------------------------------------------------------------------------------------- */

static void watch_signals(struct daemon *d)
{
	static const int numbers[SIGNALS] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file over its limit fails its write, and that is told */
	for (size_t i = 0; i < SIGNALS; i++) {
		d->signals[i] = evsignal_new(loop_base(d->loop), numbers[i], on_signal, d);
		if (d->signals[i] == NULL || event_add(d->signals[i], NULL) != 0) {
			log_write(LOG_ERROR, "signals cannot be watched");
			exit(EX_OSERR);
		}
	}
}

static void make_checkpoints(struct daemon *d)
{
	struct checkpoint_settings settings = checkpoint_settings(d->config);
	char *directory = config_state_dir(d->config);

	d->bridge.checkpoints = checkpoints_new(d->loop, directory, &settings);
	free(directory);
}

static bool open_listeners(struct daemon *d)
{
	const char *metrics = d->config->daemon.metrics_listen;
	char fault[256];

	d->listener = listener_new(&d->local, fault, sizeof(fault));
	if (d->listener != NULL && metrics[0] != '\0')
		d->metrics = metrics_http_new(&d->local, metrics, fault, sizeof(fault));
	if (d->listener != NULL && (d->metrics != NULL || metrics[0] == '\0'))
		return true;
	log_write(LOG_ERROR, "%s", fault);
	return false;
}

static void on_age(void *arg)
{
	struct daemon *d = arg;

	buffer_age_spares();
	loop_set_deadline(d->loop, &d->age, AGE);
}

/* Returns EX_OK, or what to exit with. */
static int start(struct daemon *d)
{
	struct store_settings store;

	d->loop = loop_new();
	service_init(&d->service, d->loop);
	watch_signals(d);
	d->bridge.loop = d->local.loop = d->loop;
	d->local.bridge = &d->bridge;
	d->local.emptied = on_emptied;
	d->local.started_us = loop_clock_us();
	d->local.started_wall_ms = loop_wall_ms(d->loop);
	d->local.settings.version = PACKAGE_VERSION;
	d->local.settings.path = d->config->socket.path;
	d->local.settings.mode = (mode_t)d->config->socket.mode;
	d->local.settings.group = d->config->socket.group;
	link_init(&d->local.clients);
	loop_add_queue(d->loop, &d->local.requests, bridge_has_room, &d->bridge);
	loop_add_queue(d->loop, &d->local.pieces, NULL, NULL);
	local_set_access(&d->local, d->config->access);
	/* Payloads begin at the fifth level of a request: what is in them needs no tokens. */
	json_doc_init(&d->local.doc, (unsigned)d->config->limits.depth, 4, 1024 * 1024);
	deadline_init(&d->drain, on_drain_over, d);
	deadline_init(&d->age, on_age, d);
	relief_init(&d->local);
	account_open((size_t)d->config->limits.memory, relief_begin, &d->local);
	buffer_keep_spares(SPARE_BYTES);
	on_age(d);
	job_init(&d->end, end, d);
	apply(d);
	if (d->config->socket.group[0] != '\0' && getgrnam(d->config->socket.group) == NULL) {
		log_write(LOG_ERROR, "socket.group: there is no group '%s'",
			  d->config->socket.group);
		return EX_CONFIG;
	}
	if (!open_listeners(d))
		return EX_UNAVAILABLE;
	make_checkpoints(d);
	fill_store(d, &store);
	d->bridge.store = store_new(d->loop, &store, on_gave_up, on_store_changed, d);
	apply_tls(d);
	return EX_OK;
}

static void tidy(struct daemon *d)
{
	struct link *l;

	if (d->metrics != NULL)
		metrics_http_free(d->metrics);
	if (d->listener != NULL)
		listener_free(d->listener);
	while ((l = list_first(&d->local.clients)) != NULL)
		client_close(CONTAINER(l, struct client, link), CLIENT_SHUTTING_DOWN);
	if (d->bridge.store != NULL)
		store_free(d->bridge.store);
	if (d->bridge.checkpoints != NULL)
		checkpoints_free(d->bridge.checkpoints);
	bridge_free(&d->bridge);
	local_forget_transactions(&d->local);
	json_doc_free(&d->local.doc);
	relief_stop(&d->local);
	for (size_t i = 0; i < SIGNALS; i++)
		event_free(d->signals[i]);
	loop_clear_deadline(d->loop, &d->age);
	service_end(&d->service);
	loop_free(d->loop);
	buffer_keep_spares(0);
	account_close();
}

int daemon_run(struct config *config, const struct options *options)
{
	struct daemon d = { .config = config, .options = options };
	const char *server = config->store.gossip_seeds[0] != '\0' ? config->store.gossip_seeds
								   : config->store.server;

	d.status = start(&d);
	if (d.status != EX_OK) {
		tidy(&d);
		return d.status;
	}
	log_write(LOG_NOTICE, "esbridged %s listens socket=%s server=%s", PACKAGE_VERSION,
		  listener_path(d.listener), server);
	service_status(&d.service, "connecting to %s", server);
	service_ready(&d.service);
	store_start(d.bridge.store);
	loop_run(d.loop);
	tidy(&d);
	log_write(LOG_NOTICE, "stopped");
	return d.status;
}
