#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "local/access.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

enum { OWN = 900 }; /* the user of the daemon */

static uint32_t all_but(enum permission p)
{
	return ((1u << PERMISSIONS) - 2) & ~PERMISSION_BIT(p);
}

/* Patterns, with blanks between. */
static void add_all(struct access_patterns *p, const char *texts)
{
	while (*texts != '\0') {
		size_t len = strcspn(texts, " ");
		const char *fault = access_patterns_add(p, texts, len, true);

		ck_assert_msg(fault == NULL, "%s: %s", texts, fault);
		texts += len + (texts[len] == ' ');
	}
}

/* One rule for everybody; freed by access_free(). */
static struct access *one_rule(uint32_t permissions, const char *streams)
{
	struct access *a = mem_new(sizeof(*a));

	a->rules = mem_new(sizeof(*a->rules));
	a->count = 1;
	a->rules[0].name = mem_text("one");
	a->rules[0].username = mem_text("");
	a->rules[0].everybody = true;
	a->rules[0].permissions = permissions;
	add_all(&a->rules[0].streams, streams);
	return a;
}

static bool allows(const char *patterns, const char *name)
{
	struct access *a = one_rule(0, patterns);
	bool allowed = access_patterns_allow(&a->rules[0].streams, name, strlen(name));

	access_free(a);
	return allowed;
}

START_TEST(matches_patterns)
{
	static const struct {
		const char *patterns;
		const char *allowed[8];
		const char *denied[8];
	} rows[] = {
		{ "billing", { "billing" }, { "billin", "billings", "Billing", "", "xbilling" } },
		{ "billing-*",
		  { "billing-", "billing-1", "billing-*" },
		  { "billing", "billing1" } },
		{ "*", { "a", "a b", "-", "a$" }, { "$a", "$", "$$a" } },
		{ "?*", { "a", "ab", "\xc3\xa9" }, { "", "$a" } },
		{ "?", { "a", "\xc3\xa9", "\xe2\x82\xac" }, { "ab", "", "$", "\xc3\xa9\xc3\xa9" } },
		{ "$*", { "$a", "$" }, { "a" } },
		{ "$ce-*", { "$ce-a" }, { "$et-a", "ce-a" } },
		{ "*-1", { "a-1", "-1", "a-1-1" }, { "a-12", "1" } },
		{ "a*b*c", { "abc", "a-b-c", "abbcc", "abcbc" }, { "ab", "acb", "abcd" } },
		{ "*a*a*a*a*b",
		  { "aaaab" },
		  { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } },
		{ "a**b", { "ab", "axb" }, { "a", "b" } },
		{ "a\\*", { "a*" }, { "a", "ab", "a\\" } },
		{ "a\\?\\\\", { "a?\\" }, { "ax\\", "a?" } },
		{ "a\\,b", { "a,b" }, { "a\\,b" } },
		{ "a\\", { "a\\" }, { "a" } },
		{ "a* !ab", { "a", "aa", "abc" }, { "ab" } },
		{ "!ab a*", { "a", "aa", "abc" }, { "ab" } },
		{ "a b !a", { "b" }, { "a" } },
		{ "* $* !*secret*",
		  { "a", "$ce-a" },
		  { "secret", "my-secret-1", "$ce-secret", "$secret" } },
		{ "a$*", { "a$", "a$b" }, { "$" } },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t j = 0; j < 8 && rows[i].allowed[j] != NULL; j++)
			ck_assert_msg(allows(rows[i].patterns, rows[i].allowed[j]),
				      "'%s' must allow '%s'", rows[i].patterns, rows[i].allowed[j]);
		for (size_t j = 0; j < 8 && rows[i].denied[j] != NULL; j++)
			ck_assert_msg(!allows(rows[i].patterns, rows[i].denied[j]),
				      "'%s' must not allow '%s'", rows[i].patterns,
				      rows[i].denied[j]);
	}
}
END_TEST

