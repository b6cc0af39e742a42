#include "base/endpoint.h"

#include <stdlib.h>
#include <string.h>

static bool split_port(const char *text, uint16_t *port)
{
	size_t len = strlen(text);
	unsigned long value;

	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return false;
	value = strtoul(text, NULL, 10);
	*port = (uint16_t)value;
	return value >= 1 && value <= 65535;
}

bool endpoint_split(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracketed) {
		text++;
		len -= 2;
	}
	/* Colons without brackets could be an address whose end is taken for the port. */
	if (len == 0 || len >= size || strcspn(text, "[] \t") < len ||
	    (!bracketed && strcspn(text, ":") < len))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return split_port(colon + 1, port);
}
