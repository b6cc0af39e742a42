#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/log.h"
#include "bridge/checkpoint_file.h"
#include "suites.h"

static char directory[] = "/tmp/esbridge-unit-XXXXXX";
static char path[sizeof(directory) + 32];

static void make_directory(void)
{
	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/checkpoints.sqlite", directory);
}

static void remove_directory(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal", ".gone" };
	char name[sizeof(path) + 16];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(directory), 0);
}

static struct checkpoint_file *opened(void)
{
	char fault[CHECKPOINT_FAULT] = "";
	struct checkpoint_file *f = checkpoint_file_open(path, fault);

	ck_assert_msg(f != NULL, "%s", fault);
	return f;
}

/* It cannot be opened, and the reason has PART in it. */
static void is_refused(const char *part)
{
	char fault[CHECKPOINT_FAULT] = "";

	ck_assert_ptr_null(checkpoint_file_open(path, fault));
	ck_assert_msg(strstr(fault, part) != NULL, "%s", fault);
}

static struct checkpoint_row row(const char *name, const char *stream, int64_t number)
{
	return (struct checkpoint_row){ .name = name,
					.stream = stream,
					.mark = { true, { number, 0 } } };
}

static void put(struct checkpoint_file *f, const struct checkpoint_row *r)
{
	ck_assert(checkpoint_file_begin(f, false));
	ck_assert(checkpoint_file_put(f, r));
	ck_assert(checkpoint_file_commit(f));
}

/* One row as a text: name stream filter position. */
static void write_row(void *arg, const struct checkpoint_row *r)
{
	char *all = arg;
	size_t len = strlen(all);

	len += (size_t)sprintf(all + len, "%s %s %.*s ", r->name,
			       r->stream == NULL      ? "(none)"
			       : r->stream[0] == '\0' ? "(all)"
						      : r->stream,
			       (int)r->filter.len, (const char *)r->filter.at);
	if (!r->mark.set)
		sprintf(all + len, "-;");
	else if (r->of_all)
		sprintf(all + len, "%lld/%lld;", (long long)r->mark.place.commit,
			(long long)r->mark.place.prepare);
	else
		sprintf(all + len, "%lld;", (long long)r->mark.place.commit);
}

static void holds(struct checkpoint_file *f, const char *name, const char *expected)
{
	char all[1024] = "";

	ck_assert(checkpoint_file_read(f, name, write_row, all));
	ck_assert_str_eq(all, expected);
}

START_TEST(keeps_rows_of_every_kind)
{
	static const char filter[] = "fil\0ter";
	struct checkpoint_file *f = opened();
	struct checkpoint_row rows[] = {
		row("b", "s", INT64_MAX - 1),
		row("a", NULL, -1),
		{ .name = "all", .stream = "", .of_all = true, .mark = { true, { 7, 6 } } },
		{ .name = "filtered",
		  .stream = "",
		  .of_all = true,
		  .filter = { (const void *)filter, 3 } },
		{ .name = "new", .of_all = true, .mark = { true, { 1, 2 } } },
		{ .name = "\xc5\xbd", .stream = "\xc5\xbd 'x'; --" },
	};

	ck_assert(checkpoint_file_begin(f, true));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert(checkpoint_file_put(f, &rows[i]));
	ck_assert(checkpoint_file_commit(f));
	for (int again = 0; again < 2; again++) {
		holds(f, NULL,
		      "a (none)  -1;all (all)  7/6;b s  9223372036854775806;filtered (all) fil -;"
		      "new (none)  1/2;\xc5\xbd \xc5\xbd 'x'; --  -;");
		holds(f, "b", "b s  9223372036854775806;");
		holds(f, "c", "");
		checkpoint_file_close(f);
		f = opened();
	}
	checkpoint_file_close(f);
}
END_TEST

START_TEST(replaces_and_removes)
{
	struct checkpoint_file *f = opened();
	struct checkpoint_row one = row("a", "s", 1), two = row("a", "s", 2);

	put(f, &one);
	put(f, &two);
	holds(f, NULL, "a s  2;");
	ck_assert(checkpoint_file_begin(f, false));
	ck_assert(checkpoint_file_remove(f, "b"));
	ck_assert(checkpoint_file_remove(f, "a"));
	ck_assert(checkpoint_file_commit(f));
	holds(f, NULL, "");
	checkpoint_file_close(f);
}
END_TEST

/* A process that writes and ends without closing anything: COMMITTED groups, and one that is not.
 */
