/*
 * Included before everything else in those files of daemon/base that the library is built with, so
 * that their memory too comes from esbridge_set_allocator().
 */
#ifndef ESBRIDGE_CLIENT_BASE_MEMORY_H
#define ESBRIDGE_CLIENT_BASE_MEMORY_H

#include <stdlib.h>

#include "memory.h"

#define malloc  memory_get
#define realloc memory_resize
#define free    memory_release

#endif
