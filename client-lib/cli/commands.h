/*
 * The commands, each in the file of its name.
 */
#ifndef ESBRIDGE_CLI_COMMANDS_H
#define ESBRIDGE_CLI_COMMANDS_H

#include "cli.h"

extern const struct command command_bench;
extern const struct command command_checkpoint_delete;
extern const struct command command_checkpoint_get;
extern const struct command command_checkpoint_list;
extern const struct command command_checkpoint_set;
extern const struct command command_complete;
extern const struct command command_consume;
extern const struct command command_delete;
extern const struct command command_exec;
extern const struct command command_export;
extern const struct command command_group_create;
extern const struct command command_group_delete;
extern const struct command command_group_list_settings;
extern const struct command command_group_update;
extern const struct command command_help;
extern const struct command command_import;
extern const struct command command_metadata_get;
extern const struct command command_metadata_set;
extern const struct command command_metrics;
extern const struct command command_ping;
extern const struct command command_read;
extern const struct command command_scavenge;
extern const struct command command_status;
extern const struct command command_tail;
extern const struct command command_top;
extern const struct command command_transaction_commit;
extern const struct command command_transaction_start;
extern const struct command command_transaction_write;
extern const struct command command_uuid;
extern const struct command command_write;

#endif
