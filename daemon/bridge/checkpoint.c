#include "bridge/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	PAUSE_MIN = 100, /* milliseconds until a write that failed is tried again, doubling */
	PAUSE_MAX = 5000,
};

struct checkpoints {
	struct loop *loop;
	struct checkpoint_settings settings;
	char *path;
	struct checkpoint_file *file; /* NULL: not opened yet */
	struct link clean;            /* held, and in the file as they are */
	struct link dirty;            /* held or given up, and not in the file as they are */
	uint32_t held;
	uint32_t acks;            /* since the last group */
	struct deadline due;      /* the next group, or the next attempt at it */
	struct job now;           /* the same, at the end of this turn */
	struct deadline patience; /* with a file that cannot be written */
	uint32_t pause;
	bool failing;
	char fault[512]; /* what went wrong last: path and reason */
	uint64_t flushes;
	uint64_t failures;
	struct histogram durations;
};

struct checkpoint {
	struct link link; /* on `clean` or, where it is dirty, on that */
	bool dirty;
	struct checkpoints *keeper;
	char *name;
	char *stream; /* NULL: none has had it yet */
	struct buffer filter;
	bool of_all;
	bool fresh; /* it is not in the file, or there without a stream */
	bool held;
	struct checkpoint_mark mark;
	struct checkpoint_mark stored;
	void (*failed)(void *arg);
	void *arg;
};

const struct checkpoint_mark *checkpoint_mark(const struct checkpoint *c)
{
	return &c->mark;
}

const struct checkpoint_mark *checkpoint_stored(const struct checkpoint *c)
{
	return &c->stored;
}

const char *checkpoint_name(const struct checkpoint *c)
{
	return c->name;
}

const char *checkpoints_fault(const struct checkpoints *k)
{
	return k->fault;
}

/* Those in memory ------------------------------------------------------------------------------- */

static struct checkpoint *find_on(const struct link *list, const char *name)
{
	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		struct checkpoint *c = CONTAINER(l, struct checkpoint, link);

		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static struct checkpoint *find(const struct checkpoints *k, const char *name)
{
	struct checkpoint *c = find_on(&k->clean, name);

	return c != NULL ? c : find_on(&k->dirty, name);
}

static void forget(struct checkpoint *c)
{
	list_remove(&c->link);
	buffer_free(&c->filter);
	free(c->name);
	free(c->stream);
	free(c);
}

/* The one place where that changes. */
static void set_dirty(struct checkpoint *c, bool dirty)
{
	c->dirty = dirty;
	list_remove(&c->link);
	list_append(dirty ? &c->keeper->dirty : &c->keeper->clean, &c->link);
}

/* The file -------------------------------------------------------------------------------------- */

/* The file was written, or opened after it could not be. */
static void be_well(struct checkpoints *k)
{
	if (k->failing)
		log_write(LOG_NOTICE, "checkpoints are stored again path=%s",
			  log_text(k->path, strlen(k->path)));
	k->failing = false;
}

/* The same trouble is logged once. */
static void be_failing(struct checkpoints *k, const char *reason)
{
	char fault[sizeof(k->fault)];

	snprintf(fault, sizeof(fault), "%s: %s", k->path, reason);
	if (!k->failing || strcmp(fault, k->fault) != 0)
		log_write(LOG_ERROR, "checkpoints cannot be stored or read path=%s error=%s",
			  log_text(k->path, strlen(k->path)), log_text(reason, strlen(reason)));
	memcpy(k->fault, fault, sizeof(fault));
	k->failing = true;
	k->failures++;
}

static bool open_file(struct checkpoints *k)
{
	char fault[CHECKPOINT_FAULT];

	if (k->file != NULL)
		return true;
	k->file = checkpoint_file_open(k->path, fault);
	if (k->file == NULL)
		be_failing(k, fault);
	else
		be_well(k);
	return k->file != NULL;
}

static struct checkpoint_row row_of(const struct checkpoint *c)
{
	return (struct checkpoint_row){
		.name = c->name,
		.stream = c->stream,
		.filter = { buffer_at(&c->filter), buffer_len(&c->filter) },
		.of_all = c->of_all,
		.mark = c->mark,
	};
}

static bool write_dirty(struct checkpoints *k, bool durable)
{
	struct link *l;

	if (!checkpoint_file_begin(k->file, durable))
		return false;
	for (l = list_first(&k->dirty); l != NULL; l = list_next(&k->dirty, l)) {
		struct checkpoint_row row = row_of(CONTAINER(l, struct checkpoint, link));

		if (!checkpoint_file_put(k->file, &row))
			return false;
	}
	return checkpoint_file_commit(k->file);
}

static void settle(struct checkpoints *k)
{
	struct link *l;

	while ((l = list_first(&k->dirty)) != NULL) {
		struct checkpoint *c = CONTAINER(l, struct checkpoint, link);

		c->stored = c->mark;
		c->fresh = false;
		if (c->held)
			set_dirty(c, false);
		else
			forget(c);
	}
	k->acks = 0;
	k->pause = PAUSE_MIN;
	k->flushes++;
	job_cancel(&k->now);
	loop_clear_deadline(k->loop, &k->due);
	loop_clear_deadline(k->loop, &k->patience);
	be_well(k);
}

/*
 * Writes all that is not in the file yet, as one group, on the loop: about 8 microseconds for one
 * checkpoint and 1 for each other one. Every thousandth group or so also moves the WAL into the
 * database, and waits for the disk for that, some milliseconds, as a durable one does.
 */
static bool flush(struct checkpoints *k, bool durable)
{
	uint64_t began = loop_clock_us();

	if (list_empty(&k->dirty))
		return true;
	if (write_dirty(k, durable)) {
		histogram_add(&k->durations, loop_clock_us() - began);
		settle(k);
		return true;
	}
	be_failing(k, checkpoint_file_fault(k->file));
	if (!deadline_is_set(&k->due))
		loop_set_deadline(k->loop, &k->due, k->pause);
	if (!deadline_is_set(&k->patience))
		loop_set_deadline(k->loop, &k->patience, k->settings.timeout);
	return false;
}

/* C is not to be stored after all. */
static void withdraw(struct checkpoint *c)
{
	struct checkpoints *k = c->keeper;

	set_dirty(c, false);
	if (!list_empty(&k->dirty))
		return;
	loop_clear_deadline(k->loop, &k->due);
	loop_clear_deadline(k->loop, &k->patience);
}

static void on_due(void *arg)
{
	struct checkpoints *k = arg;

	if (!flush(k, false) && k->pause < PAUSE_MAX)
		k->pause = k->pause * 2 < PAUSE_MAX ? k->pause * 2 : PAUSE_MAX;
}

static void on_now(void *arg)
{
	flush(arg, false);
}

static struct checkpoint *first_held(const struct link *list)
{
	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		struct checkpoint *c = CONTAINER(l, struct checkpoint, link);

