from __future__ import annotations

from h2o_otel.protocol.guards import Bucket


def test_refills_with_time_up_to_its_burst() -> None:
    bucket = Bucket(2, 1.0)
    assert [bucket.take(10.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(11.0)
    assert not bucket.take(11.5)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
