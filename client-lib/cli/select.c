#include "select.h"

#include <string.h>
#include <sysexits.h>

#include "base/json_write.h"

/* In the order of the rows of options. */
static const struct {
	const char *context;
	const char *type;
} filter_kinds[] = {
	{ "StreamId", "Prefix" },
	{ "StreamId", "Regex" },
	{ "EventType", "Prefix" },
	{ "EventType", "Regex" },
};

enum { FILTERS = sizeof(filter_kinds) / sizeof(*filter_kinds) };

static int make_filter(struct selection *s, const struct cli *cli,
		       const struct select_options *options)
{
	for (size_t i = 0; i < FILTERS; i++) {
		struct buffer *out = &s->filter_text;

		if (options->filters[i] == NULL)
			continue;
		if (s->filter != NULL || s->stream != NULL)
			return fail(EX_USAGE, "%s: it takes one filter, and only with --all",
				    cli->command->name);
		buffer_add_byte(out, '{');
		json_key(out, "context");
		json_text(out, filter_kinds[i].context);
		json_key(out, "type");
		json_text(out, filter_kinds[i].type);
		json_key(out, "data");
		buffer_add_byte(out, '[');
		json_text(out, options->filters[i]);
		buffer_add(out, "]}", sizeof("]}"));
		if (out->failed)
			return fail(EX_OSERR, "out of memory");
		s->filter = (const char *)buffer_at(out);
	}
	return EX_OK;
}

int selection_make(struct selection *s, struct cli *cli, const struct select_options *options)
{
	const char *name = cli->command->name;
	const char *fault;

	*s = (struct selection){ .format = { .output = options->output,
					     .format = options->format,
					     .color = cli_color(cli) } };
	if (options->all == (cli->count > 0))
		return fail(EX_USAGE, "%s: it takes either STREAM or --all", name);
	if (!options->all && *cli->arguments[0] == '\0')
		return fail(EX_USAGE, "%s: an empty word is no STREAM; --all is all of them", name);
	if (!options->all)
		s->stream = cli->arguments[0];
	if (options->format != NULL && !event_format_check(options->format, &fault))
		return fail(EX_USAGE,
			    "%s: --format: '%.2s' is none of the signs that '%s --help' lists",
			    name, fault, name);
	cli->request.payload = options->headers ? "none" : event_format_payload(&s->format);
	return make_filter(s, cli, options);
}

void selection_free(struct selection *s)
{
	buffer_free(&s->filter_text);
	event_format_free(&s->format);
}

int selection_place(const struct selection *s, const char *option, const struct place *place)
{
	if (s->stream != NULL && place->from == ESBRIDGE_FROM_POSITION)
		return fail(EX_USAGE, "%s: a place in a stream is a number", option);
	if (s->stream == NULL && place->from == ESBRIDGE_FROM_NUMBER)
		return fail(EX_USAGE, "%s: a place in all streams is COMMIT/PREPARE", option);
	return EX_OK;
}

/* A read of all streams does not tell its end: it is a page with nothing in it. */
bool selection_is_end(const struct selection *s, const struct esbridge_message *page)
{
	return page->is_end_of_stream ||
	       (s->stream == NULL && s->filter == NULL && page->record_count == 0);
}
