#include "base/guid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <uuid/uuid.h>

#include "base/log.h"

/* RFC 4122 order to wire order, and back: the exchange is its own inverse. */
static void swap_groups(const uint8_t from[GUID_BYTES], uint8_t to[GUID_BYTES])
{
	static const uint8_t place[GUID_BYTES] = { 3, 2, 1,  0,  5,  4,  7,  6,
						   8, 9, 10, 11, 12, 13, 14, 15 };

	for (size_t i = 0; i < GUID_BYTES; i++)
		to[i] = from[place[i]];
}

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

void guid_format(const struct guid *id, char text[GUID_TEXT])
{
	uint8_t rfc[GUID_BYTES];
	char with_nul[GUID_TEXT + 1];

	swap_groups(id->bytes, rfc);
	uuid_unparse_lower(rfc, with_nul);
	memcpy(text, with_nul, GUID_TEXT);
}

bool guid_parse(const char *text, size_t len, struct guid *id)
{
	char whole[GUID_TEXT + 1];
	uuid_t rfc;

	/* uuid_parse_range() before libuuid 2.38 wants a NUL behind the text. */
	if (len != GUID_TEXT)
		return false;
	memcpy(whole, text, GUID_TEXT);
	whole[GUID_TEXT] = '\0';
	if (uuid_parse(whole, rfc) != 0)
		return false;
	swap_groups(rfc, id->bytes);
	return true;
}
