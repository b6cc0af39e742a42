/*
 * jansson as the judge of JSON texts, and trees of its values to be compared with its own. It
 * stands behind names of ours since jansson.h and base/json_walk.h cannot be included together.
 */
#ifndef ESBRIDGE_UNIT_ORACLE_H
#define ESBRIDGE_UNIT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum oracle_verdict {
	ORACLE_TAKEN,
	ORACLE_REFUSED,
	ORACLE_SILENT, /* refused for a limit of jansson's own, which says nothing of the text */
};

/* A value of jansson's. */
struct oracle_value;

/*
 * Judges the LEN bytes at TEXT; where they are taken, *VALUE is what they say, for oracle_free().
 * *REALS tells that integers came as reals, since one of them did not fit.
 */
enum oracle_verdict oracle_judge(const char *text, size_t len, struct oracle_value **value,
				 bool *reals);

struct oracle_value *oracle_null(void);
struct oracle_value *oracle_bool(bool value);
struct oracle_value *oracle_integer(int64_t value);
struct oracle_value *oracle_real(double value);
struct oracle_value *oracle_string(const char *at, size_t len);
struct oracle_value *oracle_array(void);
struct oracle_value *oracle_object(void);

/* Adds VALUE, which TO takes over. Of members of the same name the last one counts. */
void oracle_append(struct oracle_value *to, struct oracle_value *value);
void oracle_set(struct oracle_value *to, const char *name, struct oracle_value *value);

bool oracle_equal(const struct oracle_value *a, const struct oracle_value *b);
void oracle_free(struct oracle_value *value);

#endif
