/*
 * What each target is: one function that takes any bytes. libFuzzer calls it, or replay.c with the
 * files of a corpus. What must not be ends the process.
 */
#ifndef ESBRIDGE_FUZZ_H
#define ESBRIDGE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
