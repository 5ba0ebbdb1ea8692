/* The inner loops of the frame path, each one pass over memory: see kernels.pyi for what they do.
 *
 * A pixel's result depends on that pixel and the arguments alone, never on where a row or a block
 * begins. A product is fused into a sum where fmaf says so and nowhere else (the build takes care),
 * so the same bits come out of every processor, vector width and cut of a frame.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* A copy for each generation of processors; the loader chooses. */
#if defined(__x86_64__) && defined(__gnu_linux__) && __GNUC__ >= 12 && !defined(__clang__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif
#if defined(_MSC_VER)
#define INLINE static __forceinline
#define RESTRICT __restrict
#else
#define INLINE static inline __attribute__((always_inline))
#define RESTRICT restrict
#endif

#define TOE 0.0031308f       /* IEC 61966-2-1: where the straight line ends, in light */
#define CODE_TOE 0.04045f    /* and in code */
#define LOG_SLOPE 0.43958333f /* slope of the curve at 1, which the logarithm carries on */
#define LN2 0.69314718f
#define LOG2E 1.44269504f
#define HIGHLIGHT 0.25f      /* codes beyond display white at which 1 / e of a face is left */
#define HALF_LIMIT 65504.0f

enum { BLOCK = 256 }; /* pixels whose intermediate lines stay in the first-level cache */

/* --- numbers ------------------------------------------------------------------------------ */

INLINE uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE float least(float a, float b) { return a < b ? a : b; }
INLINE float most(float a, float b) { return a > b ? a : b; }
INLINE int is_odd(float value) { return (bits_of(value) & 0x7f800000u) == 0x7f800000u; }

/* Logarithm to base 2 of a positive normal number, within 1e-7 of itself or half a unit in the last
 * place of its whole part: a polynomial of least relative error over half an octave about 1. Its
 * terms are paired as Estrin does, since a processor would else wait for each of them in turn. */
INLINE float log2_of(float value) {
    int32_t bits = (int32_t)bits_of(value);
    int32_t octave = (bits - 0x3f3504f3) >> 23;
    float t = float_of((uint32_t)(bits - (int32_t)((uint32_t)octave << 23))) - 1.0f;
    float t2 = t * t, t4 = t2 * t2;
    float a = fmaf(-0.7213473320007324f, t, 1.4426950216293335f);
    float b = fmaf(-0.3607036769390106f, t, 0.48091062903404236f);
    float c = fmaf(-0.23894494771957397f, t, 0.28791624307632446f);
    float d = fmaf(-0.20726893842220306f, t, 0.21571584045886993f);
    a = fmaf(b, t2, a);
    c = fmaf(fmaf(0.1258353739976883f, t2, d), t2, c);
    return fmaf(fmaf(c, t4, a), t, (float)octave);
}

/* 2 to a power, held to what a float can hold; exactly 1 at 0. */
INLINE float exp2_of(float power) {
    float held = least(most(power, -126.0f), 127.0f);
    float shifted = held + 12582912.0f; /* rounds to a whole number */
    float f = held - (shifted - 12582912.0f), f2 = f * f;
    float a = fmaf(0.6931471824645996f, f, 1.0f);
    float b = fmaf(0.05550328642129898f, f, 0.24022646248340607f);
    float c = fmaf(0.0013399930903688073f, f, 0.009618489071726799f);
    c = fmaf(0.0001534580806037411f, f2, c);
    float p = fmaf(fmaf(c, f2, b), f2, a);
    return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

INLINE float from_half(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    uint32_t wide = bits_of(float_of(bits) * 5.192296858534828e33f); /* 2^112; subnormals too */
    wide = (half & 0x7c00) == 0x7c00 ? bits | 0x7f800000u : wide;
    return float_of(wide | (uint32_t)(half & 0x8000) << 16);
}

/* Rounds to nearest even; the value lies within a half's range. */
INLINE uint16_t to_half(float value) {
    uint32_t bits = bits_of(value), sign = bits & 0x80000000u;
    bits ^= sign;
    uint32_t small = bits_of(float_of(bits) + 0.5f) - 0x3f000000u; /* subnormal: steps of 2^-24 */
    uint32_t normal = (bits + 0xc8000fffu + ((bits >> 13) & 1u)) >> 13;
    return (uint16_t)((bits < 0x38800000u ? small : normal) | sign >> 16);
}

/* --- the working curve -------------------------------------------------------------------- */

INLINE float encoded(float light, int bright) {
    float root = exp2_of(log2_of(least(most(light, TOE), 1.0f)) * (1.0f / 2.4f));
    float code = light <= TOE ? 12.92f * light : fmaf(1.055f, root, -0.055f);
    if (bright)
        code = light > 1.0f ? fmaf(LOG_SLOPE * LN2, log2_of(most(light, 1.0f)), 1.0f) : code;
    return code;
}

INLINE float decoded(float code, int bright) {
    float held = (least(most(code, CODE_TOE), 1.0f) + 0.055f) * (1.0f / 1.055f);
    float light = exp2_of(log2_of(held) * 2.4f);
    light = code <= CODE_TOE ? code * (1.0f / 12.92f) : light;
    if (bright)
        light = code > 1.0f ? exp2_of((code - 1.0f) * (LOG2E / LOG_SLOPE)) : light;
    return light;
}

/* How much of a face a pixel shows: 1 up to display white, and less the brighter it is. */
INLINE float kept_of(float light) {
    return exp2_of(log2_of(most(light, 1.0f)) * (-LOG_SLOPE / HIGHLIGHT));
}

/* Most blocks hold nothing above display white, and hardly any what is not a number: they are
 * spared what that costs. A value's own result is the same in each of the three. */
INLINE void find(const float *RESTRICT values, Py_ssize_t count, float gain, int *bright, int *odd) {
    int above = 0, strange = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        float value = values[i] * gain;
        above |= value > 1.0f;
        strange |= is_odd(value);
    }
    *bright = above;
    *odd = strange;
}

INLINE void encode_block(const float *RESTRICT light, float *RESTRICT code, Py_ssize_t count,
                         float gain) {
    int bright, odd;
    find(light, count, gain, &bright, &odd);
    if (odd)
        for (Py_ssize_t i = 0; i < count; i++) {
            float value = light[i] * gain;
            code[i] = is_odd(value) ? value : encoded(value, 1);
        }
    else if (bright)
        for (Py_ssize_t i = 0; i < count; i++)
            code[i] = encoded(light[i] * gain, 1);
    else
        for (Py_ssize_t i = 0; i < count; i++)
            code[i] = encoded(light[i] * gain, 0);
}

