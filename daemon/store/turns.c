#include "store/turns.h"

enum {
	MIB = 1024 * 1024,
	ALL_MOST = 8 * MIB,  /* bytes asked for at one time, */
	BESIDE_MOST = MIB,   /* while others ask for little, */
	LANE_MOST = MIB / 2, /* and of these for one client */
	HUGE = MIB,          /* what is larger has a rest after it */
	REST_MOST_US = 1000000,
	QUIET_US = 50000, /* without others, until they count as gone */
	MS_US = 1000,
};

void lane_init(struct lane *lane)
{
	*lane = (struct lane){ .bytes = 0 };
	link_init(&lane->link);
	link_init(&lane->waiting);
}

void turn_init(struct turn *t, void (*come)(struct turn *t, bool granted))
{
	*t = (struct turn){ .come = come };
	link_init(&t->link);
}

bool turns_has_others(struct turns *turns)
{
	uint64_t now = loop_now_us(turns->loop);

	if (turns->others != turns->others_seen) {
		turns->others_seen = turns->others;
		turns->others_at_us = now;
	}
	return turns->others_seen != 0 && now < turns->others_at_us + QUIET_US;
}

/* Whatever its size, one may be asked for. */
static bool has_room(struct turns *turns, size_t bytes)
{
	return turns->bytes == 0 ||
	       turns->bytes + bytes <= (turns_has_others(turns) ? BESIDE_MOST : ALL_MOST);
}

static bool lane_has_room(struct turns *turns, const struct lane *lane, size_t bytes)
{
	return lane->bytes == 0 || !turns_has_others(turns) || lane->bytes + bytes <= LANE_MOST;
}

static bool has_to_rest(struct turns *turns, size_t bytes)
{
	return bytes > HUGE && turns_has_others(turns) &&
	       loop_now_us(turns->loop) < turns->rest_until_us;
}

static void have(struct turns *turns, struct turn *t)
{
	if (turns->bytes == 0)
		turns->began_us = loop_now_us(turns->loop);
	turns->huge |= t->bytes > HUGE;
	turns->bytes += t->bytes;
	t->lane->bytes += t->bytes;
	t->had = true;
}

/* The first turn of the lane that is next, as far as it may be had, or NULL. */
static struct turn *next_turn(struct turns *turns)
{
	for (struct link *l = list_first(&turns->lanes); l != NULL;
	     l = list_next(&turns->lanes, l)) {
		struct lane *lane = CONTAINER(l, struct lane, link);
		struct turn *t = CONTAINER(lane->waiting.next, struct turn, link);

		if (has_to_rest(turns, t->bytes)) {
			if (!deadline_is_set(&turns->later))
				loop_set_deadline(
					turns->loop, &turns->later,
					(turns->rest_until_us - loop_now_us(turns->loop)) / MS_US +
						1);
			continue;
		}
		/* What is large must not wait until nothing small is asked for. */
		if (lane_has_room(turns, lane, t->bytes))
			return has_room(turns, t->bytes) ? t : NULL;
	}
	return NULL;
}

static void leave_queue(struct turn *t)
{
	list_remove(&t->link);
	if (list_empty(&t->lane->waiting))
		list_remove(&t->lane->link);
}

/* Whoever has had a turn is the last now. */
static void to_the_end(struct turns *turns, struct lane *lane)
{
	if (!link_used(&lane->link))
		return;
	list_remove(&lane->link);
	list_append(&turns->lanes, &lane->link);
}

static void on_next(void *arg)
{
	struct turns *turns = arg;
	struct turn *t;

	while ((t = next_turn(turns)) != NULL) {
		leave_queue(t);
		to_the_end(turns, t->lane);
		have(turns, t);
		t->come(t, true);
	}
}

bool turn_take(struct turns *turns, struct turn *t, struct lane *lane, size_t bytes)
{
	t->lane = lane;
	t->bytes = bytes;
	if (list_empty(&turns->lanes) && lane_has_room(turns, lane, bytes) &&
	    has_room(turns, bytes) && !has_to_rest(turns, bytes)) {
		have(turns, t);
		return true;
	}
	list_append(&lane->waiting, &t->link);
	if (!link_used(&lane->link))
		list_append(&turns->lanes, &lane->link);
	loop_put_off(turns->loop, &turns->next);
	return false;
}

void turn_leave_lane(struct turn *t)
{
	if (t->had && t->lane != NULL) {
		t->lane->bytes -= t->bytes;
		t->lane = NULL;
	}
}

/* All answers have come. */
static void rest(struct turns *turns)
{
	uint64_t now = loop_now_us(turns->loop);
	uint64_t took = now - turns->began_us;

	if (turns->huge)
		turns->rest_until_us = now + (took < REST_MOST_US ? took : REST_MOST_US);
	turns->huge = false;
}

void turn_end(struct turns *turns, struct turn *t)
{
	if (turn_waits(t))
		leave_queue(t);
	if (t->had) {
		turn_leave_lane(t);
		t->had = false;
		turns->bytes -= t->bytes;
		if (turns->bytes == 0)
			rest(turns);
	}
	t->lane = NULL;
	if (!list_empty(&turns->lanes))
		loop_put_off(turns->loop, &turns->next);
}

void turns_init(struct turns *turns, struct loop *loop)
{
	turns->loop = loop;
	link_init(&turns->lanes);
	job_init(&turns->next, on_next, turns);
	deadline_init(&turns->later, on_next, turns);
}

void turns_stop(struct turns *turns)
{
	struct link *l;

	job_cancel(&turns->next);
	loop_clear_deadline(turns->loop, &turns->later);
	while ((l = list_first(&turns->lanes)) != NULL) {
		const struct lane *lane = CONTAINER(l, struct lane, link);
		struct turn *t = CONTAINER(lane->waiting.next, struct turn, link);

		leave_queue(t);
		t->lane = NULL;
		t->come(t, false);
	}
}
