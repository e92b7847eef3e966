// What a step of training leaves behind.

// a: values, b: other values, of which there is a share.
KERNEL(blend) {
    UNUSED;
    OUT(float)[thread] = IN(float, a)[thread] * (1.0f - s.share) + IN(float, b)[thread] * s.share;
}

// a: weights, b: velocities, c: gradients; out: the weights and then the velocities after a step.
KERNEL(descend) {
    UNUSED;
    const float weight = IN(float, a)[thread], slope = IN(float, c)[thread] + s.weight_decay * weight;
    const float velocity = s.momentum * IN(float, b)[thread] + slope;
    OUT(float)[thread] = weight - s.learning_rate * (s.look_ahead ? slope + s.momentum * velocity : velocity);
    OUT(float)[s.threads + thread] = velocity;
}
