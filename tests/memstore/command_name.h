/*
 * The names of the packages' commands, as in EventStore.Core TcpCommand.
 */
#ifndef MEMSTORE_COMMAND_NAME_H
#define MEMSTORE_COMMAND_NAME_H

#include <stdbool.h>

#include "store/command.h"

/* Fills *COMMAND with the one called NAME. Returns false where there is none. */
bool command_find(const char *name, enum command *command);

#endif
