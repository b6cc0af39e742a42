#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "wait.h"

enum { EVERY_MS = 100, BAR = 20 };

void progress_begin(struct progress *p, const struct cli *cli)
{
	*p = (struct progress){ .shown = !cli->common.quiet && isatty(STDERR_FILENO),
				.began_ms = clock_ms() };
}

/* A bar, the share, and the time that the rest will take at the pace so far. */
static void tell_share(const struct progress *p, int64_t now, int64_t done, int64_t all)
{
	int filled = (int)(done * BAR / all);
	int64_t left_s = done == 0 ? 0 : (now - p->began_ms) * (all - done) / done / 1000;

	fprintf(stderr, "  [");
	for (int i = 0; i < BAR; i++)
		fputc(i < filled ? '=' : ' ', stderr);
	fprintf(stderr, "] %d %%", (int)(done * 100 / all));
	if (done > 0)
		fprintf(stderr, "  %" PRId64 ":%02d left", left_s / 60, (int)(left_s % 60));
}

void progress_tell(struct progress *p, int64_t events, int64_t done, int64_t all)
{
	int64_t now = p->shown ? clock_ms() : 0;
	int64_t ms;

	if (!p->shown || now - p->told_ms < EVERY_MS)
		return;
	p->told = true;
	p->told_ms = now;
	ms = now - p->began_ms;
	fprintf(stderr, "\r\033[K%" PRId64 " events  %" PRId64 "/s", events,
		ms > 0 ? events * 1000 / ms : 0);
	if (all > 0)
		tell_share(p, now, done < all ? done : all, all);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->told)
		fprintf(stderr, "\r\033[K");
	p->told = false;
}
