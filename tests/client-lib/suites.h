/*
 * The suites of tests/client-lib/main.c. They use the library as a program does: through esbridge.h
 * and the shared object.
 */
#ifndef ESBRIDGE_TESTS_CLIENT_SUITES_H
#define ESBRIDGE_TESTS_CLIENT_SUITES_H

#include <check.h>
#include <stdbool.h>

Suite *calls_suite(void);
Suite *memory_suite(void);
Suite *reader_suite(void);

/* True where CK_FORK=no says that everything is slow, as under valgrind: some cases then stand for
 * all. */
bool is_slow(void);

#endif