INLINE void decode_block(const float *RESTRICT code, float *RESTRICT light, Py_ssize_t count,
                         float gain) {
    int bright, odd;
    find(code, count, 1.0f, &bright, &odd);
    if (odd)
        for (Py_ssize_t i = 0; i < count; i++)
            light[i] = is_odd(code[i]) ? code[i] : decoded(code[i], 1) * gain;
    else if (bright)
        for (Py_ssize_t i = 0; i < count; i++)
            light[i] = decoded(code[i], 1) * gain;
    else
        for (Py_ssize_t i = 0; i < count; i++)
            light[i] = decoded(code[i], 0) * gain;
}

enum { FLAT = 3 * BLOCK };

WIDE static void encode_all(const float *RESTRICT light, float *RESTRICT code, Py_ssize_t count,
                            float gain) {
    for (Py_ssize_t at = 0; at < count; at += FLAT)
        encode_block(light + at, code + at, count - at < FLAT ? count - at : FLAT, gain);
}

WIDE static void decode_all(const float *RESTRICT code, float *RESTRICT light, Py_ssize_t count,
                            float gain) {
    for (Py_ssize_t at = 0; at < count; at += FLAT)
        decode_block(code + at, light + at, count - at < FLAT ? count - at : FLAT, gain);
}

/* What a network may see of light where 1 is display white, and how far each pixel is beyond. */
WIDE static int expose_all(const float *RESTRICT light, float gain, float *RESTRICT code,
                           float *RESTRICT beyond, Py_ssize_t count) {
    float held[FLAT];
    int any = 0;
    for (Py_ssize_t at = 0; at < count; at += BLOCK) {
        Py_ssize_t block = count - at < BLOCK ? count - at : BLOCK;
        int above = 0;
        for (Py_ssize_t i = 0; i < 3 * block; i++) {
            float value = light[3 * at + i] * gain;
            above |= value > 1.0f;
            held[i] = least(most(value, 0.0f), 1.0f);
        }
        for (Py_ssize_t i = 0; i < 3 * block; i++)
            code[3 * at + i] = least(encoded(held[i], 0), 1.0f);
        if (above)
            for (Py_ssize_t i = 0; i < block; i++) {
                const float *pixel = light + 3 * (at + i);
                float brightest = most(most(pixel[0], pixel[1]), pixel[2]) * gain;
                beyond[at + i] = 1.0f - kept_of(brightest);
            }
        else
            memset(beyond + at, 0, (size_t)block * sizeof(float));
        any |= above;
    }
    return any;
}

typedef float Lines[3][BLOCK];

/* Pixels as three lines, and lines as pixels. */
INLINE void apart(const float *RESTRICT pixels, Lines lines, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        lines[0][i] = pixels[3 * i];
        lines[1][i] = pixels[3 * i + 1];
        lines[2][i] = pixels[3 * i + 2];
    }
}

INLINE void together(const float (*lines)[BLOCK], float *RESTRICT pixels, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        pixels[3 * i] = lines[0][i];
        pixels[3 * i + 1] = lines[1][i];
        pixels[3 * i + 2] = lines[2][i];
    }
}

/* --- the plate ---------------------------------------------------------------------------- */

/* A channel's rows: halfs or floats, a row `step` bytes after the one above. */
typedef struct {
    char *first;
    Py_ssize_t step;
    int half;
} Plane;

WIDE static void picture_row(const Plane *planes, Py_ssize_t row, float *RESTRICT result,
                             Py_ssize_t width) {
    float lines[3][BLOCK];
    for (Py_ssize_t at = 0; at < width; at += BLOCK) {
        Py_ssize_t count = width - at < BLOCK ? width - at : BLOCK;
        for (int c = 0; c < 3; c++) {
            const char *source = planes[c].first + row * planes[c].step;
            if (planes[c].half) {
                const uint16_t *RESTRICT halfs = (const uint16_t *)source + at;
                for (Py_ssize_t i = 0; i < count; i++)
                    lines[c][i] = from_half(halfs[i]);
            } else
                memcpy(lines[c], (const float *)source + at, (size_t)count * sizeof(float));
        }
        together((const float(*)[BLOCK])lines, result + 3 * at, count);
    }
}

INLINE float cleaned(float value) {
    value = value == value ? value : 0.0f;
    value = is_odd(value) ? (value > 0.0f ? HALF_LIMIT : -HALF_LIMIT) : value;
    return value;
}

WIDE static void add_row(const Plane *planes, Py_ssize_t row, const float *RESTRICT change,
                         const float *RESTRICT share, Py_ssize_t width) {
    for (int c = 0; c < 3; c++) {
        char *there = planes[c].first + row * planes[c].step;
        if (planes[c].half) {
            uint16_t *RESTRICT halfs = (uint16_t *)there;
            for (Py_ssize_t i = 0; i < width; i++) {
                float sum = fmaf(change[3 * i + c], share[i], cleaned(from_half(halfs[i])));
                uint16_t changed = to_half(least(most(sum, -HALF_LIMIT), HALF_LIMIT));
                halfs[i] = share[i] > 0.0f ? changed : halfs[i];
            }
        } else {
            float *RESTRICT floats = (float *)there;
            for (Py_ssize_t i = 0; i < width; i++) {
                float sum = fmaf(change[3 * i + c], share[i], cleaned(floats[i]));
                floats[i] = share[i] > 0.0f ? least(most(sum, -FLT_MAX), FLT_MAX) : floats[i];
            }
        }
    }
}

/* --- canonical square and plate ----------------------------------------------------------- */

enum { LANES = 16, TILE = 64, AHEAD = 6 }; /* a row's four samples are twelve floats */

