#include "wire.h"

#include <stdlib.h>
#include <string.h>

static const unsigned char MAGIC[4] = {'S', 'M', 'B', 'L'};

/* --- writing ------------------------------------------------------------------------------- */

void wire_free(struct wire *message)
{
    free(message->bytes);
    memset(message, 0, sizeof *message);
}

void wire_put(struct wire *message, const void *bytes, size_t count)
{
    if (message->bad || count > 2 * (size_t)WIRE_LARGEST - message->size) {
        message->bad = 1;
        return;
    }
    if (message->size + count > message->room) {
        size_t room = 2 * (message->size + count);
        unsigned char *more = realloc(message->bytes, room);
        if (more == NULL) {
            message->bad = 1;
            return;
        }
        message->bytes = more;
        message->room = room;
    }
    if (count != 0)
        memcpy(message->bytes + message->size, bytes, count);
    message->size += count;
}

static void put_little(struct wire *message, uint64_t value, size_t count)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    wire_put(message, bytes, count);
}

void wire_u32(struct wire *message, uint32_t value) { put_little(message, value, 4); }
void wire_u64(struct wire *message, uint64_t value) { put_little(message, value, 8); }

void wire_pad(struct wire *message)
{
    static const unsigned char zeros[8];
    wire_put(message, zeros, (8 - message->size % 8) % 8);
}

uint64_t wire_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void wire_start(struct wire *message, enum wire_type type, uint32_t job)
{
    message->size = 0;
    message->bad = 0;
    wire_put(message, MAGIC, sizeof MAGIC);
    put_little(message, WIRE_PROTOCOL, 2);
    put_little(message, (uint64_t)type, 2);
    wire_u32(message, 0); /* the length: wire_finish */
    wire_u32(message, job);
    wire_u64(message, 0); /* the sequence number: wire_finish */
}

static void field(struct wire *message, unsigned tag, enum wire_kind kind, size_t length)
{
    put_little(message, tag, 2);
    put_little(message, (uint64_t)kind, 2);
    wire_u32(message, (uint32_t)length);
}

void wire_ints(struct wire *message, unsigned tag, const int64_t *values, size_t count)
{
    field(message, tag, WIRE_INTS, 8 * count);
    for (size_t i = 0; i < count; i++)
        wire_u64(message, (uint64_t)values[i]);
}

void wire_int(struct wire *message, unsigned tag, int64_t value)
{
    wire_ints(message, tag, &value, 1);
}

void wire_doubles(struct wire *message, unsigned tag, const double *values, size_t count)
{
    field(message, tag, WIRE_DOUBLES, 8 * count);
    for (size_t i = 0; i < count; i++)
        wire_u64(message, wire_of_double(values[i]));
}

static void block(struct wire *message, unsigned tag, enum wire_kind kind, const void *bytes,
                  size_t count)
{
    if (count > WIRE_LARGEST) {
        message->bad = 1;
        return;
    }
    field(message, tag, kind, count);
    wire_put(message, bytes, count);
    wire_pad(message);
}

void wire_text(struct wire *message, unsigned tag, const char *text)
{
    block(message, tag, WIRE_TEXT, text, strlen(text));
}

void wire_bytes(struct wire *message, unsigned tag, const void *bytes, size_t count)
{
    block(message, tag, WIRE_BYTES, bytes, count);
}

int wire_finish(struct wire *message, uint64_t sequence)
{
    if (message->bad || message->size < WIRE_HEADER
        || message->size - WIRE_HEADER > WIRE_LARGEST)
        return 0;
    uint32_t length = (uint32_t)(message->size - WIRE_HEADER);
    for (size_t i = 0; i < 4; i++)
        message->bytes[8 + i] = (unsigned char)(length >> (8 * i));
    for (size_t i = 0; i < 8; i++)
        message->bytes[16 + i] = (unsigned char)(sequence >> (8 * i));
    return 1;
}

/* --- reading ------------------------------------------------------------------------------- */

static uint64_t get_little(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

const char *wire_read_header(const unsigned char bytes[WIRE_HEADER], struct wire_header *header)
{
    if (memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return "a message without the mark";
    if (get_little(bytes + 4, 2) != WIRE_PROTOCOL)
        return "a message of another protocol";
    header->type = (unsigned)get_little(bytes + 6, 2);
    header->length = (uint32_t)get_little(bytes + 8, 4);
    header->job = (uint32_t)get_little(bytes + 12, 4);
    header->sequence = get_little(bytes + 16, 8);
    return header->length > WIRE_LARGEST ? "a message beyond 1 MiB" : NULL;
}

struct field {
    unsigned tag, kind;
    const unsigned char *bytes;
    size_t length;
};

/* Read the field at *at and step over it; 0 where it does not fit. */
static int next_field(const unsigned char *payload, size_t size, size_t *at, struct field *found)
{
    if (size - *at < 8)
        return 0;
    const unsigned char *head = payload + *at;
    size_t length = (size_t)get_little(head + 4, 4);
    size_t rest = size - *at - 8;
    if (length > rest || (length + 7) / 8 * 8 > rest)
        return 0;
    *found = (struct field){(unsigned)get_little(head, 2), (unsigned)get_little(head + 2, 2),
                            head + 8, length};
    *at += 8 + (length + 7) / 8 * 8;
    return 1;
}

/* How many bytes the UTF-8 character at the start has; 0 where it is none, or a NUL. */
static size_t character(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    size_t count = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0 || (first >= 0x80 && first < 0xC2) || first > 0xF4 || count > size)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] > 0x9F)
        || (first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F))
        return 0;
    return count;
}

const char *wire_check(const unsigned char *payload, size_t size)
{
    struct field found;
    for (size_t at = 0; at < size;) {
        if (!next_field(payload, size, &at, &found))
            return "a field that does not fit its message";
        if ((found.kind == WIRE_INTS || found.kind == WIRE_DOUBLES) && found.length % 8 != 0)
            return "a torn number";
        if (found.kind == WIRE_TEXT) {
            size_t step = 1;
            for (size_t i = 0; i < found.length && step != 0; i += step)
                if ((step = character(found.bytes + i, found.length - i)) == 0)
                    return "a text that is not UTF-8";
        }
    }
    return NULL;
}

static int find(const unsigned char *payload, size_t size, unsigned tag, enum wire_kind kind,
                struct field *found)
{
    for (size_t at = 0; at < size && next_field(payload, size, &at, found);)
        if (found->tag == tag)
            return found->kind == (unsigned)kind;
    return 0;
}

int wire_get_ints(const unsigned char *payload, size_t size, unsigned tag, int64_t *values,
                  size_t count)
{
    struct field found;
    if (!find(payload, size, tag, WIRE_INTS, &found) || found.length != 8 * count)
        return 0;
    for (size_t i = 0; i < count; i++)
        values[i] = (int64_t)get_little(found.bytes + 8 * i, 8);
    return 1;
}

int wire_get_text(const unsigned char *payload, size_t size, unsigned tag, char *text,
                  size_t room)
{
    struct field found;
    text[0] = '\0';
    if (!find(payload, size, tag, WIRE_TEXT, &found))
        return 0;
    size_t kept = 0;
    while (kept < found.length) {
        size_t step = character(found.bytes + kept, found.length - kept);
        if (step == 0 || kept + step >= room)
            break;
        for (size_t i = kept; i < kept + step; i++)
            text[i] = found.bytes[i] < 0x20 || found.bytes[i] == 0x7F ? ' ' : (char)found.bytes[i];
        kept += step;
    }
    text[kept] = '\0';
    return 1;
}
