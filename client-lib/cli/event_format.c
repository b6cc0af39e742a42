#include "event_format.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/json_write.h"
#include "fault.h"
#include "output.h"

enum { NUMBER_TEXT = 64 };

const char *const event_outputs[] = { "ndjson", "pretty", NULL };

/* JSON ------------------------------------------------------------------------------------------- */

static void add_span(struct buffer *out, const char *name, struct esbridge_span span)
{
	json_key(out, name);
	json_quoted(out, span.at != NULL ? span.at : "", span.len);
}

static void add_number(struct buffer *out, const char *name, int64_t number)
{
	json_key(out, name);
	json_int(out, number);
}

/* A payload as it came: JSON and base64 need no more work. */
static void add_payload(struct buffer *out, const char *name, const char *base64_name,
			enum esbridge_payload is, struct esbridge_span raw)
{
	if (is == ESBRIDGE_JSON) {
		json_key(out, name);
		buffer_add(out, raw.at, raw.len);
	} else if (is == ESBRIDGE_BYTES) {
		add_span(out, base64_name, raw);
	}
}

static void add_members(struct buffer *out, const struct esbridge_event *event)
{
	add_span(out, "event_stream_id", event->stream);
	add_number(out, "event_number", event->number);
	add_span(out, "event_id", event->id);
	add_span(out, "event_type", event->type);
	add_number(out, "data_content_type", event->data_content_type);
	add_number(out, "metadata_content_type", event->metadata_content_type);
	add_span(out, "created", event->created);
	add_number(out, "created_epoch", event->created_ms);
	add_payload(out, "data", "data_base64", event->data_is, event->raw_data);
	add_payload(out, "metadata", "metadata_base64", event->metadata_is, event->raw_metadata);
}

static void add_position(struct buffer *out, struct esbridge_position position)
{
	json_key(out, "position");
	buffer_add_byte(out, '{');
	add_number(out, "commit", position.commit);
	add_number(out, "prepare", position.prepare);
	buffer_add_byte(out, '}');
}

void event_to_json(struct buffer *out, const struct esbridge_record *record)
{
	buffer_add_byte(out, '{');
	if (record->event != NULL)
		add_members(out, record->event);
	if (record->link != NULL) {
		json_key(out, "link");
		buffer_add_byte(out, '{');
		add_members(out, record->link);
		buffer_add_byte(out, '}');
	}
	if (record->position.commit >= 0)
		add_position(out, record->position);
	buffer_add_byte(out, '}');
}

/* Formats ---------------------------------------------------------------------------------------- */

const char event_format_help[] =
	"%s stream  %n number  %i id  %t type  %c created  %C in ms since 1970  %% %\n"
	"%d data  %m metadata  %D, %M their sizes  %p position, COMMIT/PREPARE\n"
	"%l stream, %L number of the link that led to it  \\n \\r \\t \\0 \\\\ \\xHH bytes\n";

static void add_text(struct buffer *out, struct esbridge_span span)
{
	buffer_add(out, span.at, span.len);
}

static void add_decimal(struct buffer *out, int64_t number)
{
	char text[NUMBER_TEXT];

	buffer_add(out, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, number));
}

/* The bytes of a payload; nothing where the library cannot decode it. */
static struct esbridge_span payload(const struct esbridge_event *event,
				    int (*get)(const struct esbridge_event *,
					       struct esbridge_span *))
{
	struct esbridge_span bytes = { NULL, 0 };

	if (get(event, &bytes) != 0)
		return (struct esbridge_span){ NULL, 0 };
	return bytes;
}

static const char directives[] = "snitcCdmDMplL%";

/* Adds what the directive KIND, one of `directives`, stands for. */
static void add_directive(struct buffer *out, char kind, const struct esbridge_record *record,
			  const struct esbridge_event *event)
{
	switch (kind) {
	case 's':
		add_text(out, event->stream);
		break;
	case 'n':
		add_decimal(out, event->number);
		break;
	case 'i':
		add_text(out, event->id);
		break;
	case 't':
		add_text(out, event->type);
		break;
	case 'c':
		add_text(out, event->created);
		break;
	case 'C':
		add_decimal(out, event->created_ms);
		break;
	case 'd':
		add_text(out, payload(event, esbridge_event_data));
		break;
	case 'D':
		add_decimal(out, (int64_t)payload(event, esbridge_event_data).len);
		break;
	case 'm':
		add_text(out, payload(event, esbridge_event_metadata));
		break;
	case 'M':
		add_decimal(out, (int64_t)payload(event, esbridge_event_metadata).len);
		break;
	case 'p':
		if (record->position.commit < 0)
			break;
		add_decimal(out, record->position.commit);
		buffer_add_byte(out, '/');
		add_decimal(out, record->position.prepare);
		break;
	case 'l':
		if (record->link != NULL)
			add_text(out, record->link->stream);
		break;
	case 'L':
		if (record->link != NULL)
			add_decimal(out, record->link->number);
		break;
	default:
		buffer_add_byte(out, '%');
		break;
	}
}

