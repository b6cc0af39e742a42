/*
 * Reads JSON (RFC 8259, in UTF-8) without building a tree: one pass checks the text and notes where
 * each value stands. Payloads are then copied as the bytes they were, and never go through a number
 * or a string of ours.
 */
#ifndef ESBRIDGE_BASE_JSON_WALK_H
#define ESBRIDGE_BASE_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

enum json_kind {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

enum json_flag {
	JSON_ESCAPED = 1,        /* a string with a backslash in it */
	JSON_LONE_SURROGATE = 2, /* a string with an unpaired \uD800..\uDFFF */
	JSON_INTEGER = 4,        /* a number with neither fraction nor exponent */
};

/*
 * One value of the text. Names of members are values of kind JSON_STRING too, each before its
 * value.
 */
struct json_token {
	uint32_t at;   /* offset of its first byte: the quote, the bracket, the first digit */
	uint32_t len;  /* its length in bytes, quotes and brackets with it */
	uint32_t next; /* index of the token that follows it and all that is in it */
	uint8_t kind;  /* enum json_kind */
	uint8_t flags; /* enum json_flag */
};

/*
 * A text and its tokens. Token 0 is the whole value. The children of container I are at I + 1, then
 * at tokens[child].next, until tokens[I].next. A container whose level (the outermost: 1) is above
 * `detail` has no children in the list, only its own token.
 *
 * The owner sets the limits; the memory for the tokens is kept from text to text.
 */
struct json_doc {
	unsigned depth;  /* most levels of containers that are accepted; 1 to 65535 */
	unsigned detail; /* levels whose values are noted */
	uint32_t most;   /* most tokens */

	const char *text; /* the caller's, not copied: tokens are offsets into it */
	struct json_token *tokens;
	uint32_t count;
	uint32_t size;

	size_t error_at;   /* after a failure: bytes from the start of the text, */
	const char *error; /* and what is wrong there: a static text in plain English */
};

void json_doc_init(struct json_doc *doc, unsigned depth, unsigned detail, uint32_t most);
void json_doc_free(struct json_doc *doc);

/* Gives the memory for tokens back where more than KEEP tokens are allocated. */
void json_doc_shrink(struct json_doc *doc, uint32_t keep);

/* The `error` where nothing is wrong in the text, but no memory was left for its tokens. */
extern const char json_starved[];

/*
 * Checks the LEN bytes at TEXT (at most 2^32-1) as one JSON value with nothing but white space
 * around it, and notes its tokens. Returns false with `error` and `error_at` set where it is none,
 * goes deeper or has more values than allowed, or no memory is left (`error` is json_starved);
 * `count` is 0 then. `error_at` is the first wrong byte: LEN where the text ends too early, the
 * first byte of what is no UTF-8, the bracket that goes too deep. A byte order mark is an error at
 * 0. Unpaired surrogates in escapes are accepted and flagged. Members of the same name are the
 * caller's matter.
 */
bool json_parse(struct json_doc *doc, const char *text, size_t len);

/*
 * Checks only, for payloads on their way out: true where the LEN bytes at TEXT are one JSON value
 * of at most DEPTH levels in valid UTF-8. *BREAKS tells whether a CR or LF stands between its
 * tokens.
 */
bool json_check(const char *text, size_t len, unsigned depth, bool *breaks);

/* As json_string_is(), for tokens of any kind and with any escapes. */
bool json_string_equals(const struct json_doc *doc, uint32_t i, const char *what, size_t len);

/* True where string token I, its escapes resolved, is the LEN bytes at WHAT. */
static inline bool json_string_is(const struct json_doc *doc, uint32_t i, const char *what,
				  size_t len)
{
	const struct json_token *t = &doc->tokens[i];

	if ((t->flags & JSON_ESCAPED) != 0)
		return json_string_equals(doc, i, what, len);
	/* Mostly it is another one, which its length tells. */
	return t->len == len + 2 && t->kind == JSON_STRING &&
	       memcmp(doc->text + t->at + 1, what, len) == 0;
}

/*
 * Adds the bytes of string token I, escapes resolved to UTF-8, to OUT. False where it has a lone
 * surrogate: nothing is added then.
 */
bool json_string_get(const struct json_doc *doc, uint32_t i, struct buffer *out);

/* Number token I as a 64-bit integer. False where it has a fraction, an exponent, or is too big. */
bool json_int64_get(const struct json_doc *doc, uint32_t i, int64_t *value);

/*
 * True where the LEN bytes at TEXT are valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at
 * most U+10FFFF).
 */
bool utf8_check(const char *text, size_t len);

#endif
