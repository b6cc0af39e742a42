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

START_TEST(takes_access_rules)
{
	char complaints[4096];
	const struct access_rule *r;
	struct config c;

	ck_assert_msg(load_text(&c,
				"[access one]\n"
				"users = 7, root\n"
				"groups = root\n"
				"users = 8\n"
				"allow = read,write\n"
				"streams = a\\,b, c-* , !c-d\n"
				"checkpoints = k\n"
				"username = ops\n"
				"clients = 3\n"
				"events_per_second = 1000\n"
				"[store]\n"
				"username = other\n"
				"[access two.2]\n"
				"users = *\n"
				"allow = none\n"
				"credentials = yes\n",
				complaints),
		      "%s", complaints);
	ck_assert_uint_eq(c.access->count, 2);
	r = c.access->rules;
	ck_assert_str_eq(r->name, "one");
	ck_assert(!r->everybody);
	ck_assert_uint_eq(r->uid_count, 3);
	ck_assert_uint_eq(r->uids[0], 7);
	ck_assert_uint_eq(r->uids[1], 0);
	ck_assert_uint_eq(r->uids[2], 8);
	ck_assert_uint_eq(r->gid_count, 1);
	ck_assert_uint_eq(r->gids[0], 0);
	ck_assert_uint_eq(r->permissions,
			  PERMISSION_BIT(PERMISSION_READ) | PERMISSION_BIT(PERMISSION_WRITE));
	ck_assert(access_patterns_allow(&r->streams, "a,b", 3));
	ck_assert(access_patterns_allow(&r->streams, "c-e", 3));
	ck_assert(!access_patterns_allow(&r->streams, "c-d", 3));
	ck_assert_str_eq(r->username, "ops");
	ck_assert(!r->request_credentials);
	ck_assert_uint_eq(r->clients, 3);
	ck_assert_uint_eq(r->meter.rate, 1000);
	ck_assert(r[1].everybody);
	ck_assert(r[1].request_credentials);
	ck_assert_uint_eq(r[1].permissions, 0);
	ck_assert_str_eq(c.store.username, "other");
	config_free(&c);
}
END_TEST

/* What each mistake in a rule is told as, and in which line. */
START_TEST(refuses_wrong_access_rules)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ "allow = read", ":1: [access a] needs users or groups" },
		{ "users = 1", ":1: [access a] needs allow" },
		{ "users = 1\nallow =", ":3: [access a] needs allow" },
		{ "users = 1\nallow = reed", ":3: allow: expected some of read, write" },
		{ "users = 1\nallow = read,", ":3: allow: expected some of" },
		{ "users = 1\nallow = read, write, read", ":3: allow: read is there twice" },
		{ "users = 1\nallow = read, none", ":3: allow: none stands alone" },
		{ "users = nobody-such\nallow = read", ":2: users: there is no user nobody-such" },
		{ "users = 4294967295\nallow = read", ":2: users: there is no user 4294967295" },
		{ "users = -1\nallow = read", ":2: users: there is no user -1" },
		{ "users = 1, 1\nallow = read", ":2: users: 1 is there twice" },
		{ "users = root\nusers = 0\nallow = read", ":3: users: 0 is there twice" },
		{ "users =,\nallow = read", ":2: users: expected words" },
		{ "groups = *\nallow = read", ":2: groups: there is no group *" },
		{ "groups = none-such\nallow = read", ":2: groups: there is no group none-such" },
		{ "users = 1\nallow = read\nstreams = !a", ":4: streams: what is not denied" },
		{ "users = 1\nallow = read\nstreams = a, $all, !b", ":4: streams: $all gives" },
		{ "users = 1\nallow = read\nstreams = a, b, a", ":4: streams: a: is there twice" },
		{ "users = 1\nallow = read\nstreams = $$a", ":4: streams: $$a: the metadata" },
		{ "users = 1\nallow = read\nstreams = a, !", ":4: streams: !: a pattern is empty" },
		{ "users = 1\nallow = read\nstreams = a\\", ":4: streams: expected words" },
		{ "users = 1\nallow = read\nstreams = a,;b", ":4: streams: expected words" },
		{ "users = 1\nallow = read\ncheckpoints = !a", ":4: checkpoints: what is not" },
		{ "users = 1\nallow = read\npassword_file = /x",
		  ":4: a password_file without a username" },
		{ "users = 1\nallow = read\nusername = u\npassword_file = /nowhere/x",
		  ":5: password_file: /nowhere/x: No such file" },
		{ "users = 1\nallow = read\nclients = -1", ":4: clients: expected a whole number" },
		{ "users = 1\nallow = read\nstream = a",
		  ":4: there is no setting stream in [access" },
		{ "users = 1\nallow = read\nallow = write\nclients = 1\nclients = 2",
		  ":6: clients is set a second time, first in line 5" },
		{ "users = 1\nallow = read\n[access a]\nusers = 2\nallow = read",
		  ":4: [access a] is there a second time, first in line 1" },
		{ "users = 1\nallow = read\n[access]", ":4: [access] needs a name" },
		{ "users = 1\nallow = read\n[access b c]", ":4: [access] needs a name" },
		{ "users = 1\nallow = read\n[access \xc3\xa9]", ":4: [access] needs a name" },
		{ "users = 1\nallow = read\n[access 123456789012345678901234567890123]",
		  ":4: [access] needs a name" },
		{ "users = 1\nallow = read\n[accesss b]", ":4: there is no section [" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "[access a]\n%s\n", rows[i].text);
		refuses(text, rows[i].part);
	}
}
END_TEST

static char *printed(const struct config *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	config_print(c, to);
	fclose(to);
	return text;
}

