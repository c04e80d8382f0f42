"""Which shape is best, which shapes are nearly as good, and what does a worse one cost in compute?

python examples/shape.py [folder]
"""

from lossband.studies import shape, tell

if __name__ == "__main__":
    tell(shape)
