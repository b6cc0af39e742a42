#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"
#include "json_in.h"
#include "output.h"
#include "table.h"

enum { TIME_TEXT = 32 };

struct status_options {
	bool all;
	bool json;
};

static const struct option_row rows[] = {
	{ "all", 'a', OPTION_FLAG, offsetof(struct status_options, all), NULL, 0, 0, NULL,
	  "every client and its subscriptions, not only this one" },
	{ "json", 'j', OPTION_FLAG, offsetof(struct status_options, json), NULL, 0, 0, NULL,
	  "what the daemon says, as it says it" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct status_options defaults;

/* A duration in the two largest units that it has: "3 d 4 h". */
static const char *duration(int64_t ms, char text[TIME_TEXT])
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {
		{ 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" }, { 1, "ms" }
	};
	enum { LAST = sizeof(units) / sizeof(*units) - 1 };
	size_t i = 0;

	while (i < LAST && ms < units[i].ms)
		i++;
	if (i >= LAST - 1)
		snprintf(text, TIME_TEXT, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
	else
		snprintf(text, TIME_TEXT, "%" PRId64 " %s %" PRId64 " %s", ms / units[i].ms,
			 units[i].name, ms % units[i].ms / units[i + 1].ms, units[i + 1].name);
	return text;
}

/* Prints BEFORE and the text NAME of OBJECT, which came from anywhere. */
static void print_text(const char *before, const json_t *object, const char *name)
{
	const char *text = word_in(object, name);

	fputs(before, stdout);
	output_text((struct esbridge_span){ text, strlen(text) });
}

static void print_daemon(const json_t *status)
{
	char time[TIME_TEXT];

	print_text("esbridged ", status, "version");
	printf(", up for %s%s\n", duration(number_in(status, "uptime_ms"), time),
	       json_is_true(json_object_get(status, "read_only")) ? ", read only" : "");
	printf("  requests %" PRId64 ", executed %" PRId64 ", events pushed %" PRId64
	       ", clients %" PRId64 "\n",
	       number_in(status, "requests"), number_in(status, "executed"),
	       number_in(status, "events_pushed"), number_in(status, "client_count"));
}

static void print_store(const json_t *store)
{
	char time[TIME_TEXT];

	print_text("store ", store, "endpoint");
	print_text(", ", store, "state");
	printf(" for %s\n", duration(number_in(store, "since_ms"), time));
	print_text("  role ", store, "role");
	printf(", in flight %" PRId64 ", queued %" PRId64 ", timeouts %" PRId64
	       ", repeated %" PRId64 "\n",
	       number_in(store, "in_flight"), number_in(store, "queued"),
	       number_in(store, "timeouts"), number_in(store, "repeated"));
	printf("  connections %" PRId64 ", attempts since the last one %" PRId64 "\n",
	       number_in(store, "connects"), number_in(store, "connect_attempts"));
	if (*text_in(store, "last_error") != '\0') {
		print_text("  last error: ", store, "last_error");
		putchar('\n');
	}
}

/* What this client itself may do, and which rule says so. */
static void print_access(const json_t *client)
{
	const json_t *permissions = json_object_get(client, "permissions");
	const json_t *word;
	size_t i;

	if (!json_is_array(permissions))
		return;
	fputs("access", stdout);
	if (*text_in(client, "rule") != '\0')
		print_text(" by rule ", client, "rule");
	fputs(json_array_size(permissions) == 0 ? ": nothing" : ":", stdout);
	json_array_foreach(permissions, i, word)
	{
		const char *name = json_string_value(word);

		printf("%s %s", i == 0 ? "" : ",", name != NULL ? name : "?");
	}
	putchar('\n');
}

static void add_client(struct table *t, const json_t *client)
{
	char time[TIME_TEXT];

	table_number(t, number_in(client, "number"));
	table_text(t, word_in(client, "name"));
	table_number(t, number_in(client, "uid"));
	table_number(t, number_in(client, "pid"));
	table_text(t, word_in(client, "rule"));
	table_text(t, duration(number_in(client, "since_ms"), time));
	table_number(t, number_in(client, "lines"));
	table_number(t, number_in(client, "errors"));
	table_number(t, number_in(client, "in_flight"));
	table_number(t, (int64_t)json_array_size(json_object_get(client, "subscriptions")));
}

static void add_subscription(struct table *t, int64_t client, const json_t *sub)
{
	table_number(t, client);
	table_text(t, text_in(sub, "sub"));
	table_text(t, text_in(sub, "mode"));
	table_text(t, text_in(sub, "stream"));
	table_text(t, word_in(sub, "group"));
	table_text(t, text_in(sub, "state"));
	table_number(t, number_in(sub, "window"));
	table_number(t, number_in(sub, "outstanding"));
	table_number(t, number_in(sub, "delivered"));
	table_number(t, number_in(sub, "acked"));
	table_number(t, number_in(sub, "retried"));
}

static void add_heads(struct table *t, const char *const *heads)
{
	for (; *heads != NULL; heads++)
		table_text(t, *heads);
}

/* CLIENTS: an array of them. */
static void print_clients(const json_t *clients, bool bold)
{
	static const char *const heads[] = { "CLIENT",    "NAME",          "UID",   "PID",
					     "RULE",      "SINCE",         "LINES", "ERRORS",
					     "IN FLIGHT", "SUBSCRIPTIONS", NULL };
	struct table t;
	const json_t *client;
	size_t i;

	table_begin(&t, sizeof(heads) / sizeof(*heads) - 1);
	add_heads(&t, heads);
	json_array_foreach(clients, i, client)
	{
		add_client(&t, client);
	}
	table_print(&t, bold);
}

static void print_subscriptions(const json_t *clients, bool bold)
{
	static const char *const heads[] = { "CLIENT",    "SUB",   "MODE",    "STREAM",
					     "GROUP",     "STATE", "WINDOW",  "OUTSTANDING",
					     "DELIVERED", "ACKED", "RETRIED", NULL };
	struct table t;
	const json_t *client, *sub;
	size_t i, j;

	table_begin(&t, sizeof(heads) / sizeof(*heads) - 1);
	json_array_foreach(clients, i, client)
	{
		json_array_foreach(json_object_get(client, "subscriptions"), j, sub)
		{
			if (t.cells == 0) {
				putchar('\n');
				add_heads(&t, heads);
			}
			add_subscription(&t, number_in(client, "number"), sub);
		}
	}
	table_print(&t, bold);
}

static void print_status(const struct cli *cli, const json_t *status)
{
	bool bold = cli_color(cli);
	const json_t *clients = json_object_get(status, "clients");

	print_daemon(status);
	print_store(json_object_get(status, "store"));
	print_access(json_object_get(status, "client"));
	if (json_array_size(clients) == 0)
		return;
	putchar('\n');
	print_clients(clients, bold);
	print_subscriptions(clients, bold);
}

static int run_status(struct cli *cli)
{
	const struct status_options *options = cli->options;
	struct esbridge_message *message;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	message = esbridge_status(cli->bridge, options->all);
	if (message == NULL)
		return cli_fault(cli, "status");
	return cli_answer(cli, message, options->json, print_status);
}

const struct command command_status = {
	.name = "status",
	.arguments = "",
	.summary = "how the daemon and its connection to the store are",
	.help = "Prints how esbridged is, its connection to the store and, with --all, its clients "
		"and their subscriptions. --all is for root and the user of the daemon.",
	OPTIONS(rows, defaults),
	.run = run_status,
};
