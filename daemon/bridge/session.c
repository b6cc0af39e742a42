#include "bridge/session.h"

#include "bridge/execute.h"
#include "bridge/reader.h"

enum { SECOND = 1000000 };

void bridge_free(struct bridge *bridge)
{
	execute_free_spares(bridge);
	idtable_free(&bridge->correlations);
	for (size_t i = 0; i < RENDERINGS; i++)
		buffer_free(&bridge->renderings[i].text);
}

uint64_t bridge_pushed(const struct bridge *bridge)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < METRICS_MODES; i++)
		sum += bridge->counters.pushed[i];
	return sum;
}

/* What an event of a page is taken to have before one has come, and at least. */
enum { FIRST_EVENT = 1024, EVENT_LEAST = 64 };

/* The answer that R was asked again for has come, or will not. */
static void await_no_more(struct session *s, struct request *r)
{
	s->awaited -= r->awaited;
	r->awaited = 0;
}

/* R goes on without its session S. */
static void request_forget(struct session *s, struct request *r)
{
	await_no_more(s, r);
	list_remove(&r->link);
	r->session = NULL;
	s->bridge->busy -= --s->in_flight == 0;
	s->asked -= r->bytes;
	s->expected -= r->expected;
	if (r->turn.had)
		turn_leave_lane(&r->turn);
}

/* R forgets its client, which has gone, before it was sent, or sent again. */
static void request_let_go(struct session *s, struct request *r)
{
	list_remove(&r->held);
	if (turn_waits(&r->turn))
		turn_end(&s->bridge->store->turns, &r->turn);
	request_forget(s, r);
	r->again(r);
}

void session_init(struct session *s, struct bridge *bridge, const struct session_events *events,
		  struct buffer *out, unsigned number)
{
	*s = (struct session){ .bridge = bridge, .events = events, .out = out, .number = number };
	s->event_bytes = FIRST_EVENT;
	lane_init(&s->lane);
	link_init(&s->requests);
	link_init(&s->held);
	link_init(&s->subscriptions);
}

void session_end(struct session *s)
{
	struct link *l;
	struct request *r;

	reader_end_all(s);
	while ((l = list_first(&s->requests)) != NULL) {
		r = CONTAINER(l, struct request, link);
		if (link_used(&r->held) || turn_waits(&r->turn))
			request_let_go(s, r);
		else
			request_forget(s, r);
	}
}

enum {
	SHARED = 32,     /* requests in flight that keep a store busy which answers in */
	SHARED_US = 100, /* as many microseconds; more where it takes longer */
	SHARE_LEAST = 6, /* of one session */
	AHEAD = 16,      /* of those that waited for their turn, not answered yet */
	LIGHT = 2,       /* requests in flight of who asks for little */
	SHARED_FOR = SHARE_LASTS * 1000, /* microseconds since another had a request in flight, or
					    asked for little */
	SILENT = SECOND /* and since the store has answered, until nobody waits for it */
};

/* How far away the store is, is told by the last second in which it has answered. */
static void look_at_second(struct bridge *bridge, uint64_t now)
{
	uint64_t any = 0;

	for (size_t i = 0; i < MESSAGE_MANAGE; i++)
		any |= bridge->quickest[i].now_us;
	if (any == 0)
		return;
	for (size_t i = 0; i < MESSAGE_MANAGE; i++) {
		bridge->quickest[i].us = bridge->quickest[i].now_us;
		bridge->quickest[i].now_us = 0;
	}
	bridge->second_ends_us = now + SECOND;
}

/* As many for this store as COUNT for one that answers in SHARED_US. A disk takes its time for what
 * is written while it does not hold up what is read. */
static uint64_t for_this_store(const struct bridge *bridge, uint64_t count)
{
	uint64_t us = SHARED_US;

	for (size_t i = 0; i < MESSAGE_MANAGE; i++) {
		if (bridge->quickest[i].us > us)
			us = bridge->quickest[i].us;
	}
	return count * us / SHARED_US;
}

bool bridge_is_shared(const struct bridge *bridge, uint64_t now)
{
	return now < bridge->shared_until_us && now < bridge->answered_us + SILENT;
}

void session_asks_no_more(const struct session *s)
{
	if (s->in_flight > 0 && s->in_flight <= LIGHT)
		s->bridge->light_until_us = loop_now_us(s->bridge->loop) + SHARED_FOR;
}

bool bridge_makes_way(const struct bridge *bridge, uint64_t now)
{
	return now < bridge->light_until_us && bridge_is_shared(bridge, now);
}

bool bridge_has_room(void *bridge)
{
	const struct bridge *b = bridge;

	return !bridge_makes_way(b, loop_now_us(b->loop)) ||
	       store_is_behind_by(b->store) < for_this_store(b, AHEAD);
}

uint32_t session_share(const struct session *s, uint64_t now)
{
	struct bridge *bridge = s->bridge;
	uint32_t others = bridge->busy - (s->in_flight > 0);
	uint64_t share;

	if (now >= bridge->second_ends_us)
		look_at_second(bridge, now);
	if (others > 0)
		bridge->shared_until_us = now + SHARED_FOR;
	if (!bridge_is_shared(bridge, now))
		return UINT32_MAX;
	share = for_this_store(bridge, SHARED) / (others + 1);
	return share < SHARE_LEAST  ? SHARE_LEAST
	       : share > UINT32_MAX ? UINT32_MAX
				    : (uint32_t)share;
}

