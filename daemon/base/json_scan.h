/*
 * The inner loops that the JSON walker and the JSON writer share: runs of plain characters, and
 * UTF-8. Private to json_walk.c and json_write.c.
 *
 * A plain character is printable ASCII other than the quote and the backslash, or DEL: what stands
 * in a JSON string as it is and needs no second look. With JSON_PORTABLE defined, the form for
 * machines without SSE2 is compiled, so that the tests can have both.
 */
#ifndef ESBRIDGE_BASE_JSON_SCAN_H
#define ESBRIDGE_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool scan_is_plain(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

#if defined(__SSE2__) && !defined(JSON_PORTABLE)

#include <emmintrin.h>

enum { SCAN_BLOCK = 16 };

/*
 * How many of the SCAN_BLOCK bytes at P are plain, from the first on. Bytes from 0x80 are negative
 * as signed ones, so one comparison finds them and the control characters.
 */
static inline size_t scan_block(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	__m128i beyond = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
	int odd = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), beyond));

	return odd == 0 ? SCAN_BLOCK : (size_t)__builtin_ctz((unsigned)odd);
}

#else

enum { SCAN_BLOCK = 8 };

/*
 * The same for eight bytes in one register: a byte of V is below N exactly if the subtraction
 * borrows into its top bit; a borrow into the next byte can only follow such a byte.
 */
static inline size_t scan_block(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t v, quote, backslash;
	size_t n = 0;

	memcpy(&v, p, sizeof(v));
	quote = v ^ ones * '"';
	backslash = v ^ ones * '\\';
	if (((v | (v - ones * 0x20) | (quote - ones) | (backslash - ones)) & ones * 0x80) == 0)
		return SCAN_BLOCK;
	while (n < SCAN_BLOCK && scan_is_plain(p[n]))
		n++;
	return n;
}

#endif

/* Returns the first place from P on that holds no plain character, at most END. */
static inline const char *scan_plain(const char *p, const char *end)
{
	for (; end - p >= SCAN_BLOCK; p += SCAN_BLOCK) {
		size_t n = scan_block(p);

		if (n < SCAN_BLOCK)
			return p + n;
	}
	while (p < end && scan_is_plain(*p))
		p++;
	return p;
}

static inline bool scan_is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/*
 * Returns the length (2, 3 or 4) of the character beyond ASCII that begins at P, or 0 where the
 * bytes up to END are none. Source: the table of RFC 3629, section 4.
 */
static inline size_t scan_utf8(const char *p, const char *end)
{
	unsigned char lead = (unsigned char)p[0];
	unsigned char second = end - p > 1 ? (unsigned char)p[1] : 0;

	if (!scan_is_tail((char)second) || lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (end - p < 3 || !scan_is_tail(p[2]))
		return 0;
	if (lead < 0xf0) {
		bool overlong = lead == 0xe0 && second < 0xa0;
		bool surrogate = lead == 0xed && second >= 0xa0;

		return overlong || surrogate ? 0 : 3;
	}
	if (end - p < 4 || !scan_is_tail(p[3]) || lead > 0xf4)
		return 0;
	return (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90) ? 0 : 4;
}

#endif
