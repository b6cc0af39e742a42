#include "bridge/checkpoint_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/log.h"
#include "base/mem.h"

enum { KNOWN_VERSION = 1 };

enum statement { READ_ONE, READ_ALL, PUT, REMOVE, BEGIN, COMMIT, STATEMENTS };

#define COLUMNS "name, stream, filter, event_number, commit_position, prepare_position"

/* In the order of COLUMNS. */
enum column { NAME, STREAM, FILTER, EVENT_NUMBER, COMMIT_POSITION, PREPARE_POSITION };

static const char *const texts[STATEMENTS] = {
	[READ_ONE] = "SELECT " COLUMNS " FROM checkpoint WHERE name = ?1",
	[READ_ALL] = "SELECT " COLUMNS " FROM checkpoint ORDER BY name",
	[PUT] = "INSERT OR REPLACE INTO checkpoint (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[REMOVE] = "DELETE FROM checkpoint WHERE name = ?1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
};

/* A position is either an event number or a commit and a prepare position. */
static const char make_table[] = "BEGIN IMMEDIATE;"
				 "CREATE TABLE checkpoint ("
				 " name TEXT NOT NULL PRIMARY KEY,"
				 " stream TEXT,"
				 " filter BLOB,"
				 " event_number INTEGER,"
				 " commit_position INTEGER,"
				 " prepare_position INTEGER"
				 ") WITHOUT ROWID;"
				 "PRAGMA user_version = 1;"
				 "COMMIT;";

struct checkpoint_file {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	char *path;
	bool durable; /* the group that is under way */
	char fault[CHECKPOINT_FAULT];
};

const char *checkpoint_file_fault(const struct checkpoint_file *f)
{
	return f->fault;
}

/* The errno of the last call of the system that failed on the database or on its WAL. */
static int file_error(const struct checkpoint_file *f, int which)
{
	sqlite3_file *file = NULL;
	int error = 0;

	sqlite3_file_control(f->db, "main", which, &file);
	if (file != NULL && file->pMethods != NULL)
		file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

/* The errno of what failed, where the failure is one of the system; else 0. */
static int system_error(const struct checkpoint_file *f)
{
	int code = sqlite3_errcode(f->db) & 0xff;
	int error = 0;

	if (code == SQLITE_IOERR)
		error = file_error(f, SQLITE_FCNTL_JOURNAL_POINTER);
	if (code == SQLITE_IOERR && error == 0)
		error = file_error(f, SQLITE_FCNTL_FILE_POINTER);
	if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && error == 0)
		error = sqlite3_system_errno(f->db);
	return error;
}

/* Sets the fault to REASON; NULL: to what SQLite says. Always false, for the caller to return. */
static bool fail(struct checkpoint_file *f, const char *reason)
{
	int error = system_error(f);

	if (reason == NULL && (sqlite3_errcode(f->db) & 0xff) == SQLITE_BUSY)
		reason = "another process has it open";
	if (reason == NULL && error != 0)
		snprintf(f->fault, sizeof(f->fault), "%s (%s)", sqlite3_errmsg(f->db),
			 strerror(error));
	else
		snprintf(f->fault, sizeof(f->fault), "%s",
			 reason != NULL ? reason : sqlite3_errmsg(f->db));
	return false;
}

static bool run_text(struct checkpoint_file *f, const char *sql)
{
	return sqlite3_exec(f->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(f, NULL);
}

/* Runs a statement that gives no rows. */
static bool run(struct checkpoint_file *f, enum statement which)
{
	sqlite3_stmt *s = f->statements[which];
	bool done = sqlite3_step(s) == SQLITE_DONE || fail(f, NULL);

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return done;
}

/* Opening --------------------------------------------------------------------------------------- */

static bool number_of(struct checkpoint_file *f, const char *sql, int *number)
{
	sqlite3_stmt *s = NULL;
	bool well = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL) == SQLITE_OK &&
		    sqlite3_step(s) == SQLITE_ROW;

	if (well)
		*number = sqlite3_column_int(s, 0);
	else
		fail(f, NULL);
	sqlite3_finalize(s);
	return well;
}

/* Sets *EMPTY where it is a new database. One that is not ours is left as it is. */
static bool know_version(struct checkpoint_file *f, bool *empty)
{
	int version = 0, tables = 0;
	char reason[128];

	if (!number_of(f, "PRAGMA user_version", &version) ||
	    !number_of(f, "SELECT count(*) FROM sqlite_master", &tables))
		return false;
	if (version > KNOWN_VERSION) {
		snprintf(
			reason, sizeof(reason),
			"a file of version %d, written by a later esbridged; this one knows version %d",
			version, KNOWN_VERSION);
		return fail(f, reason);
	}
	*empty = version < KNOWN_VERSION && tables == 0;
	return version == KNOWN_VERSION || *empty || fail(f, "a database, but none of checkpoints");
}

static bool make(struct checkpoint_file *f)
{
	log_write(LOG_NOTICE, "a new file of checkpoints is made path=%s",
		  log_text(f->path, strlen(f->path)));
	return run_text(f, make_table);
}

/*
 * The locking mode comes before the first access: then the index of the WAL is kept in memory,
 * rather than in a file that is shared with others.
 */