void bridge_answered(struct bridge *bridge, enum message_kind kind, size_t bytes, uint64_t took,
		     uint64_t now)
{
	uint64_t *quickest;

	bridge->answered_us = now;
	if (kind >= MESSAGE_MANAGE || bytes > TURN_FREE)
		return;
	quickest = &bridge->quickest[kind].now_us;
	if (took < *quickest || *quickest == 0)
		*quickest = took;
}

void session_pay(struct session *s, uint64_t events)
{
	struct meter *m = s->meter;
	uint64_t now = loop_now_us(s->bridge->loop);

	if (m->paid_till + SECOND < now)
		m->paid_till = now - SECOND;
	m->paid_till += events * SECOND / m->rate;
	if (m->paid_till <= now)
		return;
	s->waits = true;
	s->events->waits(s, (m->paid_till - now + 999) / 1000);
}

void session_set_meter(struct session *s, struct meter *meter)
{
	s->meter = meter;
	if (s->waits)
		session_go_on(s);
}

void session_go_on(struct session *s)
{
	s->waits = false;
	s->events->wrote(s); /* where there is room, subscriptions go on */
	s->events->eased(s);
}

void session_forget_held(struct session *s)
{
	struct link *l, *next;

	while ((l = list_first(&s->held)) != NULL)
		request_let_go(s, CONTAINER(l, struct request, held));
	for (l = list_first(&s->requests); l != NULL; l = next) {
		struct request *r = CONTAINER(l, struct request, link);

		next = list_next(&s->requests, l);
		if (turn_waits(&r->turn))
			request_let_go(s, r);
	}
}

void session_resume(struct session *s)
{
	size_t most = s->bridge->settings.output_cap;
	struct link *l;

	s->hungry = false;
	reader_resume_all(s);
	while (!session_is_full(s, 0) && (l = list_first(&s->held)) != NULL) {
		struct request *r = CONTAINER(l, struct request, held);

		/* No more than there will be room for: the rest would be read in vain. */
		if (s->awaited > 0 && s->awaited + r->size > most)
			break;
		list_remove(l);
		r->awaited = r->size;
		s->awaited += r->awaited;
		r->again(r);
	}
	if (!list_empty(&s->held))
		s->hungry = true;
}

void request_hold(struct request *r, size_t size, void (*again)(struct request *r))
{
	struct session *s = r->session;

	await_no_more(s, r);
	if (r->turn.had)
		turn_end(&s->bridge->store->turns, &r->turn);
	r->again = again;
	r->size = size;
	s->hungry = true;
	list_append(&s->held, &r->held);
}

void request_begin(struct request *r, struct session *s, const struct request_id *id, size_t bytes)
{
	r->bridge = s->bridge;
	r->session = s;
	r->id = *id;
	r->client = s->number;
	r->bytes = bytes;
	r->expected = 0;
	r->awaited = 0;
	link_init(&r->link);
	link_init(&r->held);
	list_append(&s->requests, &r->link);
	s->bridge->busy += s->in_flight++ == 0;
	s->asked += bytes;
	s->bridge->requests++;
}

void request_expect_page(struct request *r, uint32_t count)
{
	struct session *s = r->session;

	r->count = count;
	r->expected = s->event_bytes * count;
	s->expected += r->expected;
}

void request_count_page(struct request *r, size_t bytes)
{
	struct session *s = r->session;

	if (s == NULL || r->expected == 0)
		return;
	s->event_bytes /= 2;
	if (s->event_bytes < bytes / r->count)
		s->event_bytes = bytes / r->count;
	if (s->event_bytes < EVENT_LEAST)
		s->event_bytes = EVENT_LEAST;
}

bool request_take_turn(struct request *r, void (*come)(struct turn *t, bool granted),
		       void (*again)(struct request *r))
{
	struct session *s = r->session;

	if (r->expected <= TURN_FREE)
		return true;
	r->again = again;
	turn_init(&r->turn, come);
	return turn_take(&s->bridge->store->turns, &r->turn, &s->lane, r->expected);
}

void request_end(struct request *r)
{
	struct session *s = r->session;

	r->bridge->requests--;
	if (r->turn.had || r->turn.lane != NULL)
		turn_end(&r->bridge->store->turns, &r->turn);
	if (s == NULL)
		return;
	request_forget(s, r);
	s->events->wrote(s);
	s->events->eased(s);
}

void request_fail(struct request *r, enum error_code code, enum outcome outcome, const char *format,
		  ...)
{
	struct buffer *out = request_out(r);
	va_list list;

	if (out != NULL) {
		va_start(list, format);
		answer_error_list(out, &r->id, code, outcome, format, list);
		va_end(list);
		answer_end(out);
	}
	request_end(r);
}

void session_refuse(struct session *s, const struct request_id *id, enum error_code code,
		    enum outcome outcome, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	answer_error_list(s->out, id, code, outcome, format, list);
	va_end(list);
	answer_end(s->out);
	s->events->wrote(s);
}
