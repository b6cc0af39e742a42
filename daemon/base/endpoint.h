/*
 * The end of a connection in words: HOST:PORT.
 */
#ifndef ESBRIDGE_BASE_ENDPOINT_H
#define ESBRIDGE_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Room for a host name of DNS (253 bytes) or an address, with its NUL; and for HOST:PORT. */
enum { ENDPOINT_HOST = 256, ENDPOINT_TEXT = 280 };

struct endpoint {
	char host[ENDPOINT_HOST];
	uint16_t port; /* 0: none */
};

/*
 * Takes TEXT, HOST:PORT or [ADDRESS]:PORT, apart. Returns false where it is neither, the port is
 * not 1 to 65535, or the host does not fit into SIZE bytes.
 */
bool endpoint_split(const char *text, char *host, size_t size, uint16_t *port);

/*
 * The next endpoint of *LIST, which has several with commas or blanks between them; *LIST goes on
 * behind it. False at the end, with *LIST NULL, and where the next is no endpoint.
 */
bool endpoint_next(const char **list, struct endpoint *e);

/* Writes E as HOST:PORT or [ADDRESS]:PORT. */
void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT]);

/* The address and port of ADDRESS. False where it is none of IP. */
bool endpoint_of_address(const struct sockaddr *address, struct endpoint *e);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

#endif