#if defined(__GNUC__) && __GNUC__ >= 12
typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Places __attribute__((vector_size(64)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Four __attribute__((vector_size(16)));
#define VECTORS
#endif

/* A slanted way through memory is nothing that a processor foresees: what lies some rows below is
 * asked for in time, which halves the cost. */
INLINE void fetch(const float *there) {
#if defined(__GNUC__)
    __builtin_prefetch(there);
#else
    (void)there;
#endif
}

/* Keys' cubic with a = -3/4: the weights of the four samples around a place. */
INLINE void cubic(float t, float *RESTRICT weights) {
    float u = 1.0f - t, pull = -0.75f * t * u;
    weights[0] = pull * u;
    weights[1] = fmaf(fmaf(1.25f, t, -2.25f) * t, t, 1.0f);
    weights[2] = fmaf(fmaf(1.25f, u, -2.25f) * u, u, 1.0f);
    weights[3] = pull * t;
}

/* The weighted sum of 4 x 4 pixels, rows `below` floats apart; reads LANES floats of each row. */
INLINE void weigh(const float *corner, Py_ssize_t below, const float *RESTRICT wx,
                  const float *RESTRICT wy, float *RESTRICT result) {
#if defined(VECTORS)
    Lanes rows[4], sum;
    for (int j = 0; j < 4; j++)
        memcpy(&rows[j], corner + j * below, sizeof rows[j]);
    sum = (wy[0] * rows[0] + wy[1] * rows[1]) + (wy[2] * rows[2] + wy[3] * rows[3]);
    sum = __builtin_shuffle(sum, (Places){0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11});
    sum *= (Lanes){wx[0], wx[0], wx[0], wx[0], wx[1], wx[1], wx[1], wx[1],
                   wx[2], wx[2], wx[2], wx[2], wx[3], wx[3], wx[3], wx[3]};
    Eight pairs = __builtin_shufflevector(sum, sum, 0, 1, 2, 3, 4, 5, 6, 7) +
                  __builtin_shufflevector(sum, sum, 8, 9, 10, 11, 12, 13, 14, 15);
    Four all = __builtin_shufflevector(pairs, pairs, 0, 1, 2, 3) +
               __builtin_shufflevector(pairs, pairs, 4, 5, 6, 7);
    memcpy(result, &all, 3 * sizeof(float));
#else
    float sum[LANES];
    for (int k = 0; k < LANES; k++)
        sum[k] = (wy[0] * corner[k] + wy[1] * corner[below + k]) +
                 (wy[2] * corner[2 * below + k] + wy[3] * corner[3 * below + k]);
    for (int c = 0; c < 3; c++)
        result[c] = (wx[0] * sum[c] + wx[2] * sum[6 + c]) + (wx[1] * sum[3 + c] + wx[3] * sum[9 + c]);
#endif
}

/* A tile of a row, so that the pixels around it stay in the first-level cache for the next row. */
WIDE static void sample_tile(const float *RESTRICT source, Py_ssize_t rows, Py_ssize_t columns,
                             const double *RESTRICT matrix, Py_ssize_t row, Py_ssize_t first,
                             int count, float *RESTRICT result) {
    int32_t left[TILE], top[TILE];
    float wx[TILE][4], wy[TILE][4];
    double last_x = (double)columns + 1.0, last_y = (double)rows + 1.0;
    double across = matrix[1] * ((double)row + 0.5) + matrix[2] - 0.5;
    double down = matrix[4] * ((double)row + 0.5) + matrix[5] - 0.5;
    for (int i = 0; i < count; i++) {
        double centre = (double)((int32_t)first + i) + 0.5;
        double x = matrix[0] * centre + across, y = matrix[3] * centre + down;
        x = x < -2.0 ? -2.0 : x;
        x = x > last_x ? last_x : x;
        y = y < -2.0 ? -2.0 : y;
        y = y > last_y ? last_y : y;
        left[i] = (int32_t)(x + 4.0) - 4;
        top[i] = (int32_t)(y + 4.0) - 4;
        cubic((float)(x - (double)left[i]), wx[i]);
        cubic((float)(y - (double)top[i]), wy[i]);
    }
    for (int i = 0; i < count; i++) {
        Py_ssize_t u = left[i] - 1, v = top[i] - 1;
        /* What is read beyond the fourth pixel has to lie in the array too. */
        if (u >= 0 && v >= 0 && u < columns - 5 && v < rows - 3) {
            const float *corner = source + 3 * (v * columns + u);
            fetch(corner + AHEAD * 3 * columns);
            weigh(corner, 3 * columns, wx[i], wy[i], result + 3 * i);
            continue;
        }
        float edge[4][LANES] = {{0.0f}};
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++) {
                Py_ssize_t y = v + j < 0 ? 0 : v + j >= rows ? rows - 1 : v + j;
                Py_ssize_t x = u + k < 0 ? 0 : u + k >= columns ? columns - 1 : u + k;
                memcpy(&edge[j][3 * k], source + 3 * (y * columns + x), 3 * sizeof(float));
            }
        weigh(&edge[0][0], LANES, wx[i], wy[i], result + 3 * i);
    }
}

/* Light that a small step of the working code makes, at a light of 0..1. */
INLINE float sloped(float light) {
    float root = exp2_of(log2_of(least(most(light, TOE), 1.0f)) * (1.4f / 2.4f));
    return (float)(2.4 / 1.055) * root;
}

WIDE static void lay_in_row(const float *RESTRICT plate, const float *RESTRICT laid,
                            const float *RESTRICT grain, float amount, float white,
                            float *RESTRICT result, Py_ssize_t width) {
    float back = 1.0f / white, brightest[BLOCK], face[FLAT];
    for (Py_ssize_t at = 0; at < width; at += BLOCK) {
        Py_ssize_t count = width - at < BLOCK ? width - at : BLOCK;
        const float *RESTRICT own = plate + 3 * at, *RESTRICT there = laid + 4 * at;
        float *RESTRICT step = result + 3 * at;
        int above = 0;
        for (Py_ssize_t i = 0; i < count; i++) {
            float r = own[3 * i] * white, g = own[3 * i + 1] * white, b = own[3 * i + 2] * white;
            float another = there[4 * i + 3];
            step[3 * i] = there[4 * i] - least(most(r, 0.0f), 1.0f) * another;
            step[3 * i + 1] = there[4 * i + 1] - least(most(g, 0.0f), 1.0f) * another;
            step[3 * i + 2] = there[4 * i + 2] - least(most(b, 0.0f), 1.0f) * another;
            brightest[i] = most(most(r, g), b);
            above |= brightest[i] > 1.0f;
        }
        if (grain) {
            for (Py_ssize_t i = 0; i < 3 * count; i++)
                face[i] = sloped(own[i] * white + step[i]);
            for (Py_ssize_t i = 0; i < 3 * count; i++)
                step[i] += grain[3 * at + i] * amount * face[i];
        }
        if (above)
            for (Py_ssize_t i = 0; i < count; i++) {
                float kept = kept_of(brightest[i]);
                for (int c = 0; c < 3; c++)
                    step[3 * i + c] *= kept;
            }
        for (Py_ssize_t i = 0; i < 3 * count; i++)
            step[i] *= back;
    }
}

WIDE static void pack_all(const float *RESTRICT crop, const float *RESTRICT change,
                          const float *RESTRICT another, float *RESTRICT result,
                          Py_ssize_t count) {
    float face[FLAT], before[FLAT], after[FLAT];
    for (Py_ssize_t at = 0; at < count; at += BLOCK) {
        Py_ssize_t block = count - at < BLOCK ? count - at : BLOCK;
        for (Py_ssize_t i = 0; i < 3 * block; i++)
            face[i] = crop[3 * at + i] + change[3 * at + i];
        decode_block(crop + 3 * at, before, 3 * block, 1.0f);
        decode_block(face, after, 3 * block, 1.0f);
        for (Py_ssize_t i = 0; i < block; i++) {
            float share = another[at + i];
            for (int c = 0; c < 3; c++) {
                float own = before[3 * i + c];
                result[4 * (at + i) + c] = own * share + (after[3 * i + c] - own);
            }
            result[4 * (at + i) + 3] = share;
        }
    }
}

/* --- colour ------------------------------------------------------------------------------- */

WIDE static void largest_difference_all(const float *RESTRICT a, const float *RESTRICT b,
                                        float *RESTRICT result, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        float r = a[3 * i] - b[3 * i], g = a[3 * i + 1] - b[3 * i + 1];
        float l = a[3 * i + 2] - b[3 * i + 2];
        r = r < 0.0f ? -r : r;
        g = g < 0.0f ? -g : g;
        l = l < 0.0f ? -l : l;
        result[i] = most(most(r, g), l);
    }
}

