/*
 * Frames and packages of the store's protocol.
 *
 * A frame is a little-endian 32-bit length and that many bytes, the package: command, flags,
 * correlation id, login and password where the flags say so, and the payload (a protobuf message, a
 * text, or nothing).
 */
#ifndef ESBRIDGE_STORE_FRAME_H
#define ESBRIDGE_STORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/guid.h"

enum {
	FRAME_PREFIX = 4,
	PACKAGE_HEADER = 18,
	FRAME_MOST =
		64 * 1024 * 1024, /* bytes of the longest package that any server takes or sends */
	CREDENTIAL_MOST =
		127, /* bytes of a login or a password: from 20.6 on longer ones are misread */
};

enum package_flag {
	PACKAGE_AUTHENTICATED = 0x01, /* login and password follow the header */
	PACKAGE_TRUSTED = 0x02,       /* between servers only */
};

/* A package in a buffer. The pointers live as long as the bytes stay there. */
struct package {
	uint8_t command;
	uint8_t flags;
	struct guid correlation;
	const uint8_t *login;
	const uint8_t *password;
	size_t login_len;
	size_t password_len;
	const uint8_t *payload;
	size_t payload_len;
};

/* Login and password as they go into packages; both at most CREDENTIAL_MOST bytes, NUL-terminated.
 * No login: none. */
struct credentials {
	char login[CREDENTIAL_MOST + 1];
	char password[CREDENTIAL_MOST + 1];
};

enum frame_state {
	FRAME_WHOLE,      /* *PACKAGE is filled, *SIZE is the bytes to consume */
	FRAME_INCOMPLETE, /* more bytes are needed; *SIZE is the bytes of the whole frame, or 0
			     where not even that is known */
	FRAME_BAD_LENGTH, /* no length that a frame can have: 0, negative, or above MOST */
	FRAME_BAD_HEADER, /* a package shorter than its header and credentials */
};

/* Looks at the LEN bytes at BYTES for a frame whose package has at most MOST bytes. Reads nothing
 * beyond LEN. */
enum frame_state frame_look(const uint8_t *bytes, size_t len, size_t most, struct package *package,
			    size_t *size);

/*
 * Looks at the first LEN bytes, FRAME_PREFIX or more, of a frame that frame_look() finds longer
 * than MOST: who it was for can be known without taking it in. FRAME_WHOLE: *PACKAGE has what
 * stands in the header, and no payload; *SIZE is the bytes of the whole frame. FRAME_INCOMPLETE:
 * the header is not there yet. FRAME_BAD_LENGTH: it has none, or is longer than 2^31 - 1.
 */
enum frame_state frame_head(const uint8_t *bytes, size_t len, struct package *package,
			    size_t *size);

/*
 * Begins a frame at the end of OUT: prefix, header and credentials (WHO may be NULL or have no
 * login), which make OUT a secret one. The payload is then written to OUT by the caller. Returns
 * what frame_end() wants: how many bytes lay in OUT before.
 */
size_t frame_begin(struct buffer *out, uint8_t command, const struct guid *correlation,
		   const struct credentials *who);

/* Ends the frame by filling in its length. Returns false where OUT has failed or the package is
 * longer than FRAME_MOST. */
bool frame_end(struct buffer *out, size_t began);

/* A whole frame at once. Returns as frame_end(). */
bool frame_add(struct buffer *out, uint8_t command, const struct guid *correlation,
	       const struct credentials *who, const void *payload, size_t len);

#endif
