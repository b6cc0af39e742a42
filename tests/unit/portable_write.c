#define JSON_PORTABLE 1
#define json_base64   portable_json_base64
#define json_bool     portable_json_bool
#define json_comma    portable_json_comma
#define json_int      portable_json_int
#define json_key      portable_json_key
#define json_raw      portable_json_raw
#define json_quoted   portable_json_quoted
#define json_text     portable_json_text
#define json_uint     portable_json_uint

#include "base/json_write.c" /* NOLINT(bugprone-suspicious-include): compiled a second time on purpose */
