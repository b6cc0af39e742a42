#include "payload.h"

#include <string.h>
#include <sysexits.h>

#include "body.h"

const char *const payload_contents[] = { "json", "text", "binary", NULL };

/* In the order of payload_contents. */
static const enum esbridge_payload kinds[] = { ESBRIDGE_JSON, ESBRIDGE_TEXT, ESBRIDGE_BYTES };

bool payload_given(const struct payload_options *options)
{
	return options->content != 0 || options->metadata != NULL || options->metadata_file != NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void json_trim(const char **at, size_t *len)
{
	while (*len > 0 && is_blank(**at)) {
		(*at)++;
		(*len)--;
	}
	while (*len > 0 && is_blank((*at)[*len - 1]))
		(*len)--;
}

static int read_data(struct payload *p, enum esbridge_payload is, const char *data,
		     struct esbridge_new_event *event)
{
	const char *at = data;
	int status = EX_OK;
	size_t len;

	if (data == NULL)
		return EX_OK;
	len = strlen(data);
	if (strcmp(data, "-") == 0) {
		status = read_whole("-", &p->data);
		at = (const char *)buffer_at(&p->data);
		len = buffer_len(&p->data);
	}
	if (is == ESBRIDGE_JSON)
		json_trim(&at, &len);
	event->data = at;
	event->data_len = len;
	event->data_is = event->data_len > 0 ? is : ESBRIDGE_NOTHING;
	return status;
}

/* Metadata has the flag of the data, so it is JSON where the data is, and else a text. */
static int read_metadata(struct payload *p, const struct payload_options *options,
			 struct esbridge_new_event *event)
{
	const char *at = options->metadata;
	size_t len = at != NULL ? strlen(at) : 0;
	int status = EX_OK;

	if (at != NULL && options->metadata_file != NULL)
		return fail(EX_USAGE, "it takes --metadata or --metadata-file, not both");
	if (options->metadata_file != NULL) {
		status = read_whole(options->metadata_file, &p->metadata);
		at = (const char *)buffer_at(&p->metadata);
		len = buffer_len(&p->metadata);
	}
	if (options->content == 0)
		json_trim(&at, &len);
	event->metadata = at;
	event->metadata_len = len;
	if (len > 0)
		event->metadata_is = options->content == 0 ? ESBRIDGE_JSON : ESBRIDGE_BYTES;
	return status;
}

int payload_read(struct payload *p, const struct payload_options *options, const char *data,
		 struct esbridge_new_event *event)
{
	int status = read_data(p, kinds[options->content], data, event);

	if (status == EX_OK)
		status = read_metadata(p, options, event);
	/* The one flag is that of the data, also where there is none. */
	event->content_type = options->content == 0 ? 1 : -1;
	return status;
}

void payload_free(struct payload *p)
{
	buffer_free(&p->data);
	buffer_free(&p->metadata);
}
