#include "base/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

bool endpoint_next(const char **list, struct endpoint *e)
{
	const char *from = *list + strspn(*list, ", \t");
	size_t len = strcspn(from, ", \t");
	char text[ENDPOINT_TEXT];

	*list = *from == '\0' ? NULL : from + len;
	if (*list == NULL || len >= sizeof(text))
		return false;
	memcpy(text, from, len);
	text[len] = '\0';
	return endpoint_split(text, e->host, sizeof(e->host), &e->port);
}

void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT])
{
	snprintf(text, ENDPOINT_TEXT, strchr(e->host, ':') == NULL ? "%s:%u" : "[%s]:%u", e->host,
		 e->port);
}

bool endpoint_of_address(const struct sockaddr *address, struct endpoint *e)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
	const void *bytes = address->sa_family == AF_INET    ? (const void *)&four->sin_addr
			    : address->sa_family == AF_INET6 ? (const void *)&six->sin6_addr
							     : NULL;

	if (bytes == NULL || inet_ntop(address->sa_family, bytes, e->host, sizeof(e->host)) == NULL)
		return false;
	e->port = ntohs(address->sa_family == AF_INET ? four->sin_port : six->sin6_port);
	return true;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}
