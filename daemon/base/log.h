/*
 * The log: one line an event on standard error, `text key=value key=value`. Where standard error is
 * the journal (JOURNAL_STREAM names it), or where that is forced, journald's `<N>` stands in front
 * and no time, since the journal keeps its own. Elsewhere it is the time, in UTC, and the level:
 * `2026-11-23T20:11:12.123Z info text key=value`. Or each line is a JSON object, which always has
 * time and level: `{"time":…,"level":"info","msg":"text","key":"value"}`. Secrets are never given
 * to it.
 *
 * Whatever standard error is, closed, full, or read by nobody, a line neither waits nor ends the
 * process: what cannot be written is lost and counted, and told of by the next line that can.
 */
#ifndef ESBRIDGE_BASE_LOG_H
#define ESBRIDGE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The priorities of syslog(3). */
enum log_level {
	LOG_ERROR = 3,
	LOG_WARNING = 4,
	LOG_NOTICE = 5,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
	LOG_LEVELS,
};

enum log_prefix { LOG_PREFIX_AUTO, LOG_PREFIX_ALWAYS, LOG_PREFIX_NEVER };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Counted since the start. */
struct log_counters {
	uint64_t lines[LOG_LEVELS]; /* written, by level */
	uint64_t lost;              /* not written, for standard error did not take them */
};

/*
 * Sets what is written (LEVEL and more urgent), whether `<N>` goes in front, and the form of the
 * rest. At first: LOG_INFO, AUTO, TEXT.
 */
void log_setup(enum log_level level, enum log_prefix prefix, enum log_format format);

const struct log_counters *log_counters(void);

/* A word for LEVEL; "" for a number that is none. */
const char *log_level_name(enum log_level level);

/* True where a line of LEVEL would be written, for lines that cost something to make. */
bool log_wants(enum log_level level);

/*
 * Writes one line as printf(3), cut at 1 KiB, control characters replaced, with one writev(2).
 * FORMAT is `text key=%… key=%…`; a value that may have blanks goes through log_text().
 */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Returns the LEN bytes at AT as a text for a log line: cut at 100 bytes, in double quotes where it
 * has blanks or anything beyond printable ASCII, which is escaped. The text lives until the fourth
 * call after it.
 */
const char *log_text(const char *at, size_t len);

#endif