		if (c->held)
			return c;
	}
	return NULL;
}

/* Each call gives one up. */
static void on_patience_over(void *arg)
{
	struct checkpoints *k = arg;
	struct checkpoint *c;

	while ((c = first_held(&k->dirty)) != NULL)
		c->failed(c->arg);
}

static void take_row(void *arg, const struct checkpoint_row *row)
{
	struct checkpoint *c = arg;

	c->fresh = row->stream == NULL;
	c->stream = row->stream == NULL ? NULL : mem_text(row->stream);
	buffer_add(&c->filter, row->filter.at, row->filter.len);
	c->of_all = row->of_all;
	c->mark = c->stored = row->mark;
}

/* Loads the checkpoint NAME, which is not in memory; one that is not in the file is `fresh`.
 * Returns NULL, with the fault set, where the file cannot be read. */
static struct checkpoint *load(struct checkpoints *k, const char *name)
{
	struct checkpoint *c;

	if (!open_file(k))
		return NULL;
	c = mem_new(sizeof(*c));
	c->keeper = k;
	c->name = mem_text(name);
	c->fresh = true;
	link_init(&c->link);
	list_append(&k->clean, &c->link);
	if (checkpoint_file_read(k->file, name, take_row, c) && !c->filter.failed)
		return c;
	be_failing(k, c->filter.failed ? "out of memory" : checkpoint_file_fault(k->file));
	forget(c);
	return NULL;
}

/* Life ------------------------------------------------------------------------------------------ */

struct checkpoints *checkpoints_new(struct loop *loop, const char *directory,
				    const struct checkpoint_settings *settings)
{
	static const char name[] = "/checkpoints.sqlite";
	struct checkpoints *k = mem_new(sizeof(*k));
	size_t size = strlen(directory) + sizeof(name);

	k->loop = loop;
	k->settings = *settings;
	k->path = mem_new(size);
	snprintf(k->path, size, "%s%s", directory, name);
	k->pause = PAUSE_MIN;
	link_init(&k->clean);
	link_init(&k->dirty);
	deadline_init(&k->due, on_due, k);
	deadline_init(&k->patience, on_patience_over, k);
	job_init(&k->now, on_now, k);
	return k;
}