INLINE void turn(const float (*from)[BLOCK], Lines to, const float *RESTRICT m, Py_ssize_t step,
                 Py_ssize_t count) {
    for (int c = 0; c < 3; c++) {
        float a = m[step * c], b = m[step * c + 1], d = m[step * c + 2];
        float shift = step == 4 ? m[4 * c + 3] : 0.0f;
        for (Py_ssize_t i = 0; i < count; i++)
            to[c][i] = fmaf(a, from[0][i], fmaf(b, from[1][i], fmaf(d, from[2][i], shift)));
    }
}

/* Nodes of a curve at even places of one Oklab coordinate, held beyond its ends. */
typedef struct {
    const float *nodes;
    Py_ssize_t count;
    float low, nodes_per_unit;
} Curve;

INLINE void through(const Curve *curve, float *RESTRICT line, Py_ssize_t count) {
    float last = (float)(curve->count - 1);
    for (Py_ssize_t i = 0; i < count; i++) {
        float place = least(most((line[i] - curve->low) * curve->nodes_per_unit, 0.0f), last);
        Py_ssize_t node = (Py_ssize_t)place, next = node + (node + 1 < curve->count);
        float at = curve->nodes[node];
        line[i] = at + (place - (float)node) * (curve->nodes[next] - at);
    }
}

typedef struct {
    float to_cones[9], to_light[9], to_oklab[9];
    float step[12];      /* what is added to cube roots: of them, or with curves of the curves' */
    const Curve *curves; /* NULL, or three */
    float strength, dark;
} Colours;

WIDE static void match_all(const float *RESTRICT face, float *RESTRICT result, Py_ssize_t count,
                           const Colours *colours) {
    float flat[FLAT];
    Lines light, cones, roots, step;
    for (Py_ssize_t at = 0; at < count; at += BLOCK) {
        Py_ssize_t block = count - at < BLOCK ? count - at : BLOCK;
        const float *RESTRICT own = face + 3 * at;
        decode_block(own, flat, 3 * block, 1.0f);
        apart(flat, light, block);
        turn((const float(*)[BLOCK])light, cones, colours->to_cones, 3, block);
        for (int c = 0; c < 3; c++)
            for (Py_ssize_t i = 0; i < block; i++) {
                float cone = cones[c][i], size = cone < 0.0f ? -cone : cone;
                /* x |x|^(-2/3); what is added changes no number that counts */
                roots[c][i] = cone * exp2_of(log2_of(size + 1e-30f) * (-2.0f / 3.0f));
            }
        if (colours->curves) {
            turn((const float(*)[BLOCK])roots, cones, colours->to_oklab, 3, block);
            for (int c = 0; c < 3; c++)
                through(&colours->curves[c], cones[c], block);
            turn((const float(*)[BLOCK])cones, step, colours->step, 4, block);
        } else
            turn((const float(*)[BLOCK])roots, step, colours->step, 4, block);
        for (int c = 0; c < 3; c++)
            for (Py_ssize_t i = 0; i < block; i++) {
                /* (r + s)^3 - r^3 without the difference, so that no step changes nothing */
                float r = roots[c][i], s = step[c][i];
                cones[c][i] = s * (3.0f * r * (r + s) + s * s);
            }
        turn((const float(*)[BLOCK])cones, step, colours->to_light, 3, block);
        for (Py_ssize_t i = 0; i < block; i++) {
            flat[3 * i] += step[0][i];
            flat[3 * i + 1] += step[1][i];
            flat[3 * i + 2] += step[2][i];
        }
        encode_block(flat, result + 3 * at, 3 * block, 1.0f);
        for (Py_ssize_t i = 0; i < block; i++) {
            float lit = (own[3 * i] + own[3 * i + 1] + own[3 * i + 2]) * (1.0f / 3.0f);
            lit = colours->strength * least(most(lit / colours->dark, 0.0f), 1.0f);
            for (int c = 0; c < 3; c++) {
                float *turned = &result[3 * (at + i) + c];
                *turned = own[3 * i + c] + lit * (*turned - own[3 * i + c]);
            }
        }
    }
}

/* --- grain and bands ----------------------------------------------------------------------- */

enum { CELL = 4, REPEAT = 128 }; /* blend/grain.py: pixels of a cell and of the noise's tile */

/* A line of a picture, less what was laid there (or nothing), in luma and two colour differences. */
INLINE void opponent_line(const float *RESTRICT pixel, const float *RESTRICT laid,
                          const float *RESTRICT axes, Py_ssize_t count, Lines lines) {
    Lines rgb;
    apart(pixel, rgb, count);
    if (laid)
        for (Py_ssize_t i = 0; i < count; i++) {
            rgb[0][i] -= laid[4 * i];
            rgb[1][i] -= laid[4 * i + 1];
            rgb[2][i] -= laid[4 * i + 2];
        }
    turn((const float(*)[BLOCK])rgb, lines, axes, 3, count);
}

