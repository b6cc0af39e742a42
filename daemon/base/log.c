#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MOST = 1024, TEXT_MOST = 100, TEXTS = 4 };

static const char *const words[] = {
	[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static enum log_level wanted = LOG_INFO;
static bool prefixed;
static bool ready;

/*
 * True where standard error is the journal: systemd puts the device and the inode of the stream
 * that it made into JOURNAL_STREAM, and they still are those of our standard error
 * (systemd.exec(5)).
 */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0;
}

void log_setup(enum log_level level, enum log_prefix prefix)
{
	wanted = level;
	prefixed = prefix == LOG_PREFIX_ALWAYS || (prefix == LOG_PREFIX_AUTO && is_journal());
	ready = true;
}

bool log_wants(enum log_level level)
{
	return level <= wanted;
}

/* Writes what stands before the text. Returns its length. */
static size_t write_head(char *to, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm utc;
	size_t n;

	if (prefixed)
		return (size_t)snprintf(to, size, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return n + (size_t)snprintf(to + n, size - n, ".%03ldZ %s ", now.tv_nsec / 1000000,
				    words[level]);
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LINE_MOST];
	size_t head, len;
	ssize_t written;
	va_list args;
	int n;

	if (!log_wants(level))
		return;
	if (!ready)
		log_setup(wanted, LOG_PREFIX_AUTO);
	head = write_head(line, sizeof(line), level);
	va_start(args, format);
	n = vsnprintf(line + head, sizeof(line) - head, format, args);
	va_end(args);
	len = head + (n > 0 ? strlen(line + head) : 0);
	for (size_t i = head; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n';
	/* Nobody is left to be told where this fails. */
	written = write(STDERR_FILENO, line, len + 1);
	(void)written;
}

/* Adds C to TO as it may stand between quotes. Returns the bytes written, at most 4. */
static size_t quote_byte(char *to, unsigned char c)
{
	if (c < 0x20 || c >= 0x7f)
		return (size_t)sprintf(to, "\\x%02x", c);
	if (c != '"' && c != '\\') {
		*to = (char)c;
		return 1;
	}
	to[0] = '\\';
	to[1] = (char)c;
	return 2;
}

const char *log_text(const char *at, size_t len)
{
	static char texts[TEXTS][4 * TEXT_MOST + sizeof("\"\"...")];
	static unsigned turn;
	char *text = texts[turn++ % TEXTS];
	size_t most = len < TEXT_MOST ? len : TEXT_MOST;
	bool plain = len > 0 && len <= TEXT_MOST;
	size_t n = 0;

	for (size_t i = 0; plain && i < most; i++)
		plain = at[i] > ' ' && at[i] < 0x7f && at[i] != '"' && at[i] != '\\';
	if (plain) {
		memcpy(text, at, len);
		text[len] = '\0';
		return text;
	}
	text[n++] = '"';
	for (size_t i = 0; i < most; i++)
		n += quote_byte(text + n, (unsigned char)at[i]);
	memcpy(text + n, len > most ? "\"..." : "\"", len > most ? sizeof("\"...") : sizeof("\""));
	return text;
}