void checkpoints_set(struct checkpoints *k, const struct checkpoint_settings *settings)
{
	k->settings = *settings;
}

static uint32_t length(const struct link *list)
{
	uint32_t n = 0;

	for (const struct link *l = list_first(list); l != NULL; l = list_next(list, l))
		n++;
	return n;
}

void checkpoints_free(struct checkpoints *k)
{
	struct link *l;

	if (!flush(k, false))
		log_write(LOG_ERROR, "checkpoints could not be stored before the end count=%u",
			  length(&k->dirty));
	while ((l = list_first(&k->dirty)) != NULL)
		forget(CONTAINER(l, struct checkpoint, link));
	job_cancel(&k->now);
	loop_clear_deadline(k->loop, &k->due);
	loop_clear_deadline(k->loop, &k->patience);
	if (k->file != NULL)
		checkpoint_file_close(k->file);
	free(k->path);
	free(k);
}

/* Holding a checkpoint -------------------------------------------------------------------------- */

static void refuse(struct checkpoint_refusal *refusal, enum error_code code, const char *format,
		   ...) __attribute__((format(printf, 3, 4)));

static void refuse(struct checkpoint_refusal *refusal, enum error_code code, const char *format,
		   ...)
{
	va_list list;

	refusal->code = code;
	va_start(list, format);
	vsnprintf(refusal->text, sizeof(refusal->text), format, list);
	va_end(list);
}

static void refuse_fault(const struct checkpoints *k, struct checkpoint_refusal *refusal)
{
	refuse(refusal, ERROR_FAIL, "%s", k->fault);
}

static bool same_filter(const struct checkpoint *c, struct span filter)
{
	return buffer_len(&c->filter) == filter.len &&
	       (filter.len == 0 || memcmp(buffer_at(&c->filter), filter.at, filter.len) == 0);
}

static const char *shown(const char *stream)
{
	return stream[0] == '\0' ? "$all" : stream;
}

/* Whether C belongs to what CLAIM says, or to nothing yet. */
static bool suits(const struct checkpoint *c, const struct checkpoint_claim *claim,
		  struct checkpoint_refusal *refusal)
{
	bool all = claim->stream[0] == '\0';

	if (c->stream == NULL && c->mark.set && c->of_all != all)
		refuse(refusal, ERROR_BAD_REQUEST, "checkpoint '%s' is %s, and stream is '%.100s'",
		       c->name, c->of_all ? "a position of all streams" : "the number of an event",
		       shown(claim->stream));
	else if (c->stream != NULL && strcmp(c->stream, claim->stream) != 0)
		refuse(refusal, ERROR_BAD_REQUEST,
		       "checkpoint '%s' is of stream '%.100s', not of '%.100s'", c->name,
		       shown(c->stream), shown(claim->stream));
	else if (c->stream != NULL && !same_filter(c, claim->filter))
		refuse(refusal, ERROR_BAD_REQUEST,
		       "checkpoint '%s' is of all streams with another filter", c->name);
	else
		return true;
	return false;
}

/* C gets its first stream. */
static bool adopt(struct checkpoint *c, const struct checkpoint_claim *claim)
{
	c->stream = mem_text(claim->stream);
	c->of_all = claim->stream[0] == '\0';
	buffer_add(&c->filter, claim->filter.at, claim->filter.len);
	return !c->filter.failed;
}

/* The checkpoint NAME, which nobody holds, as it is in the file. NULL with the reason. */
static struct checkpoint *take(struct checkpoints *k, const char *name,
			       struct checkpoint_refusal *refusal)
{
	struct checkpoint *c = find(k, name);

	if (c != NULL && c->held) {
		refuse(refusal, ERROR_ALREADY_EXISTS,
		       "checkpoint '%s' is held by another subscription", name);
		return NULL;
	}
	/* While nothing can be stored, nobody new comes to depend on it; and one that was given up
	 * is in memory for only as long. */
	if (!flush(k, false) || (c = load(k, name)) == NULL) {
		refuse_fault(k, refusal);
		return NULL;
	}
	return c;
}

struct checkpoint *checkpoint_hold(struct checkpoints *k, const struct checkpoint_claim *claim,
				   struct checkpoint_refusal *refusal)
{
	struct checkpoint *c = take(k, claim->name, refusal);

