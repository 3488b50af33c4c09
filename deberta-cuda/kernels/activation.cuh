// Activation functions, numbered as in src/activation.rs.
#pragma once
#include "portable.cuh"

const int IDENTITY = 0, GELU = 1;

// The share of a normal distribution below x.
DEVI float normal_share(float x) { return 0.5f * (1.0f + erff(0.70710678118654752f * x)); }
DEVI float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

DEVI float activate(int kind, float x) {
  switch (kind) {
    case GELU: return x * normal_share(x);  // exactly: not the form with tanh
    case 2: return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case 3: return fminf(fmaxf(x * normal_share(x), -10.0f), 10.0f);
    case 4: return x * sigmoid(1.702f * x);
    case 5: return x > 0.0f || x != x ? x : 0.0f;
    case 6: return x != x ? x : fminf(fmaxf(x, 0.0f), 6.0f);
    case 7: return x > 0.0f || x != x ? x * x : 0.0f;
    case 8: return x > 0.0f ? x : 0.01f * x;
    case 9: return x * sigmoid(x);
    case 10: return sigmoid(x);
    case 11: return tanhf(x);
    case 12: return x * tanhf(x > 20.0f ? x : log1pf(expf(x)));
    case 13: return normal_share((x - 0.707107f) * (1.0f / 0.282095f));
    default: return x;
  }
}
