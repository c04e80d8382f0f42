"""How long JAX has spent tracing, lowering and compiling in this process."""

import time

EVENTS = ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration")


class Compiling:
    """A clock of JAX's compilation from its making on: `seconds` counts what overlaps once."""

    def __init__(self):
        import jax

        self.spans = []
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event, duration, **_):
        if event.endswith(EVENTS):
            now = time.perf_counter()
            self.spans.append((now - duration, now))

    @property
    def seconds(self):
        total, reached = 0.0, float("-inf")
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total
