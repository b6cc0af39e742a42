#include <string.h>

#include "base/list.h"
#include "suites.h"

struct letter {
	char is;
	struct link link;
};

/* Writes the letters on LIST to TEXT, and checks that the way back is the same. */
static const char *spell(const struct link *list, char text[8])
{
	size_t n = 0;

	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		ck_assert_ptr_eq(l->prev->next, l);
		ck_assert_ptr_eq(l->next->prev, l);
		text[n++] = CONTAINER(l, struct letter, link)->is;
	}
	text[n] = '\0';
	return text;
}

static void make(struct letter letters[4])
{
	for (int i = 0; i < 4; i++) {
		letters[i].is = (char)('a' + i);
		link_init(&letters[i].link);
	}
}

START_TEST(keeps_order)
{
	struct letter l[4];
	struct link list;
	char text[8];

	make(l);
	link_init(&list);
	ck_assert(list_empty(&list));
	ck_assert_ptr_null(list_first(&list));
	list_append(&list, &l[1].link);
	list_append(&list, &l[3].link);
	list_prepend(&list, &l[0].link);
	list_insert_before(&l[3].link, &l[2].link);
	ck_assert_str_eq(spell(&list, text), "abcd");
	ck_assert(link_used(&l[2].link));
}
END_TEST

START_TEST(removes_twice)
{
	struct letter l[4];
	struct link list;
	char text[8];

	make(l);
	link_init(&list);
	for (int i = 0; i < 4; i++)
		list_append(&list, &l[i].link);
	list_remove(&l[0].link);
	list_remove(&l[2].link);
	list_remove(&l[2].link);
	ck_assert(!link_used(&l[2].link));
	ck_assert_str_eq(spell(&list, text), "bd");
	list_remove(&l[3].link);
	list_remove(&l[1].link);
	ck_assert(list_empty(&list));
}
END_TEST

START_TEST(splices)
{
	struct letter l[4];
	struct link one, two;
	char text[8];

	make(l);
	link_init(&one);
	link_init(&two);
	list_splice(&one, &two);
	ck_assert(list_empty(&one));
	list_append(&one, &l[0].link);
	list_append(&two, &l[1].link);
	list_append(&two, &l[2].link);
	list_splice(&one, &two);
	ck_assert(list_empty(&two));
	ck_assert_str_eq(spell(&one, text), "abc");
	list_splice(&two, &one);
	ck_assert_str_eq(spell(&two, text), "abc");
	ck_assert(list_empty(&one));
}
END_TEST

Suite *list_suite(void)
{
	Suite *s = suite_create("list");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, keeps_order);
	tcase_add_test(tc, removes_twice);
	tcase_add_test(tc, splices);
	suite_add_tcase(s, tc);
	return s;
}
