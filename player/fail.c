#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(enum status status, const char *format, ...)
{
	va_list arguments;

	flockfile(stderr);
	fputs("peerwatch-player: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
	exit(status);
}
