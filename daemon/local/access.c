#include "local/access.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

static const char *const permission_names[PERMISSIONS] = {
	[PERMISSION_NOT_SAID] = "anything", [PERMISSION_READ] = "read",
	[PERMISSION_WRITE] = "write",       [PERMISSION_SUBSCRIBE] = "subscribe",
	[PERMISSION_MANAGE] = "manage",     [PERMISSION_ADMIN] = "admin",
};

const char *access_permission_name(enum permission p)
{
	return permission_names[p];
}

/* Patterns -------------------------------------------------------------------------------------- */

/* The byte behind the character at AT, which ends before END. */
static const char *next_character(const char *at, const char *end)
{
	at++;
	while (at < end && ((unsigned char)*at & 0xc0) == 0x80)
		at++;
	return at;
}

/*
 * True where the pattern P has the name from AT to END. What a '*' stands for is made longer as
 * long as what follows it does not fit; of several, only the last one is, which is enough.
 */
static bool matches(const char *p, const char *at, const char *end)
{
	const char *star = NULL, *from = NULL;

	for (;;) {
		const char *one = *p == '\\' && p[1] != '\0' ? p + 1 : p;

		if (one == p && *p == '*') {
			star = ++p;
			from = at;
		} else if (one == p && *p == '?' && at < end) {
			at = next_character(at, end);
			p++;
		} else if (*p != '\0' && at < end && *one == *at && (one != p || *p != '?')) {
			at++;
			p = one + 1;
		} else if (*p == '\0' && at == end) {
			return true;
		} else if (star != NULL && from < end) {
			at = ++from;
			p = star;
		} else {
			return false;
		}
	}
}

static bool begins_wild(const char *pattern)
{
	return *pattern == '*' || *pattern == '?';
}

const char *access_patterns_add(struct access_patterns *p, const char *text, size_t len,
				bool of_streams)
{
	bool denies = len > 0 && text[0] == '!';
	struct access_pattern *pattern;

	text += denies;
	len -= denies;
	if (len == 0)
		return "a pattern is empty";
	if (of_streams && len >= 2 && text[0] == '$' && text[1] == '$')
		return "the metadata of a stream, $$NAME, goes with the stream: name that";
	if (of_streams && len == 4 && memcmp(text, "$all", 4) == 0) {
		if (denies)
			return "!$all is not needed: all streams are read only where $all allows it";
		p->all = true;
		return NULL;
	}
	pattern = mem_new(sizeof(*pattern) + len + 1);
	pattern->next = p->first;
	pattern->denies = denies;
	memcpy(pattern->text, text, len);
	p->first = pattern;
	return NULL;
}

const char *access_patterns_fault(const struct access_patterns *p)
{
	bool allows = p->all, denies = false;

	for (const struct access_pattern *one = p->first; one != NULL; one = one->next) {
		allows |= !one->denies;
		denies |= one->denies;
	}
	if (denies && p->all)
		return "$all gives the events of every stream, so nothing can be denied beside it";
	if (denies && !allows)
		return "what is not denied is not allowed by that: add * for all others";
	return NULL;
}

bool access_patterns_allow(const struct access_patterns *p, const char *name, size_t len)
{
	bool of_system = len > 0 && name[0] == '$';
	bool allowed = false;

	for (const struct access_pattern *one = p->first; one != NULL; one = one->next) {
		if (!one->denies && (allowed || (of_system && begins_wild(one->text))))
			continue;
		if (!matches(one->text, name, name + len))
			continue;
		if (one->denies)
			return false;
		allowed = true;
	}
	return allowed;
}

static void patterns_free(struct access_patterns *p)
{
	struct access_pattern *next;

	for (struct access_pattern *one = p->first; one != NULL; one = next) {
		next = one->next;
		free(one);
	}
}

/* Rules ----------------------------------------------------------------------------------------- */

void access_free(struct access *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++) {
		struct access_rule *rule = &a->rules[i];

		patterns_free(&rule->streams);
		patterns_free(&rule->checkpoints);
		free(rule->username);
		secret_free(rule->password);
		free(rule->name);
		free(rule->uids);
		free(rule->gids);
	}
	free(a->rules);
	free(a);
}

static bool has_group(const struct access_rule *rule, gid_t gid)
{
	for (size_t i = 0; i < rule->gid_count; i++) {
		if (rule->gids[i] == gid)
			return true;
	}
	return false;
}

