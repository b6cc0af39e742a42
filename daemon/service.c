#include "service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/notify.h"

enum { AGAIN_MS = 100 };

/* Says what is due, all in one datagram: a manager that was slow gets the last word alone. */
static void tell(void *arg)
{
	struct service *s = arg;
	char text[SERVICE_STATUS + 32];

	snprintf(text, sizeof(text), "%s%s%s%s", s->state == NULL ? "" : s->state,
		 s->state != NULL && s->status_due ? "\n" : "", s->status_due ? "STATUS=" : "",
		 s->status_due ? s->status : "");
	if (notify_send(text) == NOTIFY_FULL) {
		loop_set_deadline(s->loop, &s->again, AGAIN_MS);
		return;
	}
	loop_clear_deadline(s->loop, &s->again);
	s->state = NULL;
	s->status_due = false;
}

/*
 * From the loop, so that one which hangs gives none. Half the time that the manager allows leaves a
 * long turn of a healthy daemon the other half.
 */
static void give_sign_of_life(void *arg)
{
	struct service *s = arg;
	bool full = notify_send("WATCHDOG=1") == NOTIFY_FULL;

	loop_set_deadline(s->loop, &s->watchdog,
			  full && s->ping_ms > AGAIN_MS ? AGAIN_MS : s->ping_ms);
}

void service_init(struct service *s, struct loop *loop)
{
	uint64_t interval = notify_watchdog_us();

	*s = (struct service){ .loop = loop, .ping_ms = interval / 2000 };
	if (interval != 0 && s->ping_ms == 0)
		s->ping_ms = 1;
	deadline_init(&s->again, tell, s);
	deadline_init(&s->watchdog, give_sign_of_life, s);
	if (s->ping_ms != 0)
		loop_set_deadline(loop, &s->watchdog, s->ping_ms);
}

void service_end(struct service *s)
{
	loop_clear_deadline(s->loop, &s->again);
	loop_clear_deadline(s->loop, &s->watchdog);
}

void service_ready(struct service *s)
{
	s->state = "READY=1";
	tell(s);
}

void service_reloading(void)
{
	char text[64];

	/* The time tells a manager that began the reload (Type=notify-reload) which one is meant.
	 */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, loop_clock_us());
	notify_send(text);
}

void service_stopping(struct service *s)
{
	s->state = "STOPPING=1";
	tell(s);
}

void service_status(struct service *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->status, sizeof(s->status), format, args);
	va_end(args);
	/* A line feed would begin another assignment. */
	for (char *at = s->status; *at != '\0'; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
	s->status_due = true;
	tell(s);
}