/* Mean energies of a row of cells, from its `rows` lines; the last cell may be narrower. */
WIDE static void energy_row(const float *RESTRICT picture, Py_ssize_t step,
                            const float *RESTRICT laid, Py_ssize_t laid_step, Py_ssize_t rows,
                            Py_ssize_t width, const float *RESTRICT axes, float *RESTRICT cells) {
    Lines lines, sums;
    for (Py_ssize_t at = 0; at < width; at += BLOCK) {
        Py_ssize_t count = width - at < BLOCK ? width - at : BLOCK;
        memset(sums, 0, sizeof sums);
        for (Py_ssize_t row = 0; row < rows; row++) {
            opponent_line(picture + row * step + 3 * at,
                          laid ? laid + row * laid_step + 4 * at : NULL, axes, count, lines);
            for (int c = 0; c < 3; c++)
                for (Py_ssize_t i = 0; i < count; i++)
                    sums[c][i] += lines[c][i] * lines[c][i];
        }
        for (Py_ssize_t first = 0; first < count; first += CELL) {
            Py_ssize_t across = count - first < CELL ? count - first : CELL;
            float *cell = cells + 3 * ((at + first) / CELL);
            for (int c = 0; c < 3; c++) {
                float sum = 0.0f;
                for (Py_ssize_t i = 0; i < across; i++)
                    sum += sums[c][first + i];
                cell[c] = sum / (float)(rows * across);
            }
        }
    }
}

/* Cells' weights along a row of pixels, in straight lines between the cells' centres. */
INLINE void spread_line(const float *RESTRICT above, const float *RESTRICT below, float down,
                        Py_ssize_t cells, Py_ssize_t first, Py_ssize_t count, Lines lines) {
    Py_ssize_t inner = (count + CELL - 1) / CELL;
    for (int c = 0; c < 3; c++) {
        float line[BLOCK / CELL + 2], *RESTRICT pixel = lines[c];
        for (Py_ssize_t j = 0; j < inner + 2; j++) {
            Py_ssize_t cell = first / CELL + j - 1;
            cell = cell < 0 ? 0 : cell >= cells ? cells - 1 : cell;
            float here = above[3 * cell + c];
            line[j] = here + down * (below[3 * cell + c] - here);
        }
        for (Py_ssize_t j = 0; j < inner; j++) {
            float left = line[j + 1] - line[j], right = line[j + 2] - line[j + 1];
            pixel[CELL * j] = fmaf(0.625f, left, line[j]);
            pixel[CELL * j + 1] = fmaf(0.875f, left, line[j]);
            pixel[CELL * j + 2] = fmaf(0.125f, right, line[j + 1]);
            pixel[CELL * j + 3] = fmaf(0.375f, right, line[j + 1]);
        }
    }
}

/* A row of what is kept of the grain, and of fresh noise. `starts` says where in the tile each of
 * the row's blocks begins. */
WIDE static void grain_row(const float *RESTRICT picture, const float *RESTRICT laid,
                           const float *RESTRICT axes, const float *const *kept,
                           const float *const *fresh, float down, Py_ssize_t cells,
                           const float *RESTRICT tile, Py_ssize_t side, Py_ssize_t row,
                           const int64_t *RESTRICT starts, float *RESTRICT result,
                           Py_ssize_t width) {
    Lines detail, keep, make, noise;
    float back[9];
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 3; c++)
            back[3 * i + c] = axes[3 * c + i];
    for (Py_ssize_t at = 0; at < width; at += REPEAT) {
        Py_ssize_t count = width - at < REPEAT ? width - at : REPEAT;
        const int64_t *start = starts + 2 * (at / REPEAT);
        apart(tile + 3 * ((start[0] + row % REPEAT) * side + start[1]), noise, count);
        opponent_line(picture + 3 * at, laid ? laid + 4 * at : NULL, axes, count, detail);
        spread_line(kept[0], kept[1], down, cells, at, count, keep);
        spread_line(fresh[0], fresh[1], down, cells, at, count, make);
        for (int c = 0; c < 3; c++)
            for (Py_ssize_t i = 0; i < count; i++)
                detail[c][i] = fmaf(detail[c][i], keep[c][i], noise[c][i] * make[c][i]);
        turn((const float(*)[BLOCK])detail, keep, back, 3, count);
        together((const float(*)[BLOCK])keep, result + 3 * at, count);
    }
}

INLINE float smooth(float t) { return t * t * (3.0f - 2.0f * t); }

WIDE static void bands_row(const float *RESTRICT change, const float *RESTRICT matte,
                           const float *RESTRICT wide, float support, float mix,
                           float *RESTRICT bands, float *RESTRICT share, Py_ssize_t width) {
    for (Py_ssize_t i = 0; i < width; i++)
        for (int c = 0; c < 3; c++)
            bands[3 * i + c] += change[3 * i + c] * matte[i];
    for (Py_ssize_t i = 0; i < width; i++)
        share[i] = mix * wide[i] * smooth(least(matte[i] / support, 1.0f));
}

/* A row of a matrix product: its sums grow in the order of `inner`, whoever shares the work. */
WIDE static void product_row(const float *RESTRICT left, const float *RESTRICT right,
                             Py_ssize_t inner, Py_ssize_t width, float *RESTRICT result) {
    memset(result, 0, (size_t)width * sizeof *result);
    for (Py_ssize_t k = 0; k < inner; k++)
        for (Py_ssize_t j = 0; j < width; j++)
            result[j] = fmaf(left[k], right[k * width + j], result[j]);
}

/* --- Python ------------------------------------------------------------------------------- */

enum { MOST_VIEWS = 8 };

/* The arrays of a call, let go together. */
typedef struct {
    Py_buffer views[MOST_VIEWS];
    int count;
} Arrays;

static void let_go(Arrays *arrays) {
    while (arrays->count)
        PyBuffer_Release(&arrays->views[--arrays->count]);
}

/* An array of `kinds` (buffer formats, a letter each) and of `dimensions`, its last two or so
 * contiguous: rows alone may lie apart. NULL with an error set where it is something else. */
static Py_buffer *take(Arrays *arrays, PyObject *object, const char *kinds, int dimensions,
                       int writable) {
    Py_buffer *view = &arrays->views[arrays->count];
    int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags))
        return NULL;
    arrays->count++;
    if (view->ndim != dimensions || !view->format || strlen(view->format) != 1 ||
        !strchr(kinds, view->format[0])) {
        PyErr_Format(PyExc_ValueError, "expected an array of kind %s in %d dimensions", kinds,
                     dimensions);
        return NULL;
    }
    Py_ssize_t packed = view->itemsize;
    for (int d = dimensions - 1; d > 0; d--) {
        if (view->shape[d] > 1 && view->strides[d] != packed) {
            PyErr_SetString(PyExc_ValueError, "a row's values have to lie side by side");
            return NULL;
        }
        packed *= view->shape[d];
    }
    return view;
}

static int whole(const Py_buffer *view) {
    Py_ssize_t packed = view->itemsize;
    for (int d = view->ndim - 1; d >= 0; d--) {
        if (view->shape[d] > 1 && view->strides[d] != packed)
            return 0;
        packed *= view->shape[d];
    }
    return 1;
}

