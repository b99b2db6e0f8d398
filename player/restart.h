/* A restart: another process of the same binary goes on where this one stopped. */
#ifndef PEERWATCH_PLAYER_RESTART_H
#define PEERWATCH_PLAYER_RESTART_H

#include <sys/types.h>

#include "run.h"

/* Start the successor, with all options of this process and `--resume=RESUME`; only when all threads have ended. It runs the
 * binary that now has this one's path, and only once this process is gone, as a node that restarts. Returns its process id. */
pid_t restart(const struct run *run, const char *resume);

#endif
