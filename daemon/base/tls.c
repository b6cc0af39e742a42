#include "base/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <event2/bufferevent_ssl.h>

#include "base/mem.h"

enum {
	READ_AHEAD = 64 * 1024, /* bytes that OpenSSL takes from the kernel at one time */
	RECORD = 16 * 1024,     /* the most that one record of TLS carries */
};

struct tls_context {
	SSL_CTX *ctx;
	bool verifies;
};

struct tls {
	SSL *ssl;
	bool verifies;
	bool read_wants_write;
	bool write_wants_read;
	char name[256];  /* that the server's certificate must be for */
	char names[128]; /* that a refused one is for */
};

/* Reasons --------------------------------------------------------------------------------------- */

/* The first fault in OpenSSL's queue of this thread, which is the cause of the others, in words.
 * The queue is empty afterwards. */
static const char *first_fault(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

	if (code != 0 && text == NULL && ERR_SYSTEM_ERROR(code))
		text = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return text != NULL ? text : "no reason given";
}

static bool bad_file(const char *what, const char *path, char fault[TLS_FAULT])
{
	snprintf(fault, TLS_FAULT, "%s %s: %s", what, path, first_fault());
	return false;
}

/* Certificates --------------------------------------------------------------------------------- */

/* The names that a certificate is for, as far as they fit, for a message. */
static void names_of(X509 *certificate, char *to, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;

	to[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *text = name->type == GEN_DNS ? name->d.dNSName : NULL;
		int n;

		if (text == NULL)
			continue;
		n = snprintf(to + used, size - used, "%s%.*s", used > 0 ? ", " : "",
			     ASN1_STRING_length(text), (const char *)ASN1_STRING_get0_data(text));
		if (n < 0 || (size_t)n >= size - used)
			break;
		used += (size_t)n;
	}
	for (char *c = to; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	GENERAL_NAMES_free(names);
}

/* A refused certificate is gone when the handshake has failed: what has to be said of it is kept.
 */
static int on_verified(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get0_cert(store);

	if (good == 0 && t != NULL && certificate != NULL)
		names_of(certificate, t->names, sizeof(t->names));
	return good;
}

/* Contexts -------------------------------------------------------------------------------------- */

/* A key that asks for a passphrase is a key that cannot be read: nobody is there to type it. */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool take_certificate(SSL_CTX *ctx, const struct tls_files *files, char fault[TLS_FAULT])
{
	const char *key = files->key[0] != '\0' ? files->key : files->certificate;

	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
		return bad_file("certificate", files->certificate, fault);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return bad_file("key", key, fault);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return bad_file("the certificate is not for the key", key, fault);
	return true;
}

static bool take_authorities(SSL_CTX *ctx, const struct tls_files *files, char fault[TLS_FAULT])
{
	if (files->ca[0] == '\0')
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
		       bad_file("authorities of the system", "", fault);
	if (SSL_CTX_load_verify_locations(ctx, files->ca, NULL) != 1)
		return bad_file("authorities", files->ca, fault);
	return true;
}

static struct tls_context *context_new(const SSL_METHOD *method, char fault[TLS_FAULT])
{
	struct tls_context *c = mem_new(sizeof(*c));

	ERR_clear_error();
	c->ctx = SSL_CTX_new(method);
	if (c->ctx == NULL) {
		snprintf(fault, TLS_FAULT, "OpenSSL: %s", first_fault());
		free(c);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c->ctx, 1);
	SSL_CTX_set_default_read_buffer_len(c->ctx, READ_AHEAD);
	return c;
}

struct tls_context *tls_client_context(const struct tls_files *files, bool verify,
				       char fault[TLS_FAULT])
{
	struct tls_context *c = context_new(TLS_client_method(), fault);

	if (c == NULL)
		return NULL;
	c->verifies = verify;
	SSL_CTX_set_verify(c->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, on_verified);
	if ((!verify || take_authorities(c->ctx, files, fault)) &&
	    (files->certificate[0] == '\0' || take_certificate(c->ctx, files, fault)))
		return c;
	tls_context_free(c);
	return NULL;
}

struct tls_context *tls_server_context(const struct tls_files *files, char fault[TLS_FAULT])
{
	struct tls_context *c = context_new(TLS_server_method(), fault);

	if (c == NULL || take_certificate(c->ctx, files, fault))
		return c;
	tls_context_free(c);
	return NULL;
}

void tls_context_free(struct tls_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ctx);
	free(context);
}

/* Connections ----------------------------------------------------------------------------------- */

static struct tls *tls_new(struct tls_context *context, int fd)
{
	struct tls *t = mem_new(sizeof(*t));

	t->verifies = context->verifies;
	t->ssl = SSL_new(context->ctx);
	if (t->ssl != NULL && SSL_set_fd(t->ssl, fd) == 1 && SSL_set_app_data(t->ssl, t) == 1)
		return t;
	ERR_clear_error();
	tls_free(t);
	return NULL;
}

static bool is_address(const char *name)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *tls_connect(struct tls_context *context, int fd, const char *name)
{
	struct tls *t = tls_new(context, fd);

	if (t == NULL)
		return NULL;
	snprintf(t->name, sizeof(t->name), "%s", name);
	SSL_set_connect_state(t->ssl);
	if (expect_name(t->ssl, name))
		return t;
	ERR_clear_error();
	tls_free(t);
	return NULL;
}

