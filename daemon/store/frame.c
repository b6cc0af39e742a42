#include "store/frame.h"

#include <string.h>

static uint32_t load32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static void store32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
	at[2] = (uint8_t)(v >> 16);
	at[3] = (uint8_t)(v >> 24);
}

/* Takes a field of one length byte and that many bytes from *AT. */
static bool take_short(const uint8_t **at, size_t *left, const uint8_t **field, size_t *len)
{
	if (*left < 1 || *left - 1 < **at)
		return false;
	*len = **at;
	*field = *at + 1;
	*at += 1 + *len;
	*left -= 1 + *len;
	return true;
}

static void read_header(const uint8_t *at, struct package *p)
{
	memset(p, 0, sizeof(*p));
	p->command = at[0];
	p->flags = at[1];
	memcpy(p->correlation.bytes, at + 2, GUID_BYTES);
}

static bool package_look(const uint8_t *at, size_t left, struct package *p)
{
	if (left < PACKAGE_HEADER)
		return false;
	read_header(at, p);
	at += PACKAGE_HEADER;
	left -= PACKAGE_HEADER;
	if (p->flags & PACKAGE_AUTHENTICATED) {
		if (!take_short(&at, &left, &p->login, &p->login_len) ||
		    !take_short(&at, &left, &p->password, &p->password_len))
			return false;
	}
	p->payload = at;
	p->payload_len = left;
	return true;
}

enum frame_state frame_look(const uint8_t *bytes, size_t len, size_t most, struct package *package,
			    size_t *size)
{
	uint32_t length;

	*size = 0;
	if (len < FRAME_PREFIX)
		return FRAME_INCOMPLETE;
	length = load32(bytes);
	if (length == 0 || length > most)
		return FRAME_BAD_LENGTH;
	*size = FRAME_PREFIX + (size_t)length;
	if (len < *size)
		return FRAME_INCOMPLETE;
	return package_look(bytes + FRAME_PREFIX, length, package) ? FRAME_WHOLE : FRAME_BAD_HEADER;
}

enum frame_state frame_head(const uint8_t *bytes, size_t len, struct package *package, size_t *size)
{
	uint32_t length = load32(bytes);

	*size = FRAME_PREFIX + (size_t)length;
	if (length < PACKAGE_HEADER || length > INT32_MAX)
		return FRAME_BAD_LENGTH;
	if (len < FRAME_PREFIX + PACKAGE_HEADER)
		return FRAME_INCOMPLETE;
	read_header(bytes + FRAME_PREFIX, package);
	return FRAME_WHOLE;
}

static void add_short(struct buffer *out, const char *text)
{
	size_t len = strlen(text);

	buffer_add_byte(out, (uint8_t)len);
	buffer_add(out, text, len);
}

size_t frame_begin(struct buffer *out, uint8_t command, const struct guid *correlation,
		   const struct credentials *who)
{
	size_t began = buffer_len(out);
	bool known = who != NULL && who->login[0] != '\0';
	uint8_t *at = buffer_room(out, FRAME_PREFIX + PACKAGE_HEADER);

	if (at == NULL)
		return began;
	memset(at, 0, FRAME_PREFIX);
	at[FRAME_PREFIX] = command;
	at[FRAME_PREFIX + 1] = known ? PACKAGE_AUTHENTICATED : 0;
	memcpy(at + FRAME_PREFIX + 2, correlation->bytes, GUID_BYTES);
	buffer_added(out, FRAME_PREFIX + PACKAGE_HEADER);
	if (known) {
		out->secret = true;
		add_short(out, who->login);
		add_short(out, who->password);
	}
	return began;
}

bool frame_end(struct buffer *out, size_t began)
{
	size_t length;

	if (out->failed)
		return false;
	length = buffer_len(out) - began - FRAME_PREFIX;
	if (length > FRAME_MOST)
		return false;
	store32(buffer_at(out) + began, (uint32_t)length);
	return true;
}

bool frame_add(struct buffer *out, uint8_t command, const struct guid *correlation,
	       const struct credentials *who, const void *payload, size_t len)
{
	size_t began = frame_begin(out, command, correlation, who);

	buffer_add(out, payload, len);
	return frame_end(out, began);
}
