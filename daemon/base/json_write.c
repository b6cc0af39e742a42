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
 * Copies plain characters from *P to TO, which has room for all up to END, and moves *P behind
 * them. Returns the end of what was copied. A block may be written beyond it, but never beyond the
 * room.
 */
static inline char *copy_plain(char *to, const char **p, const char *end)
{
	while (end - *p >= SCAN_BLOCK) {
		size_t n = scan_block(*p);

		memcpy(to, *p, SCAN_BLOCK);
		to += n;
		*p += n;
		if (n < SCAN_BLOCK)
			return to;
	}
	while (*p < end && scan_is_plain(**p))
		*to++ = *(*p)++;
	return to;
}

/* The same for all that stands in a string as it is: plain characters and valid UTF-8. */
static inline char *copy_clean(char *to, const char **p, const char *end)
{
	for (;;) {
		to = copy_plain(to, p, end);
		do {
			size_t n = *p < end && (unsigned char)**p >= 0x80 ? scan_utf8(*p, end) : 0;

			if (n == 0)
				return to;
			memcpy(to, *p, n);
			to += n;
			*p += n;
		} while (*p < end && !scan_is_plain(**p));
	}
}

/*
 * Writes what stands for C, a character that needs an escape or a byte that is not UTF-8. Returns
 * its length, at most ESCAPE_MOST.
 */
static size_t write_odd(char *to, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "btn\0fr";

	if (c >= 0x80) {
		memcpy(to, "\xef\xbf\xbd", 3);
		return 3;
	}
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

void json_quoted(struct buffer *b, const char *text, size_t len)
{
	const char *p = text;
	const char *end = text + len;

	buffer_add_byte(b, '"');
	do {
		char *room = (char *)buffer_room(b, (size_t)(end - p) + ESCAPE_MOST);
		char *to = room;

		if (room == NULL)
			return;
		to = copy_clean(to, &p, end);
		if (p < end)
			to += write_odd(to, (unsigned char)*p++);
		buffer_added(b, (size_t)(to - room));
	} while (p < end);
	buffer_add_byte(b, '"');
}

void json_text(struct buffer *b, const char *text)
{
	json_quoted(b, text, strlen(text));
}

static unsigned digits_of(uint64_t value)
{
	unsigned n = 1;

	for (; value >= 10000; value /= 10000)
		n += 4;
	return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two digits at a time: a division costs more than all else here. */
void json_uint(struct buffer *b, uint64_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";
	char *to = (char *)buffer_room(b, NUMBER_MOST);
	unsigned at;

	if (to == NULL)
		return;
	at = digits_of(value);
	buffer_added(b, at);
	for (; value >= 100; value /= 100)
		memcpy(to + (at -= 2), pairs + value % 100 * 2, 2);
	if (value >= 10)
		memcpy(to, pairs + value * 2, 2);
	else
		*to = (char)('0' + value);
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
