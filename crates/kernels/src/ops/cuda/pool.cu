// Pooling. Of a window, only what lies on the map counts.

// Of equal values the first wins; NaN always does.
FUNCTION int wins(const float value, const float best) {
    return value > best || value != value;
}

// Where an axis of the window of output `place` starts and ends on the map.
FUNCTION int begin(const int place, const int stride, const int padding) {
    const int first = place * stride - padding;
    return first > 0 ? first : 0;
}

FUNCTION int end(const int place, const int stride, const int padding, const int kernel, const int extent) {
    const int last = place * stride - padding + kernel;
    return last < extent ? last : extent;
}

// The first output whose window holds `pixel`, and one past the last.
FUNCTION int first_window(const int pixel, const int stride, const int padding, const int kernel) {
    const int before = pixel + padding - kernel;
    return before < 0 ? 0 : before / stride + 1;
}

FUNCTION int last_window(const int pixel, const int stride, const int padding, const int extent) {
    const int last = (pixel + padding) / stride + 1;
    return last < extent ? last : extent;
}

// The pixel of one image and channel that wins in the window of output (row, column).
FUNCTION int winner(const float *image, const int row, const int column, const int channel, const Sizes s) {
    int best = begin(row, s.stride, s.padding_height) * s.width + begin(column, s.stride, s.padding_width);
    float value = image[best * s.channels + channel];
    for (int y = begin(row, s.stride, s.padding_height);
         y < end(row, s.stride, s.padding_height, s.kernel_height, s.height); y++) {
        for (int x = begin(column, s.stride, s.padding_width);
             x < end(column, s.stride, s.padding_width, s.kernel_width, s.width); x++) {
            const float candidate = image[(y * s.width + x) * s.channels + channel];
            if (wins(candidate, value)) {
                best = y * s.width + x;
                value = candidate;
            }
        }
    }
    return best;
}

// a: x; one thread an output.
KERNEL(max_pool) {
    UNUSED;
    const int channel = thread % s.channels, place = thread / s.channels;
    const int column = place % s.out_width, row = place / s.out_width % s.out_height;
    const float *image = IN(float, a) + place / s.out_width / s.out_height * s.height * s.width * s.channels;
    OUT(float)[thread] = image[winner(image, row, column, channel, s) * s.channels + channel];
}

// a: x, b: gradient of the output; one thread an input, which asks every window that holds it.
KERNEL(max_pool_gradient) {
    UNUSED;
    const int channel = thread % s.channels, pixel = thread / s.channels;
    const int x = pixel % s.width, y = pixel / s.width % s.height, number = pixel / s.width / s.height;
    const float *image = IN(float, a) + number * s.height * s.width * s.channels;
    float sum = 0.0f;
    for (int row = first_window(y, s.stride, s.padding_height, s.kernel_height);
         row < last_window(y, s.stride, s.padding_height, s.out_height); row++) {
        for (int column = first_window(x, s.stride, s.padding_width, s.kernel_width);
             column < last_window(x, s.stride, s.padding_width, s.out_width); column++) {
            if (winner(image, row, column, channel, s) == y * s.width + x)
                sum += IN(float, b)[((number * s.out_height + row) * s.out_width + column) * s.channels + channel];
        }
    }
    OUT(float)[thread] = sum;
}

// a: x; one thread an output. Zeros of the border count.
KERNEL(mean_pool) {
    UNUSED;
    const int channel = thread % s.channels, place = thread / s.channels;
    const int column = place % s.out_width, row = place / s.out_width % s.out_height;
    const float *image = IN(float, a) + place / s.out_width / s.out_height * s.height * s.width * s.channels;
    float sum = 0.0f;
    for (int y = begin(row, s.stride, s.padding_height);
         y < end(row, s.stride, s.padding_height, s.kernel_height, s.height); y++) {
        for (int x = begin(column, s.stride, s.padding_width);
             x < end(column, s.stride, s.padding_width, s.kernel_width, s.width); x++)
            sum += image[(y * s.width + x) * s.channels + channel];
    }
    OUT(float)[thread] = sum / (float)(s.kernel_height * s.kernel_width);
}

// a: gradient of the output; one thread an input.
KERNEL(mean_pool_gradient) {
    UNUSED;
    const int channel = thread % s.channels, pixel = thread / s.channels;
    const int x = pixel % s.width, y = pixel / s.width % s.height, number = pixel / s.width / s.height;
    const float area = (float)(s.kernel_height * s.kernel_width);
    float sum = 0.0f;
    for (int row = first_window(y, s.stride, s.padding_height, s.kernel_height);
         row < last_window(y, s.stride, s.padding_height, s.out_height); row++) {
        for (int column = first_window(x, s.stride, s.padding_width, s.kernel_width);
             column < last_window(x, s.stride, s.padding_width, s.out_width); column++)
            sum += IN(float, a)[((number * s.out_height + row) * s.out_width + column) * s.channels + channel] / area;
    }
    OUT(float)[thread] = sum;
}

// a: x; one thread an image's channel.
KERNEL(global_mean) {
    UNUSED;
    const int channel = thread % s.channels, pixels = s.height * s.width;
    const float *image = IN(float, a) + thread / s.channels * pixels * s.channels;
    float sum = 0.0f;
    for (int pixel = 0; pixel < pixels; pixel++)
        sum += image[pixel * s.channels + channel];
    OUT(float)[thread] = sum / (float)pixels;
}

// a: gradient [images, channels]; one thread an input.
KERNEL(global_mean_gradient) {
    UNUSED;
    const int pixels = s.height * s.width, image = thread / s.channels / pixels;
    OUT(float)[thread] = IN(float, a)[image * s.channels + thread % s.channels] / (float)pixels;
}
