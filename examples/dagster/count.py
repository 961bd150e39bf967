"""Count the primes from one number on and below another."""

import sys
from math import isqrt

from titan.sdk import current

first, end = map(int, sys.argv[1:])
primes = sum(n > 1 and all(n % d for d in range(2, isqrt(n) + 1)) for n in range(first, end))
current().set_output(primes)
