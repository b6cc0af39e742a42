#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config_parts.h"

/* The line in which NAME of SECTION is set, else where the section begins. */
static unsigned line_in(const struct settings_section *section, const char *name)
{
	size_t i = 0;

	while (strcmp(config_access_table[i].name, name) != 0)
		i++;
	return section->lines[i] != 0 ? section->lines[i] : section->line;
}

static size_t words_in(const char *list)
{
	const char *word;
	size_t n = 0;

	while (settings_word(&list, &word) > 0)
		n++;
	return n;
}

/* Users and groups ------------------------------------------------------------------------------ */

/* The number that WORD is. False where it is none, or the one that stands for none. */
static bool number_of(const char *word, unsigned *id)
{
	unsigned long n;
	char *end;

	if (*word < '0' || *word > '9')
		return false;
	errno = 0;
	n = strtoul(word, &end, 10);
	*id = (unsigned)n;
	return errno == 0 && *end == '\0' && n < UINT_MAX;
}

static bool user_named(const char *word, unsigned *id)
{
	const struct passwd *user = getpwnam(word);

	if (user != NULL)
		*id = user->pw_uid;
	return user != NULL;
}

static bool group_named(const char *word, unsigned *id)
{
	const struct group *group = getgrnam(word);

	if (group != NULL)
		*id = group->gr_gid;
	return group != NULL;
}

/* How `users` and `groups` differ. */
struct kind {
	const char *setting;
	const char *what;
	bool (*named)(const char *word, unsigned *id);
};

static bool is_among(unsigned id, const unsigned *ids, size_t count)
{
	while (count > 0 && ids[count - 1] != id)
		count--;
	return count > 0;
}

/* Adds the user or group WORD to the COUNT at IDS, which have room. */
static void add_id(struct loading *l, const struct settings_section *section,
		   const struct kind *kind, const char *word, unsigned *ids, size_t *count)
{
	unsigned line = line_in(section, kind->setting);
	unsigned id;

	/* A name may look like a number: then it is the name. */
	if (!kind->named(word, &id) && !number_of(word, &id))
		config_mistake(l, line, "%s: there is no %s %s", kind->setting, kind->what,
			       log_text(word, strlen(word)));
	else if (is_among(id, ids, *count))
		config_mistake(l, line, "%s: %s is there twice", kind->setting,
			       log_text(word, strlen(word)));
	else
		ids[(*count)++] = id;
}

/* Returns what LIST names, allocated. "*" is left out, and *EVERYBODY set. */
static unsigned *ids_in(struct loading *l, const struct settings_section *section,
			const struct kind *kind, const char *list, bool *everybody, size_t *count)
{
	unsigned *ids = mem_new((words_in(list) + 1) * sizeof(*ids));
	const char *word;
	size_t len;

	while ((len = settings_word(&list, &word)) > 0) {
		char *name = mem_text_of(word, len);

		if (everybody != NULL && strcmp(name, "*") == 0)
			*everybody = true;
		else
			add_id(l, section, kind, name, ids, count);
		free(name);
	}
	return ids;
}

_Static_assert(sizeof(uid_t) == sizeof(unsigned) && sizeof(gid_t) == sizeof(unsigned),
	       "users and groups are numbered alike");

static void take_peers(struct loading *l, const struct settings_section *section,
		       struct access_rule *rule)
{
	static const struct kind users = { "users", "user", user_named };
	static const struct kind groups = { "groups", "group", group_named };
	const struct config_rule *c = section->values;

	rule->uids = ids_in(l, section, &users, c->users, &rule->everybody, &rule->uid_count);
	rule->gids = ids_in(l, section, &groups, c->groups, NULL, &rule->gid_count);
	if (*c->users == '\0' && *c->groups == '\0')
		config_mistake(l, section->line,
			       "[access %s] needs users or groups: whom it is for, * for everybody",
			       section->name);
}

/* Permissions and patterns ---------------------------------------------------------------------- */

