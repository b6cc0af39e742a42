#include "reader.h"

#include <string.h>

#include "memory.h"

enum { KEEP_BYTES = 1 << 20, KEEP_TOKENS = 1 << 16 };

static const size_t usual_limit = 256u << 20;

void reader_init(struct esbridge_reader *r, size_t line_limit)
{
	memset(r, 0, sizeof(*r));
	buffer_init(&r->bytes, 0);
	message_doc_init(&r->doc);
	r->limit = line_limit == 0 ? usual_limit : line_limit;
	failure_clear(&r->failure);
}

void reader_free(struct esbridge_reader *r)
{
	buffer_free(&r->bytes);
	json_doc_free(&r->doc);
	failure_clear(&r->failure);
}

void reader_reset(struct esbridge_reader *r)
{
	buffer_free(&r->bytes);
	r->seen = 0;
	r->skipping = false;
}

struct esbridge_reader *esbridge_reader_new(size_t line_limit)
{
	struct esbridge_reader *r = memory_get(sizeof(*r));

	if (r != NULL)
		reader_init(r, line_limit);
	return r;
}

void esbridge_reader_free(struct esbridge_reader *r)
{
	if (r == NULL)
		return;
	reader_free(r);
	memory_release(r);
}

int esbridge_reader_feed(struct esbridge_reader *r, const void *bytes, size_t len)
{
	buffer_add(&r->bytes, bytes, len);
	if (!r->bytes.failed)
		return 0;
	r->bytes.failed = false;
	failure_no_memory(&r->failure);
	return -1;
}

const struct esbridge_error *esbridge_reader_error(const struct esbridge_reader *r)
{
	return &r->failure.error;
}

static void consume(struct esbridge_reader *r, size_t n)
{
	buffer_consume(&r->bytes, n);
	r->seen = 0;
	buffer_shrink(&r->bytes, KEEP_BYTES);
	json_doc_shrink(&r->doc, KEEP_TOKENS);
}

/* Throws away what has come of a line that is over the limit. Returns true at its end. */
static bool skip(struct esbridge_reader *r)
{
	size_t have = buffer_len(&r->bytes);
	const uint8_t *lf = have == 0 ? NULL : memchr(buffer_at(&r->bytes), '\n', have);

	consume(r, lf == NULL ? have : (size_t)(lf - buffer_at(&r->bytes)) + 1);
	r->skipping = lf == NULL;
	return lf != NULL;
}

/*
 * Finds the next line that is not blank: *LEN bytes at the front, CR and LF not counted, *WHOLE
 * with them. 0: there is none yet. -1: it is too long.
 */
static int find_line(struct esbridge_reader *r, size_t *len, size_t *whole)
{
	for (;;) {
		size_t have = buffer_len(&r->bytes);
		const uint8_t *at = buffer_at(&r->bytes);
		const uint8_t *lf =
			have == r->seen ? NULL : memchr(at + r->seen, '\n', have - r->seen);

		*len = lf == NULL ? have : (size_t)(lf - at);
		*whole = *len + 1;
		if (*len > r->limit)
			return -1;
		if (lf == NULL) {
			r->seen = have;
			return 0;
		}
		if (*len > 0 && at[*len - 1] == '\r')
			--*len;
		if (*len > 0)
			return 1;
		consume(r, *whole);
	}
}

int reader_next(struct esbridge_reader *r, struct message **message)
{
	size_t len, whole;
	int found;

	*message = NULL;
	if (r->skipping && !skip(r))
		return 0;
	found = find_line(r, &len, &whole);
	if (found < 0) {
		failure_set(&r->failure, ESBRIDGE_E_LINE_TOO_LONG,
			    "the daemon wrote a line of more than %zu bytes", r->limit);
		skip(r);
		return -1;
	}
	if (found == 0)
		return 0;
	*message = message_new(&r->doc, (const char *)buffer_at(&r->bytes), len, &r->failure);
	if (*message == NULL && r->failure.error.code == ESBRIDGE_E_OUT_OF_MEMORY)
		return -1;
	consume(r, whole);
	return *message == NULL ? -1 : 1;
}

int esbridge_reader_next(struct esbridge_reader *r, struct esbridge_message **message)
{
	struct message *own;
	int got = reader_next(r, &own);

	*message = own == NULL ? NULL : &own->public;
	return got;
}
