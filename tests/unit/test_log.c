#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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
	log_setup(LOG_INFO, LOG_PREFIX_AUTO);
	return c->text;
}

START_TEST(has_a_time_outside_of_the_journal)
{
	struct capture c;
	const char *text;
	int n = 0;

	unsetenv("JOURNAL_STREAM");
	capture_begin(&c);
	log_setup(LOG_INFO, LOG_PREFIX_AUTO);
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
	log_setup(LOG_INFO, LOG_PREFIX_AUTO);
	log_write(LOG_ERROR, "one");
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_setup(LOG_DEBUG, LOG_PREFIX_ALWAYS);
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
	log_setup(LOG_INFO, LOG_PREFIX_AUTO);
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
	log_setup(LOG_NOTICE, LOG_PREFIX_ALWAYS);
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
	log_setup(LOG_INFO, LOG_PREFIX_ALWAYS);
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

Suite *log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, has_a_time_outside_of_the_journal);
	tcase_add_test(tc, knows_the_journal);
	tcase_add_loop_test(tc, is_not_taken_in_by_another_stream, 0, 4);
	tcase_add_test(tc, leaves_out_what_is_not_wanted);
	tcase_add_test(tc, writes_one_short_line);
	tcase_add_test(tc, quotes_texts);
	suite_add_tcase(s, tc);
	return s;
}
