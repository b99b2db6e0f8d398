#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

#define RESUME "--resume="

/* This process's arguments with another --resume. */
static char **successor_arguments(const struct run *run, const char *resume)
{
	size_t used = 0;
	size_t count = 0;
	char **arguments;
	char *option;

	while (run->argv[count] != NULL)
		count++;
	arguments = calloc(count + 2, sizeof(*arguments));
	if (arguments == NULL || asprintf(&option, RESUME "%s", resume) < 0)
		fail(STATUS_FAILED, "no memory for a restart");
	arguments[used++] = run->argv[0];
	arguments[used++] = option;
	for (size_t i = 1; i < count; i++) {
		if (strncmp(run->argv[i], RESUME, strlen(RESUME)) != 0)
			arguments[used++] = run->argv[i];
	}
	return arguments;
}

pid_t restart(const struct run *run, const char *resume)
{
	int alive[2]; /* nobody writes; reading ends when this process has */
	char byte;
	pid_t child;

	if (pipe2(alive, O_CLOEXEC) != 0)
		fail(STATUS_FAILED, "cannot restart: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail(STATUS_FAILED, "cannot restart: %s", strerror(errno));
	if (child > 0)
		return child;
	close(alive[1]);
	while (read(alive[0], &byte, 1) < 0 && errno == EINTR)
		;
	execv(run->binary, successor_arguments(run, resume));
	fail(STATUS_FAILED, "cannot restart %s: %s", run->binary, strerror(errno));
}
