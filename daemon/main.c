#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "daemon.h"
#include "options.h"

int main(int argc, char **argv)
{
	struct options options;
	struct config config;
	int status;

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
