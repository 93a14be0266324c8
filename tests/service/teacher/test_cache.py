from service.teacher.cache import RecentAnswers


def test_an_answer_is_found_until_its_time_is_up() -> None:
    now = 0.0
    answers = RecentAnswers[str](max_size=2, ttl_seconds=10, clock=lambda: now)
    answers.store("question", "answer")
    now = 9.9
    assert answers.find("question") == "answer"
    now = 10.0
    assert answers.find("question") is None


def test_using_an_answer_does_not_make_it_younger() -> None:
    now = 0.0
    answers = RecentAnswers[str](max_size=2, ttl_seconds=10, clock=lambda: now)
    answers.store("question", "answer")
    now = 6.0
    assert answers.find("question") == "answer"
    now = 12.0
    assert answers.find("question") is None


def test_the_answer_that_was_not_used_for_longest_makes_room() -> None:
    answers = RecentAnswers[int](max_size=2, ttl_seconds=10, clock=lambda: 0.0)
    answers.store("a", 1)
    answers.store("b", 2)
    answers.find("a")
    answers.store("c", 3)
    assert [answers.find(key) for key in "abc"] == [1, None, 3]


def test_an_answer_given_again_takes_the_place_of_the_old_one() -> None:
    answers = RecentAnswers[int](max_size=2, ttl_seconds=10, clock=lambda: 0.0)
    for answer in (1, 2):
        answers.store("a", answer)
    answers.store("b", 3)
    assert [answers.find(key) for key in "ab"] == [2, 3]
