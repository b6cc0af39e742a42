#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void failure_clear(struct failure *f)
{
	esbridge_message_free(f->message);
	memset(&f->error, 0, sizeof(f->error));
	f->message = NULL;
	f->error.name = "ok";
	f->error.text = "";
}

bool failure_may_be_retried(enum esbridge_code code)
{
	switch (code) {
	case ESBRIDGE_E_UNAVAILABLE:
	case ESBRIDGE_E_TIMEOUT:
	case ESBRIDGE_E_CONNECTION_LOST:
	case ESBRIDGE_E_OVERLOADED:
	case ESBRIDGE_E_OUT_OF_MEMORY:
		return true;
	default:
		return false;
	}
}

static void set(struct failure *f, enum esbridge_code code, enum esbridge_outcome outcome,
		const char *format, va_list list)
{
	char text[FAILURE_TEXT];

	/* What is told may stand in the failure that is replaced. */
	vsnprintf(text, sizeof(text), format, list);
	failure_clear(f);
	memcpy(f->text, text, sizeof(text));
	f->error.code = code;
	f->error.name = esbridge_code_name(code);
	f->error.text = f->text;
	f->error.retry = failure_may_be_retried(code);
	f->error.outcome = outcome;
}

void failure_set(struct failure *f, enum esbridge_code code, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	set(f, code, ESBRIDGE_OUTCOME_NOT_SAID, format, list);
	va_end(list);
}

void failure_set_outcome(struct failure *f, enum esbridge_code code, enum esbridge_outcome outcome,
			 const char *format, ...)
{
	va_list list;

	va_start(list, format);
	set(f, code, outcome, format, list);
	va_end(list);
}

void failure_no_memory(struct failure *f)
{
	failure_set(f, ESBRIDGE_E_OUT_OF_MEMORY, "out of memory");
}

void failure_take(struct failure *f, struct esbridge_message *message)
{
	failure_clear(f);
	snprintf(f->name, sizeof(f->name), "%.*s", ESBRIDGE_PRINT(message->code_name));
	snprintf(f->text, sizeof(f->text), "%.*s", ESBRIDGE_PRINT(message->text));
	f->error.code = message->code;
	f->error.name = f->name;
	f->error.text = f->text;
	f->error.retry = message->retry;
	f->error.outcome = message->outcome;
	f->error.body = message->body;
	f->error.line = message->line;
	f->message = message;
}
