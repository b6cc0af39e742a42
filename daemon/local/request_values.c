#include "local/request_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "local/client_access.h"

enum { TIMEOUT_MOST = 86400000 };

void line_refuse(struct line *l, enum error_code code, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	l->client->errors++;
	session_refuse(&l->client->session, &l->id, code, OUTCOME_NOT_SAID, "%s", text);
}

bool line_refuse_member(struct line *l, enum member m)
{
	line_refuse(l, ERROR_BAD_REQUEST, "%s must be %s", member_rows[m].name,
		    member_rows[m].wanted);
	return false;
}

bool line_plain_text(struct line *l, uint32_t t, struct span *text)
{
	const struct json_token *token = &l->doc->tokens[t];
	size_t before = buffer_len(&l->text);

	if (token->kind == JSON_STRING && (token->flags & JSON_ESCAPED) == 0) {
		*text = (struct span){ (const uint8_t *)l->doc->text + token->at + 1,
				       token->len - 2 };
		return true;
	}
	if (!json_string_get(l->doc, t, &l->text) || l->text.failed)
		return false;
	*text = (struct span){ buffer_at(&l->text) + before, buffer_len(&l->text) - before };
	return true;
}

int line_word(const struct line *l, enum member m, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (json_string_is(l->doc, l->value[m], words[i], strlen(words[i])))
			return i;
	}
	return -1;
}

bool line_text(struct line *l, enum member m, char *to, size_t least, size_t most)
{
	size_t before = buffer_len(&l->text);
	struct span text;
	bool suits;

	if (!line_plain_text(l, l->value[m], &text))
		return line_refuse_member(l, m);
	suits = text.len >= least && text.len <= most &&
		(text.len == 0 || memchr(text.at, '\0', text.len) == NULL);
	if (suits) {
		if (text.len > 0)
			memcpy(to, text.at, text.len);
		to[text.len] = '\0';
	}
	buffer_cut(&l->text, buffer_len(&l->text) - before);
	return suits || line_refuse_member(l, m);
}

bool line_kept_text(struct line *l, enum member m, size_t least, size_t most, const char **kept)
{
	size_t before = buffer_len(&l->text);
	size_t len;

	if (!json_string_get(l->doc, l->value[m], &l->text))
		return line_refuse_member(l, m);
	len = buffer_len(&l->text) - before;
	buffer_add_byte(&l->text, '\0');
	if (l->text.failed || len < least || len > most)
		return line_refuse_member(l, m);
	*kept = (const char *)buffer_at(&l->text) + before;
	return strlen(*kept) == len || line_refuse_member(l, m);
}

bool line_integer(struct line *l, enum member m, int64_t standard, int64_t least, int64_t most,
		  int64_t *value)
{
	*value = standard;
	if (!line_given(l, m) ||
	    (json_int64_get(l->doc, l->value[m], value) && *value >= least && *value <= most))
		return true;
	return line_refuse_member(l, m);
}

bool line_timeout(struct line *l, uint64_t *ms)
{
	int64_t value;

	if (!line_integer(l, M_TIMEOUT_MS, l->client->local->settings.operation_timeout, 1,
			  TIMEOUT_MOST, &value))
		return false;
	*ms = (uint64_t)value;
	return true;
}

bool line_payload_mode(struct line *l, enum payload_mode *mode)
{
	static const char *const words[] = { "json", "base64", "none", NULL };
	static const enum payload_mode modes[] = { PAYLOAD_JSON, PAYLOAD_BASE64, PAYLOAD_NONE };
	int i = 0;

	if (line_given(l, M_PAYLOAD))
		i = line_word(l, M_PAYLOAD, words);
	if (i < 0)
		return line_refuse_member(l, M_PAYLOAD);
	*mode = modes[i];
	return true;
}

static bool credential(struct line *l, uint32_t t, char to[CREDENTIAL_MOST + 1])
{
	size_t before = buffer_len(&l->text);
	size_t len;
	bool suits;

	l->text.secret = true;
	if (l->doc->tokens[t].kind != JSON_STRING || !json_string_get(l->doc, t, &l->text))
		return false;
	len = buffer_len(&l->text) - before;
	suits = len <= CREDENTIAL_MOST;
	if (suits) {
		if (len > 0)
			memcpy(to, buffer_at(&l->text) + before, len);
		to[len] = '\0';
		suits = strlen(to) == len;
	}
	buffer_cut(&l->text, len);
	return suits;
}

bool line_credentials(struct line *l, struct credentials *who, const struct credentials **chosen)
{
	const struct json_doc *doc = l->doc;
	uint32_t end, i;
	bool login = false, password = false;

	*chosen = NULL;
	if (!line_given(l, M_CREDENTIALS))
		return true;
	if (!client_may_bring_credentials(l->client, &l->id))
		return false;
	end = line_token(l, M_CREDENTIALS)->next;
	for (i = l->value[M_CREDENTIALS] + 1; i < end; i = doc->tokens[i + 1].next) {
		bool *seen = json_string_is(doc, i, "username", 8)   ? &login
			     : json_string_is(doc, i, "password", 8) ? &password
								     : NULL;

		if (seen == NULL || *seen ||
		    !credential(l, i + 1, seen == &login ? who->login : who->password))
			break;
		*seen = true;
	}
	if (i < end || !login || !password || who->login[0] == '\0') {
		mem_wipe(who, sizeof(*who));
		line_refuse(
			l, ERROR_BAD_REQUEST,
			"credentials must be an object with \"username\" and \"password\", strings of "
			"at most %d bytes",
			CREDENTIAL_MOST);
		return false;
	}
	*chosen = who;
	return true;
}

bool line_position(const struct line *l, uint32_t object, struct place *place)
{
	const struct json_doc *doc = l->doc;
	uint32_t end = doc->tokens[object].next;
	bool commit = false, prepare = false;

	if (doc->tokens[object].kind != JSON_OBJECT)
		return false;
	for (uint32_t i = object + 1; i < end; i = doc->tokens[i + 1].next) {
		bool *seen = json_string_is(doc, i, "commit", 6)    ? &commit
			     : json_string_is(doc, i, "prepare", 7) ? &prepare
								    : NULL;
		int64_t *value = seen == &commit ? &place->commit : &place->prepare;

		if (seen == NULL || *seen || doc->tokens[i + 1].kind != JSON_NUMBER ||
		    !json_int64_get(doc, i + 1, value) || *value < 0)
			return false;
		*seen = true;
	}
	return commit && prepare;
}