static uint32_t permission_bit(const char *word, size_t len)
{
	for (enum permission p = PERMISSION_READ; p < PERMISSIONS; p++) {
		const char *name = access_permission_name(p);

		if (strlen(name) == len && memcmp(name, word, len) == 0)
			return PERMISSION_BIT(p);
	}
	return 0; /* "none": the table of settings lets nothing else through */
}

static void take_permissions(struct loading *l, const struct settings_section *section,
			     struct access_rule *rule)
{
	const struct config_rule *c = section->values;
	const char *list = c->allow;
	const char *word;
	size_t len;
	bool none = false;

	while ((len = settings_word(&list, &word)) > 0) {
		uint32_t bit = permission_bit(word, len);

		if ((rule->permissions & bit) != 0)
			config_mistake(l, line_in(section, "allow"), "allow: %.*s is there twice",
				       (int)len, word);
		none |= bit == 0;
		rule->permissions |= bit;
	}
	if (none && rule->permissions != 0)
		config_mistake(l, line_in(section, "allow"), "allow: none stands alone");
	if (*c->allow == '\0')
		config_mistake(l, line_in(section, "allow"),
			       "[access %s] needs allow: some of read, write, subscribe, manage, "
			       "admin; or none",
			       section->name);
}

/* True where the LEN bytes at WORD are a word of LIST before that. */
static bool is_before(const char *list, const char *word, size_t len)
{
	const char *other;
	size_t n;

	while ((n = settings_word(&list, &other)) > 0 && other != word) {
		if (n == len && memcmp(other, word, len) == 0)
			return true;
	}
	return false;
}

static void take_patterns(struct loading *l, const struct settings_section *section,
			  const char *setting, const char *list, struct access_patterns *patterns)
{
	const char *at = list;
	const char *word;
	const char *fault;
	size_t len;

	while ((len = settings_word(&at, &word)) > 0) {
		fault = is_before(list, word, len)
				? "is there twice"
				: access_patterns_add(patterns, word, len,
						      strcmp(setting, "streams") == 0);
		if (fault != NULL)
			config_mistake(l, line_in(section, setting), "%s: %s: %s", setting,
				       log_text(word, len), fault);
	}
	fault = access_patterns_fault(patterns);
	if (fault != NULL)
		config_mistake(l, line_in(section, setting), "%s: %s", setting, fault);
}

/* The user of the store ------------------------------------------------------------------------- */

static void take_credentials(struct loading *l, const struct settings_section *section,
			     struct access_rule *rule)
{
	const struct config_rule *c = section->values;

	if (*c->username == '\0' && *c->password_file != '\0')
		config_mistake(l, line_in(section, "password_file"),
			       "a password_file without a username");
	rule->username = mem_text(c->username);
	if (*c->password_file != '\0')
		rule->password =
			config_password(l, line_in(section, "password_file"), c->password_file);
}

/* The whole ------------------------------------------------------------------------------------- */

static void take_rule(struct loading *l, const struct settings_section *section,
		      struct access_rule *rule)
{
	const struct config_rule *c = section->values;

	rule->name = mem_text(section->name);
	rule->request_credentials = c->credentials;
	rule->clients = (uint32_t)c->clients;
	rule->in_flight = (uint32_t)c->in_flight;
	rule->subscriptions = (uint32_t)c->subscriptions;
	rule->meter.rate = (uint32_t)c->events_per_second;
	take_peers(l, section, rule);
	take_permissions(l, section, rule);
	take_patterns(l, section, "streams", c->streams, &rule->streams);
	take_patterns(l, section, "checkpoints", c->checkpoints, &rule->checkpoints);
	take_credentials(l, section, rule);
}

void config_access(struct loading *l)
{
	struct access *access = mem_new(sizeof(*access));
	const struct settings_section *section;
	size_t count = 0;

	for (section = l->config->rules.first; section != NULL; section = section->next)
		count++;
	access->rules = mem_new((count + 1) * sizeof(*access->rules));
	for (section = l->config->rules.first; section != NULL; section = section->next)
		take_rule(l, section, &access->rules[access->count++]);
	l->config->access = access;
}
