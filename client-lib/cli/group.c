#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "body.h"
#include "cli.h"
#include "commands.h"
#include "table.h"

enum setting_kind { SETTING_NUMBER, SETTING_FLAG, SETTING_TEXT };

/* The members of CreatePersistentSubscription; the defaults are the daemon's. */
static const struct setting {
	const char *name;
	enum setting_kind kind;
	const char *standard;
	const char *text;
} settings[] = {
	{ "start_from", SETTING_NUMBER, "-1", "the first event; -1: what comes from now on" },
	{ "resolve_link_tos", SETTING_FLAG, "false", "deliver what links lead to" },
	{ "message_timeout_milliseconds", SETTING_NUMBER, "30000",
	  "how long a reader may take before the event goes to another" },
	{ "max_retry_count", SETTING_NUMBER, "10", "deliveries before an event is parked" },
	{ "named_consumer_strategy", SETTING_TEXT, "RoundRobin",
	  "RoundRobin, DispatchToSingle, Pinned or PinnedByCorrelation" },
	{ "prefer_round_robin", SETTING_FLAG, "true", "the same for servers before 3.2" },
	{ "subscriber_max_count", SETTING_NUMBER, "0", "most readers; 0: any number" },
	{ "live_buffer_size", SETTING_NUMBER, "500", "new events that the store holds for it" },
	{ "buffer_size", SETTING_NUMBER, "500", "events that the store reads ahead" },
	{ "read_batch_size", SETTING_NUMBER, "20", "events that the store reads at a time" },
	{ "checkpoint_after_time", SETTING_NUMBER, "2000",
	  "milliseconds after which the store notes where it is" },
	{ "checkpoint_min_count", SETTING_NUMBER, "10", "events before it does so" },
	{ "checkpoint_max_count", SETTING_NUMBER, "1000", "events after which it does so anyway" },
	{ "record_statistics", SETTING_FLAG, "false", "let the store measure it" },
};

enum { SETTINGS = sizeof(settings) / sizeof(*settings) };

static const struct setting *find(const char *name, size_t len)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (strlen(settings[i].name) == len && memcmp(settings[i].name, name, len) == 0)
			return &settings[i];
	}
	return NULL;
}

static int add_number(struct buffer *body, const struct setting *setting, const char *value)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0)
		return fail(EX_USAGE, "%s: '%s' is no number", setting->name, value);
	body_int(body, setting->name, number);
	return EX_OK;
}

static int add_flag(struct buffer *body, const struct setting *setting, const char *value)
{
	bool is_true = strcmp(value, "true") == 0;

	if (!is_true && strcmp(value, "false") != 0)
		return fail(EX_USAGE, "%s: '%s' is neither true nor false", setting->name, value);
	json_key(body, setting->name);
	json_bool(body, is_true);
	return EX_OK;
}

static int add_setting(struct buffer *body, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct setting *setting = word[len] == '=' ? find(word, len) : NULL;

	if (setting == NULL)
		return fail(EX_USAGE,
			    "'%s' is no SETTING=VALUE; 'esbridge group list-settings' lists them",
			    word);
	if (setting->kind == SETTING_NUMBER)
		return add_number(body, setting, word + len + 1);
	if (setting->kind == SETTING_FLAG)
		return add_flag(body, setting, word + len + 1);
	body_text(body, setting->name, word + len + 1);
	return EX_OK;
}

/* Sends MESSAGE about the group that the arguments name, with the settings that follow. */
static int run_message(struct cli *cli, const char *message, const char *done)
{
	struct buffer body = { 0 };
	int status = EX_OK;

	buffer_add_byte(&body, '{');
	body_text(&body, "event_stream_id", cli->arguments[0]);
	body_text(&body, "subscription_group_name", cli->arguments[1]);
	for (int i = 2; i < cli->count && status == EX_OK; i++)
		status = add_setting(&body, cli->arguments[i]);
	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = body_execute(cli, message, &body, NULL);
	if (status == EX_OK && !cli->common.quiet)
		printf("%s group %s of %s\n", done, cli->arguments[1], cli->arguments[0]);
	buffer_free(&body);
	return status;
}

static int run_create(struct cli *cli)
{
	return run_message(cli, "CreatePersistentSubscription", "created");
}

static int run_update(struct cli *cli)
{
	return run_message(cli, "UpdatePersistentSubscription", "updated");
}

static int run_delete(struct cli *cli)
{
	return run_message(cli, "DeletePersistentSubscription", "deleted");
}

static int run_list_settings(struct cli *cli)
{
	struct table t;

	table_begin(&t, 3);
	table_text(&t, "SETTING");
	table_text(&t, "DEFAULT");
	table_text(&t, "MEANING");
	for (size_t i = 0; i < SETTINGS; i++) {
		table_text(&t, settings[i].name);
		table_text(&t, settings[i].standard);
		table_text(&t, settings[i].text);
	}
	table_print(&t, cli_color(cli));
	return EX_OK;
}

const struct command command_group_create = {
	.name = "group create",
	.arguments = "STREAM GROUP [SETTING=VALUE]...",
	.summary = "make a group",
	.family = "make, change and remove groups of readers",
	.help = "Makes a group of readers of a stream, a persistent subscription. Most servers let "
		"administrators alone do so: --user and --password-file. The settings are those "
		"that 'esbridge group list-settings' prints.\n\n  esbridge group create people billing "
		"start_from=0 max_retry_count=5",
	.least = 2,
	.most = -1,
	.run = run_create,
};

const struct command command_group_update = {
	.name = "group update",
	.arguments = "STREAM GROUP [SETTING=VALUE]...",
	.summary = "change the settings of a group",
	.help = "Changes the settings of a group. What is left out gets its default, not what the "
		"group had. Its readers are connected anew.",
	.least = 2,
	.most = -1,
	.run = run_update,
};

const struct command command_group_delete = {
	.name = "group delete",
	.arguments = "STREAM GROUP",
	.summary = "remove a group",
	.help = "Removes a group, with what the store knows of its readers' progress. The events "
		"stay.",
	.least = 2,
	.most = 2,
	.run = run_delete,
};

const struct command command_group_list_settings = {
	.name = "group list-settings",
	.arguments = "",
	.summary = "the settings of groups and their defaults",
	.help = "Prints the settings of groups with their defaults. Needs no daemon.",
	.run = run_list_settings,
};