static void die_writing(int committed)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char fault[CHECKPOINT_FAULT];
		struct checkpoint_file *f = checkpoint_file_open(path, fault);
		bool well = f != NULL;

		for (int i = 0; well && i <= committed; i++) {
			struct checkpoint_row r = row("a", "s", i);

			well = checkpoint_file_begin(f, false) && checkpoint_file_put(f, &r) &&
			       (i == committed || checkpoint_file_commit(f));
		}
		if (well)
			raise(SIGKILL);
		_exit(1);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(what_was_committed_outlives_the_process)
{
	struct checkpoint_file *f;

	die_writing(0);
	f = opened();
	holds(f, NULL, "");
	checkpoint_file_close(f);
	die_writing(3000);
	f = opened();
	holds(f, NULL, "a s  2999;");
	checkpoint_file_close(f);
}
END_TEST

START_TEST(one_has_the_file_for_itself)
{
	struct checkpoint_file *f = opened();
	struct checkpoint_row r = row("a", "s", 1);

	is_refused("another process has it open");
	put(f, &r);
	checkpoint_file_close(f);
	f = opened();
	holds(f, NULL, "a s  1;");
	checkpoint_file_close(f);
}
END_TEST

/* What was written to a file without a name would be lost. */
START_TEST(a_file_that_was_moved_is_noticed)
{
	struct checkpoint_file *f = opened();
	char gone[sizeof(path) + 16];

	snprintf(gone, sizeof(gone), "%s.gone", path);
	ck_assert_int_eq(rename(path, gone), 0);
	ck_assert(!checkpoint_file_begin(f, false));
	ck_assert_ptr_nonnull(strstr(checkpoint_file_fault(f), "moved or removed"));
	ck_assert_int_eq(rename(gone, path), 0);
	ck_assert(checkpoint_file_begin(f, false));
	ck_assert(checkpoint_file_commit(f));
	checkpoint_file_close(f);
}
END_TEST

static void make_database(const char *sql)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(a_file_of_a_later_version_is_refused)
{
	make_database("CREATE TABLE checkpoint (name TEXT); PRAGMA user_version = 2");
	is_refused("version 2");
}
END_TEST

START_TEST(a_database_of_something_else_is_left_alone)
{
	struct stat before, after;

	make_database("CREATE TABLE other (name TEXT)");
	ck_assert_int_eq(stat(path, &before), 0);
	is_refused("none of checkpoints");
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}
END_TEST

START_TEST(a_version_without_its_table_is_refused)
{
	make_database("CREATE TABLE other (name TEXT); PRAGMA user_version = 1");
	is_refused("no such table");
}
END_TEST

START_TEST(bytes_that_are_no_database_are_refused)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 5000; i++)
		fputs("not a database\n", file);
	ck_assert_int_eq(fclose(file), 0);
	is_refused("file is not a database");
}
END_TEST

/* It was made, and the process ended before anything was in it. */
START_TEST(an_empty_file_is_a_new_one)
{
	struct checkpoint_file *f;
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	fclose(file);
	f = opened();
	holds(f, NULL, "");
	checkpoint_file_close(f);
}
END_TEST

START_TEST(a_directory_is_no_file)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
	is_refused("unable to open");
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_directory_that_is_missing_is_named)
{
	ck_assert_int_eq(rmdir(directory), 0);
	is_refused("No such file or directory");
	ck_assert_int_eq(mkdir(directory, 0700), 0);
}
END_TEST

Suite *checkpoint_file_suite(void)
{
	Suite *suite = suite_create("checkpoint_file");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, make_directory, remove_directory);
	tcase_add_test(all, keeps_rows_of_every_kind);
	tcase_add_test(all, replaces_and_removes);
	if (!unit_is_slow())
		tcase_add_test(all, what_was_committed_outlives_the_process);
	tcase_add_test(all, one_has_the_file_for_itself);
	tcase_add_test(all, a_file_that_was_moved_is_noticed);
	tcase_add_test(all, a_file_of_a_later_version_is_refused);
	tcase_add_test(all, a_database_of_something_else_is_left_alone);
	tcase_add_test(all, a_version_without_its_table_is_refused);
	tcase_add_test(all, bytes_that_are_no_database_are_refused);
	tcase_add_test(all, an_empty_file_is_a_new_one);
	tcase_add_test(all, a_directory_is_no_file);
	tcase_add_test(all, a_directory_that_is_missing_is_named);
	suite_add_tcase(suite, all);
	return suite;
}
