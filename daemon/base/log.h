/*
 * The log: one line an event on standard error, `text key=value key=value`. Where standard error is
 * the journal (JOURNAL_STREAM names it), or where that is forced, journald's `<N>` stands in front
 * and no time, since the journal keeps its own. Elsewhere it is the time, in UTC, and the level:
 * `2026-11-23T20:11:12.123Z info text key=value`. Secrets are never given to it.
 */
#ifndef ESBRIDGE_BASE_LOG_H
#define ESBRIDGE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* The priorities of syslog(3). */
enum log_level {
	LOG_ERROR = 3,
	LOG_WARNING = 4,
	LOG_NOTICE = 5,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
};

enum log_prefix { LOG_PREFIX_AUTO, LOG_PREFIX_ALWAYS, LOG_PREFIX_NEVER };

/*
 * Sets what is written (LEVEL and more urgent) and whether `<N>` goes in front. At first: LOG_INFO,
 * AUTO.
 */
void log_setup(enum log_level level, enum log_prefix prefix);

/* True where a line of LEVEL would be written, for lines that cost something to make. */
bool log_wants(enum log_level level);

/* Writes one line as printf(3), cut at 1 KiB, control characters replaced, with one write(2). */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Returns the LEN bytes at AT as a text for a log line: cut at 100 bytes, in double quotes where it
 * has blanks or anything beyond printable ASCII, which is escaped. The text lives until the fourth
 * call after it.
 */
const char *log_text(const char *at, size_t len);

#endif
