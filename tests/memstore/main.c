/*
 * esbridge-memstore: EventStoreDB's TCP protocol, from memory.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "access.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/mem.h"
#include "control.h"
#include "server.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum option_code {
	OPTION_LISTEN = 256,
	OPTION_PORT,
	OPTION_PORT_FILE,
	OPTION_NO_HEARTBEAT,
	OPTION_HEARTBEAT_INTERVAL,
	OPTION_HEARTBEAT_TIMEOUT,
	OPTION_PENDING_LIMIT,
	OPTION_SPEAK,
	OPTION_CONTROL,
	OPTION_NODES,
	OPTION_GOSSIP_PORT,
	OPTION_TLS_CERT,
	OPTION_TLS_KEY,
	OPTION_PASSWORD,
	OPTION_VERBOSE,
	OPTION_VERSION,
	OPTION_HELP,
};

enum { PORT_MOST = 65535, MILLISECONDS_MOST = 24 * 60 * 60 * 1000 };

enum { SPARE_BYTES = 128 * 1024 * 1024 }; /* of buffers, kept to be used again */

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "port", required_argument, NULL, OPTION_PORT },
	{ "port-file", required_argument, NULL, OPTION_PORT_FILE },
	{ "no-heartbeat", no_argument, NULL, OPTION_NO_HEARTBEAT },
	{ "heartbeat-interval", required_argument, NULL, OPTION_HEARTBEAT_INTERVAL },
	{ "heartbeat-timeout", required_argument, NULL, OPTION_HEARTBEAT_TIMEOUT },
	{ "pending-limit", required_argument, NULL, OPTION_PENDING_LIMIT },
	{ "speak", required_argument, NULL, OPTION_SPEAK },
	{ "control", required_argument, NULL, OPTION_CONTROL },
	{ "nodes", required_argument, NULL, OPTION_NODES },
	{ "gossip-port", required_argument, NULL, OPTION_GOSSIP_PORT },
	{ "tls-cert", required_argument, NULL, OPTION_TLS_CERT },
	{ "tls-key", required_argument, NULL, OPTION_TLS_KEY },
	{ "password", required_argument, NULL, OPTION_PASSWORD },
	{ "verbose", no_argument, NULL, OPTION_VERBOSE },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"usage: esbridge-memstore [options]\n"
	"\n"
	"A server that speaks EventStoreDB's TCP protocol and keeps everything in memory.\n"
	"Users: admin and ops, both with the password changeit or another that is given.\n"
	"\n"
	"  --listen ADDRESS          address to listen on [127.0.0.1]\n"
	"  --port N                  port, 0 for any free one [1113]\n"
	"  --port-file FILE          write the port number to FILE once it listens\n"
	"  --no-heartbeat            send no heartbeat requests, close no silent connection\n"
	"  --heartbeat-interval MS   silence before a heartbeat request [2000]\n"
	"  --heartbeat-timeout MS    silence after it before the connection is closed [1000]\n"
	"  --pending-limit BYTES     close a connection that leaves more output waiting; 0: none\n"
	"                            [0; EventStoreDB has 10485760]\n"
	"  --speak VERSION           the version of EventStoreDB that it speaks as [5.0.11]\n"
	"  --control PATH            a Unix socket on which faults are asked for\n"
	"  --nodes N                 be a cluster of N nodes, each with the next port [1]\n"
	"  --gossip-port N           tell gossip by HTTP there, 0 for any free one; the next\n"
	"                            ports are those of the other nodes\n"
	"  --tls-cert FILE           speak TLS, with this certificate (PEM)\n"
	"  --tls-key FILE            its key [in the file of the certificate]\n"
	"  --password TEXT           the password of both users [changeit]\n"
	"  --verbose                 log connections\n"
	"  --version                 print the version and exit\n"
	"  --help                    print this and exit\n";

/* Reads a whole decimal number from 0 to MOST, or says what is accepted and exits. */
static size_t read_number(const char *option, const char *text, size_t most)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > most) {
		(void)fprintf(
			stderr,
			"esbridge-memstore: --%s takes a whole number from 0 to %zu, not \"%s\"\n",
			option, most, text);
		exit(EX_USAGE);
	}
	return (size_t)number;
}

/* Reads a version, or says which ones there are and exits. */
static const struct traits *read_version(const char *text)
{
	const struct traits *traits = traits_find(text);

	if (traits != NULL)
		return traits;
	(void)fprintf(stderr, "esbridge-memstore: --speak takes a version of");
	for (unsigned i = 0; (traits = traits_at(i)) != NULL; i++)
		(void)fprintf(stderr, "%s %s", i == 0 ? "" : ",", traits->version);
	(void)fprintf(stderr, ", not \"%s\"\n", text);
	exit(EX_USAGE);
}

static unsigned read_nodes(const char *text)
{
	unsigned nodes = (unsigned)read_number("nodes", text, NODES_MOST);

	return nodes == 0 ? 1 : nodes;
}

