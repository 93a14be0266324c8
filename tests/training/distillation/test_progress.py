"""What a run tells of itself while it goes on."""

from training.distillation.progress import epochs_bar


def test_epochs_of_before_a_kill_do_not_make_it_look_quick() -> None:
    with epochs_bar("resumed", 10, done=4) as bar:
        bar.update(1)
        facts = bar.format_dict
    assert (facts["n"], facts["initial"], facts["total"]) == (5, 4, 10)
