/*
 * top: what the daemon is doing, again and again.
 */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "commands.h"
#include "json_in.h"
#include "output.h"
#include "table.h"
#include "wait.h"

enum {
	ROWS_DEFAULT = 24,
	COLUMNS_DEFAULT = 80,
	HEAD_ROWS = 5,
	INTERVAL_MS = 1000,
	RATE_TEXT = 32,
	KEY_TEXT = 320
};

struct top_options {
	int64_t interval_ms;
	int64_t count;
	bool once;
};

static const struct option_row rows[] = {
	{ "interval", 'i', OPTION_TIME, offsetof(struct top_options, interval_ms), "TIME", 100,
	  3600000, NULL, "between two looks; 1s" },
	{ "count", 'c', OPTION_INTEGER, offsetof(struct top_options, count), "N", 1, INT64_MAX,
	  NULL, "end after N looks" },
	{ "once", '1', OPTION_FLAG, offsetof(struct top_options, once), NULL, 0, 0, NULL,
	  "one look, without control of the terminal" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct top_options defaults = { .interval_ms = INTERVAL_MS, .count = INT64_MAX };

struct top {
	struct cli *cli;
	const struct top_options *options;
	json_t *before; /* the look before this one, or NULL */
	int64_t before_ms;
	size_t room;  /* rows of the table that there is room for, */
	int width;    /* and columns of the terminal */
	bool all;     /* the daemon tells of all clients */
	bool screen;  /* the terminal is ours */
	bool stopped; /* 'q' was typed */
};

/* The terminal ----------------------------------------------------------------------------------- */

static struct termios terminal; /* as it was; a signal handler has to find it */

/* What ends the process at once gives the screen back as well. */
static void give_back_at_once(int number)
{
	static const char text[] = "\033[?25h\033[?1049l";
	ssize_t written = write(STDOUT_FILENO, text, sizeof(text) - 1);

	(void)written;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

/* Another screen, no cursor, keys as they are typed; all of it is put back at the end. */
static void take_screen(struct top *t)
{
	struct termios raw;

	if (t->options->once || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) ||
	    tcgetattr(STDIN_FILENO, &terminal) != 0)
		return;
	raw = terminal;
	/* Without ISIG for the keys that stop and quit: the shell would get a screen that is ours.
	 */
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VSUSP] = raw.c_cc[VQUIT] = _POSIX_VDISABLE;
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
		return;
	t->screen = true;
	(void)signal(SIGQUIT, give_back_at_once);
	fputs("\033[?1049h\033[?25l", stdout);
}

static void give_screen_back(struct top *t)
{
	if (!t->screen)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	(void)output_flush();
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	t->screen = false;
}

/* It may change between two looks. A row that is wider than the screen would take two. */
static void measure(struct top *t)
{
	struct winsize size = { 0 };

	t->room = SIZE_MAX;
	t->width = INT_MAX;
	if (!t->screen)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
		size.ws_row = ROWS_DEFAULT;
	t->room = size.ws_row > HEAD_ROWS + 1 ? (size_t)size.ws_row - HEAD_ROWS - 1 : 1;
	t->width = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

static void take_keys(struct top *t)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	for (ssize_t i = 0; i < n; i++)
		t->stopped = t->stopped || keys[i] == 'q' || keys[i] == 'Q';
}

/* Rates ------------------------------------------------------------------------------------------ */

/* NAME of NOW less that of BEFORE, a second; "-" where there is nothing to compare with. */
static const char *rate(const json_t *before, const json_t *now, const char *name, int64_t ms,
			char text[RATE_TEXT])
{
	int64_t more = number_in(now, name) - number_in(before, name);

	if (before == NULL || ms <= 0 || more < 0)
		snprintf(text, RATE_TEXT, "-");
	else
		snprintf(text, RATE_TEXT, "%" PRId64, more * 1000 / ms);
	return text;
}

/* The subscription SUB of client CLIENT in STATUS, or NULL. */
static const json_t *subscription_in(const json_t *status, int64_t client, const char *sub)
{
	const json_t *clients = json_object_get(status, "clients");
	const json_t *c, *s;
	size_t i, j;

	json_array_foreach(clients, i, c)
	{
		if (number_in(c, "number") != client)
			continue;
		json_array_foreach(json_object_get(c, "subscriptions"), j, s)
		{
			if (strcmp(word_in(s, "sub"), sub) == 0)
				return s;
		}
	}
	return NULL;
}

/* Printing --------------------------------------------------------------------------------------- */

static void print_line(const struct top *t, const char *text)
{
	(void)output_cut(text, t->width);
	putchar('\n');
}

static void print_head(const struct top *t, const json_t *now, int64_t ms)
{
	const json_t *store = json_object_get(now, "store");
	const json_t *store_before = json_object_get(t->before, "store");
	char line[KEY_TEXT], a[RATE_TEXT], b[RATE_TEXT], c[RATE_TEXT], d[RATE_TEXT];

	snprintf(line, sizeof(line),
		 "esbridged %s  store %s %s role %s  clients %" PRId64 "  in flight %" PRId64
		 "  queued %" PRId64,
		 word_in(now, "version"), word_in(store, "endpoint"), word_in(store, "state"),
		 word_in(store, "role"), number_in(now, "client_count"),
		 number_in(store, "in_flight"), number_in(store, "queued"));
	print_line(t, line);
	snprintf(line, sizeof(line),
		 "executes %s/s  events %s/s  from the store %s B/s  to it %s B/s",
		 rate(t->before, now, "executed", ms, a),
		 rate(t->before, now, "events_pushed", ms, b),
		 rate(store_before, store, "bytes_in", ms, c),
		 rate(store_before, store, "bytes_out", ms, d));
	print_line(t, line);
	if (!t->all)
		print_line(t, "only root and the user of the daemon see the clients");
	putchar('\n');
}

static void add_subscription(const struct top *t, struct table *table, const json_t *client,
			     const json_t *sub, int64_t ms)
{
	const json_t *before =
		subscription_in(t->before, number_in(client, "number"), word_in(sub, "sub"));
	char text[RATE_TEXT];

	table_number(table, number_in(client, "number"));
	table_text(table, word_in(client, "name"));
	table_text(table, word_in(sub, "sub"));
	table_text(table, word_in(sub, "mode"));
	table_text(table, word_in(sub, "stream"));
	table_text(table, word_in(sub, "group"));
	table_text(table, word_in(sub, "state"));
	snprintf(text, sizeof(text), "%" PRId64 "/%" PRId64, number_in(sub, "outstanding"),
		 number_in(sub, "window"));
	table_text(table, text);
	if (json_is_integer(json_object_get(sub, "lag")))
		table_number(table, number_in(sub, "lag"));
	else
		table_text(table, "-");
	table_text(table, rate(before, sub, "delivered", ms, text));
	table_text(table, rate(before, sub, "acked", ms, text));
}

/* A client without a subscription has a row as well. */
static void add_client(struct table *table, const json_t *client)
{
	table_number(table, number_in(client, "number"));
	table_text(table, word_in(client, "name"));
	for (int i = 0; i < 9; i++)
		table_text(table, "-");
}

static void print_clients(const struct top *t, const json_t *now, int64_t ms)
{
	static const char *const heads[] = { "CLIENT", "NAME", "SUB", "MODE",     "STREAM", "GROUP",
					     "STATE",  "OPEN", "LAG", "EVENTS/S", "ACKS/S" };
	const json_t *client, *sub;
	struct table table;
	size_t left = t->room;
	size_t i, j;

	table_begin(&table, sizeof(heads) / sizeof(*heads));
	table.most = t->width;
	for (i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		table_text(&table, heads[i]);
	json_array_foreach(json_object_get(now, "clients"), i, client)
	{
		const json_t *subs = json_object_get(client, "subscriptions");

		if (json_array_size(subs) == 0 && left > 0) {
			add_client(&table, client);
			left--;
		}
		json_array_foreach(subs, j, sub)
		{
			if (left == 0)
				break;
			add_subscription(t, &table, client, sub, ms);
			left--;
		}
	}
	table_print(&table, cli_color(t->cli));
}

/* Looking ---------------------------------------------------------------------------------------- */

/* The status, of all clients where that is allowed. NULL after a failure, which was told. */
static json_t *look(struct top *t)
{
	struct esbridge_message *message = esbridge_status(t->cli->bridge, t->all);
	json_t *status;

	if (message == NULL && t->all &&
	    esbridge_error(t->cli->bridge)->code == ESBRIDGE_E_PERMISSION_DENIED) {
		t->all = false;
		message = esbridge_status(t->cli->bridge, false);
	}
	if (message == NULL)
		return NULL;
	status = cli_json(t->cli, message->ok);
	esbridge_message_free(message);
	return status;
}

/* While the daemon is away this is told in place of the numbers. */
static int show(struct top *t)
{
	json_t *now = look(t);
	int64_t now_at = clock_ms();

	measure(t);
	if (t->screen)
		fputs("\033[H\033[2J", stdout);
	if (now == NULL && !t->screen)
		return cli_fault(t->cli, "top");
	if (now == NULL) {
		print_line(t, esbridge_error(t->cli->bridge)->text);
	} else {
		print_head(t, now, now_at - t->before_ms);
		print_clients(t, now, now_at - t->before_ms);
	}
	json_decref(t->before);
	t->before = now;
	t->before_ms = now_at;
	return output_flush() ? EX_OK : EX_IOERR;
}

/* Waits for the next look. False where it is time to end. */
static bool rest(struct top *t)
{
	int64_t until = clock_ms() + t->options->interval_ms;
	int64_t left = t->options->interval_ms;

	while (left > 0 && !t->stopped) {
		unsigned wake = cli_wait(t->cli, t->screen ? STDIN_FILENO : -1, (int)left);

		if (wake & (WAKE_SIGNAL | WAKE_NO_READER))
			return false;
		if (wake & WAKE_INPUT)
			take_keys(t);
		left = until - clock_ms();
	}
	return !t->stopped;
}

static int run_top(struct cli *cli)
{
	struct top t = { .cli = cli, .options = cli->options, .all = true };
	int64_t looks = 0;
	int status;

	signals_catch();
	status = cli_connect_lasting(cli);
	if (status != EX_OK)
		return status;
	take_screen(&t);
	do
		status = show(&t);
	while (status == EX_OK && !t.options->once && ++looks < t.options->count && rest(&t));
	give_screen_back(&t);
	json_decref(t.before);
	return status;
}

const struct command command_top = {
	.name = "top",
	.arguments = "",
	.summary = "clients, subscriptions, rates and lags, live",
	.help = "Shows again and again what esbridged is doing: how many requests and events go through "
		"it in a second, its clients and their subscriptions, how many events each has "
		"open in its window and how far it is behind. On a terminal it fills the screen until "
		"'q' is typed; elsewhere it prints one look after the other.",
	.most = 0,
	OPTIONS(rows, defaults),
	.run = run_top,
};
