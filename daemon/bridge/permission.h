/*
 * What a client may be allowed to do. What each message needs stands in its row of the message
 * table; which of them a client has, the local room decides.
 */
#ifndef ESBRIDGE_BRIDGE_PERMISSION_H
#define ESBRIDGE_BRIDGE_PERMISSION_H

enum permission {
	PERMISSION_NOT_SAID, /* nobody has it: what a message without a word of it would need */
	PERMISSION_READ,
	PERMISSION_WRITE,     /* append events */
	PERMISSION_SUBSCRIBE, /* all modes, with their checkpoints */
	PERMISSION_MANAGE, /* delete streams, set their metadata; groups, checkpoints, scavenge */
	PERMISSION_ADMIN,  /* look at what other clients do */
	PERMISSIONS,
};

/* One bit for each, for sets of them. */
#define PERMISSION_BIT(p) (1u << (p))

#endif
