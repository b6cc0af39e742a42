/*
 * The suites of the unit tests, one for each test_*.c, and what they share.
 */
#ifndef ESBRIDGE_UNIT_SUITES_H
#define ESBRIDGE_UNIT_SUITES_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

Suite *access_suite(void);
Suite *account_suite(void);
Suite *base64_suite(void);
Suite *buffer_suite(void);
Suite *checkpoint_file_suite(void);
Suite *checkpoint_suite(void);
Suite *config_suite(void);
Suite *event_suite(void);
Suite *frame_suite(void);
Suite *guid_suite(void);
Suite *idtable_suite(void);
Suite *json_oracle_suite(void);
Suite *json_to_message_random_suite(void);
Suite *json_to_message_suite(void);
Suite *json_walk_suite(void);
Suite *json_write_suite(void);
Suite *list_suite(void);
Suite *log_suite(void);
Suite *loop_suite(void);
Suite *mem_suite(void);
Suite *message_table_suite(void);
Suite *message_to_json_random_suite(void);
Suite *message_to_json_suite(void);
Suite *gossip_suite(void);
Suite *metrics_suite(void);
Suite *notify_suite(void);
Suite *outbox_suite(void);
Suite *outstanding_suite(void);
Suite *relief_suite(void);
Suite *session_suite(void);
Suite *settings_suite(void);
Suite *transcripts_suite(void);
Suite *turns_suite(void);
Suite *wire_suite(void);

/*
 * True where tests run without a process of their own (CK_FORK=no), as under valgrind. Those with
 * many thousands of cases then take only some, and those that end the process are left out.
 */
bool unit_is_slow(void);

/* The next number of a sequence that is the same in every run. STATE begins as any number but 0. */
uint64_t unit_random(uint64_t *state);

/*
 * Opens the file PATH of the source tree (SRCDIR) for reading. Fails the test where it is not
 * there.
 */
FILE *unit_open(const char *path);

/* Writes LEN bytes to a new temporary file. The caller unlinks it and frees the name. */
char *unit_file(const void *bytes, size_t len);

#endif
