#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "config_parts.h"
#include "local/metrics_http.h"
#include "store/frame.h"

enum { FAULT_MOST = 512, PASSWORD_FILE_MOST = 4096 };

static unsigned line_of(const struct loading *l, const char *name)
{
	size_t i = 0;

	while (config_table[i].name != NULL && strcmp(config_table[i].name, name) != 0)
		i++;
	return l->lines[i];
}

static void tell_mistake(struct loading *l, unsigned line, const char *format, va_list args)
{
	char text[FAULT_MOST];
	int n = 0;

	if (l->path != NULL)
		n = snprintf(text, sizeof(text), "%s:%u: ", l->path, line);
	if (n < 0 || (size_t)n >= sizeof(text))
		n = 0;
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	l->complain(l->arg, text);
	l->good = false;
}

void config_mistake(struct loading *l, unsigned line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell_mistake(l, line, format, args);
	va_end(args);
}

/* A mistake in what NAME and OTHER (or NULL) are set to: it stands in the later one's line. */
static void mistake(struct loading *l, const char *name, const char *other, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void mistake(struct loading *l, const char *name, const char *other, const char *format, ...)
{
	unsigned line = line_of(l, name);
	va_list args;

	if (other != NULL && line_of(l, other) > line)
		line = line_of(l, other);
	va_start(args, format);
	tell_mistake(l, line, format, args);
	va_end(args);
}

/* The password ---------------------------------------------------------------------------------- */

/* Returns the path of the file named NAME, one that systemd may have put among the credentials; the
 * caller frees it. */
static char *credential_path(const char *name)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t size;
	char *path;

	if (name[0] == '/' || name[0] == '\0' || directory == NULL)
		return mem_text(name);
	size = strlen(directory) + strlen(name) + 2;
	path = mem_new(size);
	snprintf(path, size, "%s/%s", directory, name);
	return path;
}

/* Reads at most SIZE bytes of the file PATH. Returns their number, or -1 with errno. */
static ssize_t read_file(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n = -1;
	struct stat st;
	int error;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IROTH) != 0)
		log_write(LOG_WARNING, "everybody may read the file of the password path=%s",
			  log_text(path, strlen(path)));
	do {
		n = read(fd, to + got, size - got);
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : (ssize_t)got;
}

/* Returns the first of the LEN bytes at TEXT, up to a line end, or NULL where that is no password.
 */
static char *password_in(struct loading *l, unsigned line, const char *path, const char *text,
			 size_t len)
{
	size_t end = 0;

	while (end < len && text[end] != '\n')
		end++;
	if (end > 0 && text[end - 1] == '\r')
		end--;
	if (end <= CREDENTIAL_MOST && memchr(text, '\0', end) == NULL)
		return secret_new(text, end);
	if (end > CREDENTIAL_MOST)
		config_mistake(l, line,
			       "password_file: the first line of %s is longer than %d bytes", path,
			       CREDENTIAL_MOST);
	else
		config_mistake(l, line, "password_file: a byte of zero in the first line of %s",
			       path);
	return NULL;
}

char *config_password(struct loading *l, unsigned line, const char *name)
{
	char text[PASSWORD_FILE_MOST];
	char *path = credential_path(name);
	ssize_t len = read_file(path, text, sizeof(text));
	char *password = NULL;

	if (len < 0)
		config_mistake(l, line, "password_file: %s: %s", path, strerror(errno));
	else
		password = password_in(l, line, path, text, (size_t)len);
	mem_wipe(text, sizeof(text));
	free(path);
	return password;
}

static void read_password(struct loading *l)
{
	char *password =
		config_password(l, line_of(l, "password_file"), l->config->store.password_file);

	if (password == NULL)
		return;
	/* Nothing but "" can be there: `password` is not set besides password_file. */
	secret_free(l->config->store.password);
	l->config->store.password = password;
}

/* The cluster ----------------------------------------------------------------------------------- */

