#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "counts.h"
#include "fail.h"

static bool to_stdout(const struct run *run)
{
	return strcmp(run->args.report, "-") == 0;
}

void report_open(const struct run *run)
{
	int file;

	if (to_stdout(run))
		return;
	file = open(run->args.report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file < 0)
		fail(STATUS_FAILED, "cannot write the report %s: %s", run->args.report, strerror(errno));
	close(file);
}

/* In one write, so that lines of a process and its successor never mix. */
void report_line(const struct run *run, const char *line)
{
	size_t length = strlen(line);
	int file = to_stdout(run) ? STDOUT_FILENO
				  : open(run->args.report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (file < 0 || write(file, line, length) != (ssize_t)length)
		fail(STATUS_FAILED, "cannot write the report: %s", strerror(errno));
	if (!to_stdout(run))
		close(file);
}

/* A JSON string. Names come from play files, so they may hold anything. */
static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c >= 0x7F || c == '"' || c == '\\')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_probes(FILE *out, const char *name, const _Atomic uint64_t counts[PROBES])
{
	fprintf(out, ",\"%s\":{", name);
	for (unsigned probe = 0; probe < PROBES; probe++)
		fprintf(out, "%s\"%s\":%" PRIu64, probe == 0 ? "" : ",", probes[probe].name, counts[probe]);
	fputc('}', out);
}

static void put_types(FILE *out, const char *name, const struct counts *counts, unsigned probe)
{
	bool first = true;

	fprintf(out, "\"%s\":{", name);
	for (size_t i = 0; i < counts->types_used; i++) {
		const struct type_count *type = &counts->types[i];

		if (type->messages[probe] == 0)
			continue;
		fputs(first ? "" : ",", out);
		first = false;
		put_string(out, type->name);
		fprintf(out, ":{\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", type->messages[probe],
			type->bytes[probe]);
	}
	fputc('}', out);
}

void report(const struct run *run, const char *ended, pid_t successor)
{
	struct counts *total = calloc(1, sizeof(*total));
	char *line = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&line, &length);

	if (total == NULL || out == NULL)
		fail(STATUS_FAILED, "no memory for the report");
	for (unsigned i = 0; i < run->args.threads; i++)
		counts_merge(total, &run->triggers[i].counts);
	fprintf(out, "{\"pid\":%d,\"started_ns\":%" PRIu64 ",\"elapsed_ns\":%" PRIu64 ",\"threads\":%u", (int)getpid(),
		run->started_utc, monotonic_ns() - run->started, run->args.threads);
	put_probes(out, "fired", total->fired);
	put_probes(out, "absent", total->absent);
	fputs(",\"messages\":{", out);
	put_types(out, "inbound", total, INBOUND_MESSAGE);
	fputc(',', out);
	put_types(out, "outbound", total, OUTBOUND_MESSAGE);
	fputs("},\"ended\":", out);
	if (ended == NULL)
		fputs("null", out);
	else
		put_string(out, ended);
	if (successor == 0)
		fputs(",\"successor\":null}\n", out);
	else
		fprintf(out, ",\"successor\":%d}\n", (int)successor);
	fclose(out);
	report_line(run, line);
	free(line);
	free(total);
}
