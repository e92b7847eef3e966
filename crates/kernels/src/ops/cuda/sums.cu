// Sums over all pixels of each channel: FAN rows by one thread in single precision, then FAN of these sums by one thread
// in double precision, until one is left. Threads side by side take channels side by side.

#define FAN 64

FUNCTION int last_row(const int first, const int rows) {
    return first + FAN < rows ? first + FAN : rows;
}

// a: [rows, channels]; out: [parts, channels].
KERNEL(channel_sums) {
    UNUSED;
    const int channel = thread % s.channels, first = thread / s.channels * FAN;
    float sum = 0.0f;
    for (int row = first; row < last_row(first, s.rows); row++)
        sum += IN(float, a)[row * s.channels + channel];
    OUT(double)[thread] = sum;
}

// a: x [rows, channels]; out: [parts, 2, channels], the sums of x - x[0] and of its square. About the first row's values,
// so that a large mean costs no precision.
KERNEL(channel_moments) {
    UNUSED;
    const int channel = thread % s.channels, part = thread / s.channels, first = part * FAN;
    const float origin = IN(float, a)[channel];
    float sum = 0.0f, square = 0.0f;
    for (int row = first; row < last_row(first, s.rows); row++) {
        const float distance = IN(float, a)[row * s.channels + channel] - origin;
        sum += distance;
        square += distance * distance;
    }
    OUT(double)[2 * part * s.channels + channel] = sum;
    OUT(double)[(2 * part + 1) * s.channels + channel] = square;
}

// a: gradient, b: x, both [rows, channels], c: mean of each channel; out: [parts, 2, channels], the sums of the gradient
// and of gradient * (x - mean).
KERNEL(channel_products) {
    UNUSED;
    const int channel = thread % s.channels, part = thread / s.channels, first = part * FAN;
    const float mean = IN(float, c)[channel];
    float sum = 0.0f, product = 0.0f;
    for (int row = first; row < last_row(first, s.rows); row++) {
        const float gradient = IN(float, a)[row * s.channels + channel];
        sum += gradient;
        product += gradient * (IN(float, b)[row * s.channels + channel] - mean);
    }
    OUT(double)[2 * part * s.channels + channel] = sum;
    OUT(double)[(2 * part + 1) * s.channels + channel] = product;
}

// a: [rows, channels] in double precision; out: [parts, channels].
KERNEL(fold) {
    UNUSED;
    const int channel = thread % s.channels, first = thread / s.channels * FAN;
    double sum = 0.0;
    for (int row = first; row < last_row(first, s.rows); row++)
        sum += IN(double, a)[row * s.channels + channel];
    OUT(double)[thread] = sum;
}

// a: values in double precision, in single precision and divided by rows.
KERNEL(mean) {
    UNUSED;
    OUT(float)[thread] = (float)(IN(double, a)[thread] / s.rows);
}
