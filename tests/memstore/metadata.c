#include "metadata.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"

static const char *const action_keys[ACTIONS] = {
	[ACTION_READ] = "$r",       [ACTION_WRITE] = "$w",       [ACTION_DELETE] = "$d",
	[ACTION_META_READ] = "$mr", [ACTION_META_WRITE] = "$mw",
};

static json_t *load(struct span text)
{
	json_t *json = json_loadb((const char *)text.at, text.len, 0, NULL);

	if (json != NULL && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

void acl_free(struct acl *acl)
{
	if (acl == NULL)
		return;
	for (size_t i = 0; i < ACTIONS; i++) {
		for (size_t j = 0; j < acl->may[i].count; j++)
			free(acl->may[i].names[j]);
		free(acl->may[i].names);
	}
	free(acl);
}

static bool add_role(struct roles *roles, const json_t *name)
{
	if (!json_is_string(name))
		return false;
	roles->names[roles->count++] = mem_text(json_string_value(name));
	return true;
}

/* Roles are one text or an array of texts. */
static bool read_roles(struct roles *roles, const json_t *json)
{
	size_t count = json_is_array(json) ? json_array_size(json) : 1;

	if (json == NULL || json_is_null(json))
		return true;
	roles->set = true;
	roles->names = mem_new((count + 1) * sizeof(*roles->names));
	if (!json_is_array(json))
		return add_role(roles, json);
	for (size_t i = 0; i < count; i++) {
		if (!add_role(roles, json_array_get(json, i)))
			return false;
	}
	return true;
}

/* Returns false where JSON is there and is no access list. */
static bool read_acl(struct acl **acl, const json_t *json)
{
	*acl = NULL;
	if (json == NULL || json_is_null(json))
		return true;
	if (!json_is_object(json))
		return false;
	*acl = mem_new(sizeof(**acl));
	for (size_t i = 0; i < ACTIONS; i++) {
		if (!read_roles(&(*acl)->may[i], json_object_get(json, action_keys[i])))
			return false;
	}
	return true;
}

/* Reads a whole number of at least LEAST; absent leaves *VALUE as it is. */
static bool read_number(const json_t *object, const char *key, int64_t least, int64_t *value)
{
	const json_t *json = json_object_get(object, key);

	if (json == NULL || json_is_null(json))
		return true;
	if (!json_is_integer(json) || json_integer_value(json) < least)
		return false;
	*value = json_integer_value(json);
	return true;
}

void metadata_clear(struct metadata *metadata)
{
	acl_free(metadata->acl);
	*metadata = (struct metadata){ 0 };
}

void metadata_read(struct metadata *metadata, struct span text)
{
	json_t *json = load(text);
	bool good = json != NULL && read_number(json, "$maxCount", 1, &metadata->max_count) &&
		    read_number(json, "$maxAge", 1, &metadata->max_age) &&
		    read_number(json, "$tb", 0, &metadata->truncate_before) &&
		    read_acl(&metadata->acl, json_object_get(json, "$acl"));

	if (!good)
		metadata_clear(metadata);
	json_decref(json);
}

bool metadata_set_truncate_before(struct span text, int64_t number, struct buffer *out)
{
	json_t *json = load(text);
	char *dumped = NULL;

	if (json != NULL && json_object_set_new(json, "$tb", json_integer(number)) == 0)
		dumped = json_dumps(json, JSON_COMPACT);
	if (dumped != NULL)
		buffer_add_text(out, dumped);
	free(dumped);
	json_decref(json);
	return dumped != NULL;
}

void settings_read(struct span text, struct acl **user, struct acl **system)
{
	json_t *json = load(text);

	*user = *system = NULL;
	if (json == NULL || !read_acl(user, json_object_get(json, "$userStreamAcl")) ||
	    !read_acl(system, json_object_get(json, "$systemStreamAcl"))) {
		acl_free(*user);
		acl_free(*system);
		*user = *system = NULL;
	}
	json_decref(json);
}
