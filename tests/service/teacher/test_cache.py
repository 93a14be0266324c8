from service.teacher.cache import RecentAnswers


def test_an_answer_is_found_until_its_ttl_is_over() -> None:
    now = 0.0
    answers = RecentAnswers[str](max_size=2, ttl_seconds=10, clock=lambda: now)
    answers.store("question", "answer")
    now = 9.9
    assert answers.find("question") == "answer"
    now = 10.0
    assert answers.find("question") is None


def test_using_an_answer_does_not_prolong_its_ttl() -> None:
    now = 0.0
    answers = RecentAnswers[str](max_size=2, ttl_seconds=10, clock=lambda: now)
    answers.store("question", "answer")
    now = 6.0
    assert answers.find("question") == "answer"
    now = 12.0
    assert answers.find("question") is None


def test_the_least_recently_used_answer_is_dropped_first() -> None:
    answers = RecentAnswers[int](max_size=2, ttl_seconds=10, clock=lambda: 0.0)
    answers.store("a", 1)
    answers.store("b", 2)
    answers.find("a")
    answers.store("c", 3)
    assert [answers.find(key) for key in "abc"] == [1, None, 3]


def test_a_new_answer_replaces_the_old_one() -> None:
    answers = RecentAnswers[int](max_size=2, ttl_seconds=10, clock=lambda: 0.0)
    for answer in (1, 2):
        answers.store("a", answer)
    answers.store("b", 3)
    assert [answers.find(key) for key in "ab"] == [2, 3]
