/*
 * How events are printed.
 */
#ifndef ESBRIDGE_CLI_EVENT_FORMAT_H
#define ESBRIDGE_CLI_EVENT_FORMAT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "esbridge.h"

enum event_output { OUTPUT_NDJSON, OUTPUT_PRETTY };

/* The words for enum event_output; ends with NULL. */
extern const char *const event_outputs[];

/* What %s, %d and the like of a format mean, a line each, for the help. */
extern const char event_format_help[];

struct event_format {
	enum event_output output;
	const char *format; /* in place of `output`, where it is not NULL */
	bool color;
	struct buffer line; /* kept from event to event */
};

/*
 * Checks FORMAT. Returns true, or false with the first character in *FAULT that stands where none
 * like it may.
 */
bool event_format_check(const char *format, const char **fault);

/* How events must be asked for so that they can be printed so: for esbridge_request.payload. */
const char *event_format_payload(const struct event_format *f);

/* Prints one event. Returns 0 or an exit status after a failure, which was told. */
int event_print(struct event_format *f, const struct esbridge_record *record);

/* Adds RECORD to OUT as one line of JSON without its LF: the members of the event, `link` and
 * `position`. */
void event_to_json(struct buffer *out, const struct esbridge_record *record);

void event_format_free(struct event_format *f);

#endif