static bool is_for(const struct access_rule *rule, const struct access_peer *peer)
{
	if (rule->everybody)
		return true;
	if (peer->uid == (uid_t)-1)
		return false;
	for (size_t i = 0; i < rule->uid_count; i++) {
		if (rule->uids[i] == peer->uid)
			return true;
	}
	if (has_group(rule, peer->gid))
		return true;
	for (size_t i = 0; i < peer->group_count; i++) {
		if (has_group(rule, peer->groups[i]))
			return true;
	}
	return false;
}

struct access_rule *access_find(const struct access *a, const struct access_peer *peer)
{
	for (size_t i = 0; a != NULL && i < a->count; i++) {
		if (is_for(&a->rules[i], peer))
			return &a->rules[i];
	}
	return NULL;
}

uint32_t access_permissions(const struct access *a, const struct access_rule *rule,
			    const struct access_peer *peer, uid_t own)
{
	const uint32_t all_but_admin =
		PERMISSION_BIT(PERMISSION_READ) | PERMISSION_BIT(PERMISSION_WRITE) |
		PERMISSION_BIT(PERMISSION_SUBSCRIBE) | PERMISSION_BIT(PERMISSION_MANAGE);
	uint32_t permissions = rule != NULL                 ? rule->permissions
			       : a == NULL || a->count == 0 ? all_but_admin
							    : 0;

	if (peer->uid == 0 || peer->uid == own)
		permissions |= PERMISSION_BIT(PERMISSION_ADMIN);
	return permissions;
}

/* What is wanted -------------------------------------------------------------------------------- */

static bool is_of_metadata(const char *stream, size_t len)
{
	return len >= 2 && stream[0] == '$' && stream[1] == '$';
}

static bool has_streams(const struct access_rule *rule)
{
	return rule->streams.first != NULL || rule->streams.all;
}

enum permission access_needs(const struct message *message, const struct access_target *target)
{
	if (message->needs == PERMISSION_WRITE && target->stream != NULL &&
	    is_of_metadata(target->stream, target->len))
		return PERMISSION_MANAGE;
	return message->needs;
}

/* True where RULE lets a client write whatever there is. */
static bool writes_everything(const struct access_rule *rule)
{
	const uint32_t both = PERMISSION_BIT(PERMISSION_WRITE) | PERMISSION_BIT(PERMISSION_MANAGE);

	return !has_streams(rule) && (rule->permissions & both) == both;
}

enum access_refusal access_message(const struct access_rule *rule, uint32_t permissions,
				   const struct message *message,
				   const struct access_target *target)
{
	if ((permissions & PERMISSION_BIT(access_needs(message, target))) == 0 || rule == NULL)
		return ACCESS_PERMISSION;
	switch (message->scope) {
	case SCOPE_STREAM:
		return access_stream(rule, target->stream, target->len);
	case SCOPE_ALL:
		return access_stream(rule, "", 0);
	case SCOPE_TRANSACTION:
		if (target->stream != NULL)
			return access_stream(rule, target->stream, target->len);
		return writes_everything(rule) ? ACCESS_GRANTED : ACCESS_TRANSACTION;
	case SCOPE_DATABASE:
		return has_streams(rule) ? ACCESS_DATABASE : ACCESS_GRANTED;
	case SCOPE_NOT_SAID:
		break;
	}
	return ACCESS_PERMISSION;
}

enum access_refusal access_stream(const struct access_rule *rule, const char *stream, size_t len)
{
	bool allowed;

	if (!has_streams(rule))
		return ACCESS_GRANTED;
	if (len == 0)
		return rule->streams.all ? ACCESS_GRANTED : ACCESS_ALL;
	while (is_of_metadata(stream, len)) {
		stream += 2;
		len -= 2;
	}
	if (len == 4 && memcmp(stream, "$all", 4) == 0)
		allowed = rule->streams.all;
	else
		allowed = len > 0 && access_patterns_allow(&rule->streams, stream, len);
	return allowed ? ACCESS_GRANTED : ACCESS_STREAM;
}

bool access_shows(const struct access_rule *rule, const char *stream, size_t len)
{
	/* An event without the name of its stream is of none that is allowed. */
	return !has_streams(rule) || rule->streams.all ||
	       (len > 0 && access_stream(rule, stream, len) == ACCESS_GRANTED);
}

bool access_checkpoint(const struct access_rule *rule, const char *name, const char *stream)
{
	if (rule->checkpoints.first != NULL &&
	    !access_patterns_allow(&rule->checkpoints, name, strlen(name)))
		return false;
	return stream == NULL || access_stream(rule, stream, strlen(stream)) == ACCESS_GRANTED;
}