struct bufferevent *tls_bufferevent(struct tls_context *context, struct event_base *base,
				    const char *name)
{
	SSL *ssl = SSL_new(context->ctx);
	struct bufferevent *bev = NULL;

	ERR_clear_error();
	if (ssl != NULL && (name == NULL || expect_name(ssl, name)))
		bev = bufferevent_openssl_socket_new(base, -1, ssl,
						     name == NULL ? BUFFEREVENT_SSL_ACCEPTING
								  : BUFFEREVENT_SSL_CONNECTING,
						     BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	ERR_clear_error();
	return bev;
}

struct tls *tls_accept(struct tls_context *context, int fd)
{
	struct tls *t = tls_new(context, fd);

	if (t != NULL)
		SSL_set_accept_state(t->ssl);
	return t;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

void tls_close(struct tls *t)
{
	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl);
	ERR_clear_error();
}

/* Handshake ------------------------------------------------------------------------------------- */

/* True, with the reason, where the peer's certificate was not accepted. */
static bool explain_certificate(const struct tls *t, char fault[TLS_FAULT])
{
	long result = SSL_get_verify_result(t->ssl);

	if (!t->verifies || result == X509_V_OK)
		return false;
	if (result != X509_V_ERR_HOSTNAME_MISMATCH && result != X509_V_ERR_IP_ADDRESS_MISMATCH) {
		snprintf(fault, TLS_FAULT, "certificate not accepted: %s",
			 X509_verify_cert_error_string(result));
		return true;
	}
	snprintf(fault, TLS_FAULT,
		 "certificate not accepted: name mismatch: it is not for %.80s%s%.80s", t->name,
		 t->names[0] != '\0' ? " but for " : "", t->names);
	return true;
}

/* Called with the reason of the failure still in OpenSSL's queue. */
static void explain(const struct tls *t, int error, char fault[TLS_FAULT])
{
	unsigned long code = ERR_peek_last_error();

	if (explain_certificate(t, fault))
		ERR_clear_error();
	else if (error == SSL_ERROR_ZERO_RETURN ||
		 (error == SSL_ERROR_SYSCALL && (code == 0 && errno == 0)))
		snprintf(fault, TLS_FAULT, "the peer closed the connection during the handshake");
	else if (error == SSL_ERROR_SYSCALL && code == 0)
		snprintf(fault, TLS_FAULT, "%s", strerror(errno));
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
		 (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER ||
		  ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST))
		snprintf(fault, TLS_FAULT, "not a TLS server: it answers in another protocol (%s)",
			 first_fault());
	else
		snprintf(fault, TLS_FAULT, "handshake failed: %s", first_fault());
}

enum tls_step tls_handshake(struct tls *t, char fault[TLS_FAULT])
{
	int result, error;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(t->ssl);
	if (result == 1)
		return TLS_DONE;
	error = SSL_get_error(t->ssl, result);
	if (error == SSL_ERROR_WANT_READ)
		return TLS_WANTS_READ;
	if (error == SSL_ERROR_WANT_WRITE)
		return TLS_WANTS_WRITE;
	explain(t, error, fault);
	ERR_clear_error();
	return TLS_FAILED;
}

/* Bytes ----------------------------------------------------------------------------------------- */

/* What read(2) or write(2) would have returned in place of RESULT, which is no success. */
static ssize_t failed(struct tls *t, int result, bool *waits_for_other, int other)
{
	int error = SSL_get_error(t->ssl, result);
	int saved = errno;

	*waits_for_other = error == other;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		errno = EAGAIN;
		return -1;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = error == SSL_ERROR_SYSCALL && saved != 0 ? saved : EPROTO;
	ERR_clear_error();
	return -1;
}

ssize_t tls_read(struct tls *t, struct buffer *b, size_t most)
{
	size_t got = 0;

	t->read_wants_write = false;
	while (got < most) {
		uint8_t *at = buffer_room(b, RECORD);
		int n;

		if (at == NULL) {
			errno = ENOMEM;
			return -1;
		}
		ERR_clear_error();
		errno = 0;
		n = SSL_read(t->ssl, at, RECORD);
		if (n <= 0) {
			ssize_t end = failed(t, n, &t->read_wants_write, SSL_ERROR_WANT_WRITE);

			return got > 0 ? (ssize_t)got : end;
		}
		buffer_added(b, (size_t)n);
		got += (size_t)n;
	}
	return (ssize_t)got;
}

bool tls_has_more(const struct tls *t)
{
	return SSL_has_pending(t->ssl) == 1;
}

ssize_t tls_write(struct tls *t, struct buffer *b)
{
	size_t put = 0;

	t->write_wants_read = false;
	while (buffer_len(b) > 0) {
		size_t len = buffer_len(b) > INT32_MAX ? INT32_MAX : buffer_len(b);
		int n;

		ERR_clear_error();
		errno = 0;
		n = SSL_write(t->ssl, buffer_at(b), (int)len);
		if (n <= 0) {
			ssize_t end = failed(t, n, &t->write_wants_read, SSL_ERROR_WANT_READ);

			if (put > 0)
				return (ssize_t)put;
			if (end == 0)
				errno = EPIPE;
			return -1;
		}
		buffer_consume(b, (size_t)n);
		put += (size_t)n;
	}
	return (ssize_t)put;
}

bool tls_read_wants_write(const struct tls *t)
{
	return t->read_wants_write;
}

bool tls_write_wants_read(const struct tls *t)
{
	return t->write_wants_read;
}

const char *tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
	return SSL_get_cipher_name(t->ssl);
}
