/* Exact lengths of raw deflate streams (RFC 1951) as stock zlib makes them, for one text followed by each of many.
 *
 * Nothing is encoded, because ZIP-FIT needs only len(deflate(x + t)): no stream is set up and no bit is written. And x
 * is parsed only once, up to the first decision that could depend on t; its hash chains and symbol counts are kept,
 * every t continues from there and is undone afterwards.
 *
 * Equal to zlib 1.2.3 to 1.3.1 at levels 1 to 9, window 15, memory 8, whole input at once, while x + t fits MAX_TOTAL
 * bytes (the window never slides, no match is out of reach) and MAX_SYMBOLS symbols (one block); beyond that the answer
 * is UNKNOWN and the caller uses zlib. deflate.py compares results with zlib before it uses any of this.
 *
 * Why resuming is exact: zlib's decision at a position depends on the bytes up to where a compared match ends. Parsing
 * of x stops before the first position where that is the end of x; no earlier decision can differ, whatever follows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_TOTAL = 32768 - 262,
    MAX_SYMBOLS = 16382,
    MIN_MATCH = 3,
    MAX_MATCH = 258,
    TOO_FAR = 4096, /* the lazy parser drops a match of 3 bytes from beyond */
    HASH_SIZE = 1 << 15,
    END_OF_BLOCK = 256,
    FIRST_LENGTH = 257,
    LITERALS = 286,
    DISTANCES = 30,
    BIT_LENGTHS = 19,
    MAX_NODES = 2 * LITERALS,
    UNKNOWN = -1
};

/* How hard a level searches: chain quartered from a previous match of `good`; no lazy search from `lazy`; a match of
 * `nice` ends the search; `chain` candidates at most. Levels 1 to 3 are greedy: they hash inside matches up to `lazy`. */
typedef struct {
    int good, lazy, nice, chain, greedy;
} Effort;

static const Effort EFFORTS[10] = {
    {0, 0, 0, 0, 0},      {4, 4, 8, 4, 1},       {4, 5, 16, 8, 1},      {4, 6, 32, 32, 1},       {4, 4, 16, 16, 0},
    {8, 16, 32, 32, 0},   {8, 16, 128, 128, 0},  {8, 32, 128, 256, 0},  {32, 128, 258, 1024, 0}, {32, 258, 258, 4096, 0},
};

/* What has been parsed: the next position, the lazy parser's pending match, the counts of symbols. */
typedef struct {
    int position, pending, length, start, symbols;
    uint16_t literals[LITERALS], distances[DISTANCES];
} Parsed;

typedef struct {
    uint8_t bytes[MAX_TOTAL + 8];
    uint16_t head[HASH_SIZE]; /* the latest position of each hash, 0 for none: position 0 is never matched */
    uint16_t before[HASH_SIZE]; /* the one before it */
    uint16_t inserted[MAX_TOTAL]; /* positions in order of insertion, to undo them */
    int insertions;
    Parsed parsed;
} State;

static inline int hash(const uint8_t *at) { return (at[0] << 10 ^ at[1] << 5 ^ at[2]) & (HASH_SIZE - 1); }

static inline int insert(State *s, int position) {
    uint16_t *head = &s->head[hash(s->bytes + position)];
    int latest = *head;
    s->before[position] = (uint16_t)latest;
    s->inserted[s->insertions++] = (uint16_t)position;
    *head = (uint16_t)position;
    return latest;
}

static void forget(State *s, int keep) {
    while (s->insertions > keep) {
        int position = s->inserted[--s->insertions];
        s->head[hash(s->bytes + position)] = s->before[position];
    }
}

/* Number of bytes in common, at most `most`; up to 7 bytes behind them may be read. */
static inline int common(const uint8_t *a, const uint8_t *b, int most) {
    int n = 0;
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; n < most; n += 8) {
        uint64_t x, y;
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y) {
            n += __builtin_ctzll(x ^ y) >> 3;
            break;
        }
    }
    return n < most ? n : most;
#else
    while (n < most && a[n] == b[n]) n++;
    return n;
#endif
}

