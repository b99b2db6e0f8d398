/* The end of a run that cannot go on. */
#ifndef PEERWATCH_PLAYER_FAIL_H
#define PEERWATCH_PLAYER_FAIL_H

enum status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1, /* something outside went wrong: no tracer came, a file cannot be written */
	STATUS_INPUT = 2,  /* wrong options, or a file that is not a play file */
};

/* Print one line to standard error and exit. Only for the main thread. */
_Noreturn void fail(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
