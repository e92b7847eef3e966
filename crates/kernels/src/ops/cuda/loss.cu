// Cross-entropy of a softmax: logits [rows, channels], a label a row.

// a: logits; one thread a row. log(sum(exp)), about the largest so that nothing overflows; NaN if any logit is.
KERNEL(log_sums) {
    UNUSED;
    const float *row = IN(float, a) + thread * s.channels;
    double largest = row[0], sum = 0.0;
    for (int channel = 0; channel < s.channels; channel++)
        largest = row[channel] > largest ? (double)row[channel] : largest;
    for (int channel = 0; channel < s.channels; channel++)
        sum += exp((double)row[channel] - largest);
    OUT(double)[thread] = largest + log(sum);
}

// a: logits, b: labels, c: log_sums; one thread a row.
KERNEL(losses) {
    UNUSED;
    OUT(double)[thread] = IN(double, c)[thread] - (double)IN(float, a)[thread * s.channels + IN(unsigned, b)[thread]];
}

// a: logits, b: labels, c: log_sums, d: the gradient of the mean loss; one thread a logit.
KERNEL(losses_gradient) {
    UNUSED;
    const int row = thread / s.channels, channel = thread % s.channels;
    const double target = channel == (int)IN(unsigned, b)[row] ? 1.0 : 0.0;
    const double share = exp((double)IN(float, a)[thread] - IN(double, c)[row]);
    OUT(float)[thread] = (float)((double)IN(float, d)[0] / s.rows * (share - target));
}
