#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <wchar.h>

#include "cli.h"

enum { INDENT = 2 };

bool cli_color(const struct cli *cli)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (cli->common.color != COLOR_AUTO)
		return cli->common.color == COLOR_ALWAYS;
	return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

void output_span(struct esbridge_span span)
{
	if (span.len > 0)
		fwrite(span.at, 1, span.len, stdout);
}

/* The bytes of the character at AT, of which there are LEFT; a byte that is none is one. */
static size_t character_len(const char *at, size_t left)
{
	unsigned char c = (unsigned char)*at;
	size_t len = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;

	if (len > left)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 1;
	}
	return len;
}

/* Control characters are those of ASCII and U+0080 to U+009F. */
static bool is_control(const char *at, size_t len)
{
	unsigned char c = (unsigned char)*at;

	return len == 1 ? iscntrl(c) || (c >= 0x80 && c < 0xa0)
			: len == 2 && c == 0xc2 && (unsigned char)at[1] < 0xa0;
}

void output_text(struct esbridge_span span)
{
	size_t begin = 0, len;

	for (size_t i = 0; i < span.len; i += len) {
		len = character_len(span.at + i, span.len - i);
		if (!is_control(span.at + i, len))
			continue;
		fwrite(span.at + begin, 1, i - begin, stdout);
		putchar('?');
		begin = i + len;
	}
	if (begin < span.len)
		fwrite(span.at + begin, 1, span.len - begin, stdout);
}

/* The columns of the character of LEN bytes at AT, whatever the locale of the user is: names are in
 * UTF-8 everywhere. */
static int columns_of(const char *at, size_t len)
{
	static const unsigned char bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	wchar_t c = (unsigned char)*at & bits[len];
	int columns;

	if (len == 1)
		return 1;
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (at[i] & 0x3f);
	columns = wcwidth(c);
	return columns < 0 ? 1 : columns;
}

/* Where MOST columns of TEXT end; *COLUMNS is how many those are. */
static const char *cut_at(const char *text, int most, int *columns)
{
	static locale_t utf8;
	locale_t before = (locale_t)0;
	size_t left = strlen(text);

	if (utf8 == (locale_t)0)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (utf8 != (locale_t)0)
		before = uselocale(utf8);
	*columns = 0;
	while (left > 0) {
		size_t len = character_len(text, left);
		int more = columns_of(text, len);

		if (*columns + more > most)
			break;
		*columns += more;
		text += len;
		left -= len;
	}
	if (before != (locale_t)0)
		uselocale(before);
	return text;
}

int output_width(const char *text)
{
	int columns;

	(void)cut_at(text, INT_MAX, &columns);
	return columns;
}

int output_cut(const char *text, int most)
{
	int columns;
	const char *end = cut_at(text, most, &columns);

	output_text((struct esbridge_span){ text, (size_t)(end - text) });
	return columns;
}

bool output_flush(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

int output_end(int status)
{
	bool failed = ferror(stdout) != 0;

	if (fflush(stdout) != 0)
		failed = true;
	if (!failed)
		return status;
	if (errno != EPIPE)
		say("standard output: %s", strerror(errno));
	return EX_IOERR;
}

/* Colours of the parts of JSON, as jq has them. */
static const char plain[] = "\033[0m";
static const char name_color[] = "\033[34;1m";
static const char string_color[] = "\033[32m";
static const char word_color[] = "\033[33m";

static void new_line(unsigned depth)
{
	putchar('\n');
	for (unsigned i = 0; i < depth * INDENT; i++)
		putchar(' ');
}

static void colored(const char *at, size_t len, const char *color)
{
	if (color != NULL)
		fputs(color, stdout);
	fwrite(at, 1, len, stdout);
	if (color != NULL)
		fputs(plain, stdout);
}

/* The length of the string, number or word that begins at AT. */
static size_t scalar_len(const char *at, const char *end)
{
	const char *p = at + 1;

	if (*at != '"') {
		while (p < end && strchr(",:]} \t\r\n", *p) == NULL)
			p++;
		return (size_t)(p - at);
	}
	while (p < end && *p != '"')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	return (size_t)(p - at) + (p < end);
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at;
}

/* True where a colon follows the string that ends at AT. */
static bool is_name(const char *at, const char *end)
{
	at = skip_blanks(at, end);
	return at < end && *at == ':';
}

/* A bracket that opens: with the one that closes, where there is nothing in between. */
static const char *open_bracket(const char *at, const char *end, unsigned *depth)
{
	const char *next = skip_blanks(at + 1, end);

	putchar(*at);
	if (next < end && (*next == ']' || *next == '}')) {
		putchar(*next);
		return next + 1;
	}
	new_line(++*depth);
	return next;
}

/*
 * Works on the text alone, so that numbers and strings stay as they are written. SPAN is JSON that
 * the library has checked.
 */
void output_pretty(struct esbridge_span span, bool color)
{
	const char *end = span.at + span.len;
	unsigned depth = 0;

	for (const char *at = skip_blanks(span.at, end); at < end; at = skip_blanks(at, end)) {
		size_t len;

		switch (*at) {
		case '{':
		case '[':
			at = open_bracket(at, end, &depth);
			break;
		case '}':
		case ']':
			new_line(--depth);
			putchar(*at++);
			break;
		case ',':
			putchar(*at++);
			new_line(depth);
			break;
		case ':':
			fputs(": ", stdout);
			at++;
			break;
		default:
			len = scalar_len(at, end);
			if (!color)
				colored(at, len, NULL);
			else if (*at != '"')
				colored(at, len, word_color);
			else if (is_name(at + len, end))
				colored(at, len, name_color);
			else
				colored(at, len, string_color);
			at += len;
			break;
		}
	}
	putchar('\n');
}
