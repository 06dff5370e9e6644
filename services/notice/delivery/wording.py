"""What changes by a version, in the words of a mail: a sentence for each material change, by language."""

from __future__ import annotations

from collections.abc import Mapping

from services.notice.content import Version
from services.notice.materiality import Change, compare
from services.notice.terms import Language, Terms

_MOST = 40
"""Changes that a mail lists; the page shows them all."""
_CHINESE = {
    "Data is collected that was not before": "新增收集以下数据",
    "The item may come from a source not told before": "数据可来自此前未告知的来源",
    "The item was collected only when a Customer asked for it by name": "此前仅应客户要求收集，现为必需",
    "Data may be read for a purpose never told": "数据可用于此前未告知的目的",
    "Data goes to somebody not named before": "数据将提供给此前未列明的接收方",
    "Data may go to a region not named before": "数据可传输至此前未列明的地区",
    "A right that was supported no longer is": "不再支持以下权利",
}
_KEPT_LONGER = "Data is kept longer"
_BY_ITS_AUTHOR: Mapping[Language, str] = {
    "en": "The text changes; the terms that say what is collected do not",
    "zh": "文本有变更；规定收集内容的条款未变",
}
_MORE: Mapping[Language, str] = {"en": "and {count} more, on the page", "zh": "另有 {count} 项，见页面"}


def clauses(previous: Version | None, version: Version) -> Mapping[Language, tuple[str, ...]]:
    """The sentences by language."""
    before = previous.terms if previous else None
    material = [change for change in compare(before, version.terms) if change.material]
    return {language: _sentences(material, before, version.terms, language) for language in _BY_ITS_AUTHOR}


def _sentences(
    material: list[Change], before: Terms | None, after: Terms, language: Language
) -> tuple[str, ...]:
    if not material:
        return (_BY_ITS_AUTHOR[language],)
    told = [_sentence(change, before, after, language) for change in material[:_MOST]]
    if len(material) > _MOST:
        told.append(_MORE[language].format(count=len(material) - _MOST))
    return tuple(told)


def _sentence(change: Change, before: Terms | None, after: Terms, language: Language) -> str:
    if change.clause == "retention_days":
        days = (before.retention_days if before else 0, after.retention_days)
        if language == "zh":
            return f"数据保存期限由 {days[0]} 天延长至 {days[1]} 天"
        return f"{_KEPT_LONGER}: {days[1]} days instead of {days[0]}"
    what = _named(change.clause, after, language)
    if language == "zh":
        return f"{_CHINESE.get(change.reason, '条款有实质变更')}：{what}"
    return f"{change.reason}: {what}"


def _named(clause: str, terms: Terms, language: Language) -> str:
    """The item's name for people with its code; the clause where it is of no item."""
    if not clause.startswith("items."):
        return clause.partition(".")[2] or clause
    code = clause.removeprefix("items.").partition(".sources.")[0].removesuffix(".optional")
    item = terms.item(code)
    name = (item.name or {}).get(language) if item else None
    return f"{name} ({code})" if name else code
