/* What firing a probe costs the thread that fires it. */
#ifndef PEERWATCH_PLAYER_COST_H
#define PEERWATCH_PLAYER_COST_H

#include "run.h"

/* Measure as the arguments ask, and report one JSON object. */
void cost(struct run *run);

#endif
