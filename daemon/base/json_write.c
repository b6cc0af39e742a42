#include "base/json_write.h"

#include <string.h>

#include "base/base64.h"
#include "base/json_scan.h"

enum { ESCAPE_MOST = 6, NUMBER_MOST = 20 };

void json_comma(struct buffer *b)
{
	uint8_t last = buffer_len(b) == 0 ? '[' : b->data[b->end - 1];

	if (last != '[' && last != '{')
		buffer_add_byte(b, ',');
}

void json_key(struct buffer *b, const char *name)
{
	size_t len = strlen(name);
	char *at;

	json_comma(b);
	at = (char *)buffer_room(b, len + 3);
	if (at == NULL)
		return;
	at[0] = '"';
	memcpy(at + 1, name, len);
	at[len + 1] = '"';
	at[len + 2] = ':';
	buffer_added(b, len + 3);
}

/*
 * Copies plain characters from FROM to TO, which has room for all up to END, and returns how many
 * there are. A block may be written beyond those, but never beyond the room.
 */
static inline size_t copy_plain(char *to, const char *from, const char *end)
{
	const char *p = from;

	while (end - p >= SCAN_BLOCK) {
		size_t n = scan_block(p);

		memcpy(to, p, SCAN_BLOCK);
		p += n;
		if (n < SCAN_BLOCK)
			return (size_t)(p - from);
		to += SCAN_BLOCK;
	}
	while (p < end && scan_is_plain(*p))
		*to++ = *p++;
	return (size_t)(p - from);
}

/* Writes the escape for C, one of the characters that need one. Returns its length. */
static size_t write_escape(char *to, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "btn\0fr";

	to[0] = '\\';
	if (c == '"' || c == '\\') {
		to[1] = (char)c;
		return 2;
	}
	if (c >= '\b' && c <= '\r' && letters[c - '\b'] != '\0') {
		to[1] = letters[c - '\b'];
		return 2;
	}
	memcpy(to + 1, "u00", 3);
	to[4] = hex[c >> 4];
	to[5] = hex[c & 15];
	return ESCAPE_MOST;
}

/* Copies characters beyond ASCII from *P on, and for what is none U+FFFD. Returns the bytes written, at most 3 for each read. */
static size_t copy_beyond(char *to, const char **p, const char *end)
{
	char *start = to;

	while (*p < end && (unsigned char)**p >= 0x80) {
		size_t n = scan_utf8(*p, end);

		memcpy(to, n == 0 ? "\xef\xbf\xbd" : *p, n == 0 ? 3 : n);
		to += n == 0 ? 3 : n;
		*p += n == 0 ? 1 : n;
	}
	return (size_t)(to - start);
}

void json_string(struct buffer *b, const char *text, size_t len)
{
	const char *p = text;
	const char *end = text + len;

	buffer_add_byte(b, '"');
	for (;;) {
		char *to = (char *)buffer_room(b, (size_t)(end - p) + ESCAPE_MOST);
		size_t n;

		if (to == NULL)
			return;
		n = copy_plain(to, p, end);
		p += n;
		if (p < end && (unsigned char)*p < 0x80) {
			n += write_escape(to + n, (unsigned char)*p);
			p++;
		}
		buffer_added(b, n);
		if (p == end)
			break;
		if ((unsigned char)*p >= 0x80) {
			to = (char *)buffer_room(b, (size_t)(end - p) * 3);
			if (to == NULL)
				return;
			buffer_added(b, copy_beyond(to, &p, end));
		}
	}
	buffer_add_byte(b, '"');
}

void json_text(struct buffer *b, const char *text)
{
	json_string(b, text, strlen(text));
}

void json_uint(struct buffer *b, uint64_t value)
{
	char digits[NUMBER_MOST];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buffer_add(b, digits + at, sizeof(digits) - at);
}

void json_int(struct buffer *b, int64_t value)
{
	if (value < 0)
		buffer_add_byte(b, '-');
	json_uint(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_bool(struct buffer *b, bool value)
{
	buffer_add_text(b, value ? "true" : "false");
}

void json_raw(struct buffer *b, const char *text, size_t len, bool breaks)
{
	char *to = (char *)buffer_room(b, len);

	if (to == NULL || len == 0)
		return;
	memcpy(to, text, len);
	/* Within strings they are escaped, so each that is there stands between tokens. */
	for (size_t i = 0; breaks && i < len; i++) {
		if (to[i] == '\r' || to[i] == '\n')
			to[i] = ' ';
	}
	buffer_added(b, len);
}

void json_base64(struct buffer *b, const uint8_t *bytes, size_t len)
{
	size_t n = base64_text_len(len);
	char *to = (char *)buffer_room(b, n + 2);

	if (to == NULL)
		return;
	to[0] = '"';
	base64_encode(bytes, len, to + 1);
	to[n + 1] = '"';
	buffer_added(b, n + 2);
}
