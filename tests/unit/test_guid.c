#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/guid.h"
#include "base/idtable.h"
#include "suites.h"

static const char text_form[] = "00112233-4455-6677-8899-aabbccddeeff";
static const struct guid wire_form = {
	{ 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
	  0xff },
};

START_TEST(has_the_order_of_the_wire)
{
	struct guid id;
	char text[GUID_TEXT];

	ck_assert(guid_parse(text_form, GUID_TEXT, &id));
	ck_assert(guid_equal(&id, &wire_form));
	guid_format(&id, text);
	ck_assert_mem_eq(text, text_form, GUID_TEXT);
	ck_assert(guid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", GUID_TEXT, &id));
	ck_assert(guid_equal(&id, &wire_form));
}
END_TEST

START_TEST(refuses_other_texts)
{
	static const char *const bad[] = {
		"",
		"00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff",
		"00112233-4455-6677-8899-aabbccddeefg",
		"0011223304455-6677-8899-aabbccddeeff",
		"{0112233-4455-6677-8899-aabbccddeef}",
		" 0112233-4455-6677-8899-aabbccddeeff",
		"00112233445566778899aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddee\0f",
	};
	struct guid id;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!guid_parse(bad[i], strlen(bad[i]), &id), "%s", bad[i]);
	ck_assert(!guid_parse(text_form, GUID_TEXT - 1, &id));
}
END_TEST

START_TEST(makes_version_4)
{
	struct guid last = { { 0 } };

	ck_assert(guid_is_zero(&last));
	for (int i = 0; i < 1000; i++) {
		struct guid id;
		char text[GUID_TEXT];

		guid_make(&id);
		ck_assert(!guid_equal(&id, &last));
		ck_assert(!guid_is_zero(&id));
		guid_format(&id, text);
		ck_assert_int_eq(text[14], '4');
		ck_assert_ptr_nonnull(strchr("89ab", text[19]));
		last = id;
	}
}
END_TEST

START_TEST(numbers_do_not_meet)
{
	enum { COUNT = 70000 };
	struct idtable table = { 0 };
	struct idnode *nodes = calloc(COUNT, sizeof(*nodes));

	for (size_t i = 0; i < COUNT; i++) {
		char text[GUID_TEXT];

		guid_next(&nodes[i].id);
		guid_format(&nodes[i].id, text);
		ck_assert_int_eq(text[14], '4');
		ck_assert_ptr_nonnull(strchr("89ab", text[19]));
		ck_assert_ptr_null(idtable_find(&table, &nodes[i].id));
		idtable_insert(&table, &nodes[i]);
	}
	idtable_free(&table);
	free(nodes);
}
END_TEST

/* libuuid knows the text form too. */
START_TEST(agrees_with_libuuid)
{
	for (int i = 0; i < 10000; i++) {
		struct guid id, back;
		char ours[GUID_TEXT + 1] = "";
		char theirs[GUID_TEXT + 1];
		uuid_t rfc;

		guid_make(&id);
		guid_format(&id, ours);
		ck_assert(guid_parse(ours, GUID_TEXT, &back));
		ck_assert(guid_equal(&id, &back));
		ck_assert_int_eq(uuid_parse(ours, rfc), 0);
		uuid_unparse_upper(rfc, theirs);
		ck_assert(guid_parse(theirs, GUID_TEXT, &back));
		ck_assert(guid_equal(&id, &back));
		uuid_unparse_lower(rfc, theirs);
		ck_assert_str_eq(ours, theirs);
		/* Any other byte in any place is no UUID, or the same to both. */
		ours[(unsigned)i % GUID_TEXT] = (char)(i / GUID_TEXT % 255 + 1);
		ck_assert_int_eq(guid_parse(ours, GUID_TEXT, &back), uuid_parse(ours, rfc) == 0);
	}
}
END_TEST

Suite *guid_suite(void)
{
	Suite *s = suite_create("guid");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, has_the_order_of_the_wire);
	tcase_add_test(tc, refuses_other_texts);
	tcase_add_test(tc, makes_version_4);
	tcase_add_test(tc, numbers_do_not_meet);
	tcase_add_test(tc, agrees_with_libuuid);
	suite_add_tcase(s, tc);
	return s;
}
