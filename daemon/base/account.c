#include "base/account.h"

#include <stdint.h>

struct account account = { .limit = SIZE_MAX, .mark = SIZE_MAX };

void account_set_limit(size_t limit)
{
	bool was_short = account_is_short();

	account.limit = limit;
	account.mark = limit / 4 * 3;
	if (account_is_short() && !was_short)
		account.became_short(account.arg);
}

void account_open(size_t limit, void (*became_short)(void *arg), void *arg)
{
	account = (struct account){ .open = true, .became_short = became_short, .arg = arg };
	account_set_limit(limit);
}

void account_close(void)
{
	account = (struct account){ .limit = SIZE_MAX, .mark = SIZE_MAX };
}