START_TEST(refuses_patterns_that_mislead)
{
	static const char *const bad[] = { "", "!", "!$all", "$$a", "!$$a" };
	struct access *a = one_rule(0, "");
	struct access_patterns *p = &a->rules[0].streams;

	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(access_patterns_add(p, bad[i], strlen(bad[i]), true) != NULL, "%s",
			      bad[i]);
	ck_assert_ptr_null(p->first);
	ck_assert_ptr_null(access_patterns_fault(p));
	add_all(p, "!a");
	ck_assert_ptr_nonnull(access_patterns_fault(p));
	add_all(p, "b");
	ck_assert_ptr_null(access_patterns_fault(p));
	add_all(p, "$all");
	ck_assert_ptr_nonnull(access_patterns_fault(p));
	access_free(a);
	a = one_rule(0, "$all");
	ck_assert_ptr_null(access_patterns_fault(&a->rules[0].streams));
	access_free(a);
}
END_TEST

/* Who each rule is for, and the first that is for somebody. */
START_TEST(takes_the_first_rule_that_is_for_a_peer)
{
	static const gid_t others[] = { 50, 51 };
	struct access *a = mem_new(sizeof(*a));
	struct access_rule *r;

	a->rules = r = mem_new(4 * sizeof(*r));
	a->count = 4;
	r[0].uids = mem_new(2 * sizeof(*r[0].uids));
	r[0].uids[0] = 7;
	r[0].uids[1] = 8;
	r[0].uid_count = 2;
	r[1].gids = mem_new(sizeof(*r[1].gids));
	r[1].gids[0] = 51;
	r[1].gid_count = 1;
	r[2].uids = mem_new(sizeof(*r[2].uids));
	r[2].uids[0] = 9;
	r[2].uid_count = 1;
	r[3].uids = mem_new(sizeof(*r[3].uids));
	r[3].uids[0] = 8;
	r[3].uid_count = 1;
	const struct {
		struct access_peer peer;
		const struct access_rule *rule;
	} peers[] = {
		{ { .uid = 7, .gid = 1 }, &r[0] },
		{ { .uid = 8, .gid = 51 }, &r[0] },
		{ { .uid = 9, .gid = 51 }, &r[1] },
		{ { .uid = 9, .gid = 1, .groups = others, .group_count = 2 }, &r[1] },
		{ { .uid = 9, .gid = 1, .groups = others, .group_count = 1 }, &r[2] },
		{ { .uid = 51, .gid = 7 }, NULL },
		{ { .uid = 0, .gid = 0 }, NULL },
		{ { .uid = (uid_t)-1, .gid = 51 }, NULL },
	};

	for (size_t i = 0; i < COUNT(peers); i++)
		ck_assert_msg(access_find(a, &peers[i].peer) == peers[i].rule, "peer %zu", i);
	r[3].everybody = true;
	ck_assert_ptr_eq(access_find(a, &peers[5].peer), &r[3]);
	ck_assert_ptr_eq(access_find(a, &peers[7].peer), &r[3]);
	ck_assert_ptr_null(access_find(NULL, &peers[0].peer));
	access_free(a);
}
END_TEST

START_TEST(gives_permissions)
{
	const uint32_t admin = PERMISSION_BIT(PERMISSION_ADMIN);
	const uint32_t read = PERMISSION_BIT(PERMISSION_READ);
	struct access *a = one_rule(read, "");
	struct access none = { NULL, 0 };
	const struct access_peer root = { .uid = 0 }, own = { .uid = OWN }, other = { .uid = 5 };

	ck_assert_uint_eq(access_permissions(NULL, NULL, &other, OWN), all_but(PERMISSION_ADMIN));
	ck_assert_uint_eq(access_permissions(&none, NULL, &other, OWN), all_but(PERMISSION_ADMIN));
	ck_assert_uint_eq(access_permissions(&none, NULL, &root, OWN), all_but(0));
	ck_assert_uint_eq(access_permissions(&none, NULL, &own, OWN), all_but(0));
	ck_assert_uint_eq(access_permissions(a, NULL, &other, OWN), 0);
	ck_assert_uint_eq(access_permissions(a, NULL, &root, OWN), admin);
	ck_assert_uint_eq(access_permissions(a, a->rules, &other, OWN), read);
	ck_assert_uint_eq(access_permissions(a, a->rules, &root, OWN), read | admin);
	access_free(a);
}
END_TEST

