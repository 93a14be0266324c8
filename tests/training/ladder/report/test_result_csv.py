from training.evaluation.intervals import Interval
from training.ladder.report.result_csv import interval_cells


def test_a_figure_of_the_csv_file_rounds_to_the_one_of_the_report() -> None:
    interval = Interval(mean=0.04444996, low=0.02915004, high=0.05)
    cells = [f"{float(each):.4f}" for each in interval_cells(interval)]
    assert cells == ["0.0444", "0.0292", "0.0500"]  # of 0.044450 and 0.029150: 0.0445, 0.0291
