#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "suites.h"

static Suite *(*const suites[])(void) = {
	access_suite,
	account_suite,
	base64_suite,
	buffer_suite,
	checkpoint_file_suite,
	checkpoint_suite,
	config_suite,
	event_suite,
	frame_suite,
	guid_suite,
	idtable_suite,
	json_oracle_suite,
	json_to_message_random_suite,
	json_to_message_suite,
	json_walk_suite,
	json_write_suite,
	list_suite,
	log_suite,
	loop_suite,
	mem_suite,
	message_table_suite,
	message_to_json_random_suite,
	message_to_json_suite,
	gossip_suite,
	metrics_suite,
	notify_suite,
	outbox_suite,
	outstanding_suite,
	relief_suite,
	session_suite,
	settings_suite,
	transcripts_suite,
	turns_suite,
	wire_suite,
};

/* The address sanitizer asks this: a mem_new() of too much must fail as it does without it. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

bool unit_is_slow(void)
{
	const char *fork = getenv("CK_FORK");

	return fork != NULL && strcmp(fork, "no") == 0;
}

uint64_t unit_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

FILE *unit_open(const char *path)
{
	const char *source = getenv("SRCDIR");
	char name[PATH_MAX];
	FILE *file;

	snprintf(name, sizeof(name), "%s/%s", source == NULL ? "." : source, path);
	file = fopen(name, "re");
	ck_assert_msg(file != NULL, "%s cannot be read; SRCDIR is the top of the sources", name);
	return file;
}

char *unit_file(const void *bytes, size_t len)
{
	char *name = mem_text("/tmp/esbridge-unit-XXXXXX");
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	return name;
}

/* One suite alone: CK_RUN_SUITE=name. */
int main(void)
{
	SRunner *runner;
	int failed;

	/* Seconds for one test: the four that are usual are too few under sanitizers, on a machine
	 * that does other things as well. */
	setenv("CK_DEFAULT_TIMEOUT", "60", 0);
	runner = srunner_create(NULL);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
