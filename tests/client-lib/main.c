#include <stdlib.h>
#include <string.h>

#include "suites.h"

/* The address sanitizer asks this: an allocation of too much must fail as it does without it. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

bool is_slow(void)
{
	const char *fork = getenv("CK_FORK");

	return fork != NULL && strcmp(fork, "no") == 0;
}

/* One suite alone: CK_RUN_SUITE=name. */
int main(void)
{
	SRunner *runner = srunner_create(reader_suite());
	int failed;

	srunner_add_suite(runner, calls_suite());
	srunner_add_suite(runner, memory_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
