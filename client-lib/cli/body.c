#include "body.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/json_walk.h"

enum { PIECE = 262144, DEPTH = 512, MEMBERS_MOST = 1000 };

void body_text(struct buffer *body, const char *name, const char *text)
{
	json_key(body, name);
	json_text(body, text);
}

void body_int(struct buffer *body, const char *name, int64_t number)
{
	json_key(body, name);
	json_int(body, number);
}

int body_execute(struct cli *cli, const char *message, struct buffer *body,
		 struct esbridge_message **reply)
{
	struct esbridge_message *got;

	buffer_add(body, "}", sizeof("}"));
	if (body->failed)
		return fail(EX_OSERR, "%s: out of memory", cli->command->name);
	got = esbridge_execute(cli->bridge, message, (const char *)buffer_at(body), &cli->request);
	if (got == NULL)
		return cli_fault(cli, cli->command->name);
	if (reply != NULL)
		*reply = got;
	else
		esbridge_message_free(got);
	return EX_OK;
}

ssize_t read_some(int fd, struct buffer *out)
{
	ssize_t got;

	while ((got = buffer_read_fd(out, fd, PIECE)) < 0 && (errno == EINTR || errno == EAGAIN)) {
		struct pollfd polled = { .fd = fd, .events = POLLIN };

		/* Somebody who shares it has made it so that reading does not wait. */
		if (errno == EAGAIN)
			poll(&polled, 1, -1);
	}
	return got;
}

int read_whole(const char *file, struct buffer *out)
{
	bool is_stdin = strcmp(file, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return fail(EX_NOINPUT, "%s: %s", file, strerror(errno));
	do {
		got = read_some(fd, out);
	} while (got > 0);
	if (got < 0)
		say("%s: %s", is_stdin ? "standard input" : file, strerror(errno));
	if (!is_stdin)
		close(fd);
	return got < 0 ? EX_NOINPUT : EX_OK;
}

uint32_t member_in(const struct json_doc *doc, const char *name)
{
	size_t len = strlen(name);
	uint32_t next;

	for (uint32_t i = 1; i < doc->count; i = next) {
		if (json_string_is(doc, i, name, len))
			return i + 1;
		next = doc->tokens[i + 1].next;
	}
	return 0;
}

/* The members of an event, and whether they are part of what is written. */
static const struct {
	const char *name;
	bool written;
} members[] = {
	{ "event_type", true },        { "event_id", true },
	{ "data_content_type", true }, { "data", true },
	{ "data_text", true },         { "data_base64", true },
	{ "metadata", true },          { "metadata_text", true },
	{ "metadata_base64", true },   { "metadata_content_type", false },
	{ "event_stream_id", false },  { "event_number", false },
	{ "created", false },          { "created_epoch", false },
	{ "position", false },         { "link", false },
};

enum { MEMBERS = sizeof(members) / sizeof(*members) };

static size_t member_of(const struct json_doc *doc, uint32_t name)
{
	size_t i = 0;

	while (i < MEMBERS && !json_string_is(doc, name, members[i].name, strlen(members[i].name)))
		i++;
	return i;
}

static bool add_members(struct buffer *events, const struct json_doc *doc, char *fault, size_t size)
{
	bool seen[MEMBERS] = { false };
	uint32_t next;

	for (uint32_t name = 1; name < doc->count; name = next) {
		const struct json_token *t = &doc->tokens[name];
		size_t i = member_of(doc, name);

		next = doc->tokens[name + 1].next;
		if (i == MEMBERS) {
			snprintf(fault, size, "an event has no member %.*s", (int)t->len,
				 doc->text + t->at);
			return false;
		}
		if (seen[i]) {
			snprintf(fault, size, "\"%s\" is there twice", members[i].name);
			return false;
		}
		seen[i] = true;
		if (!members[i].written)
			continue;
		json_key(events, members[i].name);
		buffer_add(events, doc->text + doc->tokens[name + 1].at, doc->tokens[name + 1].len);
	}
	if (!seen[0])
		snprintf(fault, size, "\"event_type\" is missing");
	return seen[0];
}

bool event_from_line(struct buffer *events, const char *line, size_t len, char *fault, size_t size)
{
	size_t before = buffer_len(events);
	struct json_doc doc;
	bool good = false;

	json_doc_init(&doc, DEPTH, 1, MEMBERS_MOST);
	if (!json_parse(&doc, line, len)) {
		snprintf(fault, size, "%s at byte %zu", doc.error, doc.error_at);
	} else if (doc.tokens[0].kind != JSON_OBJECT) {
		snprintf(fault, size, "an event is a JSON object");
	} else {
		json_comma(events);
		buffer_add_byte(events, '{');
		good = add_members(events, &doc, fault, size);
		buffer_add_byte(events, '}');
	}
	json_doc_free(&doc);
	if (!good && !events->failed)
		buffer_cut(events, buffer_len(events) - before);
	return good;
}