/* Longest match at `position` among the chain from `candidate`, longer than `best`; its start in *start.
 * With `open` the bytes go on behind `end`: UNKNOWN as soon as a decision could depend on them. */
static inline int longest(const State *s, const Effort *effort, int position, int end, int candidate, int best,
                          int *start, int open) {
    const uint8_t *here = s->bytes + position;
    int most = end - position < MAX_MATCH ? end - position : MAX_MATCH;
    int nice = effort->nice < most ? effort->nice : most;
    int chain = best >= effort->good ? effort->chain >> 2 : effort->chain;
    if (best >= most) return open ? UNKNOWN : best;
    do {
        const uint8_t *there = s->bytes + candidate;
        if (there[best] != here[best] || there[best - 1] != here[best - 1] || there[0] != here[0] || there[1] != here[1])
            continue;
        int length = common(here, there, most);
        if (open && length == most && most < MAX_MATCH) return UNKNOWN;
        if (length > best) {
            *start = candidate;
            best = length;
            if (length >= nice) break;
        }
    } while ((candidate = s->before[candidate]) && --chain);
    return best;
}

static inline int log2_floor(unsigned n) {
#if defined(__GNUC__)
    return 31 - __builtin_clz(n);
#else
    int bits = 0;
    while (n >>= 1) bits++;
    return bits;
#endif
}

static inline void count_literal(Parsed *p, uint8_t byte) {
    p->literals[byte]++;
    p->symbols++;
}

static inline void count_match(Parsed *p, int length, int distance) {
    int l = length - MIN_MATCH, d = distance - 1, bits;
    if (l >= 8) {
        bits = log2_floor(l);
        l = length == MAX_MATCH ? 28 : 4 * (bits - 1) + (l >> (bits - 2) & 3);
    }
    if (d >= 4) {
        bits = log2_floor(d);
        d = 2 * bits + (d >> (bits - 1) & 1);
    }
    p->literals[FIRST_LENGTH + l]++;
    p->distances[d]++;
    p->symbols++;
}

/* Levels 1 to 3: take every match. */
static inline void parse_greedy(State *s, const Effort *effort, int end, int open) {
    Parsed *p = &s->parsed;
    int position = p->position, last = end - MIN_MATCH; /* the last position with a hash */
    while (position < end) {
        int length = 0, start = 0, next;
        if (position <= last) {
            int candidate = insert(s, position);
            if (candidate) length = longest(s, effort, position, end, candidate, MIN_MATCH - 1, &start, open);
        }
        if (open && (position > last || length == UNKNOWN || position + length > last)) {
            if (position <= last) forget(s, s->insertions - 1);
            break;
        }
        if (length < MIN_MATCH) {
            count_literal(p, s->bytes[position++]);
            continue;
        }
        count_match(p, length, position - start);
        next = position + length;
        if (length <= effort->lazy && next <= last)
            while (++position < next) insert(s, position);
        position = next;
    }
    p->position = position;
}

/* Levels 4 to 9: a match waits for one byte whether the next position has a longer one. */
static inline void parse_lazy(State *s, const Effort *effort, int end, int open) {
    Parsed *p = &s->parsed;
    int position = p->position, last = end - MIN_MATCH;
    int pending = p->pending, length = p->length, start = p->start;
    while (position < end) {
        int found = MIN_MATCH - 1, found_at = start, candidate = 0;
        if (position <= last) candidate = insert(s, position);
        if (candidate && length < effort->lazy) {
            found = longest(s, effort, position, end, candidate, length, &found_at, open);
            if (found == MIN_MATCH && position - found_at > TOO_FAR) found = MIN_MATCH - 1;
        }
        if (open && (position > last || found == UNKNOWN || position + found > last)) {
            if (position <= last) forget(s, s->insertions - 1);
            break;
        }
        if (length >= MIN_MATCH && found <= length) {
            int next = position - 1 + length;
            count_match(p, length, position - 1 - start);
            while (++position < next)
                if (position <= last) insert(s, position);
            pending = 0;
            length = MIN_MATCH - 1;
            continue;
        }
        if (pending) count_literal(p, s->bytes[position - 1]);
        pending = 1;
        length = found;
        start = found_at;
        position++;
    }
    if (pending && !open) count_literal(p, s->bytes[position - 1]);
    p->position = position;
    p->pending = pending;
    p->length = length;
    p->start = start;
}

