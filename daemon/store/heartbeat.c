#include "store/heartbeat.h"

static void on_beat(void *arg)
{
	struct heartbeat *h = arg;
	bool heard = h->traffic->in != h->before.in;
	bool spoke = h->traffic->out != h->before.out;

	if (h->asked && !heard) {
		h->silent(h->arg);
		return;
	}
	h->asked = !heard;
	h->before = *h->traffic;
	if (!heard || !spoke)
		h->ask(h->arg);
	loop_set_deadline(h->loop, &h->beat, h->asked ? h->timeout : h->interval);
}

void heartbeat_init(struct heartbeat *h)
{
	deadline_init(&h->beat, on_beat, h);
}

void heartbeat_start(struct heartbeat *h)
{
	h->asked = false;
	h->before = *h->traffic;
	loop_set_deadline(h->loop, &h->beat, h->interval);
}

void heartbeat_stop(struct heartbeat *h)
{
	loop_clear_deadline(h->loop, &h->beat);
}
