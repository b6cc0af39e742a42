#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_json.h"
#include "suites.h"

/* Standard error goes to a file while a test looks at it. */
struct capture {
	char *name;
	int kept;
	char text[4096];
};

static void capture_begin(struct capture *c)
{
	int fd;

	c->name = unit_file("", 0);
	c->kept = dup(STDERR_FILENO);
	fd = open(c->name, O_WRONLY | O_CLOEXEC | O_APPEND);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* Puts standard error back. Returns what was written. */
static const char *capture_end(struct capture *c)
{
	FILE *file = fopen(c->name, "re");
	size_t n = fread(c->text, 1, sizeof(c->text) - 1, file);

	c->text[n] = '\0';
	fclose(file);
	dup2(c->kept, STDERR_FILENO);
	close(c->kept);
	unlink(c->name);
	free(c->name);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
	return c->text;
}

/* In one process for all tests: one before may have lost lines, which the next line tells. */
static void tell_what_was_lost(void)
{
	log_write(LOG_ERROR, "a test of the log begins");
}

START_TEST(has_a_time_outside_of_the_journal)
{
	struct capture c;
	const char *text;
	int n = 0;

	unsetenv("JOURNAL_STREAM");
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
	log_write(LOG_WARNING, "client gone id=%d", 7);
	text = capture_end(&c);
	sscanf(text, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &n);
	ck_assert_int_eq(n, (int)strlen("2026-11-23T20:11:12.123Z "));
	ck_assert_str_eq(text + n, "warning client gone id=7\n");
}
END_TEST

START_TEST(knows_the_journal)
{
	struct capture c;
	struct stat st;
	char stream[64];

	capture_begin(&c);
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
	log_write(LOG_ERROR, "one");
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_setup(LOG_DEBUG, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	log_write(LOG_DEBUG, "two");
	unsetenv("JOURNAL_STREAM");
	ck_assert_str_eq(capture_end(&c), "<3>one\n<7>two\n");
}
END_TEST

START_TEST(is_not_taken_in_by_another_stream)
{
	static const char *const streams[] = { "8:1", "", "x", "8:1:2" };
	struct capture c;
	const char *text;

	setenv("JOURNAL_STREAM", streams[_i], 1);
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
	log_write(LOG_INFO, "one");
	text = capture_end(&c);
	unsetenv("JOURNAL_STREAM");
	ck_assert_int_ne(text[0], '<');
	ck_assert_ptr_nonnull(strstr(text, "Z info one\n"));
}
END_TEST

START_TEST(leaves_out_what_is_not_wanted)
{
	struct capture c;

	capture_begin(&c);
	log_setup(LOG_NOTICE, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	ck_assert(log_wants(LOG_ERROR));
	ck_assert(log_wants(LOG_NOTICE));
	ck_assert(!log_wants(LOG_INFO));
	log_write(LOG_INFO, "no");
	log_write(LOG_NOTICE, "yes");
	ck_assert_str_eq(capture_end(&c), "<5>yes\n");
}
END_TEST

START_TEST(writes_one_short_line)
{
	struct capture c;
	char most[3000];
	const char *text;

	memset(most, 'x', sizeof(most));
	most[sizeof(most) - 1] = '\0';
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	log_write(LOG_INFO, "a\nb\tc\x1b[0m\x7f"
			    "d\xc3\xa9");
	log_write(LOG_INFO, "%s", most);
	text = capture_end(&c);
	ck_assert_ptr_eq(strstr(text, "<6>a?b?c?[0m?d\xc3\xa9\n<6>xxx"), text);
	text = strchr(text, '\n') + 1;
	ck_assert_uint_eq(strlen(text), 1024);
	ck_assert_ptr_eq(strchr(text, '\n'), text + 1023);
}
END_TEST

START_TEST(quotes_texts)
{
	char most[200];
	const char *kept;

	memset(most, '\x01', sizeof(most));
	ck_assert_str_eq(log_text("people-1", 8), "people-1");
	ck_assert_str_eq(log_text("", 0), "\"\"");
	ck_assert_str_eq(log_text("a b", 3), "\"a b\"");
	ck_assert_str_eq(log_text("a\"\\\n\xc3", 5), "\"a\\\"\\\\\\x0a\\xc3\"");
	ck_assert_uint_eq(strlen(log_text(most, sizeof(most))), 405);
	kept = log_text("kept", 4);
	for (int i = 0; i < 3; i++)
		log_text("other", 5);
	ck_assert_str_eq(kept, "kept");
	memset(most, 'x', sizeof(most));
	ck_assert_uint_eq(strlen(log_text(most, 100)), 100);
	ck_assert_str_eq(log_text(most, 101) + 100, "x\"...");
}
END_TEST

/* What stands behind the time of a line of JSON. */
static const char *after_time(const char *line)
{
	int n = 0;

	sscanf(line, "{\"time\":\"%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ\",%n", &n);
	ck_assert_int_gt(n, 0);
	return line + n;
}

START_TEST(is_json_where_that_is_wanted)
{
	struct capture c;
	const char *text;

	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_NEVER, LOG_FORMAT_JSON);
	log_write(LOG_WARNING, "client gone client=%u name=%s bytes=%zu", 7U, log_text("8", 1),
		  (size_t)9);
	text = capture_end(&c);
	ck_assert_str_eq(
		after_time(text),
		"\"level\":\"warning\",\"msg\":\"client gone\",\"client\":7,\"name\":\"8\","
		"\"bytes\":9}\n");
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS, LOG_FORMAT_JSON);
	log_write(LOG_NOTICE, "stopped");
	text = capture_end(&c);
	ck_assert_int_eq(strncmp(text, "<5>", 3), 0);
	ck_assert_str_eq(after_time(text + 3), "\"level\":\"notice\",\"msg\":\"stopped\"}\n");
}
END_TEST

START_TEST(json_values)
{
	static const struct {
		const char *format, *text, *json;
	} cases[] = {
		{ "", "", "\"msg\":\"\"" },
		{ "%s", "/etc/x:3: bad", "\"msg\":\"/etc/x:3: bad\"" },
		{ "a=%d", "a=-1", "\"msg\":\"\",\"a\":-1" },
		{ "a=%s", "a=-1", "\"msg\":\"\",\"a\":\"-1\"" },
		{ "m a=%s:%u b=%llu", "m a=x:1 b=2", "\"msg\":\"m\",\"a\":\"x:1\",\"b\":2" },
		{ "m aa=%s a=%u", "m aa=1 a=2", "\"msg\":\"m\",\"aa\":\"1\",\"a\":2" },
		{ "m a=%s", "m a=\"x y=z\"", "\"msg\":\"m\",\"a\":\"x y=z\"" },
		{ "m a=%s b=%s", "m a=\"\\xd0\\xb1\\\"\\\\\"... b=",
		  "\"msg\":\"m\",\"a\":\"\xd0\xb1\\\"\\\\...\",\"b\":\"\"" },
		{ "m a=%s", "m a=\"\\xff\"", "\"msg\":\"m\",\"a\":\"\xef\xbf\xbd\"" },
		{ "m a=%s", "m a=\"\\x7f\\xc2\\x80x\\xc2\\x9f\\xc2\\xa0\\xc2\\x9b\"",
		  "\"msg\":\"m\",\"a\":\"\\u007f\\u0080x\\u009f\xc2\xa0\\u009b\"" },
		{ "m a=%s", "m a=\"\\x9b\\xe2\\xc2\\xc2\\x9b\\xc2\"",
		  "\"msg\":\"m\",\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\u009b\xef\xbf\xbd\"" },
		{ "%s", "\xc2\x9b", "\"msg\":\"\\u009b\"" },
		{ "m a=%s b=%s", "m a=1 2  3 b=4", "\"msg\":\"m\",\"a\":\"1 2  3\",\"b\":\"4\"" },
		{ "m a=%s", "m a=\"cut\\x", "\"msg\":\"m\",\"a\":\"cutx\"" },
		{ "m a=%s", "m a=\"cut\\", "\"msg\":\"m\",\"a\":\"cut\\\\\"" },
		{ "not A=%u", "not A=1", "\"msg\":\"not A=1\"" },
	};
	struct buffer out = { .limit = 0 };

	buffer_add_byte(&out, '{');
	log_json(cases[_i].format, cases[_i].text, &out);
	buffer_add_byte(&out, '\0');
	ck_assert_str_eq((const char *)buffer_at(&out) + 1, cases[_i].json);
	buffer_free(&out);
}
END_TEST

/* The longest line, all of it in need of escapes, is still whole and one. */
START_TEST(json_of_the_longest_line)
{
	struct capture c;
	char most[3000];
	const char *text;

	memset(most, '"', sizeof(most));
	most[sizeof(most) - 1] = '\0';
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_NEVER, LOG_FORMAT_JSON);
	log_write(LOG_INFO, "%s", most);
	text = capture_end(&c);
	ck_assert_str_eq(text + strlen(text) - 4, "\"\"}\n");
	ck_assert_uint_lt(strlen(text), 4096);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_does_not_hold_it_up)
{
	const uint64_t lost = log_counters()->lost;
	int kept = dup(STDERR_FILENO);
	int ends[2];
	char text[8192];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 2000 && log_counters()->lost < lost + 3; i++)
		log_write(LOG_INFO, "%.900s", text);
	ck_assert_uint_eq(log_counters()->lost, lost + 3);
	do
		n = read(ends[0], text, sizeof(text));
	while (n == (ssize_t)sizeof(text));
	log_write(LOG_INFO, "again");
	n = read(ends[0], text, sizeof(text) - 1);
	dup2(kept, STDERR_FILENO);
	text[n] = '\0';
	ck_assert_str_eq(text, "<6>again\n<4>lines of the log were lost lines=3\n");
	close(kept);
	close(ends[0]);
	close(ends[1]);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO, LOG_FORMAT_TEXT);
}
END_TEST

