#include "args.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "format.h"
#include "peers.h"

enum {
	DEFAULT_PLAY_THREADS = 4,
	DEFAULT_PEERS = 125, /* Core, net.h: DEFAULT_MAX_PEER_CONNECTIONS */
	DEFAULT_ROUNDS = 5,
	MAX_ROUNDS = 1000,
};

#define MAX_RATE 1e9
#define MAX_SECONDS 1e6

static const char help[] =
	"Usage: peerwatch-player [OPTION]... FILE|-\n"
	"       peerwatch-player --load N [OPTION]...\n"
	"       peerwatch-player --cost SIZE [OPTION]... COUNT\n"
	"\n"
	"Stands in for bitcoind: fires its tracepoints, from a play file, from standard input (-), or generated.\n"
	"\n"
	"  --report FILE|-         write the report there, one JSON object a line (default: standard output)\n"
	"  --pid-file FILE         write the process id there, again after each restart\n"
	"  --name TEXT             ignored; tells players apart by their command line\n"
	"  --wait-attached SECONDS start when a tracer listens to net:inbound_message; fail when none comes in time\n"
	"  --threads N             threads that fire (default: 4 when playing, 1 with --load)\n"
	"  --help                  this text\n"
	"\n"
	"Playing:\n"
	"  --speed X|max           this many times as fast as recorded (default: 1)\n"
	"  --loop                  start again at the end\n"
	"\n"
	"Generated load:\n"
	"  --load N|forever        fire N messages in total\n"
	"  --rate R|max            messages a second in total (default: max)\n"
	"  --mix normal|big|SIZE   types and sizes: as on mainnet, 5 to 60 kB, or all of SIZE bytes (default: normal)\n"
	"  --seed S                another order of peers, types and sizes (default: 0)\n"
	"  --peers N               connected peers (default: 125)\n"
	"  --no-connections        do not announce them by their connection probes\n"
	"  --coins N               fire utxocache:add, spent and uncache N times each meanwhile\n"
	"  --record FILE           write what would be fired to a play file, and fire nothing\n"
	"\n"
	"Cost of a probe (one thread, net:inbound_message, a payload of SIZE bytes, COUNT times a round):\n"
	"  --cost SIZE             print ns a probe, least and mean over the rounds, as JSON\n"
	"  --rounds N              (default: 5)\n"
	"  --nonresident[=PAGE]    before each firing drop the payload's pages from PAGE on (default: 0, all)\n"
	"\n"
	"SIGTERM and SIGINT end it with a report, SIGUSR1 reports meanwhile, SIGHUP restarts it in a new process.\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage or input.\n"
	"\n"
	"Examples:\n"
	"  peerwatch-player --speed 10 --pid-file node.pid flood.play\n"
	"  peerwatch simulate quiet --out - | peerwatch-player --speed max -\n"
	"  peerwatch-player --load 5000000 --rate 100000 --threads 2 --mix normal --wait-attached 30\n"
	"  peerwatch-player --cost 250 1000000\n";

enum option_code {
	OPTION_HELP = 256,
	OPTION_REPORT,
	OPTION_PID_FILE,
	OPTION_NAME,
	OPTION_WAIT_ATTACHED,
	OPTION_THREADS,
	OPTION_SPEED,
	OPTION_LOOP,
	OPTION_LOAD,
	OPTION_RATE,
	OPTION_MIX,
	OPTION_SEED,
	OPTION_PEERS,
	OPTION_NO_CONNECTIONS,
	OPTION_COINS,
	OPTION_RECORD,
	OPTION_COST,
	OPTION_ROUNDS,
	OPTION_NONRESIDENT,
	OPTION_RESUME,
};

static const struct option options[] = {
	{"help", no_argument, NULL, OPTION_HELP},
	{"report", required_argument, NULL, OPTION_REPORT},
	{"pid-file", required_argument, NULL, OPTION_PID_FILE},
	{"name", required_argument, NULL, OPTION_NAME},
	{"wait-attached", required_argument, NULL, OPTION_WAIT_ATTACHED},
	{"threads", required_argument, NULL, OPTION_THREADS},
	{"speed", required_argument, NULL, OPTION_SPEED},
	{"loop", no_argument, NULL, OPTION_LOOP},
	{"load", required_argument, NULL, OPTION_LOAD},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"mix", required_argument, NULL, OPTION_MIX},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"peers", required_argument, NULL, OPTION_PEERS},
	{"no-connections", no_argument, NULL, OPTION_NO_CONNECTIONS},
	{"coins", required_argument, NULL, OPTION_COINS},
	{"record", required_argument, NULL, OPTION_RECORD},
	{"cost", required_argument, NULL, OPTION_COST},
	{"rounds", required_argument, NULL, OPTION_ROUNDS},
	{"nonresident", optional_argument, NULL, OPTION_NONRESIDENT},
	{"resume", required_argument, NULL, OPTION_RESUME}, /* set by a restart, see restart.h */
	{NULL, 0, NULL, 0},
};

static uint64_t integer(const char *name, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least || value > most)
		fail(STATUS_INPUT, "%s is not a whole number from %llu to %llu: %s", name, (unsigned long long)least,
		     (unsigned long long)most, text);
	return value;
}

