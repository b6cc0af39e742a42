#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "config.h"
#include "suites.h"

/* All complaints, one on each line. */
static void complain(void *arg, const char *text)
{
	char *all = arg;

	strcat(all, text);
	strcat(all, "\n");
}

static bool load_text(struct config *c, const char *text, char complaints[4096])
{
	char *path = unit_file(text, strlen(text));
	bool good;

	complaints[0] = '\0';
	good = config_load(c, path, complain, complaints);
	ck_assert(good == (complaints[0] == '\0'));
	unlink(path);
	free(path);
	return good;
}

/* TEXT must be refused, with PART in what is said. */
static void refuses(const char *text, const char *part)
{
	char complaints[4096];
	struct config c;

	ck_assert_msg(!load_text(&c, text, complaints), "%s", text);
	ck_assert_msg(strstr(complaints, part) != NULL, "%s: %s", text, complaints);
	ck_assert_ptr_null(c.store.server);
}

START_TEST(has_defaults_that_fit_together)
{
	char complaints[4096] = "";
	struct config c;

	ck_assert_msg(config_load(&c, NULL, complain, complaints), "%s", complaints);
	ck_assert_str_eq(c.store.server, "127.0.0.1:1113");
	ck_assert_str_eq(c.store.connection_name, "esbridge");
	ck_assert_int_eq(c.store.heartbeat_interval, 750);
	ck_assert_int_eq(c.store.heartbeat_timeout, 1500);
	ck_assert_int_eq(c.store.operation_timeout, 5000);
	ck_assert_int_eq(c.store.max_attempts, 0);
	ck_assert(c.store.require_master);
	ck_assert_int_eq(c.store.frame_limit, 64 << 20);
	ck_assert_str_eq(c.socket.path, "/run/esbridge/esbridge.sock");
	ck_assert_int_eq(c.socket.mode, 0660);
	ck_assert_int_eq(c.limits.line, 16 << 20);
	ck_assert_int_eq(c.limits.depth, 128);
	ck_assert_int_eq(c.limits.output_cap, 8 << 20);
	ck_assert_int_eq(c.limits.client_stall_timeout, 30000);
	ck_assert(!c.daemon.read_only);
	ck_assert_int_eq(config_log_level(&c), LOG_INFO);
	ck_assert_int_eq(c.daemon.log_prefix, LOG_PREFIX_AUTO);
	config_free(&c);
}
END_TEST

START_TEST(explains_every_setting)
{
	for (const struct setting *row = config_table; row->name != NULL; row++) {
		size_t len = strlen(row->text);

		ck_assert_msg(len > 20 && row->text[len - 1] == '.', "%s", row->name);
		ck_assert_msg(row == config_table || strcmp(row->section, row[-1].section) == 0 ||
				      row[-1].section != row->section,
			      "%s", row->name);
	}
}
END_TEST

/* Reads all of FILE; the caller frees it. */
static char *read_all(FILE *file)
{
	char *text = mem_new(65536);

	ck_assert_uint_lt(fread(text, 1, 65535, file), 65535);
	fclose(file);
	return text;
}

START_TEST(sample_file_is_the_table)
{
	char *sample = read_all(unit_open("conf/esbridged.conf"));
	char *expected = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&expected, &len);

	config_print_sample(to);
	fclose(to);
	if (strcmp(sample, expected) != 0) {
		char *name = unit_file(expected, len);

		ck_abort_msg("conf/esbridged.conf is not what the table gives: see %s", name);
	}
	free(sample);
	free(expected);
}
END_TEST

/* As it is, and with every setting taken out of its comment: the defaults stand there. */
START_TEST(sample_file_is_accepted)
{
	char *text = read_all(unit_open("conf/esbridged.conf"));
	char complaints[4096];
	struct config c, defaults;
	unsigned settings = 0;

	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	config_free(&c);
	/* A rule would need more than defaults. */
	*strstr(text, "\n#[access NAME]") = '\0';
	for (char *p = text; (p = strstr(p, "\n#")) != NULL; p++) {
		if (p[2] == ' ' || p[2] == '\n')
			continue;
		p[1] = ' ';
		settings++;
	}
	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	ck_assert(config_load(&defaults, NULL, complain, complaints));
	for (const struct setting *row = config_table; row->name != NULL; row++)
		settings--;
	ck_assert_uint_eq(settings, 0);
	settings_reload(config_table, &c, &defaults,
			(void (*)(void *, const struct setting *))abort, NULL);
	config_free(&defaults);
	config_free(&c);
	free(text);
}
END_TEST

START_TEST(checks_across_settings)
{
	refuses("[limits]\noutput_resume = 256K\n",
		":2: output_resume must be less than output_pause");
	refuses("[limits]\noutput_pause = 16M\n", "output_pause must not be more than output_cap");
	refuses("[limits]\nline = 64M\nmemory = 32M\n", ":3: line must not be more than memory");
	refuses("[store]\nreconnect_delay_min = 11s\n",
		"reconnect_delay_min must not be more than reconnect_delay_max");
	refuses("[store]\nusername = a\npassword = b\npassword_file = /c\n",
		"password and password_file cannot both be set");
	refuses("[store]\npassword = b\n", ":2: a password without a username");
	refuses("[store]\nserver = localhost\n", "server: expected HOST:PORT");
	refuses("[limits]\ndepth = 65536\n", ":2: depth: expected a whole number, from 8 to 65535");
}
END_TEST

