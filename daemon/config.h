/*
 * What the daemon can be told: the struct that holds it, the table that describes it, and what is
 * checked across single settings.
 */
#ifndef ESBRIDGE_CONFIG_H
#define ESBRIDGE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/settings.h"
#include "base/tls.h"
#include "local/access.h"
#include "store/discovery.h"

/* In front of a server whose name has the addresses of the nodes of a cluster. */
#define CONFIG_DISCOVER "discover://"

enum tls_use { TLS_OFF, TLS_REQUIRE };

/* Texts are never NULL. Durations are milliseconds, sizes bytes. */
struct config {
	struct {
		char *server;            /* HOST:PORT, or CONFIG_DISCOVER and HOST:PORT */
		char *gossip_seeds;      /* see endpoint_next() */
		char *nameservers;       /* the same, addresses alone */
		int64_t node_preference; /* enum node_preference */
		int64_t gossip_timeout;
		char *username;
		char *password; /* also what was read from password_file */
		char *password_file;
		char *connection_name;
		int64_t tls; /* enum tls_use */
		char *tls_ca;
		char *tls_server_name;
		char *tls_certificate;
		char *tls_key;
		bool tls_verify;
		int64_t connect_timeout;
		int64_t heartbeat_interval;
		int64_t heartbeat_timeout;
		int64_t operation_timeout;
		int64_t reconnect_delay_min;
		int64_t reconnect_delay_max;
		int64_t max_attempts; /* 0: for ever */
		bool require_master;
		int64_t queue;
		int64_t frame_limit;
	} store;
	struct {
		char *path;
		int64_t mode;
		char *group; /* "": the daemon's own */
	} socket;
	struct {
		int64_t line;
		int64_t depth;
		int64_t in_flight;
		int64_t subscriptions;
		int64_t clients;
		int64_t output_pause;
		int64_t output_resume;
		int64_t output_cap;
		int64_t memory;
		int64_t client_stall_timeout;
	} limits;
	struct {
		bool read_only;
		int64_t drain_timeout;
		int64_t log_level;      /* 0: LOG_ERROR, and so on; see config_log_level() */
		int64_t log_prefix;     /* enum log_prefix */
		int64_t log_format;     /* enum log_format */
		int64_t slow_operation; /* 0: none is */
		char *metrics_listen;   /* "": nowhere; see metrics_http_address() */
		char *state_dir;        /* "": see config_state_dir() */
		int64_t checkpoint_delay;
		int64_t checkpoint_acks;
		int64_t checkpoint_timeout;
	} daemon;
	struct settings_sections rules; /* [access NAME]: each a struct config_rule */
	struct access *access;          /* what they say */
};

/* A section [access NAME]. */
struct config_rule {
	char *users; /* words, as all lists; see settings_word() */
	char *groups;
	char *allow;
	char *streams;
	char *checkpoints;
	char *username;
	char *password_file;
	bool credentials;
	int64_t clients; /* 0: no limit of its own, for this and the next ones */
	int64_t in_flight;
	int64_t subscriptions;
	int64_t events_per_second;
};

/* For settings_set(), settings_reload() and the rest of base/settings.h. */
extern const struct setting config_table[];
extern const struct setting config_access_table[];

/*
 * Fills C with the defaults and what the file PATH says, and checks the whole. With PATH NULL there
 * is no file. Returns false where anything is wrong: each mistake has been given to COMPLAIN as one
 * text, and C holds nothing. A file of a password that others may read is worth a warning in the
 * log alone.
 */
bool config_load(struct config *c, const char *path, void (*complain)(void *arg, const char *text),
		 void *arg);

/* Frees what C holds. */
void config_free(struct config *c);

/* Prints C as a file that config_load() would accept; secrets are left out. */
void config_print(const struct config *c, FILE *to);

/* Prints the file conf/esbridged.conf: every setting explained, none set. */
void config_print_sample(FILE *to);

/*
 * What C says of TLS, as a context, its files read now. NULL where TLS is off, with "" in FAULT,
 * and where something is wrong, with the setting and what is wrong with it in FAULT.
 */
struct tls_context *config_tls(const struct config *c, char fault[TLS_FAULT]);

/* The directory for what is kept from run to run. The caller frees it. */
char *config_state_dir(const struct config *c);

/* What C says of a cluster; seed_count is 0 where it says nothing. */
void config_cluster(const struct config *c, struct discovery_settings *settings);

/* The level for log_setup(), an enum log_level. */
int config_log_level(const struct config *c);

#endif
