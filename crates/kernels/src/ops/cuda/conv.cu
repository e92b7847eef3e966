// Convolution. A thread computes PIXELS pixels of OUTS channels, or the products of TILE channels of one map with TILE of
// another, in registers. Threads side by side take channels side by side, and then pixels side by side, so that most of
// what one reads its neighbours have just read: it comes from the first-level cache.

// Pixels of a thread that convolves, so far apart that threads beside it have those between, and its channels.
#define PIXELS 4
#define APART 16
#define OUTS 4
// Channels of each map of a thread that multiplies.
#define TILE 8
// Bits of a set of taps that are rows; the others are columns. A kernel has at most so many of each.
#define TAPS 16

FUNCTION int divided_up(const int number, const int by) {
    return (number + by - 1) / by;
}

#if OUTS != 4 || TILE % 4
#error "channels are read in fours"
#endif

// Reads four values side by side, of which only some are there, unless `whole`.
FUNCTION void four(float *values, const float *from, const int whole, const int there) {
    if (whole) {
#ifndef __CUDACC__
        // A GPU reads four values at once only from where four begin.
        if ((uintptr_t)from % sizeof(float4))
            abort();
#endif
        const float4 all = *(const float4 *)from;
        values[0] = all.x;
        values[1] = all.y;
        values[2] = all.z;
        values[3] = all.w;
    } else {
        UNROLL for (int i = 0; i < 4; i++)
            values[i] = i < there ? from[i] : 0.0f;
    }
}

// The place in a map that tap 0 has for an output at `at`, along one side; `back` as below.
FUNCTION int first_place(const int at, const int stride, const int padding, const int back) {
    return back ? (at + padding) / stride : at * stride - padding;
}

// Which taps of one side meet the map.
FUNCTION unsigned taps_inside(
    const int at, const int taps, const int stride, const int padding, const int size, const int back) {
    unsigned inside = 0;
    for (int tap = 0; tap < taps; tap++) {
        const int place = back ? at + padding - tap : at * stride - padding + tap;
        const int meets = back ? place % stride == 0 && place / stride < size : place < size;
        inside |= (unsigned)(place >= 0 && meets) << tap;
    }
    return inside;
}

// a: a map, b: packed weights, c: what is added to each channel, or nothing, d: what is added to each value, or nothing.
// `back` for the gradient of the input: the map is the output's gradient. `whole` where channels come in fours. rows:
// pixels of what is computed.
FUNCTION void convolution(const int thread, PARAMETERS, const int back, const int whole) {
    const int tiles = divided_up(s.out_channels, OUTS), group = thread / tiles, channel = thread % tiles * OUTS;
    const int first = group / APART * APART * PIXELS + group % APART;
    int places[PIXELS];
    unsigned inside[PIXELS];
    UNROLL for (int i = 0; i < PIXELS; i++) {
        const int pixel = first + i * APART;
        const int column = pixel % s.out_width, row = pixel / s.out_width % s.out_height;
        const int image = pixel / s.out_width / s.out_height;
        const int top = first_place(row, s.stride, s.padding_height, back);
        const int left = first_place(column, s.stride, s.padding_width, back);
        places[i] = ((image * s.height + top) * s.width + left) * s.channels;
        const unsigned down = taps_inside(row, s.kernel_height, s.stride, s.padding_height, s.height, back);
        const unsigned right = taps_inside(column, s.kernel_width, s.stride, s.padding_width, s.width, back);
        inside[i] = pixel < s.rows ? down | right << TAPS : 0;
    }
    float sums[PIXELS][OUTS];
    UNROLL for (int i = 0; i < PIXELS; i++)
        UNROLL for (int j = 0; j < OUTS; j++)
            sums[i][j] = 0.0f;
    const int wide = tiles * OUTS;
    const float *weights = IN(float, b) + channel;
    for (int down = 0; down < s.kernel_height; down++) {
        for (int right = 0; right < s.kernel_width; right++) {
            const int away = back ? -(down / s.stride * s.width + right / s.stride) : down * s.width + right;
            const float *map = IN(float, a) + away * s.channels;
            const unsigned tap = 1u << down | 1u << (right + TAPS);
            for (int from = 0; from < s.channels; from += 4) {
                float x[PIXELS][4];
                UNROLL for (int i = 0; i < PIXELS; i++) {
                    UNROLL for (int k = 0; k < 4; k++)
                        x[i][k] = 0.0f;
                    if ((inside[i] & tap) == tap)
                        four(x[i], map + places[i] + from, whole, s.channels - from);
                }
                UNROLL for (int k = 0; k < 4; k++) {
                    if (!whole && from + k >= s.channels)
                        break;
                    float weight[OUTS];
                    four(weight, weights, 1, OUTS);
                    weights += wide;
                    UNROLL for (int i = 0; i < PIXELS; i++)
                        UNROLL for (int j = 0; j < OUTS; j++)
                            sums[i][j] += x[i][k] * weight[j];
                }
            }
        }
    }
    UNROLL for (int i = 0; i < PIXELS; i++) {
        const int pixel = first + i * APART;
        UNROLL for (int j = 0; j < OUTS; j++) {
            const int place = pixel * s.out_channels + channel + j;
            if (pixel < s.rows && channel + j < s.out_channels) {
                float value = sums[i][j];
                if (c)
                    value += IN(float, c)[channel + j];
                if (d)
                    value += IN(float, d)[place];
                OUT(float)[place] = s.relu ? rectified(value) : value;
            }
        }
    }
}

