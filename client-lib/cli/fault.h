/*
 * What went wrong: said on standard error with what to do next, and as an exit status of
 * sysexits(3).
 */
#ifndef ESBRIDGE_CLI_FAULT_H
#define ESBRIDGE_CLI_FAULT_H

/* Says one line on standard error, "esbridge: " before it. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says the same and returns STATUS, so that a command can end with it. */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Says that WHAT failed with the error CODE of the protocol and its MESSAGE, then what to do next.
 * Returns the exit status that goes with CODE.
 */
int fail_code(const char *what, const char *code, const char *message);

/* The exit status that goes with the error CODE of the protocol. */
int status_of_code(const char *code);

#endif
