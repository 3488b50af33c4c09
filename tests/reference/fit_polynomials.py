#!/usr/bin/env python3
"""Fits the polynomials of deberta-kernels/src/vecmath and prints them as Rust constants.

Chebyshev interpolation in high precision, which is within a small factor of the minimax polynomial.
Needs mpmath 1.3.0. Deterministic.
"""
import mpmath as mp

mp.mp.dps = 50


def fit(function, low, high, degree):
    """Coefficients, lowest power first, and the largest absolute error on a fine grid."""
    low, high = mp.mpf(low), mp.mpf(high)
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    matrix = mp.matrix(n, n)
    values = mp.matrix(n, 1)
    for i, x in enumerate(nodes):
        values[i] = function(x)
        for j in range(n):
            matrix[i, j] = x**j
    solution = mp.lu_solve(matrix, values)
    coefficients = [solution[i] for i in range(n)]
    error = max(
        abs(mp.polyval(coefficients[::-1], x) - function(x))
        for x in (low + (high - low) * mp.mpf(i) / 500 for i in range(501))
    )
    return coefficients, error


def show(name, coefficients, error):
    print(f"// largest error of the fit: {mp.nstr(error, 3)}")
    print(f"const {name}: [f32; {len(coefficients)}] = [")
    for c in coefficients:
        print(f"    {mp.nstr(c, 10, min_fixed=-3, max_fixed=3)},")
    print("];")


# exp(r) = 1 + r + r^2·P(r) for |r| <= ln(2)/2
half_ln2 = mp.log(2) / 2
show("EXP", *fit(lambda r: (mp.exp(r) - 1 - r) / r**2 if abs(r) > mp.mpf(10) ** -20 else mp.mpf(1) / 2,
                 -half_ln2 * 1.001, half_ln2 * 1.001, 4))

# 2^r = 1 + r·P(r) for |r| <= 1/2
show("EXP2", *fit(lambda r: (mp.mpf(2) ** r - 1) / r if abs(r) > mp.mpf(10) ** -20 else mp.log(2),
                  -mp.mpf("0.5005"), mp.mpf("0.5005"), 5))

# erfc(t) = exp(-t^2)·z·P(z), z = 1 / (1 + t/2)
def scaled(z):
    t = 2 * (1 / z - 1)
    # for large t the asymptotic value: exp(t^2)·erfc(t) -> 1/(t·sqrt(pi))
    value = mp.exp(t * t) * mp.erfc(t) if t < 60 else (1 - 1 / (2 * t * t)) / (t * mp.sqrt(mp.pi))
    return value / z
show("ERFC", *fit(scaled, mp.mpf(1) / 8, 1, 9))

# tanh(x) = x + x^3·P(x^2) for |x| <= 0.625
def tanh_tail(s):
    x = mp.sqrt(s)
    return (mp.tanh(x) - x) / x**3
show("TANH", *fit(tanh_tail, mp.mpf(10) ** -12, mp.mpf("0.4"), 5))
