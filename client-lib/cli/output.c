#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

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

void output_text(struct esbridge_span span)
{
	for (size_t i = 0; i < span.len; i++)
		putchar(iscntrl((unsigned char)span.at[i]) ? '?' : span.at[i]);
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
