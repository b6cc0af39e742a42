#include "base/guid.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "base/log.h"

/* For each byte of the text form, from its first on: where it stands on the wire, and where its
 * digits stand in the text. */
static const struct {
	uint8_t byte;
	uint8_t column;
} places[GUID_BYTES] = {
	{ 3, 0 },   { 2, 2 },   { 1, 4 },   { 0, 6 },   { 5, 9 },   { 4, 11 },
	{ 7, 14 },  { 6, 16 },  { 8, 19 },  { 9, 21 },  { 10, 24 }, { 11, 26 },
	{ 12, 28 }, { 13, 30 }, { 14, 32 }, { 15, 34 },
};

static const uint8_t dashes[] = { 8, 13, 18, 23 };

/* Takes 16 random bytes from a pool that one system call fills for 256 ids. */
static void take_random(uint8_t to[GUID_BYTES])
{
	static uint8_t pool[256 * GUID_BYTES];
	static size_t used = sizeof(pool);

	if (used == sizeof(pool)) {
		size_t got = 0;

		while (got < sizeof(pool)) {
			ssize_t n = getrandom(pool + got, sizeof(pool) - got, 0);

			if (n < 0 && errno != EINTR) {
				log_write(LOG_ERROR, "the kernel gives no random numbers");
				exit(EX_OSERR);
			}
			got += n > 0 ? (size_t)n : 0;
		}
		used = 0;
	}
	memcpy(to, pool + used, GUID_BYTES);
	used += GUID_BYTES;
}

void guid_make(struct guid *id)
{
	take_random(id->bytes);
	/* The version stands in the third group, which the wire has little-endian. */
	id->bytes[7] = (uint8_t)((id->bytes[7] & 0x0f) | 0x40);
	id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

void guid_next(struct guid *id)
{
	static struct guid first;
	static uint64_t number;
	uint64_t half;

	if (number++ == 0)
		guid_make(&first);
	*id = first;
	/* Added from the tenth byte on: version and variant stand before it. */
	memcpy(&half, id->bytes + 8, sizeof(half));
	half = htole64(le64toh(half) + (number << 8));
	memcpy(id->bytes + 8, &half, sizeof(half));
}

static uint32_t load32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/*
 * The eight hexadecimal digits of V, the first in the first byte: all at once, each nibble moved
 * into a byte of its own, then letters moved behind the digits.
 */
static uint64_t hex8(uint32_t v)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t x = v;

	x = (x >> 16 | x << 32) & 0x0000ffff0000ffffu;
	x = (x >> 8 | x << 16) & 0x00ff00ff00ff00ffu;
	x = (x >> 4 | x << 8) & 0x0f0f0f0f0f0f0f0fu;
	return htole64(x + ones * '0' + ((x + ones * 6) >> 4 & ones) * (unsigned)('a' - '0' - 10));
}

void guid_format(const struct guid *id, char text[GUID_TEXT])
{
	const uint8_t *b = id->bytes;
	uint32_t second = le32toh(load32(b + 4));
	uint64_t digits[] = {
		hex8(le32toh(load32(b))),
		hex8(second << 16 | second >> 16),
		hex8(be32toh(load32(b + 8))),
		hex8(be32toh(load32(b + 12))),
	};
	const char *at = (const char *)digits;

	memcpy(text, at, 8);
	memcpy(text + 9, at + 8, 4);
	memcpy(text + 14, at + 12, 4);
	memcpy(text + 19, at + 16, 4);
	memcpy(text + 24, at + 20, 12);
	for (size_t i = 0; i < sizeof(dashes); i++)
		text[dashes[i]] = '-';
}

/* The value of a hexadecimal digit and 1; 0: no digit. */
static const uint8_t digit_values[UCHAR_MAX + 1] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool guid_parse(const char *text, size_t len, struct guid *id)
{
	unsigned odd = 0;

	if (len != GUID_TEXT)
		return false;
	for (size_t i = 0; i < sizeof(dashes); i++) {
		if (text[dashes[i]] != '-')
			return false;
	}
	for (size_t i = 0; i < GUID_BYTES; i++) {
		const unsigned char *at = (const unsigned char *)text + places[i].column;
		unsigned high = digit_values[at[0]] - 1u;
		unsigned low = digit_values[at[1]] - 1u;

		odd |= high | low;
		id->bytes[places[i].byte] = (uint8_t)(high << 4 | low);
	}
	return odd < 16;
}
