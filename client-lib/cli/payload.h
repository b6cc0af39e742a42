/*
 * Data and metadata of an event, from the command line or from files.
 */
#ifndef ESBRIDGE_CLI_PAYLOAD_H
#define ESBRIDGE_CLI_PAYLOAD_H

#include "base/buffer.h"
#include "cli.h"

struct payload_options {
	int content; /* index of payload_contents */
	const char *metadata;
	const char *metadata_file;
};

/* The words for `content`; ends with NULL. */
extern const char *const payload_contents[];

/* Rows for a table of options whose structure has a `struct payload_options` named `payload`. */
#define PAYLOAD_AT(type, member) offsetof(type, payload.member)
#define PAYLOAD_ROWS(type) \
	{ "content", \
	  'c', \
	  OPTION_CHOICE, \
	  PAYLOAD_AT(type, content), \
	  "WHAT", \
	  0, \
	  0, \
	  payload_contents, \
	  "what DATA is: json (the default), text or binary" }, \
		{ "metadata", 'm',  OPTION_TEXT,   PAYLOAD_AT(type, metadata), "JSON", 0, \
		  0,          NULL, "its metadata" }, \
	{ \
		"metadata-file", 'M', OPTION_FILE, PAYLOAD_AT(type, metadata_file), "FILE", 0, 0, \
			NULL, "the same, from a file" \
	}

/* What was read from files; the event points into it. */
struct payload {
	struct buffer data;
	struct buffer metadata;
};

/* True where any of OPTIONS is given. */
bool payload_given(const struct payload_options *options);

/* Moves *AT and *LEN from white space around a JSON text to the text itself. */
void json_trim(const char **at, size_t *len);

/*
 * Puts data and metadata into EVENT: DATA is that of the command line, "-" for standard input, or
 * NULL for none. Returns 0 or an exit status after a failure, which was told. payload_free()
 * follows in any case, when EVENT is no longer needed.
 */
int payload_read(struct payload *p, const struct payload_options *options, const char *data,
		 struct esbridge_new_event *event);
void payload_free(struct payload *p);

#endif
