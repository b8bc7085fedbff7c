"""The written sections of a review: shown, edited one by one, and saved without losing what others wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.safestring import SafeString

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError, NotFound, PreconditionFailed
from apps.foundation.markdown import to_html
from apps.incidents.admin.showing import Moment, moment
from apps.postmortems import operations
from apps.postmortems.models import Section

MOST_PREVIEWED = 50_000


@dataclass(frozen=True, slots=True)
class Editing:
    """A section that stands open: the text in its box, and the version of the row that the text was made from.

    `theirs` is what somebody else saved meanwhile, when that is why saving was refused.
    """

    section_id: int
    text: str
    version: int
    error: str = ""
    theirs: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class SectionView:
    id: int
    slug: str
    title: str
    hint: str
    required: bool
    html: SafeString | None
    by: str
    at: Moment | None
    version: int
    may_edit: bool
    url: str
    preview_url: str
    page_url: str
    editing: Editing | None
    preview: SafeString | None

    @property
    def is_missing(self) -> bool:
        """Whether it has to be written and is not yet."""
        return self.required and self.html is None


def section_view(
    section: Section, zone: ZoneInfo, at: datetime, *, may_edit: bool, editing: Editing | None = None
) -> SectionView:
    """One section as the page shows it, open when `editing` is about it."""
    own = editing if editing and editing.section_id == section.pk else None
    page = reverse("admin:postmortems_review_change", args=[section.review_id])
    return SectionView(
        id=section.pk,
        slug=section.slug,
        title=section.title,
        hint=section.hint,
        required=section.required,
        html=to_html(section.text) if section.text.strip() else None,
        by=section.edited_by.name if section.edited_by else "",
        at=moment(section.edited_at, zone, at) if section.edited_at else None,
        version=section.version,
        may_edit=may_edit,
        url=reverse("admin:postmortems_review_section", args=[section.review_id, section.pk]),
        preview_url=reverse("admin:postmortems_review_preview", args=[section.review_id]),
        page_url=f"{page}#section-{section.slug}",
        editing=own,
        preview=to_html(own.text) if own and own.text.strip() else None,
    )


def opened(section: Section) -> Editing:
    """The section as one begins to edit it."""
    return Editing(section.pk, section.text, section.version)


def saved(section: Section, text: str, version: int | None, actor: Actor) -> Editing | None:
    """Save `text`; None when that went well, else the section as it stands open, with all that was typed.

    Where somebody else saved meanwhile, both texts are shown, and saving again replaces theirs knowingly.
    """
    text = text.replace("\r\n", "\n")
    try:
        operations.edit_section(section.pk, text, expected_version=version, actor=actor)
    except PreconditionFailed:
        section.refresh_from_db()
        if text.strip() == section.text:
            return None
        by = section.edited_by.name if section.edited_by else "Somebody"
        return Editing(section.pk, text, section.version, theirs=section.text, by=by)
    except NotFound:
        raise
    except DomainError as error:
        lines = [error.message, *(line for lines in error.fields.values() for line in lines)]
        return Editing(section.pk, text, version or section.version, error=" ".join(dict.fromkeys(lines)))
    return None


def both(mine: str, theirs: str) -> str:
    """Both texts, one after the other, to be put together by hand."""
    return f"{theirs.rstrip()}\n\n{mine.lstrip()}"


def preview_html(text: str) -> SafeString:
    """The HTML of a text that is being typed. Not remembered: the next key makes another one."""
    return to_html.__wrapped__(text[:MOST_PREVIEWED])
