import json
from typing import Any

from localcluster.nodes import stages


def weight(stage: dict[str, Any]) -> int:
    return int(stage["spec"]["weight"])


def test_added_stages_have_a_higher_weight_than_the_defaults() -> None:
    assert {weight(stage) for stage in stages.default_stages()} == {0}
    assert weight(stages.finish_pods("mine")) > 0
    assert weight(stages.keep_pods_pending("mine", reason="ErrImagePull")) > 0


def test_stage_keeps_quotes_and_backquotes_of_a_message() -> None:
    template = stages.finish_pods("a", message='say "no" `now`')["spec"]["steps"][0]["patch"]["template"]
    assert json.dumps('say "no" `now`') in template