START_TEST(a_full_disk_and_no_standard_error_at_all)
{
	uint64_t lost = log_counters()->lost;
	int kept = dup(STDERR_FILENO);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct capture c;

	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	ck_assert_int_ge(full, 0);
	dup2(full, STDERR_FILENO);
	close(full);
	log_write(LOG_ERROR, "one");
	ck_assert_uint_eq(log_counters()->lost, lost + 1);
	close(STDERR_FILENO);
	log_write(LOG_ERROR, "two");
	ck_assert_uint_eq(log_counters()->lost, lost + 2);
	dup2(kept, STDERR_FILENO);
	close(kept);
	capture_begin(&c);
	log_write(LOG_ERROR, "three");
	ck_assert_str_eq(capture_end(&c), "<3>three\n<4>lines of the log were lost lines=2\n");
}
END_TEST

/* A line of which only a part was written is not the beginning of the next one. */
START_TEST(a_torn_line_stays_alone)
{
	struct rlimit old, small = { .rlim_cur = 8 };
	struct capture c;
	const char *text;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS, LOG_FORMAT_TEXT);
	setrlimit(RLIMIT_FSIZE, &small);
	log_write(LOG_INFO, "a long line");
	setrlimit(RLIMIT_FSIZE, &old);
	log_write(LOG_INFO, "next");
	text = capture_end(&c);
	signal(SIGXFSZ, SIG_DFL);
	ck_assert_str_eq(text, "<6>a lon\n<6>next\n<4>lines of the log were lost lines=1\n");
}
END_TEST

Suite *log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, tell_what_was_lost, NULL);
	tcase_add_test(tc, has_a_time_outside_of_the_journal);
	tcase_add_test(tc, knows_the_journal);
	tcase_add_loop_test(tc, is_not_taken_in_by_another_stream, 0, 4);
	tcase_add_test(tc, leaves_out_what_is_not_wanted);
	tcase_add_test(tc, writes_one_short_line);
	tcase_add_test(tc, quotes_texts);
	tcase_add_test(tc, is_json_where_that_is_wanted);
	tcase_add_loop_test(tc, json_values, 0, 16);
	tcase_add_test(tc, json_of_the_longest_line);
	tcase_add_test(tc, a_pipe_that_nobody_reads_does_not_hold_it_up);
	tcase_add_test(tc, a_full_disk_and_no_standard_error_at_all);
	tcase_add_test(tc, a_torn_line_stays_alone);
	suite_add_tcase(s, tc);
	return s;
}
