#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/json_write.h"
#include "base/log_json.h"

enum {
	LINE_MOST = 1024,
	TEXT_MOST = 100,
	TEXTS = 4,
	HEAD_MOST = 64,
	JSON_MOST = 16 * 1024, /* more than anything that a line can become */
};

static const char *const words[LOG_LEVELS] = {
	[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static enum log_level wanted = LOG_INFO;
static enum log_format form;
static bool prefixed;
static bool ready;
static bool torn;         /* the last line was written in part */
static uint64_t not_told; /* lines lost since the last that told of it */
static struct log_counters counters;

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

void log_setup(enum log_level level, enum log_prefix prefix, enum log_format format)
{
	wanted = level;
	form = format;
	prefixed = prefix == LOG_PREFIX_ALWAYS || (prefix == LOG_PREFIX_AUTO && is_journal());
	ready = true;
}

const struct log_counters *log_counters(void)
{
	return &counters;
}

const char *log_level_name(enum log_level level)
{
	return level < LOG_LEVELS && words[level] != NULL ? words[level] : "";
}

bool log_wants(enum log_level level)
{
	return level <= wanted;
}

/* Writes the time in UTC. Returns its length. */
static size_t write_time(char *to, size_t size)
{
	struct timespec now;
	struct tm utc;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return n + (size_t)snprintf(to + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Writes what stands before the text. Returns its length. */
static size_t write_head(char *to, size_t size, enum log_level level)
{
	size_t n;

	if (prefixed)
		return (size_t)snprintf(to, size, "<%d>", (int)level);
	n = write_time(to, size);
	return n + (size_t)snprintf(to + n, size - n, " %s ", words[level]);
}

/*
 * Writes a line, where that does not have to wait: a pipe or a socket that says so has room for a
 * page, and a line is shorter.
 */
static bool put(const char *line, size_t len)
{
	static char feed[] = "\n";
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct iovec parts[] = { { feed, torn }, { (void *)(uintptr_t)line, len } };
	ssize_t n = -1;

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0)
		n = writev(STDERR_FILENO, parts, 2);
	if (n > 0)
		torn = (size_t)n < len + parts[0].iov_len;
	return n > 0 && !torn;
}

/* Puts TEXT, which FORMAT made, as JSON. */
static bool put_json(enum log_level level, const char *format, const char *text)
{
	static uint8_t space[JSON_MOST];
	struct buffer out = { .data = space, .size = sizeof(space), .limit = sizeof(space) };
	char head[HEAD_MOST];

	if (prefixed)
		buffer_add(&out, head, write_head(head, sizeof(head), level));
	buffer_add_byte(&out, '{');
	json_key(&out, "time");
	json_quoted(&out, head, write_time(head, sizeof(head)));
	json_key(&out, "level");
	json_text(&out, words[level]);
	log_json(format, text, &out);
	buffer_add_text(&out, "}\n");
	return !out.failed && put((const char *)space, buffer_len(&out));
}

static void count(enum log_level level, bool written)
{
	uint64_t lines = not_told;

	counters.lines[level] += written;
	counters.lost += !written;
	not_told += !written;
	if (!written || lines == 0)
		return;
	not_told = 0;
	log_write(LOG_WARNING, "lines of the log were lost lines=%llu", (unsigned long long)lines);
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LINE_MOST];
	size_t head, len;
	va_list args;
	int n;

	if (!log_wants(level))
		return;
	if (!ready)
		log_setup(wanted, LOG_PREFIX_AUTO, form);
	head = form == LOG_FORMAT_JSON ? 0 : write_head(line, sizeof(line), level);
	va_start(args, format);
	n = vsnprintf(line + head, sizeof(line) - head, format, args);
	va_end(args);
	len = head + (n > 0 ? strlen(line + head) : 0);
	for (size_t i = head; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	if (form == LOG_FORMAT_JSON) {
		count(level, put_json(level, format, line));
		return;
	}
	line[len] = '\n';
	count(level, put(line, len + 1));
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