static int hex_value(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/*
 * The byte that the escape at AT, its backslash, stands for, and how long it is. Returns -1 where
 * it is none.
 */
static int escape(const char *at, size_t *len)
{
	static const char letters[] = "nrt0\\";
	static const char bytes[] = "\n\r\t\0\\";
	const char *found = at[1] != '\0' ? strchr(letters, at[1]) : NULL;

	*len = 2;
	if (found != NULL)
		return bytes[found - letters];
	*len = 4;
	if (at[1] == 'x' && hex_value(at[2]) >= 0 && hex_value(at[3]) >= 0)
		return hex_value(at[2]) * 16 + hex_value(at[3]);
	return -1;
}

bool event_format_check(const char *format, const char **fault)
{
	size_t len;

	for (const char *at = format; *at != '\0'; at += len) {
		len = 1;
		*fault = at;
		if (*at == '%') {
			if (at[1] == '\0' || strchr(directives, at[1]) == NULL)
				return false;
			len = 2;
		} else if (*at == '\\' && escape(at, &len) < 0) {
			return false;
		}
	}
	return true;
}

static void add_formatted(struct buffer *out, const char *format,
			  const struct esbridge_record *record, const struct esbridge_event *event)
{
	size_t len;

	for (const char *at = format; *at != '\0'; at += len) {
		len = 1;
		if (*at == '%') {
			add_directive(out, at[1], record, event);
			len = 2;
		} else if (*at == '\\') {
			buffer_add_byte(out, (uint8_t)escape(at, &len));
		} else {
			buffer_add_byte(out, (uint8_t)*at);
		}
	}
}

/*
 * A format prints the bytes that are stored, so they must not have gone through JSON, in which line
 * breaks between tokens become blanks. Without a payload in the format none is asked for.
 */
const char *event_format_payload(const struct event_format *f)
{
	if (f->format == NULL)
		return NULL;
	for (const char *at = f->format; (at = strchr(at, '%')) != NULL; at += 2) {
		if (strchr("dDmM", at[1]) != NULL)
			return "base64";
	}
	return "none";
}

/* Pretty ----------------------------------------------------------------------------------------- */

static void print_field(const char *name, struct esbridge_span value)
{
	printf("  %-10s", name);
	output_text(value);
	putchar('\n');
}

static void print_payload(const char *name, enum esbridge_payload is, struct esbridge_span raw,
			  bool color)
{
	if (is == ESBRIDGE_NOTHING)
		return;
	printf("  %-10s", name);
	if (is == ESBRIDGE_JSON)
		output_pretty(raw, color);
	else
		printf("base64:%.*s\n", ESBRIDGE_PRINT(raw));
}

static void print_pretty(const struct event_format *f, const struct esbridge_record *record,
			 const struct esbridge_event *event)
{
	fputs(f->color ? "\033[1m" : "", stdout);
	output_text(event->stream);
	printf("@%" PRId64 " ", event->number);
	output_text(event->type);
	puts(f->color ? "\033[0m" : "");
	print_field("id", event->id);
	print_field("created", event->created);
	if (record->link != NULL) {
		printf("  %-10s", "link");
		output_text(record->link->stream);
		printf("@%" PRId64 "\n", record->link->number);
	}
	if (record->position.commit >= 0)
		printf("  %-10s%" PRId64 "/%" PRId64 "\n", "position", record->position.commit,
		       record->position.prepare);
	print_payload("data", event->data_is, event->raw_data, f->color);
	print_payload("metadata", event->metadata_is, event->raw_metadata, f->color);
}

/* ------------------------------------------------------------------------------------------------ */

int event_print(struct event_format *f, const struct esbridge_record *record)
{
	/* A link that leads to nothing is all that there is. */
	const struct esbridge_event *event = record->event != NULL ? record->event : record->link;

	if (event == NULL)
		return EX_OK;
	if (f->format == NULL && f->output == OUTPUT_PRETTY) {
		print_pretty(f, record, event);
		return EX_OK;
	}
	buffer_consume(&f->line, buffer_len(&f->line));
	if (f->format != NULL) {
		add_formatted(&f->line, f->format, record, event);
	} else {
		event_to_json(&f->line, record);
		buffer_add_byte(&f->line, '\n');
	}
	if (f->line.failed)
		return fail(EX_OSERR, "out of memory");
	fwrite(buffer_at(&f->line), 1, buffer_len(&f->line), stdout);
	return EX_OK;
}

void event_format_free(struct event_format *f)
{
	buffer_free(&f->line);
}