/* A positive number, at most `most`. */
static double number(const char *name, const char *text, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value <= 0 || value > most)
		fail(STATUS_INPUT, "%s is not a number above 0, and at most %g: %s", name, most, text);
	return value;
}

/* A positive number, or 0 for the word max. */
static double number_or_max(const char *name, const char *text)
{
	return strcmp(text, "max") == 0 ? 0 : number(name, text, MAX_RATE);
}

static void parse_mix(struct mix *mix, const char *text)
{
	if (strcmp(text, "normal") == 0) {
		mix->kind = MIX_NORMAL;
	} else if (strcmp(text, "big") == 0) {
		mix->kind = MIX_BIG;
	} else {
		mix->kind = MIX_SIZE;
		mix->size = integer("--mix (normal, big or SIZE)", text, 0, MAX_PAYLOAD);
	}
}

static void parse_option(struct args *args, int code)
{
	switch ((enum option_code)code) {
	case OPTION_HELP:
		fputs(help, stdout);
		exit(STATUS_DONE);
	case OPTION_REPORT:
		args->report = optarg;
		break;
	case OPTION_PID_FILE:
		args->pid_file = optarg;
		break;
	case OPTION_NAME:
		break;
	case OPTION_WAIT_ATTACHED:
		args->wait_attached = number("--wait-attached", optarg, MAX_SECONDS);
		break;
	case OPTION_THREADS:
		args->threads = (unsigned)integer("--threads", optarg, 1, MAX_THREADS);
		break;
	case OPTION_SPEED:
		args->speed = number_or_max("--speed", optarg);
		break;
	case OPTION_LOOP:
		args->loop = true;
		break;
	case OPTION_LOAD:
		args->mode = MODE_LOAD;
		args->messages =
			strcmp(optarg, "forever") == 0 ? UNLIMITED : integer("--load", optarg, 0, UINT64_C(1) << 48);
		break;
	case OPTION_RATE:
		args->rate = number_or_max("--rate", optarg);
		break;
	case OPTION_MIX:
		parse_mix(&args->mix, optarg);
		break;
	case OPTION_SEED:
		args->mix.seed = integer("--seed", optarg, 0, UINT64_MAX);
		break;
	case OPTION_PEERS:
		args->mix.peers = (uint32_t)integer("--peers", optarg, 1, MAX_PEERS);
		break;
	case OPTION_NO_CONNECTIONS:
		args->connections = false;
		break;
	case OPTION_COINS:
		args->coins = integer("--coins", optarg, 0, UINT64_C(1) << 40);
		break;
	case OPTION_RECORD:
		args->record = optarg;
		break;
	case OPTION_COST:
		args->mode = MODE_COST;
		args->size = integer("--cost", optarg, 0, MAX_PAYLOAD);
		break;
	case OPTION_ROUNDS:
		args->rounds = (unsigned)integer("--rounds", optarg, 1, MAX_ROUNDS);
		break;
	case OPTION_NONRESIDENT:
		args->nonresident = true;
		args->nonresident_from = optarg == NULL ? 0 : integer("--nonresident", optarg, 0, MAX_PAYLOAD);
		break;
	case OPTION_RESUME:
		args->resume = optarg;
		break;
	}
}

/* What options say together, and the argument that is none. */
static void check(struct args *args, const char *argument, const char *surplus)
{
	if (surplus != NULL)
		fail(STATUS_INPUT, "one argument too many: %s", surplus);
	switch (args->mode) {
	case MODE_PLAY:
		if (argument == NULL)
			fail(STATUS_INPUT, "nothing to play; try --help");
		if (args->loop && strcmp(argument, "-") == 0)
			fail(STATUS_INPUT, "--loop needs a file; standard input cannot be read twice");
		args->file = argument;
		args->input = strcmp(argument, "-") == 0 ? "standard input" : argument;
		break;
	case MODE_LOAD:
		if (argument != NULL)
			fail(STATUS_INPUT, "--load plays no file: %s", argument);
		if (args->coins > 0 && args->messages == UNLIMITED)
			fail(STATUS_INPUT, "--coins are spread over the run, so --load must have an end");
		if (args->record != NULL && (args->messages == UNLIMITED || args->rate == 0))
			fail(STATUS_INPUT, "--record needs a number of messages and a rate");
		break;
	case MODE_COST:
		if (argument == NULL)
			fail(STATUS_INPUT, "how often? --cost SIZE COUNT");
		args->count = integer("COUNT", argument, 1, UINT64_C(1) << 40);
		break;
	}
}

struct args args_parse(int argc, char **argv)
{
	struct args args = {
		.report = "-",
		.speed = 1,
		.mix = {.kind = MIX_NORMAL, .peers = DEFAULT_PEERS},
		.connections = true,
		.rounds = DEFAULT_ROUNDS,
	};
	int code;

	opterr = 0;
	while ((code = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (code == ':')
			fail(STATUS_INPUT, "option needs a value: %s", argv[optind - 1]);
		if (code == '?')
			fail(STATUS_INPUT, "unknown option, try --help: %s", argv[optind - 1]);
		parse_option(&args, code);
	}
	check(&args, argv[optind], argv[optind] == NULL ? NULL : argv[optind + 1]);
	if (args.threads == 0)
		args.threads = args.mode == MODE_PLAY ? DEFAULT_PLAY_THREADS : 1;
	return args;
}