static void parse(State *s, const Effort *effort, int end, int open) {
    if (effort->greedy && open) parse_greedy(s, effort, end, 1);
    else if (effort->greedy) parse_greedy(s, effort, end, 0);
    else if (open) parse_lazy(s, effort, end, 1);
    else parse_lazy(s, effort, end, 0);
}

/* A heap entry orders by frequency, then by depth, and names its node: 16, 6 and 10 bits. */
typedef uint32_t Entry;
static inline Entry entry(unsigned frequency, unsigned depth, unsigned node) {
    return frequency << 16 | depth << 10 | node;
}
/* Does `a` come no later than `b`? Nodes do not count. */
static inline int first(Entry a, Entry b) { return a <= (b | 1023); }

/* Put `moved` into the hole at `at` of a heap in heap[1] to heap[size]. */
static inline void sift(Entry *heap, int size, int at, Entry moved) {
    for (int child = 2 * at; child <= size; child *= 2) {
        if (child < size) child += first(heap[child + 1], heap[child]);
        if (first(moved, heap[child])) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Code lengths of the Huffman code of `count` frequencies, none above `longest_code`, ties as zlib breaks them (the
 * lengths are sent, so ties change the header). Returns the last symbol with a code: two symbols always have one. */
static int code_lengths(const uint16_t *frequencies, int count, int longest_code, uint8_t *lengths) {
    Entry heap[LITERALS + 1];
    uint16_t order[MAX_NODES + 2], parent[MAX_NODES + 2];
    uint8_t bits[MAX_NODES + 2];
    int size = 0, last = -1, taken = 0, node = count, too_long = 0, of_length[17] = {0};
    memset(lengths, 0, count);
    for (int i = 0; i < count; i++)
        if (frequencies[i]) heap[++size] = entry(frequencies[last = i], 0, i);
    while (size < 2) heap[++size] = entry(1, 0, last < 2 ? ++last : 0);
    for (int i = size / 2; i; i--) sift(heap, size, i, heap[i]);
    for (; size > 1; node++) {
        Entry a = heap[1], b;
        size--;
        sift(heap, size, 1, heap[size + 1]);
        b = heap[1];
        unsigned depth_a = a >> 10 & 63, depth_b = b >> 10 & 63;
        order[taken++] = a & 1023;
        order[taken++] = b & 1023;
        parent[a & 1023] = parent[b & 1023] = (uint16_t)node;
        sift(heap, size, 1, entry((a >> 16) + (b >> 16), (depth_a > depth_b ? depth_a : depth_b) + 1, node));
    }
    bits[node - 1] = 0;
    while (taken--) {
        int n = order[taken], length = bits[parent[n]] + 1;
        if (length > longest_code) {
            length = longest_code;
            too_long++;
        }
        bits[n] = (uint8_t)length;
        if (n < count) {
            lengths[n] = (uint8_t)length;
            of_length[length]++;
        }
    }
    if (!too_long) return last;
    for (; too_long > 0; too_long -= 2) { /* a shorter leaf goes down and takes one of the longest as its sister */
        int length = longest_code - 1;
        while (!of_length[length]) length--;
        of_length[length]--;
        of_length[length + 1] += 2;
        of_length[longest_code]--;
    }
    for (int length = longest_code, at = 0; length; length--) /* the rarest get the longest */
        for (int n = of_length[length]; n;)
            if (order[at++] < count) lengths[order[at - 1]] = (uint8_t)length, n--;
    return last;
}

/* Count the run-length symbols by which code lengths 0..last are sent: 16 repeats 3 to 6 times, 17 and 18 are zeros. */
static void count_runs(const uint8_t *lengths, int last, uint16_t *counts) {
    for (int i = 0; i <= last;) {
        int length = lengths[i], run = 1, part;
        while (i + run <= last && lengths[i + run] == length) run++;
        i += run;
        if (length && run >= 4) { /* sent once, then repeated */
            part = run < 7 ? run : 7;
            counts[length]++;
            counts[16]++;
            run -= part;
        } else if (length) {
            counts[length] += (uint16_t)run;
            run = 0;
        }
        for (; run; run -= part) {
            part = length ? 6 : 138;
            if (part > run) part = run;
            if (part < 3) counts[length] += (uint16_t)part;
            else counts[length ? 16 : part <= 10 ? 17 : 18]++;
        }
    }
}

/* Bytes of the one block that encodes these symbols: the shortest of stored, fixed and dynamic codes. */
static int block_bytes(Parsed *p, int raw) {
    static const uint8_t ORDER[BIT_LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t literal_bits[LITERALS], distance_bits[DISTANCES], length_bits[BIT_LENGTHS];
    uint16_t runs[BIT_LENGTHS] = {0};
    p->literals[END_OF_BLOCK] = 1;
    int last_literal = code_lengths(p->literals, LITERALS, 15, literal_bits);
    int last_distance = code_lengths(p->distances, DISTANCES, 15, distance_bits);
    count_runs(literal_bits, last_literal, runs);
    count_runs(distance_bits, last_distance, runs);
    code_lengths(runs, BIT_LENGTHS, 7, length_bits);
    int sent = BIT_LENGTHS;
    while (sent > 4 && !length_bits[ORDER[sent - 1]]) sent--;

    int extra = 0, dynamic = 5 + 5 + 4 + 3 * sent + 2 * runs[16] + 3 * runs[17] + 7 * runs[18], fixed = 0;
    for (int i = 0; i < LITERALS; i++) {
        int n = p->literals[i];
        dynamic += n * literal_bits[i];
        fixed += n * (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
    }
    for (int i = 8; i < 28; i++) extra += p->literals[FIRST_LENGTH + i] * ((i >> 2) - 1);
    for (int i = 0; i < DISTANCES; i++) {
        int n = p->distances[i];
        dynamic += n * distance_bits[i];
        fixed += n * 5;
        if (i >= 4) extra += n * ((i >> 1) - 1);
    }
    for (int i = 0; i < BIT_LENGTHS; i++) dynamic += runs[i] * length_bits[i];
    int bytes = (3 + dynamic + extra + 7) >> 3, fixed_bytes = (3 + fixed + extra + 7) >> 3;
    if (fixed_bytes <= bytes) bytes = fixed_bytes;
    return raw + 4 <= bytes ? raw + 5 : bytes;
}

/* lengths[i] = len(deflate(x + t[i])) for i < count and len(deflate(x)) for i = count, or UNKNOWN.
 * t[i] are the bytes ends[i - 1] to ends[i] of `targets`. Returns 0, 1 if there is no memory, or 2 for an unknown level. */
int lakesift_deflate_sizes(int level, const uint8_t *x, int x_bytes, const uint8_t *targets, const int32_t *ends,
                           int count, int32_t *lengths) {
    if (level < 1 || level > 9) return 2;
    for (int i = 0; i <= count; i++) lengths[i] = UNKNOWN;
    if (x_bytes > MAX_TOTAL) return 0;
    State *s = malloc(sizeof(State));
    if (!s) return 1;
    const Effort *effort = &EFFORTS[level];
    memset(s->head, 0, sizeof s->head);
    memset(&s->parsed, 0, sizeof s->parsed);
    s->parsed.length = MIN_MATCH - 1;
    s->insertions = 0;
    memcpy(s->bytes, x, x_bytes);
    parse(s, effort, x_bytes, 1);
    Parsed after_x = s->parsed;
    int kept = s->insertions;
    for (int i = 0; i <= count; i++) {
        int from = i ? ends[i - 1] : 0, bytes = i < count ? ends[i] - from : 0;
        if (bytes > MAX_TOTAL - x_bytes) continue;
        memcpy(s->bytes + x_bytes, targets + from, bytes);
        parse(s, effort, x_bytes + bytes, 0);
        if (s->parsed.symbols <= MAX_SYMBOLS) lengths[i] = block_bytes(&s->parsed, x_bytes + bytes);
        forget(s, kept);
        s->parsed = after_x;
    }
    free(s);
    return 0;
}
