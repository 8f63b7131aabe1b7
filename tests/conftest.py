"""What all tests share: law tests draw the same examples every time, on machines of any speed."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fedpet",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fedpet")
