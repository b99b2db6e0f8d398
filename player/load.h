/* Generated load. */
#ifndef PEERWATCH_PLAYER_LOAD_H
#define PEERWATCH_PLAYER_LOAD_H

#include "run.h"

/* Fire (or record) everything that the arguments ask for; reports at the end. */
void load(struct run *run);

#endif
