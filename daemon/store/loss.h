/*
 * Why connections to the store end or never come to be: the reasons that logs and `status` tell,
 * counted by their first word.
 */
#ifndef ESBRIDGE_STORE_LOSS_H
#define ESBRIDGE_STORE_LOSS_H

#include <stddef.h>
#include <stdint.h>

enum { LOSS_WORDS = 21 };

/* Counts REASON, a word, "word: text" or "word text", at the place of its word in COUNTS; a word
 * that is not known at that of "other". */
void loss_count(uint64_t counts[LOSS_WORDS], const char *reason);

/* The I-th word, "other" the last; NULL beyond it. */
const char *loss_word(size_t i);

#endif