KERNEL(convolve) {
    convolution(thread, out, a, b, c, d, s, 0, 1);
}

KERNEL(convolve_any) {
    convolution(thread, out, a, b, c, d, s, 0, 0);
}

KERNEL(convolve_back) {
    convolution(thread, out, a, b, c, d, s, 1, 1);
}

KERNEL(convolve_back_any) {
    convolution(thread, out, a, b, c, d, s, 1, 0);
}

// a: weights [out, in, rows], or [in, out, rows] for the way back; out: [rows, in, out], with zeros up to a multiple of OUTS.
FUNCTION void packed(const int thread, PARAMETERS, const int back) {
    UNUSED;
    const int wide = divided_up(s.out_channels, OUTS) * OUTS;
    const int to = thread % wide, from = thread / wide % s.channels, tap = thread / wide / s.channels;
    const int pair = back ? from * s.out_channels + to : to * s.channels + from;
    OUT(float)[thread] = to < s.out_channels ? IN(float, a)[pair * s.rows + tap] : 0.0f;
}

KERNEL(pack) {
    packed(thread, out, a, b, c, d, s, 0);
}

KERNEL(pack_back) {
    packed(thread, out, a, b, c, d, s, 1);
}

// a: [rows, in, out] in double precision; out: [out, in, rows].
KERNEL(unpack) {
    UNUSED;
    const int tap = thread % s.rows, from = thread / s.rows % s.channels, to = thread / s.rows / s.channels;
    OUT(float)[thread] = (float)IN(double, a)[(tap * s.channels + from) * s.out_channels + to];
}

// a: x, b: the output's gradient; out: [parts, taps, in, out], the sums of products over `part` rows of outputs each.
// `whole` where the channels of both come in TILEs. rows: those of all images.
FUNCTION void products(const int thread, PARAMETERS, const int whole) {
    (void)c, (void)d;
    const int outs = divided_up(s.out_channels, TILE), ins = divided_up(s.channels, TILE);
    const int taps = s.kernel_height * s.kernel_width;
    const int to = thread % outs * TILE, from = thread / outs % ins * TILE;
    const int tap = thread / outs / ins % taps, part = thread / outs / ins / taps;
    const int down = tap / s.kernel_width - s.padding_height, right = tap % s.kernel_width - s.padding_width;
    // The columns of outputs for which the tap meets the map.
    const int begin = right < 0 ? divided_up(-right, s.stride) : 0;
    const int room = s.width > right ? divided_up(s.width - right, s.stride) : 0;
    const int end = room < s.out_width ? room : s.out_width;
    float sums[TILE][TILE];
    UNROLL for (int i = 0; i < TILE; i++)
        UNROLL for (int j = 0; j < TILE; j++)
            sums[i][j] = 0.0f;
    const int last = (part + 1) * s.part < s.rows ? (part + 1) * s.part : s.rows;
    for (int line = part * s.part; line < last; line++) {
        const int row = line % s.out_height * s.stride + down;
        if (row < 0 || row >= s.height)
            continue;
        const int start = (line / s.out_height * s.height + row) * s.width + begin * s.stride + right;
        const float *map = IN(float, a) + start * s.channels + from;
        const float *gradient = IN(float, b) + (line * s.out_width + begin) * s.out_channels + to;
        for (int column = begin; column < end; column++) {
            float x[TILE], slope[TILE];
            UNROLL for (int i = 0; i < TILE; i += 4) {
                four(x + i, map + i, whole, s.channels - from - i);
                four(slope + i, gradient + i, whole, s.out_channels - to - i);
            }
            UNROLL for (int i = 0; i < TILE; i++)
                UNROLL for (int j = 0; j < TILE; j++)
                    sums[i][j] += x[i] * slope[j];
            map += s.stride * s.channels;
            gradient += s.out_channels;
        }
    }
    UNROLL for (int i = 0; i < TILE; i++)
        UNROLL for (int j = 0; j < TILE; j++)
            if (from + i < s.channels && to + j < s.out_channels)
                OUT(float)[((part * taps + tap) * s.channels + from + i) * s.out_channels + to + j] = sums[i][j];
}

KERNEL(weight_products) {
    products(thread, out, a, b, c, d, s, 1);
}

KERNEL(weight_products_any) {
    products(thread, out, a, b, c, d, s, 0);
}