/* A contiguous array of floats, of a shape; -1 stands for any length. */
static float *floats(Arrays *arrays, PyObject *object, int dimensions, const Py_ssize_t *shape,
                     int writable) {
    Py_buffer *view = take(arrays, object, "f", dimensions, writable);
    if (!view)
        return NULL;
    for (int d = 0; d < dimensions; d++)
        if (shape[d] >= 0 && view->shape[d] != shape[d]) {
            PyErr_SetString(PyExc_ValueError, "the arrays' shapes do not belong together");
            return NULL;
        }
    if (!whole(view)) {
        PyErr_SetString(PyExc_ValueError, "expected a contiguous array");
        return NULL;
    }
    return view->buf;
}

static int planes_of(Arrays *arrays, PyObject **objects, Plane *planes, Py_ssize_t height,
                     Py_ssize_t width, int writable) {
    for (int c = 0; c < 3; c++) {
        Py_buffer *view = take(arrays, objects[c], "ef", 2, writable);
        if (!view)
            return -1;
        if (view->shape[0] != height || view->shape[1] != width) {
            PyErr_SetString(PyExc_ValueError, "the arrays' shapes do not belong together");
            return -1;
        }
        planes[c] = (Plane){view->buf, view->strides[0], view->format[0] == 'e'};
    }
    return 0;
}

static Py_ssize_t size_of(const Py_buffer *view) { return view->len / view->itemsize; }

