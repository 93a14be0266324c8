"""Windows and their periods, at ten past noon on 2 January 1970, UTC: 130,200 s."""

import pytest

from service.stores.counts.windows import KEPT_PERIODS, WINDOWS, Period, WindowName, periods_at

NOW = 24 * 3_600 + 12 * 3_600 + 10 * 60


def test_a_window_is_the_running_period_and_the_ones_before_it() -> None:
    """Six hours until noon are the hours 30 to 35, and the running one is 36."""
    assert WINDOWS["6h"].periods(NOW) == [Period(3_600, number) for number in range(36, 29, -1)]
    assert WINDOWS["6h"].periods_before(NOW) == [Period(3_600, n) for n in range(29, 23, -1)]


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("1h", 3_600), ("6h", 21_600), ("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000)],
)
def test_a_window_reaches_back_by_its_name_and_by_less_than_a_period_more(
    name: WindowName, seconds: int
) -> None:
    window = WINDOWS[name]
    begin = window.periods(NOW)[-1].begin
    assert NOW - seconds - window.period_seconds < begin <= NOW - seconds
    assert window.periods_before(NOW)[-1].begin == begin - seconds


def test_periods_are_kept_for_as_long_as_a_window_needs_them() -> None:
    """Twice 6 periods of ten minutes, twice 24 of an hour, twice 30 of a day, and the running."""
    assert KEPT_PERIODS == {600: 13, 3_600: 49, 86_400: 61}
    oldest = WINDOWS["1h"].periods_before(NOW)[-1]
    assert oldest.begin == NOW - 7_200
    assert oldest.expires_at == NOW + 600
    assert (oldest.end, oldest.number) == (NOW - 6_600, 205)


def test_a_time_lies_in_a_period_of_each_length_until_no_window_needs_it() -> None:
    assert list(periods_at(NOW, NOW)) == [Period(600, 217), Period(3_600, 36), Period(86_400, 1)]
    assert list(periods_at(NOW, NOW + 2 * 3_600 + 600)) == [Period(3_600, 36), Period(86_400, 1)]
    assert list(periods_at(NOW, NOW + 60 * 86_400)) == [Period(86_400, 1)]
    assert list(periods_at(NOW, NOW + 61 * 86_400)) == []
