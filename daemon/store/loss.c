#include "store/loss.h"

#include <string.h>

static const char *const words[LOSS_WORDS] = {
	"authentication_failed",
	"bad_frame_length",
	"bad_package_header",
	"closed_by_store",
	"connect",
	"connect_timeout",
	"discovery",
	"handshake_timeout",
	"heartbeat_timeout",
	"identification_failed",
	"not_leader",
	"out_of_memory",
	"read",
	"refused_by_store",
	"resolve",
	"resolve_timeout",
	"socket",
	"store_not_ready",
	"tls",
	"write",
	"other",
};

void loss_count(uint64_t counts[LOSS_WORDS], const char *reason)
{
	size_t len = strcspn(reason, ": ");
	size_t i = 0;

	while (i < LOSS_WORDS - 1 &&
	       (strlen(words[i]) != len || memcmp(words[i], reason, len) != 0))
		i++;
	counts[i]++;
}

const char *loss_word(size_t i)
{
	return i < LOSS_WORDS ? words[i] : NULL;
}