void config_cluster(const struct config *c, struct discovery_settings *settings)
{
	size_t prefix = strlen(CONFIG_DISCOVER);
	const char *seeds = c->store.gossip_seeds;

	memset(settings, 0, sizeof(*settings));
	settings->by_name = strncmp(c->store.server, CONFIG_DISCOVER, prefix) == 0;
	if (settings->by_name)
		seeds = c->store.server + prefix;
	while (settings->seed_count < DISCOVERY_SEEDS &&
	       endpoint_next(&seeds, &settings->seeds[settings->seed_count]))
		settings->seed_count++;
	settings->preference = (enum node_preference)c->store.node_preference;
	settings->timeout = (uint32_t)c->store.gossip_timeout;
}

static void check_cluster(struct loading *l)
{
	const char *seeds = l->config->store.gossip_seeds;
	struct endpoint seed;
	size_t count = 0;

	while (endpoint_next(&seeds, &seed))
		count++;
	if (count > DISCOVERY_SEEDS)
		mistake(l, "gossip_seeds", NULL, "gossip_seeds: at most %d", DISCOVERY_SEEDS);
	if (count > 0 && line_of(l, "server") != 0)
		mistake(l, "gossip_seeds", "server", "gossip_seeds and server cannot both be set");
}

static void check_nameservers(struct loading *l)
{
	const char *list = l->config->store.nameservers;
	unsigned char address[sizeof(struct in6_addr)];
	struct endpoint e;

	while (endpoint_next(&list, &e)) {
		if (inet_pton(AF_INET, e.host, address) != 1 &&
		    inet_pton(AF_INET6, e.host, address) != 1)
			mistake(l, "nameservers", NULL, "nameservers: '%s' is no address", e.host);
	}
}

/* TLS ------------------------------------------------------------------------------------------- */

struct tls_context *config_tls(const struct config *c, char fault[TLS_FAULT])
{
	char *ca = credential_path(c->store.tls_ca);
	char *certificate = credential_path(c->store.tls_certificate);
	char *key = credential_path(c->store.tls_key);
	struct tls_files files = { .ca = ca, .certificate = certificate, .key = key };
	struct tls_context *context = NULL;

	fault[0] = '\0';
	if (c->store.tls == TLS_REQUIRE)
		context = tls_client_context(&files, c->store.tls_verify, fault);
	free(ca);
	free(certificate);
	free(key);
	return context;
}

/* The files are read once more when they are used; here it is told what is wrong with them. */
static void check_tls(struct loading *l)
{
	const struct config *c = l->config;
	char fault[TLS_FAULT];

	if (*c->store.tls_key != '\0' && *c->store.tls_certificate == '\0')
		mistake(l, "tls_key", "tls_certificate", "tls_key without tls_certificate");
	tls_context_free(config_tls(c, fault));
	if (fault[0] != '\0')
		mistake(l, "tls", NULL, "tls: %s", fault);
}

/* The whole ------------------------------------------------------------------------------------- */

/* Pairs of which the first must not be more than the second; `below`: must be less. */
static const struct order {
	size_t low, high;
	const char *low_name, *high_name;
	bool below;
} orders[] = {
	{ offsetof(struct config, store.reconnect_delay_min),
	  offsetof(struct config, store.reconnect_delay_max), "reconnect_delay_min",
	  "reconnect_delay_max", false },
	{ offsetof(struct config, limits.output_resume),
	  offsetof(struct config, limits.output_pause), "output_resume", "output_pause", true },
	{ offsetof(struct config, limits.output_pause), offsetof(struct config, limits.output_cap),
	  "output_pause", "output_cap", false },
	{ offsetof(struct config, limits.line), offsetof(struct config, limits.memory), "line",
	  "memory", false },
};

static int64_t number_at(const struct config *c, size_t offset)
{
	return *(const int64_t *)(const void *)((const char *)c + offset);
}

static void check_orders(struct loading *l)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		const struct order *o = &orders[i];
		int64_t low = number_at(l->config, o->low);
		int64_t high = number_at(l->config, o->high);

		if (low > high || (o->below && low == high))
			mistake(l, o->low_name, o->high_name, "%s must %s %s", o->low_name,
				o->below ? "be less than" : "not be more than", o->high_name);
	}
}