/* Two flat arrays of floats and a gain: what the curves take. */
static PyObject *curve(PyObject *args, int encoding) {
    PyObject *from, *to;
    float gain;
    if (!PyArg_ParseTuple(args, "OOf", &from, &to, &gain))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t any = -1, same;
    float *source = floats(&arrays, from, 1, &any, 0), *result = NULL;
    if (source) {
        same = arrays.views[0].shape[0];
        result = floats(&arrays, to, 1, &same, 1);
    }
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        if (encoding)
            encode_all(source, result, same, gain);
        else
            decode_all(source, result, same, gain);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_encode(PyObject *self, PyObject *args) { return curve(args, 1); }
static PyObject *py_decode(PyObject *self, PyObject *args) { return curve(args, 0); }

static PyObject *py_expose(PyObject *self, PyObject *args) {
    PyObject *light, *to, *far;
    float gain;
    if (!PyArg_ParseTuple(args, "OfOO", &light, &gain, &to, &far))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t shape[3] = {-1, -1, 3};
    const float *source = floats(&arrays, light, 3, shape, 0);
    float *code = NULL, *beyond = NULL;
    int any = 0;
    if (source) {
        shape[0] = arrays.views[0].shape[0];
        shape[1] = arrays.views[0].shape[1];
        code = floats(&arrays, to, 3, shape, 1);
    }
    if (code)
        beyond = floats(&arrays, far, 2, shape, 1);
    if (beyond) {
        Py_BEGIN_ALLOW_THREADS
        any = expose_all(source, gain, code, beyond, shape[0] * shape[1]);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return beyond ? PyBool_FromLong(any) : NULL;
}

static PyObject *py_picture(PyObject *self, PyObject *args) {
    PyObject *objects[3], *to;
    if (!PyArg_ParseTuple(args, "OOOO", &objects[0], &objects[1], &objects[2], &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Plane planes[3];
    const Py_ssize_t shape[3] = {-1, -1, 3};
    float *result = floats(&arrays, to, 3, shape, 1);
    int taken = -1;
    if (result) {
        Py_ssize_t height = arrays.views[0].shape[0], width = arrays.views[0].shape[1];
        taken = planes_of(&arrays, objects, planes, height, width, 0);
        if (!taken) {
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < height; row++)
                picture_row(planes, row, result + 3 * row * width, width);
            Py_END_ALLOW_THREADS
        }
    }
    let_go(&arrays);
    return taken ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_add(PyObject *self, PyObject *args) {
    PyObject *objects[3], *by, *at;
    if (!PyArg_ParseTuple(args, "OOOOO", &objects[0], &objects[1], &objects[2], &by, &at))
        return NULL;
    Arrays arrays = {.count = 0};
    Plane planes[3];
    Py_buffer *change = take(&arrays, by, "f", 3, 0);
    Py_buffer *share = change ? take(&arrays, at, "f", 2, 0) : NULL;
    int taken = -1;
    if (share) {
        Py_ssize_t height = share->shape[0], width = share->shape[1];
        if (change->shape[0] != height || change->shape[1] != width || change->shape[2] != 3)
            PyErr_SetString(PyExc_ValueError, "the arrays' shapes do not belong together");
        else
            taken = planes_of(&arrays, objects, planes, height, width, 1);
        if (!taken) {
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < height; row++)
                add_row(planes, row,
                        (const float *)((const char *)change->buf + row * change->strides[0]),
                        (const float *)((const char *)share->buf + row * share->strides[0]), width);
            Py_END_ALLOW_THREADS
        }
    }
    let_go(&arrays);
    return taken ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_sample(PyObject *self, PyObject *args) {
    PyObject *from, *to;
    double m[6];
    if (!PyArg_ParseTuple(args, "O(dddddd)O", &from, &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
                          &to))
        return NULL;
    Arrays arrays = {.count = 0};
    const Py_ssize_t shape[3] = {-1, -1, 3};
    float *source = floats(&arrays, from, 3, shape, 0);
    float *result = source ? floats(&arrays, to, 3, shape, 1) : NULL;
    if (result) {
        Py_ssize_t rows = arrays.views[0].shape[0], columns = arrays.views[0].shape[1];
        Py_ssize_t height = arrays.views[1].shape[0], width = arrays.views[1].shape[1];
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t first = 0; first < width && rows && columns; first += TILE)
            for (Py_ssize_t row = 0; row < height; row++)
                sample_tile(source, rows, columns, m, row, first,
                            (int)(width - first < TILE ? width - first : TILE),
                            result + 3 * (row * width + first));
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_lay_in(PyObject *self, PyObject *args) {
    PyObject *plate, *laid, *grain, *to;
    float amount, white;
    if (!PyArg_ParseTuple(args, "OOOffO", &plate, &laid, &grain, &amount, &white, &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t shape[3] = {-1, -1, 3};
    float *result = floats(&arrays, to, 3, shape, 1);
    const float *light = NULL, *face = NULL, *noise = NULL;
    if (result) {
        shape[0] = arrays.views[0].shape[0];
        shape[1] = arrays.views[0].shape[1];
        light = floats(&arrays, plate, 3, shape, 0);
    }
    if (light && grain != Py_None)
        noise = floats(&arrays, grain, 3, shape, 0);
    if (light && (noise || grain == Py_None)) {
        shape[2] = 4;
        face = floats(&arrays, laid, 3, shape, 0);
    }
    if (face) {
        Py_ssize_t width = shape[1];
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < shape[0]; row++)
            lay_in_row(light + 3 * row * width, face + 4 * row * width,
                       noise ? noise + 3 * row * width : NULL, amount, white,
                       result + 3 * row * width, width);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return face ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_pack(PyObject *self, PyObject *args) {
    PyObject *crop, *change, *another, *to;
    if (!PyArg_ParseTuple(args, "OOOO", &crop, &change, &another, &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t shape[3] = {-1, -1, 3};
    const float *own = floats(&arrays, crop, 3, shape, 0), *step = NULL, *share = NULL;
    float *result = NULL;
    if (own) {
        shape[0] = arrays.views[0].shape[0];
        shape[1] = arrays.views[0].shape[1];
        step = floats(&arrays, change, 3, shape, 0);
    }
    if (step)
        share = floats(&arrays, another, 2, shape, 0);
    if (share) {
        shape[2] = 4;
        result = floats(&arrays, to, 3, shape, 1);
    }
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        pack_all(own, step, share, result, shape[0] * shape[1]);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_largest_difference(PyObject *self, PyObject *args) {
    PyObject *first, *second, *to;
    if (!PyArg_ParseTuple(args, "OOO", &first, &second, &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t shape[3] = {-1, -1, 3};
    const float *a = floats(&arrays, first, 3, shape, 0), *b = NULL;
    float *result = NULL;
    if (a) {
        shape[0] = arrays.views[0].shape[0];
        shape[1] = arrays.views[0].shape[1];
        b = floats(&arrays, second, 3, shape, 0);
    }
    if (b)
        result = floats(&arrays, to, 2, shape, 1);
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        largest_difference_all(a, b, result, shape[0] * shape[1]);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_match(PyObject *self, PyObject *args) {
    PyObject *face, *to, *cones, *light, *oklab, *step, *curves;
    Colours colours;
    float low[3], per_unit[3];
    if (!PyArg_ParseTuple(args, "OOOOOOO(fff)(fff)ff", &face, &to, &cones, &light, &oklab, &step,
                          &curves, &low[0], &low[1], &low[2], &per_unit[0], &per_unit[1],
                          &per_unit[2], &colours.strength, &colours.dark))
        return NULL;
    Arrays arrays = {.count = 0};
    const Py_ssize_t pixels[3] = {-1, -1, 3}, square[2] = {3, 3}, affine[2] = {3, 4};
    const Py_ssize_t nodes[2] = {3, -1};
    const float *source = floats(&arrays, face, 3, pixels, 0), *matrix;
    float *result = source ? floats(&arrays, to, 3, arrays.views[0].shape, 1) : NULL;
    int taken = result != NULL;
    struct {
        PyObject *object;
        const Py_ssize_t *shape;
        float *copy;
    } matrices[] = {{cones, square, colours.to_cones},
                    {light, square, colours.to_light},
                    {oklab, square, colours.to_oklab},
                    {step, affine, colours.step}};
    for (int i = 0; taken && i < 4; i++) {
        matrix = floats(&arrays, matrices[i].object, 2, matrices[i].shape, 0);
        taken = matrix != NULL;
        if (taken)
            memcpy(matrices[i].copy, matrix,
                   (size_t)(3 * matrices[i].shape[1]) * sizeof(float));
    }
    Curve bent[3];
    colours.curves = NULL;
    if (taken && curves != Py_None) {
        const float *first = floats(&arrays, curves, 2, nodes, 0);
        taken = first != NULL;
        if (taken) {
            Py_ssize_t count = arrays.views[arrays.count - 1].shape[1];
            for (int c = 0; c < 3; c++)
                bent[c] = (Curve){first + c * count, count, low[c], per_unit[c]};
            colours.curves = bent;
        }
    }
    if (taken) {
        Py_ssize_t count = size_of(&arrays.views[0]) / 3;
        Py_BEGIN_ALLOW_THREADS
        match_all(source, result, count, &colours);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return taken ? Py_NewRef(Py_None) : NULL;
}

/* A picture of rows that may lie apart, and what was laid there: None, or rows of four channels. */
static int picture_of(Arrays *arrays, PyObject *picture, PyObject *laid, Py_buffer **pixels,
                      Py_buffer **there) {
    *pixels = take(arrays, picture, "f", 3, 0);
    *there = NULL;
    if (!*pixels)
        return -1;
    if (laid != Py_None && !(*there = take(arrays, laid, "f", 3, 0)))
        return -1;
    if ((*pixels)->shape[2] != 3 ||
        (*there && ((*there)->shape[2] != 4 || (*there)->shape[0] != (*pixels)->shape[0] ||
                    (*there)->shape[1] != (*pixels)->shape[1]))) {
        PyErr_SetString(PyExc_ValueError, "the arrays' shapes do not belong together");
        return -1;
    }
    return 0;
}

static Py_ssize_t cells_of(Py_ssize_t length) { return (length + CELL - 1) / CELL; }

static PyObject *py_grain_energy(PyObject *self, PyObject *args) {
    PyObject *picture, *laid, *axes, *to;
    if (!PyArg_ParseTuple(args, "OOOO", &picture, &laid, &axes, &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_buffer *pixels, *there;
    const Py_ssize_t square[2] = {3, 3};
    float *result = NULL;
    if (!picture_of(&arrays, picture, laid, &pixels, &there)) {
        Py_ssize_t height = pixels->shape[0], width = pixels->shape[1];
        const Py_ssize_t shape[3] = {cells_of(height), cells_of(width), 3};
        const float *turning = floats(&arrays, axes, 2, square, 0);
        if (turning)
            result = floats(&arrays, to, 3, shape, 1);
        if (result) {
            Py_ssize_t step = pixels->strides[0] / (Py_ssize_t)sizeof(float);
            Py_ssize_t laid_step = there ? there->strides[0] / (Py_ssize_t)sizeof(float) : 0;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < height; row += CELL)
                energy_row((const float *)pixels->buf + row * step, step,
                           there ? (const float *)there->buf + row * laid_step : NULL, laid_step,
                           height - row < CELL ? height - row : CELL, width, turning,
                           result + 3 * (row / CELL) * shape[1]);
            Py_END_ALLOW_THREADS
        }
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_grain_field(PyObject *self, PyObject *args) {
    PyObject *picture, *laid, *axes, *kept, *fresh, *tile, *starts, *to;
    if (!PyArg_ParseTuple(args, "OOOOOOOO", &picture, &laid, &axes, &kept, &fresh, &tile, &starts,
                          &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_buffer *pixels, *there, *begins = NULL;
    const Py_ssize_t square[2] = {3, 3}, repeated[3] = {2 * REPEAT, 2 * REPEAT, 3};
    const float *turning = NULL, *keep = NULL, *make = NULL, *noise = NULL;
    float *result = NULL;
    int taken = 0;
    if (!picture_of(&arrays, picture, laid, &pixels, &there)) {
        Py_ssize_t height = pixels->shape[0], width = pixels->shape[1];
        const Py_ssize_t cells[3] = {cells_of(height), cells_of(width), 3};
        const Py_ssize_t shape[3] = {height, width, 3};
        if ((turning = floats(&arrays, axes, 2, square, 0)) &&
            (keep = floats(&arrays, kept, 3, cells, 0)) &&
            (make = floats(&arrays, fresh, 3, cells, 0)) &&
            (noise = floats(&arrays, tile, 3, repeated, 0)) &&
            (begins = take(&arrays, starts, "lq", 3, 0)))
            result = floats(&arrays, to, 3, shape, 1);
        if (result) {
            Py_ssize_t down = (height + REPEAT - 1) / REPEAT, across = (width + REPEAT - 1) / REPEAT;
            const int64_t *first = begins->buf;
            taken = whole(begins) && begins->itemsize == 8 && begins->shape[0] == down &&
                    begins->shape[1] == across && begins->shape[2] == 2;
            for (Py_ssize_t i = 0; taken && i < 2 * down * across; i++)
                taken = first[i] >= 0 && first[i] <= REPEAT;
            if (!taken)
                PyErr_SetString(PyExc_ValueError, "the starts do not belong to these shapes");
        }
        if (taken) {
            Py_ssize_t step = pixels->strides[0] / (Py_ssize_t)sizeof(float);
            Py_ssize_t laid_step = there ? there->strides[0] / (Py_ssize_t)sizeof(float) : 0;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < height; row++) {
                /* Between the centres of which two rows of cells the pixels lie, and how far. */
                float place = ((float)(row % CELL) + 0.5f) / CELL - 0.5f;
                Py_ssize_t upper = row / CELL - (place < 0.0f), lower = upper + 1;
                float way = place < 0.0f ? place + 1.0f : place;
                upper = upper < 0 ? 0 : upper;
                lower = lower >= cells[0] ? cells[0] - 1 : lower;
                const float *kept_rows[2] = {keep + 3 * upper * cells[1],
                                             keep + 3 * lower * cells[1]};
                const float *fresh_rows[2] = {make + 3 * upper * cells[1],
                                              make + 3 * lower * cells[1]};
                grain_row((const float *)pixels->buf + row * step,
                          there ? (const float *)there->buf + row * laid_step : NULL, turning,
                          kept_rows, fresh_rows, way, cells[1], noise, 2 * REPEAT, row,
                          (const int64_t *)begins->buf +
                              2 * (row / REPEAT) * begins->shape[1],
                          result + 3 * row * width, width);
            }
            Py_END_ALLOW_THREADS
        }
    }
    let_go(&arrays);
    return taken ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_bands(PyObject *self, PyObject *args) {
    PyObject *by, *drawn, *far, *to, *part;
    float support, mix;
    if (!PyArg_ParseTuple(args, "OOOffOO", &by, &drawn, &far, &support, &mix, &to, &part))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_buffer *views[5] = {NULL};
    PyObject *objects[5] = {by, drawn, far, to, part};
    int taken = 1;
    for (int i = 0; taken && i < 5; i++) {
        int pixels = i == 0 || i == 3;
        views[i] = take(&arrays, objects[i], "f", pixels ? 3 : 2, i >= 3);
        taken = views[i] != NULL;
        if (taken && (views[i]->shape[0] != views[0]->shape[0] ||
                      views[i]->shape[1] != views[0]->shape[1] ||
                      (pixels && views[i]->shape[2] != 3))) {
            PyErr_SetString(PyExc_ValueError, "the arrays' shapes do not belong together");
            taken = 0;
        }
    }
    if (taken) {
        Py_ssize_t height = views[0]->shape[0], width = views[0]->shape[1];
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < height; row++) {
            float *rows[5];
            for (int i = 0; i < 5; i++)
                rows[i] = (float *)((char *)views[i]->buf + row * views[i]->strides[0]);
            bands_row(rows[0], rows[1], rows[2], support, mix, rows[3], rows[4], width);
        }
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return taken ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_product(PyObject *self, PyObject *args) {
    PyObject *first, *second, *to;
    if (!PyArg_ParseTuple(args, "OOO", &first, &second, &to))
        return NULL;
    Arrays arrays = {.count = 0};
    Py_ssize_t shape[2] = {-1, -1};
    const float *left = floats(&arrays, first, 2, shape, 0), *right = NULL;
    float *result = NULL;
    Py_ssize_t rows = 0, inner = 0, width = 0;
    if (left) {
        rows = arrays.views[0].shape[0];
        inner = shape[0] = arrays.views[0].shape[1];
        right = floats(&arrays, second, 2, shape, 0);
    }
    if (right) {
        shape[0] = rows;
        shape[1] = width = arrays.views[1].shape[1];
        result = floats(&arrays, to, 2, shape, 1);
    }
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < rows; i++)
            product_row(left + i * inner, right, inner, width, result + i * width);
        Py_END_ALLOW_THREADS
    }
    let_go(&arrays);
    return result ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef methods[] = {
    {"encode", py_encode, METH_VARARGS, NULL},
    {"decode", py_decode, METH_VARARGS, NULL},
    {"expose", py_expose, METH_VARARGS, NULL},
    {"picture", py_picture, METH_VARARGS, NULL},
    {"add", py_add, METH_VARARGS, NULL},
    {"sample", py_sample, METH_VARARGS, NULL},
    {"lay_in", py_lay_in, METH_VARARGS, NULL},
    {"pack", py_pack, METH_VARARGS, NULL},
    {"largest_difference", py_largest_difference, METH_VARARGS, NULL},
    {"match", py_match, METH_VARARGS, NULL},
    {"grain_energy", py_grain_energy, METH_VARARGS, NULL},
    {"grain_field", py_grain_field, METH_VARARGS, NULL},
    {"bands", py_bands, METH_VARARGS, NULL},
    {"product", py_product, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "kernels", .m_size = 0,
                                    .m_methods = methods};

PyMODINIT_FUNC PyInit_kernels(void) { return PyModuleDef_Init(&module); }
