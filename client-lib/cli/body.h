/*
 * Bodies of requests, and what the commands that send one have in common.
 */
#ifndef ESBRIDGE_CLI_BODY_H
#define ESBRIDGE_CLI_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/json_write.h"
#include "cli.h"

struct json_doc;

/* Adds a member: a text, a number. */
void body_text(struct buffer *body, const char *name, const char *text);
void body_int(struct buffer *body, const char *name, int64_t number);

/*
 * Executes MESSAGE with BODY, to which the closing brace is added. Returns 0 with *REPLY for the
 * caller to free (REPLY may be NULL), or an exit status after a failure, which was told.
 */
int body_execute(struct cli *cli, const char *message, struct buffer *body,
		 struct esbridge_message **reply);

/* The value of the member NAME of the object that DOC is, as the number of its token; 0 where there
 * is none. */
uint32_t member_in(const struct json_doc *doc, const char *name);

/*
 * Waits for input on FD and reads some of it into OUT. Returns the number of bytes, 0 at the end,
 * -1 with errno.
 */
ssize_t read_some(int fd, struct buffer *out);

/*
 * Reads all of FILE, "-" for standard input, into OUT. Returns 0 or an exit status after a failure,
 * which was told.
 */
int read_whole(const char *file, struct buffer *out);

/*
 * Adds the event in the LEN bytes at LINE, a JSON object as the commands print them, to EVENTS, the
 * elements of the list `events` of a WriteEvents: what says what is to be written, byte for byte.
 * Members that say where an event was are left out. Returns true, or false with what is wrong in
 * FAULT; nothing is added then.
 */
bool event_from_line(struct buffer *events, const char *line, size_t len, char *fault, size_t size);

#endif
