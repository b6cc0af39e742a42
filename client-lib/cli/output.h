/*
 * Standard output. Buffered, so that a stream of events is written in large pieces; whoever is
 * about to wait for something calls output_flush() before, so that no reader waits for what we
 * have.
 */
#ifndef ESBRIDGE_CLI_OUTPUT_H
#define ESBRIDGE_CLI_OUTPUT_H

#include <stdbool.h>

#include "esbridge.h"

struct cli;

/* Writes the bytes of SPAN. */
void output_span(struct esbridge_span span);

/*
 * Writes a text of the store's for people: control characters, which a terminal would obey, as '?',
 * those of one byte, and those of two in UTF-8.
 */
void output_text(struct esbridge_span span);

/* The columns of a terminal that output_text() takes for TEXT. */
int output_width(const char *text);

/* Writes as much of TEXT, as output_text() does, as has room in MOST columns. Returns its columns.
 */
int output_cut(const char *text, int most);

/* Writes SPAN, JSON, indented and with a LF at the end; COLOR: with colours. */
void output_pretty(struct esbridge_span span, bool color);

/* Hands everything to the reader. False where it did not take it: time to end. */
bool output_flush(void);

/*
 * The end of the program: hands everything to the reader. Returns STATUS, or EX_IOERR where the
 * reader did not take it; one that went (EPIPE) is no reason to say anything.
 */
int output_end(int status);

#endif
