#include "local/request_parts.h"

#include "bridge/checkpoint_ops.h"
#include "local/client_access.h"

enum action { LIST, GET, SET, DELETE };

static const char *const actions[] = { "list", "get", "set", "delete", NULL };

/* Which members go with which action: all of them are needed. */
static const uint32_t needs[] = {
	[LIST] = 0,
	[GET] = BIT(M_NAME),
	[SET] = BIT(M_NAME) | BIT(M_POSITION),
	[DELETE] = BIT(M_NAME),
};

static bool checkpoint_action(struct line *l, enum action *action)
{
	int i = line_given(l, M_ACTION) ? line_word(l, M_ACTION, actions) : -1;

	if (i < 0) {
		line_refuse(l, ERROR_BAD_REQUEST,
			    "action must be \"list\", \"get\", \"set\" or \"delete\"");
		return false;
	}
	*action = (enum action)i;
	for (enum member m = M_NAME; m <= M_POSITION; m++) {
		bool needed = (needs[i] & BIT(m)) != 0;

		if (line_given(l, m) == needed)
			continue;
		if (needed)
			line_refuse(l, ERROR_BAD_REQUEST,
				    "checkpoint with action \"%s\" needs the member \"%s\", %s",
				    actions[i], member_rows[m].name, member_rows[m].wanted);
		else
			line_refuse(l, ERROR_BAD_REQUEST,
				    "checkpoint with action \"%s\" takes no member \"%s\"",
				    actions[i], member_rows[m].name);
		return false;
	}
	return true;
}

/* An event number; -1 is before the first. Or a position of all streams. */
static bool checkpoint_position(struct line *l, bool *of_all, struct place *place)
{
	const struct json_token *t = line_token(l, M_POSITION);

	*of_all = t->kind == JSON_OBJECT;
	*place = (struct place){ 0, 0 };
	if (*of_all)
		return line_position(l, l->value[M_POSITION], place) ||
		       line_refuse_member(l, M_POSITION);
	if (t->kind != JSON_NUMBER ||
	    !json_int64_get(l->doc, l->value[M_POSITION], &place->commit) || place->commit < -1 ||
	    place->commit == INT64_MAX)
		return line_refuse_member(l, M_POSITION);
	return true;
}

void take_checkpoint(struct line *l)
{
	struct session *s = &l->client->session;
	char name[CHECKPOINT_NAME_MOST + 1];
	enum action action;
	struct place place;
	bool of_all;

	if (!checkpoint_action(l, &action) ||
	    (action != LIST && !line_text(l, M_NAME, name, 1, CHECKPOINT_NAME_MOST)) ||
	    (action == SET && !checkpoint_position(l, &of_all, &place)))
		return;
	if (action >= SET && !client_has(l->client, PERMISSION_BIT(PERMISSION_MANAGE))) {
		client_refuse_permission(l->client, &l->id, PERMISSION_MANAGE, OUTCOME_NOT_SAID);
		return;
	}
	switch (action) {
	case LIST:
		checkpoint_answer_list(s, &l->id);
		break;
	case GET:
		checkpoint_answer_get(s, &l->id, name);
		break;
	case SET:
		checkpoint_answer_set(s, &l->id, name, of_all, place);
		break;
	case DELETE:
		checkpoint_answer_delete(s, &l->id, name);
		break;
	}
}
