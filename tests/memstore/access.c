#include "access.h"

#include <string.h>

static const char role_everyone[] = "$all";
static const char group_admins[] = "$admins";
static const char group_operators[] = "$ops";

static const struct user users[] = {
	{ "admin", group_admins },
	{ "ops", group_operators },
};

static const char *password_of_all = "changeit";

void users_set_password(const char *text)
{
	password_of_all = text;
}

const struct user *user_find(struct span login, struct span password)
{
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		if (span_equal(login, span_of(users[i].login)) &&
		    span_equal(password, span_of(password_of_all)))
			return &users[i];
	}
	return NULL;
}

bool user_is_admin(const struct user *user)
{
	return user != NULL && user->group == group_admins;
}

bool user_is_operator(const struct user *user)
{
	return user != NULL && user->group == group_operators;
}

static bool has_role(const struct user *user, const char *role)
{
	if (strcmp(role, role_everyone) == 0)
		return true;
	return user != NULL && (strcmp(role, user->group) == 0 || strcmp(role, user->login) == 0);
}

static bool any_role(const struct user *user, const struct roles *roles)
{
	for (size_t i = 0; i < roles->count; i++) {
		if (has_role(user, roles->names[i]))
			return true;
	}
	return false;
}

/* The stream's own list, then the one in $settings, then: users' streams for all, system streams
 * for admins. */
static bool listed(const struct store *store, const struct user *user, struct span name,
		   const struct stream *stream, enum action action)
{
	const struct acl *own = stream == NULL ? NULL : stream->metadata.acl;
	const struct acl *general = is_system_name(name) ? store->system_acl : store->user_acl;

	if (own != NULL && own->may[action].set)
		return any_role(user, &own->may[action]);
	if (general != NULL && general->may[action].set)
		return any_role(user, &general->may[action]);
	return !is_system_name(name);
}

static enum action action_on_metadata(enum action action)
{
	return action == ACTION_WRITE ? ACTION_META_WRITE : ACTION_META_READ;
}

bool access_allowed(const struct store *store, const struct user *user, struct span name,
		    const struct stream *stream, enum action action)
{
	bool changes = action == ACTION_WRITE || action == ACTION_DELETE;

	if (changes && span_equal(name, span_of(role_everyone)))
		return false;
	if (is_metastream_name(name)) {
		if (action == ACTION_DELETE)
			return false;
		name.at += 2;
		name.len -= 2;
		stream = stream != NULL ? stream->described : store_find(store, name);
		action = action_on_metadata(action);
	}
	if (user == NULL && !store->traits->anonymous_streams)
		return false;
	return user_is_admin(user) || listed(store, user, name, stream, action);
}
