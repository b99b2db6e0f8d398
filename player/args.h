/* The command line. */
#ifndef PEERWATCH_PLAYER_ARGS_H
#define PEERWATCH_PLAYER_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "mix.h"

#define UNLIMITED UINT64_MAX

enum {
	MAX_THREADS = 256, /* a thread's number is a byte, in play files and in the numbers of messages */
	/* Enough for the numbers of all threads, one decimal each. */
	MAX_RESUME = MAX_THREADS * 21,
};

enum mode { MODE_PLAY, MODE_LOAD, MODE_COST };

struct args {
	enum mode mode;
	/* all modes */
	const char *report;   /* a path, or - */
	const char *pid_file; /* or NULL */
	double wait_attached; /* seconds; 0: do not wait */
	unsigned threads;
	const char *resume; /* what the process before this one left to do; see restart.h; or NULL */
	/* play */
	const char *file;  /* a path, or - */
	const char *input; /* the same, for errors */
	double speed;	   /* 0: as fast as possible */
	bool loop;
	/* load */
	uint64_t messages; /* UNLIMITED: until stopped */
	double rate;	   /* messages a second; 0: as fast as possible */
	struct mix mix;
	bool connections;
	uint64_t coins;
	const char *record; /* write a play file there instead of firing; or NULL */
	/* cost */
	uint64_t size;
	uint64_t count;
	unsigned rounds;
	bool nonresident;
	uint64_t nonresident_from; /* first page of the payload that is not resident */
};

/* Parse, or end the program with an error; --help ends it too. */
struct args args_parse(int argc, char **argv);

#endif