/* What MESSAGE about STREAM (NULL: it names none) comes to under a rule. */
static enum access_refusal decide(uint32_t permissions, const char *streams,
				  const struct message *message, const char *stream)
{
	struct access *a = one_rule(permissions, streams);
	const struct access_target target = { stream, stream == NULL ? 0 : strlen(stream) };
	enum access_refusal why = access_message(a->rules, permissions, message, &target);

	access_free(a);
	return why;
}

static const char *stream_for(const struct message *m)
{
	return m->scope == SCOPE_STREAM ? "s" : NULL;
}

/* Generated from the table: a message that does not say what it needs, or what it is about, is
 * refused whatever there is. */
START_TEST(each_message_needs_its_permission)
{
	const struct message *m = &message_table[_i];
	const char *stream = stream_for(m);

	ck_assert_int_ne(m->needs, PERMISSION_NOT_SAID);
	ck_assert_int_ne(m->scope, SCOPE_NOT_SAID);
	ck_assert_int_eq(decide(all_but(0), "", m, stream), ACCESS_GRANTED);
	ck_assert_int_eq(decide(0, "", m, stream), ACCESS_PERMISSION);
	ck_assert_int_eq(decide(all_but(m->needs), "", m, stream), ACCESS_PERMISSION);
	ck_assert_int_eq(decide(all_but(m->needs), "s $all", m, stream), ACCESS_PERMISSION);
	ck_assert_int_eq(access_message(NULL, all_but(0), m, &(struct access_target){ stream, 0 }),
			 ACCESS_PERMISSION);
	if (m->kind == MESSAGE_READ)
		ck_assert_int_eq(m->needs, PERMISSION_READ);
	else
		ck_assert_int_ne(m->needs, PERMISSION_READ);
}
END_TEST

/* The same with a rule that has streams. */
START_TEST(each_message_is_bound_to_streams)
{
	static const enum access_refusal refusals[] = {
		[SCOPE_STREAM] = ACCESS_STREAM,
		[SCOPE_ALL] = ACCESS_ALL,
		[SCOPE_TRANSACTION] = ACCESS_TRANSACTION,
		[SCOPE_DATABASE] = ACCESS_DATABASE,
	};
	const struct message *m = &message_table[_i];

	ck_assert_int_eq(decide(all_but(0), "x*", m, stream_for(m)), refusals[m->scope]);
	ck_assert_int_eq(decide(all_but(0), "* !s", m, stream_for(m)), refusals[m->scope]);
	if (m->scope == SCOPE_ALL) {
		ck_assert_int_eq(decide(all_but(0), "* $*", m, NULL), ACCESS_ALL);
		ck_assert_int_eq(decide(all_but(0), "$all", m, NULL), ACCESS_GRANTED);
	}
	if (m->scope == SCOPE_STREAM || m->scope == SCOPE_TRANSACTION) {
		ck_assert_int_eq(decide(all_but(0), "s", m, "s"), ACCESS_GRANTED);
		ck_assert_int_eq(decide(all_but(0), "x", m, "s"), ACCESS_STREAM);
		ck_assert_int_eq(decide(all_but(0), "$all", m, "s"), ACCESS_STREAM);
	}
}
END_TEST