static void take_option(struct options *o, int code, const char *value)
{
	switch (code) {
	case OPTION_LISTEN:
		o->address = value;
		break;
	case OPTION_PORT:
		o->port = (unsigned)read_number("port", value, PORT_MOST);
		break;
	case OPTION_PORT_FILE:
		o->port_file = value;
		break;
	case OPTION_NO_HEARTBEAT:
		o->heartbeat_interval = 0;
		break;
	case OPTION_HEARTBEAT_INTERVAL:
		o->heartbeat_interval =
			(unsigned)read_number("heartbeat-interval", value, MILLISECONDS_MOST);
		break;
	case OPTION_HEARTBEAT_TIMEOUT:
		o->heartbeat_timeout =
			(unsigned)read_number("heartbeat-timeout", value, MILLISECONDS_MOST);
		break;
	case OPTION_PENDING_LIMIT:
		o->pending_limit = read_number("pending-limit", value, SIZE_MAX / 4);
		break;
	case OPTION_SPEAK:
		o->traits = read_version(value);
		break;
	case OPTION_CONTROL:
		o->control = value;
		break;
	case OPTION_NODES:
		o->nodes = read_nodes(value);
		break;
	case OPTION_GOSSIP_PORT:
		o->gossip = true;
		o->gossip_port = (unsigned)read_number("gossip-port", value, PORT_MOST);
		break;
	case OPTION_TLS_CERT:
		o->tls_certificate = value;
		break;
	case OPTION_TLS_KEY:
		o->tls_key = value;
		break;
	case OPTION_PASSWORD:
		users_set_password(value);
		break;
	case OPTION_VERBOSE:
		o->verbose = true;
		break;
	case OPTION_VERSION:
		(void)printf("esbridge-memstore %s\n", PACKAGE_VERSION);
		exit(EX_OK);
	case OPTION_HELP:
		(void)fputs(help, stdout);
		exit(EX_OK);
	default: /* getopt has said what is wrong */
		(void)fputs("Try 'esbridge-memstore --help'.\n", stderr);
		exit(EX_USAGE);
	}
}

static void read_options(struct options *o, int argc, char **argv)
{
	int code;

	*o = (struct options){
		.traits = traits_find("5.0.11"),
		.address = "127.0.0.1",
		.port = 1113,
		.nodes = 1,
		.heartbeat_interval = 2000,
		.heartbeat_timeout = 1000,
	};
	while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(o, code, optarg);
	if (o->tls_key != NULL && o->tls_certificate == NULL) {
		(void)fputs("esbridge-memstore: --tls-key wants --tls-cert\n", stderr);
		exit(EX_USAGE);
	}
	if (optind < argc) {
		(void)fprintf(stderr,
			      "esbridge-memstore: \"%s\" is no option, and there are no operands\n",
			      argv[optind]);
		exit(EX_USAGE);
	}
}

/* A line for each node: its port, and where gossip is told the port of that. */
static bool write_ports(FILE *file, const struct server *server)
{
	bool good = true;

	for (unsigned i = 0; i < server->node_count && good; i++) {
		const struct node *node = &server->nodes[i];

		good = fprintf(file, "%u", node->port) > 0 &&
		       (!server->options->gossip || fprintf(file, " %u", node->http_port) > 0) &&
		       fputc('\n', file) != EOF;
	}
	return good;
}

/* Writes the ports under another name first, so that whoever sees the file sees all of it. */
static bool write_port_file(const char *path, const struct server *server)
{
	size_t size = strlen(path) + sizeof(".4294967295");
	char *temporary = mem_new(size);
	FILE *file;
	bool good;

	(void)snprintf(temporary, size, "%s.%u", path, (unsigned)getpid());
	file = fopen(temporary, "we");
	good = file != NULL && write_ports(file, server);
	if (file != NULL && fclose(file) != 0)
		good = false;
	good = good && rename(temporary, path) == 0;
	if (!good)
		log_write(LOG_ERROR, "cannot write the port file path=%s error=%s", path,
			  strerror(errno));
	free(temporary);
	return good;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)what;
	log_write(LOG_INFO, "ending signal=%d", (int)number);
	loop_stop(arg);
}

static int serve(struct server *server, struct loop *loop, const struct options *o)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	struct event *signals[sizeof(numbers) / sizeof(numbers[0])];
	int status = EX_OSERR;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		/* What libevent puts back in the end: a second signal must not change the exit
		 * status. */
		(void)signal(numbers[i], SIG_IGN);
		signals[i] = evsignal_new(loop_base(loop), numbers[i], on_signal, loop);
		if (signals[i] != NULL)
			evsignal_add(signals[i], NULL);
	}
	log_write(LOG_INFO, "listening address=%s port=%u nodes=%u", o->address,
		  server->nodes[0].port, server->node_count);
	if (o->port_file == NULL || write_port_file(o->port_file, server)) {
		loop_run(loop);
		status = EX_OK;
	} else {
		status = EX_CANTCREAT;
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (signals[i] != NULL)
			event_free(signals[i]);
	}
	return status;
}

int main(int argc, char **argv)
{
	struct options options;
	struct server server;
	struct control control = { 0 };
	struct loop *loop;
	int status;

	read_options(&options, argc, argv);
	log_setup(options.verbose ? LOG_DEBUG : LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
	(void)signal(SIGPIPE, SIG_IGN);
	buffer_keep_spares(SPARE_BYTES);
	loop = loop_new();
	if (!server_start(&server, loop, &options))
		status = EX_UNAVAILABLE;
	else if (options.control != NULL && !control_start(&control, &server, options.control))
		status = EX_CANTCREAT;
	else
		status = serve(&server, loop, &options);
	control_stop(&control);
	server_stop(&server);
	loop_free(loop);
	buffer_keep_spares(0);
	libevent_global_shutdown();
	return status;
}
