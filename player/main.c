/* The tracepoint player: a process with the tracepoints of bitcoind; see README.md. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "args.h"
#include "clock.h"
#include "control.h"
#include "cost.h"
#include "fail.h"
#include "load.h"
#include "play.h"
#include "report.h"
#include "run.h"

/* How often to look whether a tracer has come. */
#define ATTACH_POLL (5 * MILLISECOND_NS)

/* In one step, so that a reader never finds half a number. */
static void write_pid_file(const char *path)
{
	char *temporary;
	FILE *file;

	if (asprintf(&temporary, "%s.new", path) < 0)
		fail(STATUS_FAILED, "no memory");
	file = fopen(temporary, "we");
	if (file == NULL || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file) != 0 ||
	    rename(temporary, path) != 0)
		fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
	free(temporary);
}

/* False when a signal ended the wait. */
static bool wait_attached(struct run *run)
{
	uint64_t end = run->started + (uint64_t)(run->args.wait_attached * (double)SECOND_NS);

	while (!somebody_listens()) {
		if (monotonic_ns() >= end)
			fail(STATUS_FAILED, "no tracer came within %g s", run->args.wait_attached);
		if (control_wait(run, -1, monotonic_ns() + ATTACH_POLL) == EVENT_STOP)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct run run = {
		.args = args_parse(argc, argv), .argv = argv, .started_utc = utc_ns(), .started = monotonic_ns()};

	run.binary = realpath("/proc/self/exe", NULL);
	if (run.binary == NULL)
		fail(STATUS_FAILED, "cannot find this program: %s", strerror(errno));
	run.triggers = triggers_new(run.args.threads);
	prctl(PR_SET_TIMERSLACK, 1);
	control_open(&run);
	if (run.args.resume == NULL)
		report_open(&run);
	if (run.args.pid_file != NULL)
		write_pid_file(run.args.pid_file);
	if (run.args.wait_attached > 0 && run.args.resume == NULL && !wait_attached(&run)) {
		report(&run, "stopped", 0);
		return STATUS_DONE;
	}
	switch (run.args.mode) {
	case MODE_PLAY:
		play(&run);
		break;
	case MODE_LOAD:
		load(&run);
		break;
	case MODE_COST:
		control_release();
		cost(&run);
		break;
	}
	free(run.triggers);
	free(run.binary);
	return STATUS_DONE;
}
