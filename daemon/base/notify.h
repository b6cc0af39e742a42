/*
 * The service manager's notification protocol (sd_notify(3), sd_watchdog_enabled(3)): datagrams to
 * the socket that NOTIFY_SOCKET names, written by hand since the protocol is the stable interface
 * and costs no library.
 */
#ifndef ESBRIDGE_BASE_NOTIFY_H
#define ESBRIDGE_BASE_NOTIFY_H

#include <stdint.h>

enum notify_result {
	NOTIFY_SENT,
	NOTIFY_NOBODY, /* there is no service manager to tell, or it does not listen */
	NOTIFY_FULL,   /* it has not read what came before: to be sent again a little later */
};

/*
 * Sends STATE ("READY=1", "STATUS=...", "STOPPING=1", several joined by newlines). Never waits, and
 * nobody needs to care whether somebody listens.
 */
enum notify_result notify_send(const char *state);

/*
 * Within how many microseconds the service manager wants to hear from this process ("WATCHDOG=1")
 * each time, or else takes it to be hung: from WATCHDOG_USEC and WATCHDOG_PID. 0: it does not.
 */
uint64_t notify_watchdog_us(void);

#endif
