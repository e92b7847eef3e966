// The linear layer: x [rows, channels], weights [out_channels, channels], biases [out_channels].

// a: x, b: weights, c: biases; one thread an output.
KERNEL(linear) {
    UNUSED;
    const float *x = IN(float, a) + thread / s.out_channels * s.channels;
    const float *weights = IN(float, b) + thread % s.out_channels * s.channels;
    float sum = IN(float, c)[thread % s.out_channels];
    for (int channel = 0; channel < s.channels; channel++)
        sum += x[channel] * weights[channel];
    OUT(float)[thread] = sum;
}

// a: gradient [rows, out_channels], b: weights; one thread a value of x.
KERNEL(linear_input_gradient) {
    UNUSED;
    const int channel = thread % s.channels;
    const float *gradient = IN(float, a) + thread / s.channels * s.out_channels;
    float sum = 0.0f;
    for (int output = 0; output < s.out_channels; output++)
        sum += gradient[output] * IN(float, b)[output * s.channels + channel];
    OUT(float)[thread] = sum;
}

// a: x, b: gradient [rows, out_channels]; one thread a weight.
KERNEL(linear_weight_gradient) {
    UNUSED;
    const int channel = thread % s.channels, output = thread / s.channels;
    float sum = 0.0f;
    for (int row = 0; row < s.rows; row++)
        sum += IN(float, b)[row * s.out_channels + output] * IN(float, a)[row * s.channels + channel];
    OUT(float)[thread] = sum;
}
