/*
 * consume: how a command is started, and what it finds in its environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "consume_parts.h"

enum {
	VARIABLES = 16,
	VALUE_MOST = 64 * 1024, /* longer metadata are left out: the kernel has a limit too */
	NUMBER_TEXT = 64,
};

/* The environment -------------------------------------------------------------------------------- */

struct variables {
	char **all;
	size_t count;
};

/* Adds NAME=VALUE. A byte of zero, which no environment can hold, ends the value. */
static void add(struct variables *v, const char *name, struct esbridge_span value)
{
	size_t len = value.len > 0 ? strnlen(value.at, value.len) : 0;
	size_t size = strlen(name) + 1 + len + 1;
	char *text = mem_new(size);

	snprintf(text, size, "%s=%.*s", name, (int)len, len > 0 ? value.at : "");
	v->all[v->count++] = text;
}

static void add_number(struct variables *v, const char *name, int64_t number)
{
	char text[NUMBER_TEXT];
	int len = snprintf(text, sizeof(text), "%" PRId64, number);

	add(v, name, (struct esbridge_span){ text, (size_t)len });
}

static void add_metadata(struct variables *v, const struct esbridge_event *event)
{
	struct esbridge_span bytes = { NULL, 0 };

	if (esbridge_event_metadata(event, &bytes) != 0)
		return;
	add_number(v, "ESBRIDGE_METADATA_SIZE", (int64_t)bytes.len);
	if (bytes.len <= VALUE_MOST &&
	    (bytes.len == 0 || memchr(bytes.at, '\0', bytes.len) == NULL))
		add(v, "ESBRIDGE_METADATA", bytes);
}

static void add_event(struct variables *v, const struct esbridge_message *message)
{
	const struct esbridge_event *event = message->event;
	const struct esbridge_event *link = message->link;

	if (event != NULL) {
		add(v, "ESBRIDGE_STREAM", event->stream);
		add_number(v, "ESBRIDGE_NUMBER", event->number);
		add(v, "ESBRIDGE_ID", event->id);
		add(v, "ESBRIDGE_TYPE", event->type);
		add(v, "ESBRIDGE_CREATED", event->created);
		add_number(v, "ESBRIDGE_CREATED_EPOCH", event->created_ms);
		add_number(v, "ESBRIDGE_CONTENT_TYPE", event->data_content_type);
		add_metadata(v, event);
	}
	if (link != NULL) {
		add(v, "ESBRIDGE_LINK_STREAM", link->stream);
		add_number(v, "ESBRIDGE_LINK_NUMBER", link->number);
	}
	if (message->position.commit >= 0) {
		add_number(v, "ESBRIDGE_POSITION_COMMIT", message->position.commit);
		add_number(v, "ESBRIDGE_POSITION_PREPARE", message->position.prepare);
	}
	add_number(v, "ESBRIDGE_RETRY_COUNT", message->retry_count);
}

/* True for what belongs to an event: one that consume itself was given must not be taken for it. */
static bool is_ours(const char *variable)
{
	return strncmp(variable, "ESBRIDGE_", 9) == 0;
}

char **environment_for(const struct consume *c, const struct item *item)
{
	struct variables v = { .count = 0 };
	const char *path = esbridge_path(c->cli->bridge);
	size_t inherited = 0;

	while (environ[inherited] != NULL)
		inherited++;
	v.all = mem_new((inherited + VARIABLES + 2) * sizeof(*v.all));
	for (size_t i = 0; i < inherited; i++) {
		if (!is_ours(environ[i]))
			v.all[v.count++] = mem_text(environ[i]);
	}
	/* So that the command can use esbridge(1) with the same daemon. */
	add(&v, "ESBRIDGE_SOCKET", (struct esbridge_span){ path, strlen(path) });
	if (item != NULL)
		add_event(&v, item->message);
	return v.all;
}

void environment_free(char **environment)
{
	for (size_t i = 0; environment[i] != NULL; i++)
		free(environment[i]);
	free(environment);
}

/* The process ------------------------------------------------------------------------------------ */

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
	}
}

/*
 * The command gets a process group of its own: SIGINT of a terminal is for us alone, who let it
 * finish. Its signals are as a program expects them.
 */
static int spawn(const struct consume *c, char **environment, int input, int output, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, broken_pipe;
	int error;

	sigemptyset(&none);
	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &broken_pipe);
	posix_spawnattr_setpgroup(&attributes, 0);
	error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (error == 0 && output >= 0)
		error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawnp(pid, c->command[0], &actions, &attributes, c->command,
				     environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return error;
}

static bool unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

pid_t command_start(const struct consume *c, char **environment, int *input, int *output)
{
	int in[2] = { -1, -1 };
	int out[2] = { -1, -1 };
	pid_t pid = -1;
	int error = 0;

	*input = -1;
	if (pipe2(in, O_CLOEXEC) != 0 || (output != NULL && pipe2(out, O_CLOEXEC) != 0) ||
	    !unblock(in[1]) || (output != NULL && !unblock(out[0])))
		error = errno;
	if (error == 0)
		error = spawn(c, environment, in[0], out[1], &pid);
	if (error != 0) {
		close_pair(in);
		close_pair(out);
		errno = error;
		return -1;
	}
	close(in[0]);
	*input = in[1];
	if (output != NULL) {
		close(out[1]);
		*output = out[0];
	}
	return pid;
}
