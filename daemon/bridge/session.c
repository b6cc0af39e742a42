#include "bridge/session.h"

#include "bridge/execute.h"
#include "bridge/reader.h"

enum { SECOND = 1000000 };

void bridge_free(struct bridge *bridge)
{
	execute_free_spares(bridge);
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

void session_init(struct session *s, struct bridge *bridge, const struct session_events *events,
		  struct buffer *out, unsigned number)
{
	*s = (struct session){ .bridge = bridge, .events = events, .out = out, .number = number };
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
		r->session = NULL;
		list_remove(l);
		if (link_used(&r->held)) {
			list_remove(&r->held);
			r->again(r);
		}
	}
	s->in_flight = 0;
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

void session_resume(struct session *s)
{
	struct link *l;

	s->hungry = false;
	reader_resume_all(s);
	while (!session_is_full(s) && (l = list_first(&s->held)) != NULL) {
		struct request *r = CONTAINER(l, struct request, held);

		list_remove(l);
		r->again(r);
	}
}

void request_hold(struct request *r, void (*again)(struct request *r))
{
	r->again = again;
	r->session->hungry = true;
	list_append(&r->session->held, &r->held);
}

void request_begin(struct request *r, struct session *s, const struct request_id *id)
{
	r->bridge = s->bridge;
	r->session = s;
	r->id = *id;
	r->client = s->number;
	link_init(&r->link);
	link_init(&r->held);
	list_append(&s->requests, &r->link);
	s->in_flight++;
	s->bridge->requests++;
}

void request_end(struct request *r)
{
	struct session *s = r->session;

	r->bridge->requests--;
	list_remove(&r->link);
	r->session = NULL;
	if (s == NULL)
		return;
	s->in_flight--;
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
