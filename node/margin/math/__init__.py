"""Transcendental functions that give the same bytes on every machine.

    exp, ln, sqrt, power       of floats or float64 arrays, element by element
    normal_cdf, normal_pdf     of the standard normal distribution

Beside them `products` (of sparse integer rows with tables) and `amounts` (arrays of money beyond 64 bits) are exact.

Library versions of these differ between processors and releases in the last bits, and what differs cannot be
signed. Here each is a fixed sequence of the IEEE operations + - * / sqrt, of comparisons and of bit moves, all of which
IEEE 754 defines exactly; each NumPy call is one such operation, so nothing is fused, reordered or summed in lanes. A
float and an array of it give equal bytes. Infinities are answered as in the limit, and what has no answer is one NaN,
always the same bytes; nothing is raised.

Must not know what the numbers mean.
"""

from node.margin.math.elementary import FloatArray, exp, ln, power, sqrt
from node.margin.math.normal import normal_cdf, normal_pdf

__all__ = ["FloatArray", "exp", "ln", "normal_cdf", "normal_pdf", "power", "sqrt"]
