/*
 * base64 as in RFC 4648, section 4, with padding.
 */
#ifndef ESBRIDGE_BASE_BASE64_H
#define ESBRIDGE_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of text that LEN bytes become. */
static inline size_t base64_text_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* Most bytes that LEN bytes of text become. */
static inline size_t base64_bytes_len(size_t len)
{
	return len / 4 * 3;
}

/* Writes base64_text_len(LEN) bytes of text to TEXT, with no NUL. */
void base64_encode(const uint8_t *bytes, size_t len, char *text);

/*
 * Reads LEN bytes of text into BYTES, which has room for base64_bytes_len(LEN). Strict: a length
 * that is a multiple of 4, nothing but the alphabet, padding only at the end, no bits left over.
 * Returns false otherwise; *GOT is the number of bytes.
 */
bool base64_decode(const char *text, size_t len, uint8_t *bytes, size_t *got);

#endif