START_TEST(metadata_goes_with_its_stream)
{
	const struct message *write = message_find("WriteEvents", 11);
	const struct message *read = message_find("ReadStreamEvents", 16);
	const struct message *commit = message_find("TransactionCommit", 17);

	ck_assert_int_eq(decide(all_but(0), "s", read, "$$s"), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(0), "x", read, "$$s"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "$*", read, "$$s"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "* !s", read, "$$s"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "*", read, "$$$x"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "$x", read, "$$$x"), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(0), "* $*", read, "$$"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "* $*", read, "$all"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "* $*", read, "$$$all"), ACCESS_STREAM);
	ck_assert_int_eq(decide(all_but(0), "$all", read, "$all"), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(PERMISSION_WRITE), "", write, "$$s"), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(PERMISSION_MANAGE), "", write, "$$s"), ACCESS_PERMISSION);
	ck_assert_int_eq(decide(all_but(PERMISSION_MANAGE), "", commit, "$$s"), ACCESS_PERMISSION);
	ck_assert_int_eq(decide(all_but(PERMISSION_MANAGE), "", write, "s"), ACCESS_GRANTED);
}
END_TEST

/* Without streams too: it may have been begun for metadata. */
START_TEST(unknown_transactions_are_for_who_may_write_everything)
{
	const struct message *m = message_find("TransactionWrite", 16);

	ck_assert_int_eq(decide(all_but(0), "", m, NULL), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(PERMISSION_MANAGE), "", m, NULL), ACCESS_TRANSACTION);
	ck_assert_int_eq(decide(all_but(PERMISSION_MANAGE), "", m, "s"), ACCESS_GRANTED);
	ck_assert_int_eq(decide(all_but(0), "* $* $all", m, NULL), ACCESS_TRANSACTION);
}
END_TEST

static bool shows(const char *streams, const char *stream)
{
	struct access *a = one_rule(0, streams);
	bool shown = access_shows(a->rules, stream, strlen(stream));

	access_free(a);
	return shown;
}

START_TEST(screens_what_links_lead_to)
{
	ck_assert(shows("", "s"));
	ck_assert(shows("", ""));
	ck_assert(shows("s", "s"));
	ck_assert(!shows("x", "s"));
	ck_assert(!shows("* !s", "s"));
	ck_assert(!shows("*", "$s"));
	ck_assert(shows("x $all", "s"));
	ck_assert(!shows("*", ""));
}
END_TEST

START_TEST(checkpoints_go_by_name_and_stream)
{
	struct access *a = one_rule(0, "s*");
	struct access_rule *r = a->rules;

	ck_assert(access_checkpoint(r, "c", NULL));
	ck_assert(access_checkpoint(r, "c", "s1"));
	ck_assert(!access_checkpoint(r, "c", "x"));
	ck_assert(!access_checkpoint(r, "c", ""));
	ck_assert_ptr_null(access_patterns_add(&r->checkpoints, "c-*", 3, false));
	ck_assert_ptr_null(access_patterns_add(&r->checkpoints, "$all", 4, false));
	ck_assert(access_checkpoint(r, "c-1", "s1"));
	ck_assert(access_checkpoint(r, "$all", NULL));
	ck_assert(!access_checkpoint(r, "c", "s1"));
	ck_assert(!access_checkpoint(r, "c-1", "x"));
	access_free(a);
}
END_TEST

Suite *access_suite(void)
{
	Suite *s = suite_create("access");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, matches_patterns);
	tcase_add_test(tc, refuses_patterns_that_mislead);
	tcase_add_test(tc, takes_the_first_rule_that_is_for_a_peer);
	tcase_add_test(tc, gives_permissions);
	tcase_add_loop_test(tc, each_message_needs_its_permission, 0, MESSAGE_COUNT);
	tcase_add_loop_test(tc, each_message_is_bound_to_streams, 0, MESSAGE_COUNT);
	tcase_add_test(tc, metadata_goes_with_its_stream);
	tcase_add_test(tc, unknown_transactions_are_for_who_may_write_everything);
	tcase_add_test(tc, screens_what_links_lead_to);
	tcase_add_test(tc, checkpoints_go_by_name_and_stream);
	suite_add_tcase(s, tc);
	return s;
}
