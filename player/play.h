/* Playing a file. */
#ifndef PEERWATCH_PLAYER_PLAY_H
#define PEERWATCH_PLAYER_PLAY_H

#include "run.h"

/* Fire what the file or pipe holds, at its times; reports at the end. */
void play(struct run *run);

#endif
