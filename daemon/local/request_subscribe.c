#include "local/request_parts.h"

#include <string.h>

#include "base/mem.h"
#include "bridge/checkpoint.h"
#include "bridge/execute.h"
#include "bridge/reader.h"
#include "local/client_access.h"

enum {
	IN_FLIGHT_MOST = 10000,
	WINDOW_MOST = 100000,
	READ_BATCH_MOST = 4096,
	CHECKPOINT_WINDOW = 500, /* where a checkpoint is given and no window */
};

/* Which members go with which mode. */
struct mode_row {
	const char *name;
	uint32_t takes;
};

static const struct mode_row modes[] = {
	[READER_LIVE] = { "live", BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) },
	[READER_CATCHUP] = { "catchup", BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) |
						BIT(M_FROM) | BIT(M_READ_BATCH) |
						BIT(M_REQUIRE_MASTER) | BIT(M_REQUIRE_LEADER) |
						BIT(M_CHECKPOINT) },
	[READER_PERSISTENT] = { "persistent", BIT(M_GROUP) | BIT(M_IN_FLIGHT) },
};

/* The mode that is given, or else the one that the other members tell (PROTOCOL, section 3). */
static bool subscribe_mode(struct line *l, enum reader_mode *mode)
{
	static const char *const words[] = { "live", "catchup", "persistent", NULL };
	int i = line_given(l, M_GROUP)                                 ? READER_PERSISTENT
		: line_given(l, M_FROM) || line_given(l, M_CHECKPOINT) ? READER_CATCHUP
								       : READER_LIVE;

	if (line_given(l, M_MODE))
		i = line_word(l, M_MODE, words);
	if (i < 0)
		return line_refuse_member(l, M_MODE);
	*mode = (enum reader_mode)i;
	for (int m = 0; m < MEMBER_COUNT; m++) {
		if (line_given(l, (enum member)m) && (OF_MODES & ~modes[i].takes & BIT(m)) != 0) {
			line_refuse(l, ERROR_BAD_REQUEST,
				    "%s is not for subscriptions of mode \"%s\"",
				    member_rows[m].name, modes[i].name);
			return false;
		}
	}
	if (*mode == READER_PERSISTENT && !line_given(l, M_GROUP)) {
		line_refuse(l, ERROR_BAD_REQUEST, "a persistent subscription needs group");
		return false;
	}
	return true;
}

static bool from(struct line *l, struct subscribe_arguments *a)
{
	uint32_t t = l->value[M_FROM];
	int64_t number = 0;

	if (!line_given(l, M_FROM) || json_string_is(l->doc, t, "start", 5))
		return true;
	a->from_end =
		line_token(l, M_FROM)->kind == JSON_STRING && json_string_is(l->doc, t, "end", 3);
	if (a->from_end)
		return true;
	if (a->stream[0] == '\0')
		return line_position(l, t, &a->from) || line_refuse_member(l, M_FROM);
	if (line_token(l, M_FROM)->kind != JSON_NUMBER || !json_int64_get(l->doc, t, &number) ||
	    number < 0 || number == INT64_MAX)
		return line_refuse_member(l, M_FROM);
	a->from.commit = number;
	return true;
}

/* The filter is encoded into l->text, which has room for it and does not move. */
static bool filter(struct line *l, struct subscribe_arguments *a)
{
	size_t before = buffer_len(&l->text);
	char fault[512];

	if (!line_given(l, M_FILTER))
		return true;
	if (a->stream[0] != '\0') {
		line_refuse(l, ERROR_BAD_REQUEST, "filter is for all streams alone");
		return false;
	}
	if (!reader_filter(l->doc, l->value[M_FILTER], &l->text, fault, sizeof(fault))) {
		line_refuse(l, ERROR_BAD_REQUEST, "%s", fault);
		return false;
	}
	if (buffer_len(&l->text) - before > STREAM_MOST) {
		line_refuse(l, ERROR_BAD_REQUEST, "filter may have at most %d bytes in all",
			    STREAM_MOST);
		return false;
	}
	a->filter = (struct span){ buffer_at(&l->text) + before, buffer_len(&l->text) - before };
	return true;
}

static bool numbers(struct line *l, struct subscribe_arguments *a)
{
	int64_t window = 0, batch = 0;
	int64_t standard = a->checkpoint != NULL ? CHECKPOINT_WINDOW : 0;

	if (a->mode == READER_PERSISTENT
		    ? !line_integer(l, M_IN_FLIGHT, 10, 1, IN_FLIGHT_MOST, &window)
		    : !line_integer(l, M_WINDOW, standard, 0, WINDOW_MOST, &window))
		return false;
	if (a->checkpoint != NULL && window == 0) {
		line_refuse(l, ERROR_BAD_REQUEST,
			    "window must be at least 1 with a checkpoint, which keeps what is "
			    "acknowledged");
		return false;
	}
	if (!line_integer(l, M_READ_BATCH, 500, 1, READ_BATCH_MOST, &batch))
		return false;
	if (line_given(l, M_REQUIRE_MASTER) && line_given(l, M_REQUIRE_LEADER)) {
		line_refuse(
			l, ERROR_BAD_REQUEST,
			"require_master and require_leader are the same, one alone may be given");
		return false;
	}
	a->window = (int32_t)window;
	a->read_batch = (int32_t)batch;
	a->require_master = l->client->local->bridge->settings.require_master;
	if (line_given(l, M_REQUIRE_MASTER))
		a->require_master = line_token(l, M_REQUIRE_MASTER)->kind == JSON_TRUE;
	if (line_given(l, M_REQUIRE_LEADER))
		a->require_master = line_token(l, M_REQUIRE_LEADER)->kind == JSON_TRUE;
	if (line_given(l, M_RESOLVE_LINK_TOS))
		a->resolve_link_tos = line_token(l, M_RESOLVE_LINK_TOS)->kind == JSON_TRUE;
	return true;
}

