#include "format.h"

#include <string.h>

static uint64_t read_integer(const uint8_t *bytes, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, bytes, width); /* little-endian, as the machine */
	return value;
}

struct record record_at(const uint8_t *bytes)
{
	struct record record = {
		.at = read_integer(bytes, 8),
		.probe = bytes[8],
		.thread = bytes[9],
		.length = (uint32_t)read_integer(bytes + 12, 4),
		.body = bytes + RECORD_HEADER,
	};

	record.size = RECORD_HEADER + (((size_t)record.length + 7) & ~(size_t)7);
	return record;
}

const char *record_header_problem(const uint8_t *bytes)
{
	struct record record = record_at(bytes);

	if (record.probe >= PROBES && record.probe != PLAY_EXIT && record.probe != PLAY_RESTART)
		return "unknown probe number";
	if (bytes[10] != 0 || bytes[11] != 0)
		return "reserved bytes are not zero";
	if (record.length > MAX_BODY)
		return "body is longer than allowed";
	if (record.probe >= PROBES && record.length != 0)
		return "a command has a body";
	return NULL;
}

/* Walk through the body. With `call`, fill it in; without, only check. NULL when all is well, else what is wrong. */
static const char *walk(const struct record *record, struct texts *texts, struct call *call)
{
	const uint8_t *at = record->body;
	const uint8_t *end = record->body + record->length;
	const char *layout = probes[record->probe].layout;
	uint64_t integer = 0;
	uint64_t length;

	for (unsigned i = 0; layout[i] != '\0'; i++) {
		switch (layout[i]) {
		case 'i':
		case 'f':
			length = 8;
			if ((size_t)(end - at) < length)
				return "body ends within an integer";
			integer = read_integer(at, 8);
			if (layout[i] == 'f' && integer > 1)
				return "a flag is neither 0 nor 1";
			if (call != NULL)
				call->v[i].u64 = integer;
			break;
		case 't':
			if (end - at < 2)
				return "body ends within the length of a text";
			length = read_integer(at, 2);
			at += 2;
			if (length > MAX_TEXT)
				return "a text is longer than allowed";
			if ((size_t)(end - at) < length)
				return "body ends within a text";
			if (memchr(at, '\0', length) != NULL)
				return "a text contains a zero byte";
			if (call != NULL) {
				memcpy(texts->text[i], at, length);
				texts->text[i][length] = '\0';
				call->v[i].text = texts->text[i];
			}
			break;
		case 'h':
			length = HASH;
			if ((size_t)(end - at) < length)
				return "body ends within a hash";
			if (call != NULL)
				call->v[i].bytes = at;
			break;
		default: /* p: all the rest; its size is the integer before */
			length = (uint64_t)(end - at);
			if (integer > length)
				return "the payload is shorter than its size";
			if (length > MAX_PAYLOAD)
				return "the payload is longer than allowed";
			if (call != NULL)
				call->v[i].bytes = at;
		}
		at += length;
	}
	return at == end ? NULL : "bytes are left after the last argument";
}

const char *record_body_problem(const struct record *record)
{
	return record->probe < PROBES ? walk(record, NULL, NULL) : NULL;
}

void record_call(const struct record *record, struct texts *texts, struct call *call)
{
	walk(record, texts, call);
}

void format_start(FILE *file, uint64_t start_utc_ns)
{
	fwrite(PLAY_MAGIC, 1, 8, file);
	fwrite(&start_utc_ns, sizeof(start_utc_ns), 1, file);
}

/* Bytes of argument `i` in a play file; the length of a text not counted. */
static uint32_t argument_length(const char *layout, unsigned i, const struct call *call)
{
	switch (layout[i]) {
	case 't':
		return (uint32_t)strlen(call->v[i].text);
	case 'h':
		return HASH;
	case 'p':
		return (uint32_t)call->v[i - 1].u64;
	default:
		return 8;
	}
}

void format_write(FILE *file, uint64_t at, unsigned probe, unsigned thread, const struct call *call)
{
	static const uint8_t zeros[8];
	const char *layout = probes[probe].layout;
	uint8_t header[RECORD_HEADER] = {0};
	uint32_t length = 0;

	for (unsigned i = 0; layout[i] != '\0'; i++)
		length += argument_length(layout, i, call) + (layout[i] == 't' ? 2 : 0);
	memcpy(header, &at, 8);
	header[8] = (uint8_t)probe;
	header[9] = (uint8_t)thread;
	memcpy(header + 12, &length, 4);
	fwrite(header, 1, sizeof(header), file);
	for (unsigned i = 0; layout[i] != '\0'; i++) {
		uint32_t bytes = argument_length(layout, i, call);
		uint16_t text = (uint16_t)bytes;

		if (layout[i] == 't')
			fwrite(&text, sizeof(text), 1, file);
		fwrite(layout[i] == 'i' || layout[i] == 'f' ? (const void *)&call->v[i] : call->v[i].bytes, 1, bytes,
		       file);
	}
	fwrite(zeros, 1, -(size_t)length & 7, file);
}
