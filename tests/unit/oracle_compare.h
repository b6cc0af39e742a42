/*
 * The walker against jansson: both take a text, or both refuse it, and the values are the same.
 * Where they differ on purpose:
 *
 * - numbers that jansson's types cannot hold are numbers all the same;
 * - unpaired surrogates are taken and flagged;
 * - an escaped NUL may stand in the name of a member.
 *
 * Jansson stops at the first of these, so what follows it is not compared. And it passes over a
 * byte of zero behind a number or a word, where the walker takes none anywhere.
 */
#ifndef ESBRIDGE_UNIT_ORACLE_COMPARE_H
#define ESBRIDGE_UNIT_ORACLE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_walk.h"

/*
 * Compares what is said of the LEN bytes at TEXT, with DOC, which takes DEPTH levels. Returns NULL
 * where all agree, or in which way they do not. *TAKEN: both take it.
 */
const char *oracle_compare(struct json_doc *doc, const char *text, size_t len, unsigned depth,
			   bool *taken);

#endif
