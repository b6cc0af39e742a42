#include "store/not_handled.h"

#include <string.h>

#include "store/wire_read.h"

/* MasterInfo, LeaderInfo: either 1 and 2 (plain) or 5 and 6 (TLS) are filled from 20.6 on
 * (WIRE 5.6). */
static void read_leader(struct span bytes, bool secure_first, struct not_handled *answer)
{
	struct span host[2] = { { NULL, 0 }, { NULL, 0 } };
	uint64_t port[2] = { 0, 0 };
	struct wire w;
	struct wire_field f;

	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		size_t secure = f.number >= 5;

		if ((f.number == 1 || f.number == 5) && f.type == WIRE_BYTES)
			host[secure] = f.bytes;
		else if ((f.number == 2 || f.number == 6) && f.type == WIRE_VARINT)
			port[secure] = f.value;
	}
	for (size_t n = 0; n < 2; n++) {
		size_t i = secure_first ? 1 - n : n;

		if (host[i].len == 0 || host[i].len >= sizeof(answer->host) || port[i] == 0 ||
		    port[i] > 65535)
			continue;
		memcpy(answer->host, host[i].at, host[i].len);
		answer->host[host[i].len] = '\0';
		answer->port = (uint16_t)port[i];
		answer->secure = i == 1;
		return;
	}
}

void not_handled_read(const struct package *package, bool secure_first, struct not_handled *answer)
{
	struct span info = { NULL, 0 };
	struct wire w;
	struct wire_field f;

	memset(answer, 0, sizeof(*answer));
	wire_start(&w, package->payload, package->payload_len);
	while (wire_next(&w, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT)
			answer->reason = (int64_t)f.value;
		else if (f.number == 2 && f.type == WIRE_BYTES)
			info = f.bytes;
	}
	if (answer->reason == NOT_LEADER)
		read_leader(info, secure_first, answer);
}

bool not_handled_passes(const struct package *package)
{
	struct not_handled answer;

	not_handled_read(package, false, &answer);
	return answer.reason >= NOT_READY && answer.reason <= NOT_LEADER;
}