START_TEST(accepts_a_user_without_a_password)
{
	char complaints[4096];
	struct config c;

	ck_assert(load_text(&c, "[store]\nusername = ops\n", complaints));
	ck_assert_str_eq(c.store.username, "ops");
	ck_assert_str_eq(c.store.password, "");
	config_free(&c);
}
END_TEST

START_TEST(splits_servers)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{ "127.0.0.1:1113", "127.0.0.1", 1113 },
		{ "db.example.org:1", "db.example.org", 1 },
		{ "[::1]:65535", "::1", 65535 },
		{ "[fe80::1%eth0]:1113", "fe80::1%eth0", 1113 },
	};
	static const char *const bad[] = {
		"",         ":",        "a",       "a:",       ":1113",  "a:0",
		"a:65536",  "a:-1",     "a:+1",    "a:1x",     "a: 1",   "a b:1",
		"::1:1",    "::1",      "[::1]",   "[]:1",     "[::1:1", "::1]:1",
		"[::1]1:1", "a:1113:2", "[a]b]:1", "a:000001",
	};
	char host[ENDPOINT_HOST], small[4];
	char most[400];
	uint16_t port;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert(endpoint_split(good[i].text, host, sizeof(host), &port));
		ck_assert_str_eq(host, good[i].host);
		ck_assert_uint_eq(port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!endpoint_split(bad[i], host, sizeof(host), &port), "%s", bad[i]);
	ck_assert(endpoint_split("abc:1", small, sizeof(small), &port));
	ck_assert(!endpoint_split("abcd:1", small, sizeof(small), &port));
	memset(most, 'a', sizeof(most));
	strcpy(most + 350, ":1113");
	ck_assert(!endpoint_split(most, host, sizeof(host), &port));
}
END_TEST

/* A configuration whose password stands in a file of LEN bytes at BYTES. */
static bool load_password(struct config *c, const char *bytes, size_t len, char complaints[4096])
{
	char *file = unit_file(bytes, len);
	char text[256];
	bool good;

	snprintf(text, sizeof(text), "[store]\nusername = ops\npassword_file = %s\n", file);
	good = load_text(c, text, complaints);
	unlink(file);
	free(file);
	return good;
}

START_TEST(reads_the_password_file)
{
	static const struct {
		const char *bytes, *password;
	} files[] = {
		{ "changeit\n", "changeit" },
		{ "changeit", "changeit" },
		{ "changeit\r\nmore", "changeit" },
		{ " a ;b # \n", " a ;b # " },
		{ "", "" },
		{ "\n", "" },
	};
	char complaints[4096];
	char most[129];
	struct config c;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		ck_assert(load_password(&c, files[i].bytes, strlen(files[i].bytes), complaints));
		ck_assert_str_eq(c.store.password, files[i].password);
		config_free(&c);
	}
	memset(most, 'x', sizeof(most));
	ck_assert(!load_password(&c, most, 128, complaints));
	ck_assert_ptr_nonnull(strstr(complaints, "longer than 127 bytes"));
	most[127] = '\n';
	ck_assert(load_password(&c, most, 129, complaints));
	config_free(&c);
	ck_assert(!load_password(&c, "a\0b\n", 4, complaints));
	ck_assert_ptr_nonnull(strstr(complaints, "a byte of zero"));
	refuses("[store]\nusername = ops\npassword_file = /nowhere/x\n", ":3: password_file: ");
}
END_TEST

START_TEST(finds_credentials_of_systemd)
{
	char *file = unit_file("changeit\n", 9);
	const char *name = strrchr(file, '/') + 1;
	char text[256], complaints[4096];
	struct config c;

	snprintf(text, sizeof(text), "[store]\nusername = ops\npassword_file = %s\n", name);
	setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	ck_assert_str_eq(c.store.password, "changeit");
	config_free(&c);
	setenv("CREDENTIALS_DIRECTORY", "/nowhere", 1);
	ck_assert(!load_text(&c, text, complaints));
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(file);
	free(file);
}
END_TEST

START_TEST(prints_no_secret)
{
	char complaints[4096];
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	struct config c;

	ck_assert(load_text(&c, "[store]\nusername = ops\npassword = s3cret\n", complaints));
	config_print(&c, to);
	fclose(to);
	ck_assert_ptr_nonnull(strstr(text, "username = ops\n# password = (set)\n"));
	ck_assert_ptr_null(strstr(text, "s3cret"));
	config_free(&c);
	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	config_free(&c);
	free(text);
}
END_TEST

Suite *config_suite(void)
{
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, has_defaults_that_fit_together);
	tcase_add_test(tc, explains_every_setting);
	tcase_add_test(tc, sample_file_is_the_table);
	tcase_add_test(tc, sample_file_is_accepted);
	tcase_add_test(tc, checks_across_settings);
	tcase_add_test(tc, accepts_a_user_without_a_password);
	tcase_add_test(tc, splits_servers);
	tcase_add_test(tc, reads_the_password_file);
	tcase_add_test(tc, finds_credentials_of_systemd);
	tcase_add_test(tc, prints_no_secret);
	suite_add_tcase(s, tc);
	return s;
}
