/*
 * A gossip document, and the choice of a node from it.
 */
#include <stdlib.h>

#include "fuzz.h"
#include "store/gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gossip *g = calloc(1, sizeof(*g));
	char fault[128];

	if (g != NULL && gossip_read((const char *)data, size, g, fault, sizeof(fault))) {
		for (unsigned i = 0; i < 8; i++) {
			const struct node *node =
				gossip_choose(g, (enum node_preference)(i / 2), i % 2 != 0,
					      g->count > 0 ? &g->nodes[0].plain : NULL, i);

			/* One is chosen only where it can be connected to. */
			if (node != NULL && node_endpoint(node, i % 2 != 0).port == 0)
				abort();
		}
	}
	free(g);
	return 0;
}