static bool prepare(struct checkpoint_file *f)
{
	bool empty = false;

	if (!run_text(f, "PRAGMA locking_mode = EXCLUSIVE") || !know_version(f, &empty))
		return false;
	if (sqlite3_db_readonly(f->db, "main") == 1)
		return fail(f, "the file cannot be written");
	if (!run_text(f, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL") ||
	    (empty && !make(f)))
		return false;
	for (int i = 0; i < STATEMENTS; i++) {
		if (sqlite3_prepare_v3(f->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &f->statements[i], NULL) != SQLITE_OK)
			return fail(f, NULL);
	}
	return run_text(f, "PRAGMA synchronous = NORMAL");
}

struct checkpoint_file *checkpoint_file_open(const char *path, char fault[CHECKPOINT_FAULT])
{
	struct checkpoint_file *f = mem_new(sizeof(*f));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	mode_t mask = umask(0177); /* a new file, and its WAL, are for this user alone */
	int opened = sqlite3_open_v2(path, &f->db, flags, NULL);

	umask(mask);
	f->path = mem_text(path);
	if (opened != SQLITE_OK)
		fail(f, f->db == NULL ? "out of memory" : NULL);
	else if (prepare(f))
		return f;
	snprintf(fault, CHECKPOINT_FAULT, "%s", f->fault);
	checkpoint_file_close(f);
	return NULL;
}

void checkpoint_file_close(struct checkpoint_file *f)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(f->statements[i]);
	sqlite3_close(f->db);
	free(f->path);
	free(f);
}

/* Reading --------------------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *s, enum column column)
{
	return (const char *)sqlite3_column_text(s, column);
}

static bool is_set(sqlite3_stmt *s, enum column column)
{
	return sqlite3_column_type(s, column) != SQLITE_NULL;
}

/* All streams stand in the file as people write them. */
static const char *stream_in(const char *stream)
{
	return stream != NULL && strcmp(stream, "$all") == 0 ? "" : stream;
}

static const char *stream_out(const char *stream)
{
	return stream != NULL && stream[0] == '\0' ? "$all" : stream;
}

static void take_row(sqlite3_stmt *s, struct checkpoint_row *row)
{
	enum column position;

	*row = (struct checkpoint_row){ .name = text_of(s, NAME) };
	row->stream = stream_in(text_of(s, STREAM));
	row->filter.at = sqlite3_column_blob(s, FILTER);
	row->filter.len = (size_t)sqlite3_column_bytes(s, FILTER);
	row->of_all = row->stream != NULL ? row->stream[0] == '\0' : is_set(s, COMMIT_POSITION);
	position = row->of_all ? COMMIT_POSITION : EVENT_NUMBER;
	row->mark.set = is_set(s, position);
	row->mark.place.commit = sqlite3_column_int64(s, position);
	row->mark.place.prepare = sqlite3_column_int64(s, PREPARE_POSITION);
}

bool checkpoint_file_read(struct checkpoint_file *f, const char *name,
			  void (*each)(void *arg, const struct checkpoint_row *row), void *arg)
{
	sqlite3_stmt *s = f->statements[name == NULL ? READ_ALL : READ_ONE];
	struct checkpoint_row row;
	bool well;
	int got;

	if (name != NULL)
		sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	while ((got = sqlite3_step(s)) == SQLITE_ROW) {
		take_row(s, &row);
		if (row.name !=
		    NULL) /* else no memory was left for it, and the next step says so */
			each(arg, &row);
	}
	well = got == SQLITE_DONE || fail(f, NULL);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return well;
}

/* Writing --------------------------------------------------------------------------------------- */

/* After a group, whatever came of it. */
static void end_group(struct checkpoint_file *f)
{
	if (sqlite3_get_autocommit(f->db) == 0)
		sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
	if (f->durable)
		sqlite3_exec(f->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
}

/* What is written to a file that has no name any more would be lost without a word. */
static bool is_there(struct checkpoint_file *f)
{
	int moved = 0;

	sqlite3_file_control(f->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved == 0 || fail(f, "the file was moved or removed while it was in use");
}

bool checkpoint_file_begin(struct checkpoint_file *f, bool durable)
{
	f->durable = durable;
	if (is_there(f) && (!durable || run_text(f, "PRAGMA synchronous = FULL")) && run(f, BEGIN))
		return true;
	end_group(f);
	return false;
}

/* Runs a statement of the group, which is over where that fails. */
static bool run_in_group(struct checkpoint_file *f, enum statement which)
{
	if (run(f, which))
		return true;
	end_group(f);
	return false;
}

static bool bind_row(sqlite3_stmt *s, const struct checkpoint_row *row)
{
	const char *stream = stream_out(row->stream);
	const struct place *place = &row->mark.place;
	int bad = sqlite3_bind_text(s, 1 + NAME, row->name, -1, SQLITE_STATIC);

	if (stream != NULL)
		bad |= sqlite3_bind_text(s, 1 + STREAM, stream, -1, SQLITE_STATIC);
	if (row->filter.len > 0)
		bad |= sqlite3_bind_blob64(s, 1 + FILTER, row->filter.at, row->filter.len,
					   SQLITE_STATIC);
	if (row->mark.set && row->of_all) {
		bad |= sqlite3_bind_int64(s, 1 + COMMIT_POSITION, place->commit);
		bad |= sqlite3_bind_int64(s, 1 + PREPARE_POSITION, place->prepare);
	} else if (row->mark.set) {
		bad |= sqlite3_bind_int64(s, 1 + EVENT_NUMBER, place->commit);
	}
	return bad == SQLITE_OK;
}

bool checkpoint_file_put(struct checkpoint_file *f, const struct checkpoint_row *row)
{
	if (bind_row(f->statements[PUT], row))
		return run_in_group(f, PUT);
	sqlite3_clear_bindings(f->statements[PUT]);
	fail(f, "out of memory");
	end_group(f);
	return false;
}

bool checkpoint_file_remove(struct checkpoint_file *f, const char *name)
{
	sqlite3_bind_text(f->statements[REMOVE], 1, name, -1, SQLITE_STATIC);
	return run_in_group(f, REMOVE);
}

bool checkpoint_file_commit(struct checkpoint_file *f)
{
	bool well = run(f, COMMIT);

	end_group(f);
	return well;
}
