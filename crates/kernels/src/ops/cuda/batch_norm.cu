// Batch norm in training mode. Statistics are [3, channels]: mean, unbiased variance, 1 / deviation.

// a: sums of channel_moments [2, channels], b: x.
KERNEL(statistics) {
    UNUSED;
    const double count = s.rows, sum = IN(double, a)[thread], square = IN(double, a)[s.channels + thread];
    const double offset = sum / count;
    double scatter = square - sum * offset;
    if (scatter < 0.0)
        scatter = 0.0;
    OUT(float)[thread] = (float)(IN(float, b)[thread] + offset);
    OUT(float)[s.channels + thread] = (float)(scatter / (count - 1.0));
    OUT(float)[2 * s.channels + thread] = (float)(1.0 / sqrt(scatter / count + s.epsilon));
}

// a: x, b: statistics, c: weights and biases [2, channels], d: what is added, or nothing.
KERNEL(normalise) {
    UNUSED;
    const int channel = thread % s.channels;
    const float *statistics = IN(float, b), *line = IN(float, c);
    const float scale = line[channel] * statistics[2 * s.channels + channel];
    const float shift = line[s.channels + channel] - statistics[channel] * scale;
    float value = IN(float, a)[thread] * scale + shift;
    if (d)
        value += IN(float, d)[thread];
    OUT(float)[thread] = s.relu ? rectified(value) : value;
}

// a: sums of channel_products [2, channels], b: statistics, c: weights and biases. Out: [3, channels], so that
// dx = scale dz + slope x + offset.
KERNEL(normalise_slopes) {
    UNUSED;
    const float *statistics = IN(float, b);
    const double sum = IN(double, a)[thread], product = IN(double, a)[s.channels + thread];
    const double inverse = statistics[2 * s.channels + thread];
    const float scale = IN(float, c)[thread] * statistics[2 * s.channels + thread];
    const double slope = -(double)scale * inverse * inverse * product / s.rows;
    OUT(float)[thread] = scale;
    OUT(float)[s.channels + thread] = (float)slope;
    OUT(float)[2 * s.channels + thread] = (float)(-(double)scale * sum / s.rows - slope * statistics[thread]);
}

// a: gradient behind the activation, b: x, c: slopes.
KERNEL(normalise_gradient) {
    UNUSED;
    const int channel = thread % s.channels;
    const float *slopes = IN(float, c);
    OUT(float)[thread] = slopes[channel] * IN(float, a)[thread] +
        slopes[s.channels + channel] * IN(float, b)[thread] + slopes[2 * s.channels + channel];
}

// a: sums of channel_products [2, channels], b: statistics. Out: the gradients of weights and biases [2, channels].
KERNEL(normalise_line_gradient) {
    UNUSED;
    const double *sums = IN(double, a);
    OUT(float)[thread] = (float)(sums[s.channels + thread] * IN(float, b)[2 * s.channels + thread]);
    OUT(float)[s.channels + thread] = (float)sums[thread];
}