	if (c == NULL)
		return NULL;
	if (!suits(c, claim, refusal)) {
		forget(c);
		return NULL;
	}
	if (c->stream == NULL && !adopt(c, claim)) {
		refuse(refusal, ERROR_OVERLOADED, "there is no memory for the filter");
		forget(c);
		return NULL;
	}
	c->held = true;
	c->failed = claim->failed;
	c->arg = claim->arg;
	k->held++;
	return c;
}

bool checkpoint_begin(struct checkpoint *c)
{
	if (!c->fresh)
		return true;
	set_dirty(c, true);
	if (flush(c->keeper, true))
		return true;
	withdraw(c);
	return false;
}

static void set_mark(struct checkpoint *c, struct place place)
{
	c->mark = (struct checkpoint_mark){ true, place };
	set_dirty(c, true);
}

void checkpoint_move(struct checkpoint *c, struct place place, uint32_t acks)
{
	struct checkpoints *k = c->keeper;

	k->acks += acks;
	if (c->mark.set && place_compare(place, c->mark.place) <= 0)
		return;
	set_mark(c, place);
	/* While the file cannot be written, patience is what is set. */
	if ((k->acks >= k->settings.acks || k->settings.delay == 0) &&
	    !deadline_is_set(&k->patience))
		loop_put_off(k->loop, &k->now);
	else if (!deadline_is_set(&k->due))
		loop_set_deadline(k->loop, &k->due, k->settings.delay);
}

bool checkpoint_set(struct checkpoint *c, struct place place)
{
	set_mark(c, place);
	return flush(c->keeper, true);
}

bool checkpoint_release(struct checkpoint *c)
{
	struct checkpoints *k = c->keeper;

	c->held = false;
	k->held--;
	if (c->dirty)
		return flush(k, false);
	forget(c);
	return true;
}

/* By hand --------------------------------------------------------------------------------------- */

struct reading {
	const struct checkpoints *keeper;
	void (*each)(void *arg, const struct checkpoint_row *row, bool held);
	void *arg;
};

static void read_row(void *arg, const struct checkpoint_row *row)
{
	struct reading *r = arg;
	const struct checkpoint *c = find(r->keeper, row->name);

	r->each(r->arg, row, c != NULL && c->held);
}

bool checkpoints_read(struct checkpoints *k, const char *name,
		      void (*each)(void *arg, const struct checkpoint_row *row, bool held),
		      void *arg)
{
	struct reading r = { k, each, arg };

	if (!open_file(k))
		return false;
	flush(k, false); /* else what is told is what is stored */
	if (checkpoint_file_read(k->file, name, read_row, &r))
		return true;
	be_failing(k, checkpoint_file_fault(k->file));
	return false;
}

bool checkpoints_put(struct checkpoints *k, const char *name, bool of_all, struct place position,
		     struct checkpoint_refusal *refusal)
{
	struct checkpoint *c = take(k, name, refusal);

	if (c == NULL)
		return false;
	if (c->stream != NULL && c->of_all != of_all) {
		refuse(refusal, ERROR_BAD_REQUEST, "checkpoint '%s' is of stream '%.100s': %s",
		       name, shown(c->stream),
		       c->of_all ? "position must be an object with \"commit\" and \"prepare\""
				 : "position must be the number of an event");
		forget(c);
		return false;
	}
	c->of_all = of_all;
	set_mark(c, position);
	if (flush(k, true))
		return true;
	refuse_fault(k, refusal);
	withdraw(c);
	forget(c);
	return false;
}

bool checkpoints_remove(struct checkpoints *k, const char *name, struct checkpoint_refusal *refusal)
{
	struct checkpoint *c = take(k, name, refusal);
	bool there;

	if (c == NULL)
		return false;
	there = !c->fresh || c->mark.set;
	forget(c);
	if (!there) {
		refuse(refusal, ERROR_NOT_FOUND, "there is no checkpoint '%s'", name);
		return false;
	}
	if (checkpoint_file_begin(k->file, true) && checkpoint_file_remove(k->file, name) &&
	    checkpoint_file_commit(k->file)) {
		be_well(k);
		return true;
	}
	be_failing(k, checkpoint_file_fault(k->file));
	refuse_fault(k, refusal);
	return false;
}

/* For `status` and `metrics` ----------------------------------------------------------------------- */

void checkpoints_look(const struct checkpoints *k, struct checkpoints_view *view)
{
	*view = (struct checkpoints_view){
		.state = k->failing        ? "failing"
			 : k->file == NULL ? "unused"
					   : "open",
		.path = k->path,
		.last_error = k->fault,
		.held = k->held,
		.dirty = length(&k->dirty),
		.flushes = k->flushes,
		.failures = k->failures,
		.durations = &k->durations,
	};
}