static void check_store(struct loading *l)
{
	struct config *c = l->config;

	if (*c->store.password != '\0' && *c->store.password_file != '\0')
		mistake(l, "password", "password_file",
			"password and password_file cannot both be set");
	else if (*c->store.password_file != '\0')
		read_password(l);
	if (*c->store.username == '\0' && *c->store.password != '\0')
		mistake(l, "password", "username", "a password without a username");
}

static void check_daemon(struct loading *l)
{
	const char *listen = l->config->daemon.metrics_listen;
	struct sockaddr_storage address;
	socklen_t len;

	if (*listen != '\0' && !metrics_http_address(listen, &address, &len))
		mistake(l, "metrics_listen", NULL,
			"metrics_listen: '%s' is none of PORT, ADDRESS:PORT and [ADDRESS]:PORT, "
			"with a port from 0 to 65535",
			listen);
}

bool config_load(struct config *c, const char *path, void (*complain)(void *arg, const char *text),
		 void *arg)
{
	struct loading l = { .config = c, .path = path, .complain = complain, .arg = arg };

	memset(c, 0, sizeof(*c));
	settings_defaults(config_table, c);
	c->rules = (struct settings_sections){ "access", config_access_table,
					       sizeof(struct config_rule), NULL };
	/* One more, always 0, for a name that is none. */
	l.lines = mem_new((settings_count(config_table) + 1) * sizeof(*l.lines));
	l.good = path == NULL ||
		 settings_read(config_table, c, &c->rules, path, l.lines, complain, arg);
	check_orders(&l);
	check_store(&l);
	check_cluster(&l);
	check_nameservers(&l);
	check_tls(&l);
	check_daemon(&l);
	config_access(&l);
	free(l.lines);
	if (!l.good)
		config_free(c);
	return l.good;
}

void config_free(struct config *c)
{
	settings_free(config_table, c);
	settings_sections_free(&c->rules);
	access_free(c->access);
	c->access = NULL;
}

void config_print(const struct config *c, FILE *to)
{
	settings_print(config_table, c, c->store.gossip_seeds[0] == '\0' ? NULL : "server", to);
	settings_sections_print(&c->rules, to);
}

void config_print_sample(FILE *to)
{
	const struct settings_sections rules = { .kind = "access", .table = config_access_table };

	fputs("# The settings of esbridged; see esbridged.conf(5). Every setting is here with its\n"
	      "# default: take the # in front away to change one. \"esbridged --check -c FILE\" tells\n"
	      "# what is wrong in a file. Where it says \"reload\", a change takes effect with\n"
	      "# \"systemctl reload esbridged\", otherwise with the next start.\n"
	      "#\n"
	      "# A ; or # begins a comment line; a ; behind a blank begins a comment in any line.\n"
	      "# Durations: 500ms, 5s, 2m, 1h; a bare number is seconds. Sizes: 512, 64K, 16M, 1G.\n"
	      "\n",
	      to);
	settings_print_sample(config_table, to);
	fputs("\n# A rule of access: any number of such sections, each with a name of its own. The first\n"
	      "# one that is for a client counts; without any, who can open the socket may do\n"
	      "# everything. See ACCESS RULES in esbridged.conf(5).",
	      to);
	settings_sections_sample(&rules, "NAME", to);
}

char *config_state_dir(const struct config *c)
{
	const char *given = getenv("STATE_DIRECTORY");

	if (c->daemon.state_dir[0] != '\0')
		return mem_text(c->daemon.state_dir);
	/* One for each StateDirectory= of the unit, with colons between. */
	if (given != NULL && given[0] == '/')
		return mem_text_of(given, strcspn(given, ":"));
	return mem_text("/var/lib/esbridge");
}

int config_log_level(const struct config *c)
{
	return LOG_ERROR + (int)c->daemon.log_level;
}
