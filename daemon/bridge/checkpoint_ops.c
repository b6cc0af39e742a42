#include "bridge/checkpoint_ops.h"

#include "base/json_write.h"

void place_to_json(struct place place, bool of_all, struct buffer *out)
{
	if (!of_all) {
		json_int(out, place.commit);
		return;
	}
	buffer_add_text(out, "{\"commit\":");
	json_int(out, place.commit);
	buffer_add_text(out, ",\"prepare\":");
	json_int(out, place.prepare);
	buffer_add_byte(out, '}');
}

static void add_text(struct buffer *out, const char *key, const char *text)
{
	json_key(out, key);
	json_text(out, text);
}

static void add_number(struct buffer *out, const char *key, uint64_t number)
{
	json_key(out, key);
	json_uint(out, number);
}

static void add_row(const struct checkpoint_row *row, bool held, struct buffer *out)
{
	add_text(out, "name", row->name);
	if (row->stream != NULL)
		add_text(out, "stream", row->stream[0] == '\0' ? "$all" : row->stream);
	if (row->filter.len > 0)
		buffer_add_text(out, ",\"filtered\":true");
	if (row->mark.set) {
		json_key(out, "position");
		place_to_json(row->mark.place, row->of_all, out);
	}
	json_key(out, "held");
	json_bool(out, held);
}

static void refuse(struct session *s, const struct request_id *id,
		   const struct checkpoint_refusal *refusal)
{
	session_refuse(s, id, refusal->code, OUTCOME_NOT_SAID, "%s", refusal->text);
}

static void end(struct session *s, struct buffer *out)
{
	answer_end(out);
	s->events->wrote(s);
}

/* True where S may know of ROW. */
static bool is_shown(const struct session *s, const struct checkpoint_row *row)
{
	return s->bounds == NULL || s->bounds->checkpoint(s, row->name, row->stream);
}

struct list {
	const struct session *session;
	struct buffer rows;
};

static void list_row(void *arg, const struct checkpoint_row *row, bool held)
{
	struct list *list = arg;

	if (!is_shown(list->session, row))
		return;
	json_comma(&list->rows);
	buffer_add_byte(&list->rows, '{');
	add_row(row, held, &list->rows);
	buffer_add_byte(&list->rows, '}');
}

/* The rows are put together first: a read that fails half-way is answered by an error alone. */
void checkpoint_answer_list(struct session *s, const struct request_id *id)
{
	struct checkpoints *k = s->bridge->checkpoints;
	struct list list = { s, { .limit = s->bridge->settings.output_cap } };
	struct buffer *rows = &list.rows;

	buffer_add_byte(rows, '[');
	if (!checkpoints_read(k, NULL, list_row, &list)) {
		session_refuse(s, id, ERROR_FAIL, OUTCOME_NOT_SAID, "%s", checkpoints_fault(k));
	} else if (rows->failed) {
		session_refuse(s, id, ERROR_LIMIT_EXCEEDED, OUTCOME_NOT_SAID,
			       "the list of checkpoints is longer than output_cap");
	} else {
		answer_ok(s->out, id);
		json_key(s->out, "checkpoints");
		buffer_add(s->out, buffer_at(rows), buffer_len(rows));
		buffer_add_byte(s->out, ']');
		end(s, s->out);
	}
	buffer_free(rows);
}

struct one {
	struct session *session;
	const struct request_id *id;
	bool found;
	bool shown;
};

static void answer_row(void *arg, const struct checkpoint_row *row, bool held)
{
	struct one *one = arg;
	struct buffer *out = one->session->out;

	one->found = true;
	answer_ok(out, one->id);
	add_row(row, held, out);
	end(one->session, out);
}

static void note_row(void *arg, const struct checkpoint_row *row, bool held)
{
	struct one *one = arg;

	(void)held;
	one->shown = is_shown(one->session, row);
}

/* May S do what ID asks with the checkpoint NAME? It is refused where it may not, or where the file
 * does not tell of which stream that is. */
static bool may_use(struct session *s, const struct request_id *id, const char *name)
{
	struct checkpoints *k = s->bridge->checkpoints;
	struct one one = { .session = s };

	if (s->bounds == NULL)
		return true;
	one.shown = s->bounds->checkpoint(s, name, NULL);
	if (one.shown && !checkpoints_read(k, name, note_row, &one)) {
		session_refuse(s, id, ERROR_FAIL, OUTCOME_NOT_SAID, "%s", checkpoints_fault(k));
		return false;
	}
	if (!one.shown)
		s->bounds->refuse_checkpoint(s, id);
	return one.shown;
}

void checkpoint_answer_get(struct session *s, const struct request_id *id, const char *name)
{
	struct one one = { .session = s, .id = id };
	struct checkpoints *k = s->bridge->checkpoints;

	if (!may_use(s, id, name))
		return;
	if (!checkpoints_read(k, name, answer_row, &one) && !one.found)
		session_refuse(s, id, ERROR_FAIL, OUTCOME_NOT_SAID, "%s", checkpoints_fault(k));
	else if (!one.found)
		session_refuse(s, id, ERROR_NOT_FOUND, OUTCOME_NOT_SAID,
			       "there is no checkpoint '%s'", name);
}

void checkpoint_answer_set(struct session *s, const struct request_id *id, const char *name,
			   bool of_all, struct place position)
{
	struct checkpoint_refusal refusal;

	if (!may_use(s, id, name))
		return;
	if (checkpoints_put(s->bridge->checkpoints, name, of_all, position, &refusal))
		checkpoint_answer_get(s, id, name);
	else
		refuse(s, id, &refusal);
}

void checkpoint_answer_delete(struct session *s, const struct request_id *id, const char *name)
{
	struct checkpoint_refusal refusal;

	if (!may_use(s, id, name))
		return;
	if (!checkpoints_remove(s->bridge->checkpoints, name, &refusal)) {
		refuse(s, id, &refusal);
		return;
	}
	answer_ok(s->out, id);
	add_text(s->out, "name", name);
	end(s, s->out);
}

void checkpoints_to_json(const struct checkpoints *k, struct buffer *out)
{
	struct checkpoints_view view;

	checkpoints_look(k, &view);
	json_key(out, "checkpoints");
	buffer_add_byte(out, '{');
	add_text(out, "state", view.state);
	add_text(out, "path", view.path);
	if (view.last_error[0] != '\0')
		add_text(out, "last_error", view.last_error);
	add_number(out, "held", view.held);
	add_number(out, "dirty", view.dirty);
	add_number(out, "flushes", view.flushes);
	add_number(out, "failures", view.failures);
	buffer_add_byte(out, '}');
}
