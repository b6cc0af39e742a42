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

static int read_data(struct payload *p, enum esbridge_payload is, const char *data,
		     struct esbridge_new_event *event)
{
	int status = EX_OK;

	if (data == NULL)
		return EX_OK;
	event->data = data;
	event->data_len = strlen(data);
	if (strcmp(data, "-") == 0) {
		status = read_whole("-", &p->data);
		event->data = buffer_at(&p->data);
		event->data_len = buffer_len(&p->data);
	}
	event->data_is = event->data_len > 0 ? is : ESBRIDGE_NOTHING;
	return status;
}

/* Metadata has the flag of the data, so it is JSON where the data is, and else a text. */
static int read_metadata(struct payload *p, const struct payload_options *options,
			 struct esbridge_new_event *event)
{
	int status = EX_OK;

	if (options->metadata != NULL && options->metadata_file != NULL)
		return fail(EX_USAGE, "it takes --metadata or --metadata-file, not both");
	if (options->metadata != NULL) {
		event->metadata = options->metadata;
		event->metadata_len = strlen(options->metadata);
	} else if (options->metadata_file != NULL) {
		status = read_whole(options->metadata_file, &p->metadata);
		event->metadata = buffer_at(&p->metadata);
		event->metadata_len = buffer_len(&p->metadata);
	}
	if (event->metadata_len > 0)
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