/* What is printed of the file TEXT is taken and gives the same. False where TEXT is refused. */
static bool prints_again(const char *text)
{
	char complaints[4096];
	char *first, *second;
	struct config c;

	if (!load_text(&c, text, complaints))
		return false;
	first = printed(&c);
	config_free(&c);
	ck_assert_msg(load_text(&c, first, complaints), "%s: %s", text, complaints);
	second = printed(&c);
	config_free(&c);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	return true;
}

/* The LEN bytes at TEXT, or as many as a line has room for behind NAME, and a line end. */
static bool prints_text_again(const struct setting *row, const char *text, size_t len)
{
	char file[512];
	int n = snprintf(file, sizeof(file), "[%s]\n%s=", row->section, row->name);
	size_t room = 197 - strlen(row->name) - 1;

	snprintf(file + n, sizeof(file) - (size_t)n, "%.*s\n", (int)(len < room ? len : room),
		 text);
	return prints_again(file);
}

/* Each setting with the least and the most that it takes; what depends on others is below. */
START_TEST(prints_every_setting_so_that_it_can_be_read)
{
	char number[32], longest[256];
	unsigned taken = 0;

	memset(longest, 'a', sizeof(longest));
	for (const struct setting *row = config_table; row->name != NULL; row++) {
		const char *const *word = row->choices;
		int64_t ends[] = { row->least, row->most };

		for (unsigned i = 0; i < 2; i++) {
			snprintf(number, sizeof(number),
				 row->type == SETTING_MODE ? "%llo%s" : "%lld%s",
				 (long long)ends[i], row->type == SETTING_DURATION ? "ms" : "");
			taken += prints_text_again(row, number, strlen(number));
		}
		while (row->type == SETTING_CHOICE && *word != NULL) {
			taken += prints_text_again(row, *word, strlen(*word));
			word++;
		}
		taken += prints_text_again(row, row->type == SETTING_BOOL ? "no" : "yes", 3);
		taken += prints_text_again(row, longest, (size_t)row->most % sizeof(longest));
	}
	ck_assert_uint_gt(taken, 80);
}
END_TEST

START_TEST(prints_the_cluster_so_that_it_can_be_read)
{
	static const char *const texts[] = {
		"server = a:1",
		"server = [::1]:1",
		"server = discover://a:1",
		"gossip_seeds = ,",
		"gossip_seeds = a:1",
		"gossip_seeds = , [::1]:1 b:00002,,c:3,",
		"gossip_seeds = a:1\ngossip_seeds = b:2,c:3",
	};
	char file[1024];
	int n;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(file, sizeof(file), "[store]\n%s\n", texts[i]);
		ck_assert_msg(prints_again(file), "%s", texts[i]);
	}
	/* As many as there can be. */
	n = snprintf(file, sizeof(file), "[store]\n");
	for (int i = 0; i < 16; i++)
		n += snprintf(file + n, sizeof(file) - (size_t)n,
			      "gossip_seeds = seed-%02d.org:2113\n", i);
	ck_assert(prints_again(file));
	/* As long as a line can be. */
	snprintf(file, sizeof(file), "[store]\nserver=%0188d:1\n", 1);
	ck_assert(prints_again(file));
	snprintf(file, sizeof(file), "[store]\ngossip_seeds=%0182d:1\n", 1);
	ck_assert(prints_again(file));
}
END_TEST

/* Also where a list needs several lines. */
START_TEST(prints_access_rules_so_that_they_can_be_read)
{
	char complaints[4096], text[2048];
	char *first, *second;
	struct config c;
	int n = snprintf(text, sizeof(text), "[access a]\nusers=*\nallow=read\n");

	for (int i = 0; i < 9; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "streams=%d%0149d,x\\,%d,\\%d\n",
			      i, i, i, i);
	for (int i = 0; i < 2; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "checkpoints=%d%089d,x\\,%080d\n",
			      i, i, i);
	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	first = printed(&c);
	config_free(&c);
	ck_assert_msg(load_text(&c, first, complaints), "%s", complaints);
	ck_assert(access_patterns_allow(&c.access->rules[0].streams, "x,7", 3));
	second = printed(&c);
	config_free(&c);
	ck_assert_str_eq(first, second);
	ck_assert_ptr_nonnull(strstr(first, "\n[access a]\nusers = *\ngroups =\nallow = read\n"));
	free(first);
	free(second);
}
END_TEST

START_TEST(reads_passwords_of_access_rules)
{
	char *file = unit_file("s3cret\n", 7);
	char text[256], complaints[4096];
	char *shown;
	struct config c;

	snprintf(text, sizeof(text),
		 "[access a]\nusers = *\nallow = read\nusername = u\npassword_file = %s\n", file);
	ck_assert_msg(load_text(&c, text, complaints), "%s", complaints);
	ck_assert_str_eq(c.access->rules[0].username, "u");
	ck_assert_str_eq(c.access->rules[0].password, "s3cret");
	shown = printed(&c);
	ck_assert_ptr_null(strstr(shown, "s3cret"));
	free(shown);
	config_free(&c);
	unlink(file);
	free(file);
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
	tcase_add_test(tc, takes_access_rules);
	tcase_add_test(tc, refuses_wrong_access_rules);
	tcase_add_test(tc, prints_every_setting_so_that_it_can_be_read);
	tcase_add_test(tc, prints_the_cluster_so_that_it_can_be_read);
	tcase_add_test(tc, prints_access_rules_so_that_they_can_be_read);
	tcase_add_test(tc, reads_passwords_of_access_rules);
	suite_add_tcase(s, tc);
	return s;
}
