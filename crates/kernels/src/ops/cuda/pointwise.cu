// Operations that treat every pixel alike.

// max(x, 0) that lets NaN through.
FUNCTION float rectified(const float value) {
    return value < 0.0f ? 0.0f : value;
}

// a: x.
KERNEL(rectify) {
    UNUSED;
    OUT(float)[thread] = rectified(IN(float, a)[thread]);
}

// a: what max(x, 0) yielded, b: its gradient.
KERNEL(gate) {
    UNUSED;
    OUT(float)[thread] = IN(float, a)[thread] <= 0.0f ? 0.0f : IN(float, b)[thread];
}

// a: x, b: scale of each channel, c: shift of each channel, d: what is added, or nothing.
KERNEL(affine) {
    UNUSED;
    const int channel = thread % s.channels;
    float value = IN(float, a)[thread] * IN(float, b)[channel] + IN(float, c)[channel];
    if (d)
        value += IN(float, d)[thread];
    OUT(float)[thread] = s.relu ? rectified(value) : value;
}

// a: x, b: factor of each channel.
KERNEL(scale) {
    UNUSED;
    OUT(float)[thread] = IN(float, a)[thread] * IN(float, b)[thread % s.channels];
}

// a: x, b: what is added to each channel, c: what is added to each value, or nothing.
KERNEL(finish) {
    UNUSED;
    float value = IN(float, a)[thread] + IN(float, b)[thread % s.channels];
    if (c)
        value += IN(float, c)[thread];
    OUT(float)[thread] = s.relu ? rectified(value) : value;
}

// a: x. Every stride-th pixel, with padding_width channels of zeros before and after; one thread an output.
KERNEL(subsample) {
    UNUSED;
    const int channel = thread % s.out_channels - s.padding_width;
    const int place = thread / s.out_channels;
    const int column = place % s.out_width, row = place / s.out_width % s.out_height;
    const int image = place / s.out_width / s.out_height;
    const int pixel = (image * s.height + row * s.stride) * s.width + column * s.stride;
    const int real = channel >= 0 && channel < s.channels;
    OUT(float)[thread] = real ? IN(float, a)[pixel * s.channels + channel] : 0.0f;
}

// a: the gradient of what subsample yielded; one thread an input.
KERNEL(subsample_gradient) {
    UNUSED;
    const int channel = thread % s.channels, pixel = thread / s.channels;
    const int column = pixel % s.width, row = pixel / s.width % s.height, image = pixel / s.width / s.height;
    const int taken = row % s.stride == 0 && column % s.stride == 0;
    const int place = (image * s.out_height + row / s.stride) * s.out_width + column / s.stride;
    OUT(float)[thread] = taken ? IN(float, a)[place * s.out_channels + s.padding_width + channel] : 0.0f;
}