static bool checkpoint(struct line *l, struct subscribe_arguments *a)
{
	return !line_given(l, M_CHECKPOINT) ||
	       line_kept_text(l, M_CHECKPOINT, 1, CHECKPOINT_NAME_MOST, &a->checkpoint);
}

/* Everything but the credentials. NAME is where the name of the subscription goes. */
static bool subscribe_arguments(struct line *l, struct subscribe_arguments *a,
				char name[NAME_MOST + 1])
{
	if (!subscribe_mode(l, &a->mode) ||
	    !line_kept_text(l, M_STREAM, 0, STREAM_MOST, &a->stream) ||
	    (line_given(l, M_GROUP) && !line_kept_text(l, M_GROUP, 1, STREAM_MOST, &a->group)) ||
	    (line_given(l, M_SUB) && !line_text(l, M_SUB, name, 1, NAME_MOST)) ||
	    !checkpoint(l, a) || !numbers(l, a) || !line_payload_mode(l, &a->payload) ||
	    !line_timeout(l, &a->timeout_ms))
		return false;
	a->name = line_given(l, M_SUB) ? name : NULL;
	if (strcmp(a->stream, "$all") == 0)
		a->stream = "";
	if (a->mode == READER_PERSISTENT && a->stream[0] == '\0') {
		line_refuse(
			l, ERROR_BAD_REQUEST,
			"stream must be the name of a stream: the store has no groups on all streams over TCP");
		return false;
	}
	return from(l, a) && filter(l, a);
}

void take_subscribe(struct line *l)
{
	struct subscribe_arguments a = { .resolve_link_tos = true };
	const struct credentials *chosen;
	struct credentials who;
	char name[NAME_MOST + 1];

	/* No text, nor what is made of it, is longer than its token: with this room the buffer does
	 * not move under what it holds. */
	if (buffer_room(&l->text, (size_t)l->doc->tokens[0].len * 2 + 64) == NULL) {
		line_refuse(l, ERROR_OVERLOADED,
			    "esbridge has no memory for a request of this size now");
		return;
	}
	if (!subscribe_arguments(l, &a, name) ||
	    !client_may_subscribe(l->client, &l->id, a.stream, a.checkpoint) ||
	    !line_credentials(l, &who, &chosen))
		return;
	a.who = client_credentials(l->client, chosen, &who);
	a.own = chosen != NULL;
	reader_subscribe(&l->client->session, &l->id, &a);
	if (a.who != NULL)
		mem_wipe(&who, sizeof(who));
}

void take_unsubscribe(struct line *l)
{
	char name[NAME_MOST + 1];
	uint64_t ms;

	if (line_text(l, M_SUB, name, 1, NAME_MOST) && line_timeout(l, &ms))
		reader_unsubscribe(&l->client->session, &l->id, name, ms);
}

static void acknowledge(struct line *l, struct ack_arguments *a)
{
	char name[NAME_MOST + 1];

	if (!line_text(l, M_SUB, name, 1, NAME_MOST))
		return;
	if (line_given(l, M_EVENTS) == line_given(l, M_UP_TO)) {
		line_refuse(l, ERROR_BAD_REQUEST, "either events or up_to is needed, and not both");
		return;
	}
	a->doc = l->doc;
	a->events = line_given(l, M_EVENTS) ? l->value[M_EVENTS] : (uint32_t)NO_TOKEN;
	a->up_to = line_given(l, M_UP_TO) ? l->value[M_UP_TO] : (uint32_t)NO_TOKEN;
	reader_acknowledge(&l->client->session, &l->id, name, a);
}

void take_ack(struct line *l)
{
	struct ack_arguments a = { .negative = false };

	acknowledge(l, &a);
}

void take_nack(struct line *l)
{
	/* The numbers of the store's NakAction. */
	static const char *const words[] = { "unknown", "park", "retry", "skip", "stop", NULL };
	struct ack_arguments a = { .negative = true, .action = 2 };

	if (line_given(l, M_ACTION))
		a.action = line_word(l, M_ACTION, words);
	if (a.action < 0) {
		line_refuse_member(l, M_ACTION);
		return;
	}
	if (line_given(l, M_REASON)) {
		if (!json_string_get(l->doc, l->value[M_REASON], &l->text)) {
			line_refuse_member(l, M_REASON);
			return;
		}
		a.reason = (const char *)buffer_at(&l->text);
		a.reason_len = buffer_len(&l->text);
	}
	acknowledge(l, &a);
}
