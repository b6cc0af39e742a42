/*
 * The service manager's notification protocol (sd_notify(3)): datagrams to the socket that
 * NOTIFY_SOCKET names, written by hand since the protocol is the stable interface and costs no
 * library.
 */
#ifndef ESBRIDGE_BASE_NOTIFY_H
#define ESBRIDGE_BASE_NOTIFY_H

#include <stdbool.h>

/*
 * Sends STATE ("READY=1", "STATUS=...", "STOPPING=1", several joined by newlines). Returns false
 * where there is no service manager to tell, or it does not listen; nobody needs to care.
 */
bool notify_send(const char *state);

/* The same as printf(3), cut at 512 bytes. */
bool notify_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
