#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "base/secret.h"
#include "suites.h"

START_TEST(gives_zeros)
{
	unsigned char *p = mem_new(4096);

	for (size_t i = 0; i < 4096; i++)
		ck_assert_uint_eq(p[i], 0);
	free(p);
}
END_TEST

START_TEST(copies_texts)
{
	char *whole = mem_text("people");
	char *part = mem_text_of("people-1", 6);
	char *none = mem_text_of("", 0);

	ck_assert_str_eq(whole, "people");
	ck_assert_str_eq(part, "people");
	ck_assert_str_eq(none, "");
	free(whole);
	free(part);
	free(none);
}
END_TEST

START_TEST(wipes)
{
	char secret[] = "changeit";

	mem_wipe(secret, 4);
	ck_assert_mem_eq(secret, "\0\0\0\0geit", sizeof(secret));
}
END_TEST

START_TEST(keeps_secrets)
{
	char *word = secret_new("changeit and more", 8);
	char *none = secret_new("", 0);

	ck_assert_str_eq(word, "changeit");
	ck_assert_str_eq(none, "");
	secret_free(word);
	secret_free(none);
	secret_free(NULL);
}
END_TEST

START_TEST(exits_without_memory)
{
	volatile size_t size = SIZE_MAX / 2;

	free(mem_new(size));
}
END_TEST

Suite *mem_suite(void)
{
	Suite *s = suite_create("mem");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, gives_zeros);
	tcase_add_test(tc, copies_texts);
	tcase_add_test(tc, wipes);
	tcase_add_test(tc, keeps_secrets);
	if (!unit_is_slow())
		tcase_add_exit_test(tc, exits_without_memory, EX_OSERR);
	suite_add_tcase(s, tc);
	return s;
}
