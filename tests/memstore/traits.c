#include "traits.h"

#include <stddef.h>
#include <string.h>

/* A trait that a row does not name is not there. */
static const struct traits versions[] = {
	{
		.version = "3.9.4",
		.scavenge = SCAVENGE_COMPLETED,
		.told = 0,
		.number_most = INT32_MAX,
		.zeros = true,
		.small_numbers = true,
		.deletes_missing = true,
		.follows_rubbish = true,
		.checks_links = true,
		.admins_manage = true,
		.anonymous_streams = true,
		.anonymous_groups = true,
		.acks_by_owner = true,
		.forgets_retries = true,
	},
	{
		.version = "4.1.4",
		.scavenge = SCAVENGE_COMPLETED,
		.told = TELL_LONG,
		.number_most = INT64_MAX,
		.write_version = true,
		.retry_count = true,
		.zeros = true,
		.small_numbers = true,
		.deletes_missing = true,
		.follows_rubbish = true,
		.checks_links = true,
		.admins_manage = true,
		.anonymous_streams = true,
		.anonymous_groups = true,
		.acks_by_owner = true,
		.forgets_retries = true,
		.zero_never = true,
	},
	{
		.version = "5.0.11",
		.scavenge = SCAVENGE_STARTED,
		.told = TELL_EMPTY | TELL_TRUSTED,
		.number_most = INT64_MAX,
		.write_version = true,
		.retry_count = true,
		.zeros = true,
		.small_numbers = true,
		.deletes_missing = true,
		.checks_links = true,
		.anonymous_streams = true,
		.anonymous_groups = true,
		.forgets_retries = true,
		.zero_never = true,
	},
	{
		.version = "20.10.6",
		.scavenge = SCAVENGE_STARTED,
		.told = TELL_LONG | TELL_EMPTY | TELL_NEGATIVE | TELL_TRUSTED,
		.number_most = INT64_MAX,
		.write_version = true,
		.retry_count = true,
		.zeros = true,
		.small_numbers = true,
		.deletes_missing = true,
		.filters = true,
		.denies_filtered_unfiltered = true,
		.denies_first = true,
		.repeated_positions = true,
		.anonymous_streams = true,
		.skips_expired = true,
		.limits_data_alone = true,
		.correlation_strategy = true,
	},
	{
		.version = "21.10.11",
		.scavenge = SCAVENGE_STARTED,
		.told = TELL_LONG | TELL_EMPTY | TELL_NEGATIVE | TELL_TRUSTED,
		.number_most = INT64_MAX,
		.write_version = true,
		.delete_version = true,
		.retry_count = true,
		.zeros = true,
		.small_numbers = true,
		.filters = true,
		.denies_first = true,
		.repeated_positions = true,
		.anonymous_streams = true,
		.skips_expired = true,
		.limits_data_alone = true,
		.correlation_strategy = true,
	},
	{
		.version = "22.10.5",
		.scavenge = SCAVENGE_STARTED_OR_NONE,
		.told = TELL_LONG | TELL_EMPTY | TELL_NEGATIVE | TELL_TRUSTED,
		.number_most = INT64_MAX,
		.write_version = true,
		.delete_version = true,
		.retry_count = true,
		.filters = true,
		.denies_first = true,
		.repeated_positions = true,
		.anonymous_streams = true,
		.acks_nothing = true,
		.skips_expired = true,
		.limits_data_alone = true,
		.correlation_strategy = true,
	},
	{
		.version = "23.10.6",
		.scavenge = SCAVENGE_NONE,
		.told = TELL_LONG | TELL_EMPTY | TELL_NEGATIVE | TELL_TRUSTED,
		.number_most = INT64_MAX,
		.write_version = true,
		.delete_version = true,
		.retry_count = true,
		.filters = true,
		.denies_first = true,
		.repeated_positions = true,
		.acks_nothing = true,
		.skips_expired = true,
		.limits_data_alone = true,
		.correlation_strategy = true,
	},
};

enum { VERSIONS = sizeof(versions) / sizeof(versions[0]) };

const struct traits *traits_at(unsigned index)
{
	return index < VERSIONS ? &versions[index] : NULL;
}

const struct traits *traits_find(const char *version)
{
	for (size_t i = 0; i < VERSIONS; i++) {
		if (strcmp(version, versions[i].version) == 0)
			return &versions[i];
	}
	return NULL;
}
