"""What all tests share: law tests draw the same examples every time, on machines of any speed."""

import signal

from hypothesis import HealthCheck, settings

# Started in the background of a script, tests would pass "ignore Ctrl-C" on to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "fedpet",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fedpet")
