/* Handing out what has come, to callbacks or to esbridge_next(), and what an event loop asks for.
 */
#include <poll.h>

#include "context.h"
#include "request.h"
#include "subscription.h"

static size_t size_of(const struct item *item)
{
	return item->message == NULL ? 0 : item->message->size;
}

void dispatch_put(struct esbridge *e, struct item *item)
{
	list_append(item->fn != NULL ? &e->calls : &e->inbox, &item->place);
	e->queued_bytes += size_of(item);
}

static void take_off(struct esbridge *e, struct item *item)
{
	list_remove(&item->place);
	e->queued_bytes -= size_of(item);
}

void dispatch_discard(struct esbridge *e, struct item *item)
{
	struct message *message = item->message;

	take_off(e, item);
	if (item->request != NULL)
		request_release(e, item->request);
	else
		esbridge_message_free(&message->public);
}

static void purge(struct esbridge *e, struct link *list, const struct subscription *sub, bool all)
{
	struct link *l, *next;

	for (l = list_first(list); l != NULL; l = next) {
		struct item *item = CONTAINER(l, struct item, place);

		next = list_next(list, l);
		if (item->sub == sub && (all || item->message->public.push == ESBRIDGE_PUSH_EVENT))
			dispatch_discard(e, item);
	}
}

void dispatch_purge(struct esbridge *e, const struct subscription *sub, bool all)
{
	purge(e, &e->calls, sub, all);
	purge(e, &e->inbox, sub, all);
}

/* Calls the callback for ITEM, which is on one of the queues, with FN and USER. */
static void call(struct esbridge *e, struct item *item, esbridge_fn *fn, void *user)
{
	struct message *message;

	take_off(e, item);
	message = item->message;
	if (item->request != NULL) {
		message = request_answer(e, item->request);
		item->message = NULL;
		request_release(e, item->request);
	} else {
		subscription_handed_out(e, item);
	}
	e->entered++;
	fn(e, message == NULL ? NULL : &message->public, user);
	e->entered--;
	if (message != NULL)
		esbridge_message_free(&message->public);
}

bool dispatch_calls(struct esbridge *e)
{
	bool any = false;

	/* In a callback that waits: the others have their turn when it has returned. */
	while (e->entered == 0 && !e->closing) {
		struct link *l = list_first(&e->calls);
		struct item *item;

		if (l == NULL && e->on_message != NULL)
			l = list_first(&e->inbox);
		if (l == NULL)
			return any;
		item = CONTAINER(l, struct item, place);
		if (item->fn != NULL)
			call(e, item, item->fn, item->user);
		else
			call(e, item, e->on_message, e->on_message_user);
		any = true;
	}
	return any;
}

void dispatch_end(struct esbridge *e)
{
	struct link *l;

	while ((l = list_first(&e->calls)) != NULL) {
		struct item *item = CONTAINER(l, struct item, place);

		if (item->request != NULL)
			call(e, item, item->fn, item->user);
		else
			dispatch_discard(e, item);
	}
	while ((l = list_first(&e->inbox)) != NULL)
		dispatch_discard(e, CONTAINER(l, struct item, place));
}

/* The context was closed in a callback: it goes now. */
static bool gone(struct esbridge *e)
{
	if (!e->closing || e->entered > 0)
		return false;
	context_end(e);
	return true;
}

static bool take_message(struct esbridge *e, struct esbridge_message **message)
{
	struct link *l = message == NULL ? NULL : list_first(&e->inbox);
	struct item *item;

	if (l == NULL)
		return false;
	item = CONTAINER(l, struct item, place);
	take_off(e, item);
	subscription_handed_out(e, item);
	*message = &item->message->public;
	return true;
}

int esbridge_next(struct esbridge *e, int timeout_ms, struct esbridge_message **message)
{
	int64_t until = -1;
	int waited = 1;

	if (message != NULL)
		*message = NULL;
	subscription_bury(e);
	if (timeout_ms >= 0 && list_empty(&e->inbox))
		until = now_ms() + timeout_ms;
	for (;;) {
		bool called = dispatch_calls(e);

		if (gone(e))
			return -1;
		if (take_message(e, message)) {
			dispatch_watch(e);
			return 1;
		}
		if (waited <= 0 || called || (waited == 2 && until >= 0 && now_ms() >= until)) {
			dispatch_watch(e);
			return called || waited >= 0 ? 0 : -1;
		}
		waited = connection_wait(e, until);
		waited = waited == 1 ? 2 : waited;
	}
}

int esbridge_process(struct esbridge *e, short revents)
{
	int result;

	e->async = true;
	result = connection_turn(e, revents);
	if (dispatch_calls(e))
		connection_send(e);
	if (gone(e))
		return -1;
	dispatch_watch(e);
	return result < 0 ? -1 : 0;
}

int esbridge_flush(struct esbridge *e, int timeout_ms)
{
	int64_t until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	int result = 0;

	connection_send(e);
	while (!list_empty(&e->unsent) && result == 0) {
		if (until >= 0 && now_ms() >= until) {
			failure_set(&e->failure, ESBRIDGE_E_TIMEOUT,
				    "%zu bytes are not sent within the time allowed",
				    e->unsent_bytes);
			result = -1;
		} else if (connection_wait(e, until) < 0) {
			result = -1;
		}
	}
	dispatch_watch(e);
	return result;
}

void esbridge_on_message(struct esbridge *e, esbridge_fn *fn, void *user)
{
	e->on_message = fn;
	e->on_message_user = user;
	dispatch_watch(e);
}

/* What to wait for -------------------------------------------------------------------------------- */

int esbridge_fd(const struct esbridge *e)
{
	return e->fd;
}

/* When esbridge_process() is to be called, on now_ms()'s clock; 0: at once; -1: never. */
static int64_t wanted_at(const struct esbridge *e)
{
	bool waits = !list_empty(&e->calls) || (e->on_message != NULL && !list_empty(&e->inbox));

	return waits ? 0 : connection_due(e);
}

int esbridge_deadline(const struct esbridge *e)
{
	int64_t at = wanted_at(e);
	int64_t left = at - now_ms();

	if (at < 0)
		return -1;
	return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

void esbridge_set_watcher(struct esbridge *e, esbridge_watch_fn *fn, void *user)
{
	e->watcher = fn;
	e->watcher_user = user;
	e->async = e->async || fn != NULL;
	e->told = (struct wanted){ -2, 0, 0 };
	dispatch_watch(e);
}

void dispatch_watch(struct esbridge *e)
{
	struct wanted w;

	if (e->watcher == NULL)
		return;
	w = (struct wanted){ e->fd, esbridge_events(e), wanted_at(e) };
	if (w.fd == e->told.fd && w.events == e->told.events && w.at == e->told.at)
		return;
	e->told = w;
	e->watcher(e, false, e->watcher_user);
}
