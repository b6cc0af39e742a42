/*
 * The end of a connection in words: HOST:PORT.
 */
#ifndef ESBRIDGE_BASE_ENDPOINT_H
#define ESBRIDGE_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for a host name of DNS (253 bytes) or an address, with its NUL. */
enum { ENDPOINT_HOST = 256 };

/*
 * Takes TEXT, HOST:PORT or [ADDRESS]:PORT, apart. Returns false where it is neither, the port is
 * not 1 to 65535, or the host does not fit into SIZE bytes.
 */
bool endpoint_split(const char *text, char *host, size_t size, uint16_t *port);

#endif
