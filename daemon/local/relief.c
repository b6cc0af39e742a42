#include "local/relief.h"

#include "base/account.h"
#include "base/buffer.h"
#include "base/log.h"
#include "local/client.h"

enum {
	AGAIN = 50,            /* milliseconds until it is looked again, while memory is short */
	CLIENTS_ONCE = 64,     /* of those, as many are relieved in one turn */
	SILENCE_US = 10000000, /* and so long the log is told of it once */
};

/* The client that holds most, without any, or NULL. */
static struct client *worst(const struct local *local, const struct client *without)
{
	uint64_t now = loop_now_us(local->loop);
	struct client *found = NULL;
	size_t most = 0;

	for (struct link *l = list_first(&local->clients); l != NULL;
	     l = list_next(&local->clients, l)) {
		struct client *c = CONTAINER(l, struct client, link);
		size_t holds = c == without ? 0 : client_holds(c, now);

		if (holds > most) {
			most = holds;
			found = c;
		}
	}
	return found;
}

static void go_on(struct local *local)
{
	for (struct link *l = list_first(&local->clients); l != NULL;
	     l = list_next(&local->clients, l))
		client_go_on(CONTAINER(l, struct client, link));
}

/* Relieves clients until no more than MOST bytes are used, or nobody holds much. */
static void relieve_clients(struct local *local, size_t most, const struct client *without)
{
	struct client *c;

	for (int i = 0; i < CLIENTS_ONCE && account.used > most; i++) {
		c = worst(local, without);
		if (c == NULL)
			return;
		client_relieve(c, loop_now_us(local->loop));
	}
}

void relief_make_room(struct local *local, size_t bytes, const struct client *c)
{
	if (account.used + bytes <= account.mark)
		return;
	store_relieve(local->bridge->store);
	relieve_clients(local, bytes < account.mark ? account.mark - bytes : 0, c);
}

static void tell(struct local *local)
{
	uint64_t now = loop_now_us(local->loop);

	local->relief.count++;
	if (local->relief.told_us != 0 && now < local->relief.told_us + SILENCE_US)
		return;
	local->relief.told_us = now;
	log_write(LOG_WARNING, "memory is short used=%zu limit=%zu", account.used, account.limit);
}

/* Goes on to half of the memory: who comes next has to find some. */
static void relieve(void *arg)
{
	struct local *local = arg;

	if (!account_is_short()) {
		local->relief.under_way = false;
		go_on(local);
		return;
	}
	if (!local->relief.under_way) {
		local->relief.under_way = true;
		tell(local);
	}
	buffer_age_spares();
	store_relieve(local->bridge->store);
	relieve_clients(local, account.limit / 2, NULL);
	loop_set_deadline(local->loop, &local->relief.again, account_is_short() ? AGAIN : 0);
}

void relief_init(struct local *local)
{
	job_init(&local->relief.job, relieve, local);
	deadline_init(&local->relief.again, relieve, local);
}

void relief_begin(void *arg)
{
	struct local *local = arg;

	if (!local->relief.under_way)
		loop_put_off(local->loop, &local->relief.job);
}

void relief_stop(struct local *local)
{
	job_cancel(&local->relief.job);
	loop_clear_deadline(local->loop, &local->relief.again);
}
