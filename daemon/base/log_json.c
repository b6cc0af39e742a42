#include "base/log_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json_write.h"

enum { VALUE_MOST = 1024 }; /* a line has no more */

static bool is_key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || c == '_';
}

/* The length of the key that TEXT begins with, if "=" follows; else 0. */
static size_t key_len(const char *text)
{
	size_t n = 0;

	while (is_key_byte(text[n]))
		n++;
	return text[n] == '=' ? n : 0;
}

/* Where the next `key=` in TEXT begins, at a word's beginning, or its end. */
static const char *next_key(const char *text)
{
	while (*text != '\0' && key_len(text) == 0) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

/* True where FORMAT makes an integer, and nothing more, of the value of the KEY of LEN bytes. */
static bool is_number(const char *format, const char *key, size_t len)
{
	const char *at = next_key(format);

	while (*at != '\0' && (key_len(at) != len || memcmp(at, key, len) != 0))
		at = next_key(at + strcspn(at, " ") + strspn(at + strcspn(at, " "), " "));
	if (*at == '\0' || at[len + 1] != '%')
		return false;
	at += len + 2;
	at += strspn(at, "lzjh");
	return (*at == 'u' || *at == 'd') && (at[1] == '\0' || at[1] == ' ');
}

static unsigned hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* Reads the text in quotes at FROM to TO. Returns where it ends. */
static const char *unquote(const char *from, char *to, size_t *len)
{
	*len = 0;
	for (from++; *from != '\0' && *from != '"'; from++) {
		if (*from == '\\' && from[1] == 'x' && from[2] != '\0' && from[3] != '\0') {
			to[(*len)++] = (char)(hex(from[2]) << 4 | hex(from[3]));
			from += 3;
		} else {
			from += *from == '\\' && from[1] != '\0';
			to[(*len)++] = *from;
		}
	}
	return *from == '"' ? from + 1 : from;
}

/* The end of the value at AT that is not in quotes: it may have blanks, but no `key=`. */
static const char *plain_end(const char *at)
{
	const char *end = next_key(at + strcspn(at, " ") + strspn(at + strcspn(at, " "), " "));

	while (end > at && end[-1] == ' ')
		end--;
	return end;
}

/* The length of the character at AT where it is DEL or one of U+0080 to U+009F, else 0. */
static size_t control_len(const uint8_t *at)
{
	if (at[0] == 0x7f)
		return 1;
	return at[0] == 0xc2 && at[1] < 0xa0 ? 2 : 0;
}

/* Adds TEXT as a string. These control characters JSON leaves as they are, and a terminal not. */
static void add_text(struct buffer *out, const char *text, size_t len)
{
	char escape[sizeof("\\u0000")];
	size_t from = buffer_len(out);

	json_quoted(out, text, len);
	/* A quote stands at the end. */
	for (size_t i = from; i + 1 < buffer_len(out); i++) {
		uint8_t *at = buffer_at(out) + i;
		size_t n = control_len(at);

		if (n == 0 || buffer_room(out, sizeof(escape) - 1 - n) == NULL)
			continue;
		at = buffer_at(out) + i;
		snprintf(escape, sizeof(escape), "\\u%04x", at[n - 1]);
		memmove(at + sizeof(escape) - 1, at + n, buffer_len(out) - i - n);
		memcpy(at, escape, sizeof(escape) - 1);
		buffer_added(out, sizeof(escape) - 1 - n);
	}
}

/* Adds the value at AT. Returns where it ends. */
static const char *add_value(const char *at, bool number, struct buffer *out)
{
	char value[VALUE_MOST];
	size_t len = 0;
	const char *end;

	if (*at == '"')
		at = unquote(at, value, &len);
	end = *at == ' ' || *at == '\0' ? at : plain_end(at);
	memcpy(value + len, at, (size_t)(end - at));
	len += (size_t)(end - at);
	if (number)
		buffer_add(out, value, len);
	else
		add_text(out, value, len);
	return end;
}

void log_json(const char *format, const char *text, struct buffer *out)
{
	const char *key = next_key(text);
	size_t len = (size_t)(key - text);

	while (len > 0 && text[len - 1] == ' ')
		len--;
	json_key(out, "msg");
	add_text(out, text, len);
	while (*key != '\0') {
		const char *value = key + key_len(key) + 1;

		json_comma(out);
		json_quoted(out, key, key_len(key));
		buffer_add_byte(out, ':');
		key = next_key(add_value(value, is_number(format, key, key_len(key)), out));
	}
}
