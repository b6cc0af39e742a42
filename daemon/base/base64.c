#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/*
 * The six bits of each character, plus one so that 0 can stand for all that are not in the
 * alphabet.
 */
static const uint8_t values[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
	['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

void base64_encode(const uint8_t *bytes, size_t len, char *text)
{
	for (; len >= 3; len -= 3, bytes += 3, text += 4) {
		uint32_t v = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];

		text[0] = alphabet[v >> 18];
		text[1] = alphabet[v >> 12 & 63];
		text[2] = alphabet[v >> 6 & 63];
		text[3] = alphabet[v & 63];
	}
	if (len > 0) {
		uint32_t v = (uint32_t)bytes[0] << 16 | (len == 2 ? (uint32_t)bytes[1] << 8 : 0);

		text[0] = alphabet[v >> 18];
		text[1] = alphabet[v >> 12 & 63];
		text[2] = len == 2 ? alphabet[v >> 6 & 63] : '=';
		text[3] = '=';
	}
}

/*
 * Takes N (2 to 4) characters as 24 bits, from the top. Returns false where one is not in the
 * alphabet.
 */
static inline bool take(const char *text, size_t n, uint32_t *bits)
{
	uint32_t v = 0;
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		uint8_t value = values[(uint8_t)text[i]];

		good &= value != 0;
		v |= (uint32_t)(value - 1) << (18 - 6 * i);
	}
	*bits = v;
	return good;
}

/* The same for four characters, of which a long text consists: without a loop, and with one look at
 * all of them. */
static inline bool take_four(const char *text, uint32_t *bits)
{
	uint32_t a = values[(uint8_t)text[0]] - 1u;
	uint32_t b = values[(uint8_t)text[1]] - 1u;
	uint32_t c = values[(uint8_t)text[2]] - 1u;
	uint32_t d = values[(uint8_t)text[3]] - 1u;

	*bits = a << 18 | b << 12 | c << 6 | d;
	return (a | b | c | d) <= 63;
}

bool base64_decode(const char *text, size_t len, uint8_t *bytes, size_t *got)
{
	uint8_t *start = bytes;
	size_t tail = 4;
	uint32_t v;

	*got = 0;
	if (len % 4 != 0)
		return false;
	if (len == 0)
		return true;
	if (text[len - 1] == '=')
		tail = text[len - 2] == '=' ? 2 : 3;
	for (; len > 4; len -= 4, text += 4) {
		if (!take_four(text, &v))
			return false;
		*bytes++ = (uint8_t)(v >> 16);
		*bytes++ = (uint8_t)(v >> 8);
		*bytes++ = (uint8_t)v;
	}
	/* Bits that the padding leaves over must be zeros: each sequence of bytes has one text. */
	if (!take(text, tail, &v) || (v & (0xffffffu >> (8 * (tail - 1)))) != 0)
		return false;
	for (size_t i = 0; i < tail - 1; i++)
		*bytes++ = (uint8_t)(v >> (16 - 8 * i));
	*got = (size_t)(bytes - start);
	return true;
}
