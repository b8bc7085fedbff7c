"""Canaries at sources over real HTTP: begun, ended, lost halfway, and sources that do not obey."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.models import Change
from apps.foundation.errors import Conflict
from apps.state import operations
from apps.state.live import LiveUnreachable
from apps.state.models import ConfigDocument
from apps.state.queries import preview_restore
from tests.state.conftest import BROKEN, HEALTHY, Source, source
from tests.state.making import PORTAL, again, at_source, held_here, origins

__all__ = ["source"]
pytestmark = pytest.mark.django_db
BETTER: dict[str, Any] = {"economy": {"drop_rate": 0.04, "gold_per_kill": 12}, "api_key": "k-123456"}


def begin(document: ConfigDocument, content: Any = BETTER, key: str = "try-1", percentage: int = 10) -> Any:
    return operations.start_canary(document.pk, content, percentage=percentage, effect_key=key, actor=PORTAL)


def obeying(source: Source) -> ConfigDocument:
    source.knows_canaries = True
    return at_source(source.url)


def test_a_share_gets_it_the_others_keep_what_is_live_and_a_repeat_does_nothing(source: Source) -> None:
    document = obeying(source)
    begin(document)
    assert (source.version, source.document) == (1, HEALTHY)
    assert source.canary == {"percentage": 10, "document": BETTER}
    begin(document)
    assert (len(source.puts), origins(document)) == (1, ["observed", "backup"])
    assert Change.objects.filter(title__startswith="A canary of 10 %").count() == 1


def test_it_ends_without_going_live_and_another_one_stays(source: Source) -> None:
    document = obeying(source)
    begin(document)
    given: dict[str, Any] = {"effect_key": "end", "reason": "enough", "actor": PORTAL}
    assert operations.end_canary(document.pk, expected="0" * 64, **given) is False
    assert source.canary is not None
    checksum = _canary_checksum(document)
    assert operations.end_canary(document.pk, expected=checksum, **given) is True
    assert operations.end_canary(document.pk, expected=checksum, **given) is False
    assert (source.canary, source.version, source.document) == (None, 1, HEALTHY)
    assert source.puts[-1]["document"] == HEALTHY  # a source that ignored this percentage would change nothing


def _canary_checksum(document: ConfigDocument) -> str:
    live = preview_restore(again(document)).live
    assert live is not None
    assert live.canary is not None
    return live.canary.checksum


def test_a_source_that_ignores_the_percentage_gets_back_what_was_live_and_both_are_told(source: Source) -> None:
    document = at_source(source.url)
    with pytest.raises(Conflict) as refused:
        begin(document)
    assert refused.value.code == "not_verified"
    assert "ignored the percentage" in refused.value.message
    assert "What was live before was put back at once." in refused.value.message
    assert (source.document, len(source.puts), "percentage" in source.puts[1]) == (HEALTHY, 2, False)
    assert Change.objects.filter(title__contains="ignored the percentage").exists()
    assert operations.capture(document.pk, actor=PORTAL).content == HEALTHY


def test_what_could_not_be_put_back_is_told(source: Source) -> None:
    document = at_source(source.url)
    source.before_put = lambda: setattr(source, "version", 99) if len(source.puts) > 1 else None
    with pytest.raises(Conflict, match=r"could not be put back: .* was changed in the meantime"):
        begin(document)


def test_an_attempt_that_was_lost_before_reading_back_still_puts_it_back(source: Source) -> None:
    document = at_source(source.url)

    def dies(handler: Any) -> bool:
        handler.send(500, b"{}")
        return True

    source.behave = lambda handler: dies(handler) if source.puts else False
    with pytest.raises(LiveUnreachable):
        begin(document)
    assert source.document == BETTER
    source.behave = None
    with pytest.raises(Conflict, match="put back at once"):
        begin(document)
    assert source.document == HEALTHY


def test_an_attempt_that_was_lost_after_it_worked_is_found_and_not_sent_again(source: Source) -> None:
    document = obeying(source)
    source.behave = lambda handler: source.puts != [] and (handler.send(500, b"{}"), True)[1]
    with pytest.raises(LiveUnreachable):
        begin(document)
    source.behave = None
    assert operations.probe_canary(document.pk, BETTER, percentage=10, effect_key="try-1", actor=PORTAL)
    assert not operations.probe_canary(document.pk, BETTER, percentage=10, effect_key="other", actor=PORTAL)
    begin(document)
    assert (len(source.puts), source.keys) == (1, ["try-1"])
    assert Change.objects.filter(title__startswith="A canary of 10 %").count() == 1


def test_one_percentage_shown_for_another_is_ended(source: Source) -> None:
    document = obeying(source)

    def most(handler: Any) -> bool:
        source.canary = source.canary and {**source.canary, "percentage": 50}
        return False

    source.behave = most
    with pytest.raises(Conflict, match=r"shows 50 % instead of 10 %. The canary was ended at once"):
        begin(document)
    assert (source.canary, source.document) == (None, HEALTHY)


def test_a_canary_of_somebody_else_is_refused_with_what_it_is(source: Source) -> None:
    document = obeying(source)
    source.canary = {"percentage": 30, "document": BROKEN}
    with pytest.raises(Conflict) as refused:
        begin(document)
    assert refused.value.code == "canary_runs"
    assert "A canary of 30 %" in refused.value.message
    assert "economy.drop_rate" in refused.value.message
    assert source.puts == []


def test_a_document_held_here_has_no_canary() -> None:
    with pytest.raises(Conflict, match="held by the portal itself") as refused:
        begin(held_here())
    assert refused.value.code == "no_canary_here"


def test_a_restore_ends_a_canary_also_where_the_baseline_is_live(source: Source) -> None:
    document = obeying(source)
    source.canary = {"percentage": 30, "document": BROKEN}
    assert preview_restore(again(document)).is_needed
    done = operations.restore(document.pk, expected_checksum=None, effect_key="run", reason="ill", actor=PORTAL)
    assert (done.changed, source.canary, source.document) == (False, None, HEALTHY)


def test_an_edit_ends_a_canary_and_makes_its_document_live_for_all(source: Source) -> None:
    document = obeying(source)
    begin(document)
    revision = again(document).revision
    made = operations.edit_config(document.pk, BETTER, expected_revision=revision, actor=PORTAL)
    assert (source.canary, source.document, made.content) == (None, BETTER, BETTER)


def test_a_canary_that_says_no_percentage_is_no_answer(source: Source) -> None:
    document = obeying(source)
    source.canary = {"percentage": True, "document": BETTER}
    with pytest.raises(LiveUnreachable, match="a canary without a `percentage`"):
        begin(document)
