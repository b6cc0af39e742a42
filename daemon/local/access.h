/*
 * Access rules: what a client may do, told by who it is. Pure decisions: a rule, and what is
 * wanted.
 *
 * The first rule, in the order of the file, that is for a peer is the one that counts for it; what
 * later ones say of it does not. A peer that no rule is for may do nothing but ask about itself.
 * Where there are no rules at all, who can open the socket may do all but PERMISSION_ADMIN. That
 * one root and the user of the daemon always have: they could look into its memory as well.
 *
 * Whatever a rule cannot check is refused.
 */
#ifndef ESBRIDGE_LOCAL_ACCESS_H
#define ESBRIDGE_LOCAL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bridge/message.h"
#include "bridge/permission.h"
#include "bridge/session.h"

/* Who a client is, as of its connect(2). */
struct access_peer {
	uid_t uid; /* (uid_t)-1: not known */
	gid_t gid;
	pid_t pid;
	const gid_t *groups; /* the others */
	size_t group_count;
};

/*
 * Patterns for names: '*' stands for any bytes, '?' for one character, a backslash takes the
 * meaning from what follows it, and a '!' in front denies. A name must be allowed by one and denied
 * by none of them, in whatever order they stand. As with a shell and a dot, a wildcard at the
 * beginning does not allow a '$', which begins the names of system streams; it does deny it.
 */
struct access_pattern {
	struct access_pattern *next;
	bool denies;
	char text[]; /* without the '!' */
};

struct access_patterns {
	struct access_pattern *first; /* in no order that matters; allocated */
	bool all; /* of streams: "$all", which stands for reading all streams at once */
};

struct access_rule {
	char *name;
	bool everybody;
	uid_t *uids;
	size_t uid_count;
	gid_t *gids;
	size_t gid_count;
	uint32_t permissions;               /* bits of PERMISSION_BIT */
	struct access_patterns streams;     /* empty: all there are, and all at once */
	struct access_patterns checkpoints; /* empty: any name */
	char *username;                     /* its own for the store; "": the connection's */
	char *password;                     /* from secret_new(); or NULL: none */
	bool request_credentials;           /* requests may bring their own */
	uint32_t clients; /* most at a time; 0, as for the next two: no limit of its own */
	uint32_t in_flight;
	uint32_t subscriptions;
	struct meter meter; /* of all its clients together; a rate of 0: none */

	uint32_t client_count; /* kept by those who use the rule */
};

/* The rules, in their order. */
struct access {
	struct access_rule *rules; /* allocated, as all that is in them */
	size_t count;              /* 0: there are none */
};

/* Frees A and its rules; passwords are wiped. A may be NULL. */
void access_free(struct access *a);

/* The word for a permission in settings, and for clients. */
const char *access_permission_name(enum permission p);

/*
 * Adds the pattern of LEN bytes at TEXT, with its '!' where it has one. OF_STREAMS: "$all" is taken
 * for what it stands for. Returns NULL, or what is wrong with it.
 */
const char *access_patterns_add(struct access_patterns *p, const char *text, size_t len,
				bool of_streams);

/* What is wrong with P as a whole, or NULL: it denies alone; or allows reading all streams, which
 * would give what it denies. */
const char *access_patterns_fault(const struct access_patterns *p);

/* True where P allows the LEN bytes at NAME. */
bool access_patterns_allow(const struct access_patterns *p, const char *name, size_t len);

/* The rule of A that is for PEER, or NULL. */
struct access_rule *access_find(const struct access *a, const struct access_peer *peer);

/* The permissions of a PEER that A gives RULE to, as bits. OWN: the user of the daemon. A and RULE
 * may be NULL. */
uint32_t access_permissions(const struct access *a, const struct access_rule *rule,
			    const struct access_peer *peer, uid_t own);

/* What of the store a request is about. */
struct access_target {
	const char *stream; /* of SCOPE_STREAM, and of a transaction that the same user has begun
			       so that it is known; else NULL */
	size_t len;
};

/* Why something is refused. */
enum access_refusal {
	ACCESS_GRANTED,
	ACCESS_PERMISSION,  /* the one that access_needs() tells is missing */
	ACCESS_STREAM,      /* this stream is not among those of the rule */
	ACCESS_ALL,         /* nor are all streams */
	ACCESS_DATABASE,    /* what concerns the whole database is not for a rule with streams */
	ACCESS_TRANSACTION, /* it is not known whose and of which stream it is */
	ACCESS_CHECKPOINT,
	ACCESS_CREDENTIALS,
	ACCESS_REFUSALS,
};

/* The permission that MESSAGE needs for TARGET: that of its row, and PERMISSION_MANAGE for a write
 * to a metadata stream, which sets who may do what with the stream, and how long events stay. */
enum permission access_needs(const struct message *message, const struct access_target *target);

/* May a client with PERMISSIONS and RULE (NULL: there are no rules, or none is for it) send MESSAGE
 * about TARGET? */
enum access_refusal access_message(const struct access_rule *rule, uint32_t permissions,
				   const struct message *message,
				   const struct access_target *target);

/* May it read STREAM, "" for all, by subscription or otherwise? RULE is not NULL. */
enum access_refusal access_stream(const struct access_rule *rule, const char *stream, size_t len);

/* May it be given events of that stream, where a link leads to one? */
bool access_shows(const struct access_rule *rule, const char *stream, size_t len);

/* May it use the checkpoint NAME of STREAM ("": all; NULL: of none yet)? */
bool access_checkpoint(const struct access_rule *rule, const char *name, const char *stream);

#endif
