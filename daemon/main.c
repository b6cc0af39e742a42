#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon.h"
#include "options.h"

/*
 * Makes sure that standard input, output and error are open: else a connection would get the number
 * of one of them, and with it the lines of the log.
 */
static void keep_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/*
 * No core dump, and no memory that other processes of the same user can look at: passwords and
 * other people's events are in it. Lasts for as long as the process lives. Linux refuses this to
 * nobody.
 */
static void keep_memory_private(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	struct options options;
	struct config config;
	int status;

	keep_memory_private();
	keep_standard_descriptors();
	options_read(&options, argc, argv);
	if (options.action == ACTION_END)
		return options.status;
	memset(&config, 0, sizeof(config));
	status = options_config(&options, &config);
	if (status != EX_OK)
		return status;
	if (options.action == ACTION_RUN)
		status = daemon_run(&config, &options);
	else if (options.action == ACTION_PRINT_CONFIG)
		config_print(&config, stdout);
	config_free(&config);
	return status;
}
