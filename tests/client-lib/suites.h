/*
 * The suites of tests/client-lib/main.c. They use the library as a program does: through esbridge.h
 * and the shared object.
 */
#ifndef ESBRIDGE_TESTS_CLIENT_SUITES_H
#define ESBRIDGE_TESTS_CLIENT_SUITES_H

#include <check.h>

Suite *calls_suite(void);
Suite *memory_suite(void);
Suite *reader_suite(void);

#endif
