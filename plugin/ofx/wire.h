/* Messages of protocol 1 (docs/protocol.md) as bytes: building and reading, no input or output.
 * Whatever arrives is data of a stranger: every reader checks bounds before it looks.
 */
#ifndef SEMBLANCE_WIRE_H
#define SEMBLANCE_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_PROTOCOL = 1, WIRE_HEADER = 24, WIRE_LARGEST = 1 << 20 };

enum wire_type {
    WIRE_HELLO = 1, WIRE_WELCOME, WIRE_PLAN, WIRE_REGION, WIRE_SLOT, WIRE_SLOT_READY,
    WIRE_RENDER, WIRE_DONE, WIRE_FAILED, WIRE_CANCEL, WIRE_CANCELLED, WIRE_FORGET,
    WIRE_PING, WIRE_PONG, WIRE_ERROR
};

enum wire_kind { WIRE_INTS = 1, WIRE_DOUBLES, WIRE_TEXT, WIRE_BYTES };

/* --- writing ------------------------------------------------------------------------------- */

/* A message under construction; `bad` stays set once memory ran out. Begin with {0}. */
struct wire {
    unsigned char *bytes;
    size_t size, room;
    int bad;
};

void wire_free(struct wire *message);
void wire_start(struct wire *message, enum wire_type type, uint32_t job);
void wire_int(struct wire *message, unsigned tag, int64_t value);
void wire_ints(struct wire *message, unsigned tag, const int64_t *values, size_t count);
void wire_doubles(struct wire *message, unsigned tag, const double *values, size_t count);
void wire_text(struct wire *message, unsigned tag, const char *text);
void wire_bytes(struct wire *message, unsigned tag, const void *bytes, size_t count);
/* Set length and sequence number; 0 where the message is too long or memory ran out. */
int wire_finish(struct wire *message, uint64_t sequence);

/* Raw pieces, for the block of knob values. */
void wire_u32(struct wire *message, uint32_t value);
void wire_u64(struct wire *message, uint64_t value);
void wire_put(struct wire *message, const void *bytes, size_t count);
void wire_pad(struct wire *message);
uint64_t wire_of_double(double value);

/* --- reading ------------------------------------------------------------------------------- */

struct wire_header {
    unsigned type;
    uint32_t length, job;
    uint64_t sequence;
};

/* Each returns what is wrong, or NULL. */
const char *wire_read_header(const unsigned char bytes[WIRE_HEADER], struct wire_header *header);
const char *wire_check(const unsigned char *payload, size_t size);

/* Each returns 1 where the tag is there and right; the payload has passed wire_check. */
int wire_get_ints(const unsigned char *payload, size_t size, unsigned tag, int64_t *values,
                  size_t count);
/* Copies at most room - 1 bytes, cut between characters; control characters become spaces. */
int wire_get_text(const unsigned char *payload, size_t size, unsigned tag, char *text,
                  size_t room);

#endif
