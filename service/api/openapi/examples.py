"""OpenAPI examples, with films of the shipped bundle, `assets/movielens/bundle`.

`document.py` finds the example of a body by the name of its schema, and that of a parameter by the
parameter's name.
"""

from collections.abc import Mapping
from typing import Any

from service.setting_parts.variants import DEFAULT_VARIANT

# A made-up version. It is not read from the shipped bundle, because the service's image and wheel
# do not have that folder. It is not that of the served bundle either, because the OpenAPI schema
# should not change with the bundle.
_VERSION = "df3f0a722b4a"
_RECOMMENDATION_ID = "0192d8c4a7e07b3f8d21c0a95e6f4417a3b1f0c2d4e58697"
_TITLES = {
    "1": "Toy Story (1995)",
    "32": "Twelve Monkeys (a.k.a. 12 Monkeys) (1995)",
    "260": "Star Wars: Episode IV - A New Hope (1977)",
    "364": "The Lion King (1994)",
    "588": "Aladdin (1992)",
    "780": "Independence Day (a.k.a. ID4) (1996)",
    "1196": "Star Wars: Episode V - The Empire Strikes Back (1980)",
    "1198": "Raiders of the Lost Ark (Indiana Jones and the Raiders of the Lost Ark) (1981)",
    "1210": "Star Wars: Episode VI - Return of the Jedi (1983)",
}


def _ranked(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"item_id": item_id, "title": _TITLES[item_id], "score": score}
        for item_id, score in scores.items()
    ]


def _item(item_id: str, popularity: int, year: str, *genres: str) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "title": _TITLES[item_id],
        "popularity": popularity,
        "attributes": {"genres": list(genres), "year": [year]},
    }


def _explained_by_toy_story(item_id: str, score: float, score_drop: float) -> dict[str, Any]:
    reason = {"item_id": "1", "title": _TITLES["1"], "score_drop": score_drop}
    return {"item_id": item_id, "title": _TITLES[item_id], "score": score, "reasons": [reason]}


def _recommendations(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "recommendation_id": _RECOMMENDATION_ID,
        "model_version": _VERSION,
        "variant": DEFAULT_VARIANT,
        "source": "student",
        "degraded": False,
        "unknown_items": 0,
        "items": list(items),
    }


_STAR_WARS = _item("260", 220, "1977", "Action", "Adventure", "Sci-Fi")
_EMPIRE = _item("1196", 173, "1980", "Action", "Adventure", "Sci-Fi")
_AFTER_STAR_WARS = _recommendations(*_ranked({"1210": 8.168, "1196": 7.453}))
_STUDENTS = _ranked({"1210": 6.650, "260": 5.766, "780": 5.744})
_TEACHERS = _ranked({"1210": -0.318, "1198": -0.355, "260": -0.361})
_TEACHER = {
    "model_version": "4b71c09d5e2f6a38",
    "source": "teacher",
    "cached": False,
    "generated_text": None,
}
_QUERY = {"history": ["1", "1196", "2571"], "k": 3}
_EVENT = {
    "model_version": _VERSION,
    "variant": DEFAULT_VARIANT,
    "stored": True,
    "reason": None,
    "logged": None,
    "degraded": False,
}
_FIGURE = {
    "row": "popularity",
    "student": "",
    "teacher_free": True,
    "protocol": "validation",
    "split": "test",
    "targets": "all",
    "metric": "NDCG@20",
    "mean": 0.0316,
    "low": 0.0281,
    "high": 0.0353,
    "seeds": 1,
}
_RATE = {"estimate": 0.103, "low": 0.097, "high": 0.109}
_LIVE_FIGURES = {
    "variant": DEFAULT_VARIANT,
    "model_version": _VERSION,
    "source": "student",
    "impressions": 41_210,
    "followed": 30_877,
    "clicks_by_place": [1_830, 1_004, 655, 430, 326],
    "click_through": _RATE,
    "conversion": {"estimate": 0.012, "low": 0.01, "high": 0.014},
    "value": {"estimate": 0.31, "low": 0.24, "high": 0.38},
    "next_item_hit": {"estimate": 0.14, "low": 0.132, "high": 0.148},
}
_VARIANT = {
    "variant": DEFAULT_VARIANT,
    "weight": 1.0,
    "model_version": _VERSION,
    "bundle": _VERSION,
    "previous_bundle": "9c41e88a02f7",
    "refused": None,
}

_MODEL: Mapping[str, Any] = {
    "schema_version": 4,
    "model_version": _VERSION,
    "origin": "distilled",
    "student": "sasrec",
    "max_history_length": 50,
    "num_items": 3496,
    "protocol": "validation",
    "trained_until": None,
    "metrics": {"test": {"examples": 8944, "HR@20": 0.1398, "NDCG@20": 0.0581}},
    "figures": [_FIGURE],
    "verdict": "On 8,944 test examples the student is above popularity.",
    "parity_error": 4.8e-06,
    "scorer": None,
    "provenance": {"commit": "81151575aaa3", "dataset": {"name": "movielens"}},
    "variants": [_VARIANT],
}

