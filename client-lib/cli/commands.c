#include <stddef.h>
#include <string.h>

#include "cli.h"
#include "commands.h"

const struct command *const commands[] = {
	&command_ping,
	&command_status,
	&command_write,
	&command_read,
	&command_tail,
	&command_consume,
	&command_export,
	&command_import,
	&command_group_create,
	&command_group_update,
	&command_group_delete,
	&command_group_list_settings,
	&command_checkpoint_list,
	&command_checkpoint_get,
	&command_checkpoint_set,
	&command_checkpoint_delete,
	&command_delete,
	&command_metadata_get,
	&command_metadata_set,
	&command_transaction_start,
	&command_transaction_write,
	&command_transaction_commit,
	&command_scavenge,
	&command_exec,
	&command_top,
	&command_metrics,
	&command_uuid,
	&command_bench,
	&command_help,
	&command_complete,
	NULL,
};

static const char *const colors[] = { "auto", "always", "never", NULL };

enum { TIMEOUT_MOST_MS = 3600000 };

#define AT(member) offsetof(struct common, member)

const struct option_row common_options[] = {
	{ "socket", 'S', OPTION_FILE, AT(socket), "PATH", 0, 0, NULL,
	  "the socket of esbridged; also $ESBRIDGE_SOCKET" },
	{ "timeout", 0, OPTION_TIME, AT(timeout_ms), "TIME", 1, TIMEOUT_MOST_MS, NULL,
	  "how long the daemon and the store may take: 500ms, 5s, 2m" },
	{ "user", 0, OPTION_TEXT, AT(user), "NAME", 0, 0, NULL,
	  "a user of the store, in place of the daemon's" },
	{ "password-file", 0, OPTION_FILE, AT(password_file), "FILE", 0, 0, NULL,
	  "where the user's password stands, on the first line" },
	{ "color", 0, OPTION_CHOICE, AT(color), "WHEN", 0, 0, colors,
	  "auto (the default), always or never; also $NO_COLOR" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, 0, 0, NULL,
	  "say nothing but what was asked for, and errors" },
	{ "help", 'h', OPTION_FLAG, AT(help), NULL, 0, 0, NULL, "print the help of a command" },
	{ "version", 'V', OPTION_FLAG, AT(version), NULL, 0, 0, NULL, "print the version" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

/* How many words of NAME the COUNT WORDS begin with; *TOTAL: how many NAME has. */
static int words_of(const char *name, char *const *words, int count, int *total)
{
	int equal = 0;
	int n = 0;

	for (const char *at = name; *at != '\0'; n++) {
		size_t len = strcspn(at, " ");

		if (equal == n && n < count && strlen(words[n]) == len &&
		    memcmp(words[n], at, len) == 0)
			equal++;
		at += len + (at[len] == ' ');
	}
	*total = n;
	return equal;
}

const struct command *command_find(char *const *words, int count, int *used)
{
	*used = 0;
	for (size_t i = 0; commands[i] != NULL; i++) {
		int total;
		int equal = words_of(commands[i]->name, words, count, &total);

		if (equal == total) {
			*used = total;
			return commands[i];
		}
		if (equal > 0)
			*used = 1;
	}
	return NULL;
}
