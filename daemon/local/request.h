/*
 * One line of a client: checked, taken apart and handed to the bridge. Nothing has an effect before
 * the whole line has been found right.
 */
#ifndef ESBRIDGE_LOCAL_REQUEST_H
#define ESBRIDGE_LOCAL_REQUEST_H

#include "local/client.h"

/*
 * Takes up the line of LEN bytes at LINE (no LF at its end) of client C: exactly one answer goes
 * out for it, now or later, but for acks without an id. The line lives until the call returns.
 *
 * With SILENT_ALONE only such acks and nacks are taken up; for any other line nothing happens and
 * it returns false.
 */
bool request_take(struct client *c, const char *line, size_t len, bool silent_alone);

#endif
