/*
 * The commands, each in the file of its name.
 */
#ifndef ESBRIDGE_CLI_COMMANDS_H
#define ESBRIDGE_CLI_COMMANDS_H

#include "cli.h"

extern const struct command command_complete;
extern const struct command command_exec;
extern const struct command command_help;
extern const struct command command_ping;
extern const struct command command_status;
extern const struct command command_uuid;

#endif
