#include "control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "report.h"

static sigset_t watched_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	return signals;
}

void control_open(struct run *run)
{
	sigset_t signals = watched_signals();

	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	run->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	run->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->signals < 0 || run->wake < 0)
		fail(STATUS_FAILED, "cannot watch for signals: %s", strerror(errno));
}

void control_release(void)
{
	sigset_t signals = watched_signals();

	sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

/* What a pending signal asks for; EVENT_TIME when it is done with. */
static enum event take_signal(struct run *run)
{
	struct signalfd_siginfo signal;

	if (read(run->signals, &signal, sizeof(signal)) != sizeof(signal))
		return EVENT_TIME;
	switch (signal.ssi_signo) {
	case SIGUSR1:
		report(run, NULL, 0);
		return EVENT_TIME;
	case SIGHUP:
		return EVENT_RESTART;
	default:
		return EVENT_STOP;
	}
}

enum event control_wait(struct run *run, int input, uint64_t until)
{
	struct pollfd watched[] = {
		{.fd = run->signals, .events = POLLIN},
		{.fd = run->wake, .events = POLLIN},
		{.fd = input, .events = POLLIN},
	};

	for (;;) {
		uint64_t now = monotonic_ns();
		uint64_t left = until > now ? until - now : 0;
		struct timespec timeout = {.tv_sec = (time_t)(left / SECOND_NS), .tv_nsec = (long)(left % SECOND_NS)};
		uint64_t wakes;

		if (ppoll(watched, 3, until == FOREVER ? NULL : &timeout, NULL) < 0 && errno != EINTR)
			fail(STATUS_FAILED, "cannot wait: %s", strerror(errno));
		if (watched[0].revents != 0) {
			enum event event = take_signal(run);

			if (event != EVENT_TIME)
				return event;
		}
		if (watched[1].revents != 0 && read(run->wake, &wakes, sizeof(wakes)) == sizeof(wakes))
			return EVENT_WAKE;
		if (watched[2].revents != 0)
			return EVENT_INPUT;
		if (until != FOREVER && monotonic_ns() >= until)
			return EVENT_TIME;
	}
}

void control_wake(struct run *run)
{
	uint64_t one = 1;

	/* Fails only when 2^64 - 2 wakes are pending. */
	if (write(run->wake, &one, sizeof(one)) != sizeof(one))
		return;
}