BODIES: Mapping[str, Any] = {
    "RecommendationQuery": _QUERY,
    "RecommendationRequest": {
        "history": ["1", "1196"],
        "exclude": ["3114"],
        "allow": {"genres": ["Animation"]},
        "k": 2,
        "explain": True,
    },
    "RecommendationAnswer": _recommendations(
        _explained_by_toy_story("588", 4.752, 2.159), _explained_by_toy_story("364", 4.555, 2.182)
    ),
    "BatchRequest": {
        "requests": [{"history": ["1", "1196"], "k": 2}, {"session_id": "ada", "k": 2}]
    },
    "BatchAnswer": {
        "answers": [
            _recommendations(*_ranked({"1210": 7.042, "32": 6.242})),
            _AFTER_STAR_WARS,
        ]
    },
    "NewEvent": {
        "item_id": "260",
        "event_id": "click-1",
        "event_type": "click",
        "recommendation_id": _RECOMMENDATION_ID,
    },
    "NewEvents": {
        "events": [
            {"session_id": "ada", "item_id": "260", "event_id": "click-1"},
            {"session_id": "bob", "item_id": "1", "event_type": "purchase", "value": 9.99},
        ]
    },
    "EventsAnswer": {
        "events": [
            {"stored": True, "reason": None, "logged": True, "detail": None},
            {
                "stored": False,
                "reason": "invalid",
                "logged": False,
                "detail": "item_id: Field required",
            },
        ]
    },
    "EventAnswer": _EVENT,
    "EventRecommendationAnswer": {**_AFTER_STAR_WARS, **_EVENT},
    "SessionAnswer": {"session_id": "ada", "history": ["260"], "degraded": False},
    "ItemAnswer": _STAR_WARS,
    "ItemsAnswer": {"items": [_STAR_WARS, _EMPIRE]},
    "SimilarItemsAnswer": {
        "model_version": _VERSION,
        "items": _ranked({"1210": 0.763, "1196": 0.700}),
    },
    "SimilarItemsRequest": {"k": 2, "allow": {"genres": ["Sci-Fi"]}, "diversity": 0.3},
    "PopularItemsAnswer": {
        "model_version": _VERSION,
        "degraded": False,
        "since": 1_788_134_400_000,
        "events": 5_120,
        "events_before": 4_810,
        "items": [
            {
                "item_id": "588",
                "title": _TITLES["588"],
                "score": 0.695,
                "events": 96,
                "events_before": 40,
            },
        ],
    },
    "PopularItemsRequest": {
        "k": 2,
        "window": "24h",
        "order": "trending",
        "allow": {"genres": ["Animation"]},
        "max_per": {"genres": 1},
    },
    "ChangedItems": {
        "items": [{"item_id": "260", "hidden": True}, {"item_id": "new-1", "title": "No"}]
    },
    "ChangedItemsAnswer": {
        "processed": 2,
        "failed": 1,
        "failures": [{"place": 1, "item_id": "new-1", "status": 503, "detail": "no teacher"}],
    },
    "NewItem": {
        "item_id": "new-1",
        "title": "Toy Story 5 (2026)",
        "attributes": {"genres": ["Animation"], "year": ["2026"]},
    },
    "ItemPatch": {"hidden": True},
    "ItemEditAnswer": {"item_id": "new-1", "hidden": True, "title": None, "attributes": None},
    "AddedItemAnswer": {
        "item_id": "new-1",
        "title": "Toy Story 5 (2026)",
        "popularity": 0,
        "attributes": {"genres": ["Animation"], "year": ["2026"]},
        "variants": [DEFAULT_VARIANT],
    },
    "TeacherRecommendationAnswer": {**_recommendations(*_TEACHERS), **_TEACHER},
    "ComparisonAnswer": {
        "variant": DEFAULT_VARIANT,
        "degraded": False,
        "unknown_items": 0,
        "student": {
            "model_version": _VERSION,
            "source": "student",
            "latency_ms": 0.214,
            "items": _STUDENTS,
        },
        "teacher": {**_TEACHER, "latency_ms": 715.0, "items": _TEACHERS},
        "overlap": 2 / 3,
        "rank_correlation": 1 / 3,
    },
    "ExamplesAnswer": {"histories": [[_STAR_WARS, _EMPIRE]]},
    "ModelAnswer": _MODEL,
    "OperationsAnswer": {
        "replica": "recommender-6b9f",
        "read_at": 1_788_220_800_000,
        "model": _MODEL,
        "samples": [{"name": "recommender_added_items", "labels": {}, "value": 0.0}],
    },
    "ExperimentsAnswer": {
        "begin": None,
        "made_at": 1_788_220_800_000,
        "figures": [_LIVE_FIGURES],
        "comparisons": [
            {
                "variant": "b",
                "against": DEFAULT_VARIANT,
                "metric": "click_through",
                "difference": {"estimate": 0.011, "low": 0.002, "high": 0.02},
                "ahead": "b",
                "impressions_for_a_tenth": None,
            }
        ],
        "drift": {
            "model_version": _VERSION,
            "begin": 1_787_616_000_000,
            "events": 4_120,
            "unknown_items": 0.031,
            "head": 0.47,
            "head_in_training": 0.5,
            "busiest_session": 0.004,
        },
    },
    "Activation": {"bundle": _VERSION, "variant": DEFAULT_VARIANT},
    "Rollback": {"variant": DEFAULT_VARIANT},
    "VariantAnswer": _VARIANT,
    "HealthAnswer": {"status": "ok"},
    "ReadinessAnswer": {
        "status": "ready",
        "degraded": False,
        "history_store": "reachable",
        "history_writes": "working",
        "last_write_at": 1_788_220_800_000,
        "teacher": "connected",
        "model_version": _VERSION,
    },
}

TEXT = (
    "# HELP recommender_variant_info Served bundles.\n"
    "# TYPE recommender_variant_info gauge\n"
    f'recommender_variant_info{{model_version="{_VERSION}",student="sasrec",'
    f'variant="{DEFAULT_VARIANT}"}} 1.0\n'
)

PARAMETERS: Mapping[str, Any] = {
    "item_id": "260",
    "session_id": "ada",
    "user_id": "customer-7",
    "k": 2,
    "query": "star wars",
    "limit": 2,
    "window": "24h",
    "order": "trending",
    "event_type": "purchase",
}
