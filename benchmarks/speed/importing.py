"""How long one import takes, in this process: prints seconds as JSON.

python -m benchmarks.speed.importing jax 0
"""

import json
import sys
import time


def main():
    started = time.perf_counter()
    name, _, attribute = sys.argv[1].partition(".")
    module = __import__(name)
    if attribute:
        getattr(module, attribute)
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
