/* The report: one JSON object a line. */
#ifndef PEERWATCH_PLAYER_REPORT_H
#define PEERWATCH_PLAYER_REPORT_H

#include <sys/types.h>

#include "run.h"

/* Empty the report's file, if it is one. */
void report_open(const struct run *run);

/* Append the counts so far. `ended` is why the run ended, NULL while it goes on; `successor` the process that goes on, or 0. */
void report(const struct run *run, const char *ended, pid_t successor);

/* Append one line of text. */
void report_line(const struct run *run, const char *line);

#endif
