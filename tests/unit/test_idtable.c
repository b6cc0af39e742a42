#include <stdlib.h>
#include <string.h>

#include "base/idtable.h"
#include "base/mem.h"
#include "suites.h"

enum { NODES = 5000 };

START_TEST(is_ready_as_zeros)
{
	struct idtable t = { 0 };
	struct idnode node = { 0 };

	ck_assert_ptr_null(idtable_find(&t, &node.id));
	ck_assert(!idtable_remove(&t, &node));
	idtable_free(&t);
}
END_TEST

START_TEST(finds_what_was_put_in)
{
	struct idtable t = { 0 };
	struct idnode *nodes = mem_new(NODES * sizeof(*nodes));

	for (size_t i = 0; i < NODES; i++) {
		/* Ids that differ in a few bits only, as a peer may choose them. */
		memcpy(nodes[i].id.bytes + 12, &(uint32_t){ (uint32_t)i }, 4);
		idtable_insert(&t, &nodes[i]);
	}
	ck_assert_uint_eq(t.count, NODES);
	for (size_t i = 0; i < NODES; i++)
		ck_assert_ptr_eq(idtable_find(&t, &nodes[i].id), &nodes[i]);
	for (size_t i = 0; i < NODES; i += 2)
		ck_assert(idtable_remove(&t, &nodes[i]));
	ck_assert(!idtable_remove(&t, &nodes[0]));
	ck_assert_uint_eq(t.count, NODES / 2);
	for (size_t i = 0; i < NODES; i++)
		ck_assert_ptr_eq(idtable_find(&t, &nodes[i].id), i % 2 == 0 ? NULL : &nodes[i]);
	idtable_free(&t);
	ck_assert_uint_eq(t.count, 0);
	free(nodes);
}
END_TEST

START_TEST(removes_the_node_itself)
{
	struct idtable t = { 0 };
	struct idnode in = { { { 1 } }, NULL }, same_id = in;

	idtable_insert(&t, &in);
	ck_assert(!idtable_remove(&t, &same_id));
	ck_assert_ptr_eq(idtable_find(&t, &same_id.id), &in);
	idtable_free(&t);
}
END_TEST

Suite *idtable_suite(void)
{
	Suite *s = suite_create("idtable");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, is_ready_as_zeros);
	tcase_add_test(tc, finds_what_was_put_in);
	tcase_add_test(tc, removes_the_node_itself);
	suite_add_tcase(s, tc);
	return s;
}
