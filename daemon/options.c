#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/log.h"

enum { OPT_CHECK = 256, OPT_PRINT_CONFIG, OPT_SOCKET, OPT_SERVER, OPT_VERSION, OPT_HELP };

static const struct option table[] = {
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "print-config", no_argument, NULL, OPT_PRINT_CONFIG },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"usage: esbridged [-v] [-c FILE] [--socket PATH] [--server HOST:PORT]\n"
	"       esbridged --check | --print-config [-c FILE] [...]\n"
	"\n"
	"Keeps a connection to EventStoreDB and lets local programs use it through a Unix\n"
	"socket, with one JSON object on a line.\n"
	"\n"
	"  -c FILE             read the settings from FILE, see esbridged.conf(5)\n"
	"  --socket PATH       listen on PATH, whatever the file says\n"
	"  --server HOST:PORT  connect to that server, whatever the file says\n"
	"  -v                  log more; twice: everything\n"
	"  -t, --check         check the settings, say what is wrong, and end\n"
	"  --print-config      print all settings, secrets hidden, and end\n"
	"  -V, --version       print the version and end\n"
	"  -h, --help          print this and end\n"
	"\n"
	"Exit status: 0 told to end, 64 mistake on the command line, 69 socket in use or store\n"
	"given up, 71 failed by the system, 78 mistake in the settings.\n";

static void end(struct options *o, int status)
{
	o->action = ACTION_END;
	o->status = status;
	if (status == EX_USAGE)
		fprintf(stderr, "esbridged: try 'esbridged --help'\n");
}

static void take(struct options *o, int option)
{
	switch (option) {
	case 'c':
		o->file = optarg;
		break;
	case 'v':
		o->verbose++;
		break;
	case 't':
	case OPT_CHECK:
		o->action = ACTION_CHECK;
		break;
	case OPT_PRINT_CONFIG:
		o->action = ACTION_PRINT_CONFIG;
		break;
	case OPT_SOCKET:
		o->socket = optarg;
		break;
	case OPT_SERVER:
		o->server = optarg;
		break;
	case 'V':
	case OPT_VERSION:
		printf("esbridged %s\n", PACKAGE_VERSION);
		end(o, EX_OK);
		break;
	case 'h':
	case OPT_HELP:
		fputs(help, stdout);
		end(o, EX_OK);
		break;
	default: /* getopt has said what is wrong */
		end(o, EX_USAGE);
		break;
	}
}

void options_read(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .action = ACTION_RUN };
	while (o->action != ACTION_END &&
	       (option = getopt_long(argc, argv, "c:htvV", table, NULL)) != -1)
		take(o, option);
	if (o->action != ACTION_END && optind < argc) {
		fprintf(stderr, "esbridged: '%s' is one argument too many\n", argv[optind]);
		end(o, EX_USAGE);
	}
}

static void complain(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "esbridged: %s\n", text);
}

static int set(struct config *config, const char *section, const char *name, const char *option,
	       const char *text)
{
	char fault[256];

	if (text == NULL ||
	    settings_set(config_table, config, section, name, text, fault, sizeof(fault)))
		return EX_OK;
	/* The fault begins with the name of the setting. */
	fprintf(stderr, "esbridged: %s (%s)\n", fault, option);
	return EX_USAGE;
}

int options_config(const struct options *o, struct config *config)
{
	int status;

	if (!config_load(config, o->file, complain, NULL))
		return EX_CONFIG;
	status = set(config, "socket", "path", "--socket", o->socket);
	if (status == EX_OK)
		status = set(config, "store", "server", "--server", o->server);
	if (status == EX_OK && o->server != NULL)
		status = set(config, "store", "gossip_seeds", "--server", "");
	if (status != EX_OK)
		config_free(config);
	else /* the levels follow each other, from error to debug */
		config->daemon.log_level =
			config->daemon.log_level + o->verbose > LOG_DEBUG - LOG_ERROR
				? LOG_DEBUG - LOG_ERROR
				: config->daemon.log_level + o->verbose;
	return status;
}
