"""What history, differences and banners say, in each language that is shipped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.notice.lifecycle import State
from services.notice.materiality import Change
from services.notice.terms import Language


@dataclass(frozen=True, slots=True)
class PageWords:
    """Sentences with `{...}` are filled by the pages."""

    history: str
    history_text: str
    change_from: str
    change_title: str
    back: str
    banner: str
    banner_open: str
    read_it: str
    what_changes: str
    older: str
    announced_page: str
    unknown_title: str
    unknown_text: str
    withdrawn_title: str
    withdrawn_text: str
    terms_heading: str
    text_heading: str
    no_terms: str
    no_text: str
    legend: str
    clause: str
    change: str
    material: str
    unchanged: str
    table: str
    announced: str
    from_when: str
    not_before: str
    until: str
    withdrawn: str
    feed: str
    states: Mapping[State, str]
    reasons: Mapping[tuple[str, bool], str]
    """By what changed and whether it is material; empty: as the judgement says it."""

    def reason(self, change: Change) -> str:
        """Why a change is material, or why it is not."""
        return self.reasons.get((kind_of(change.clause), change.material), change.reason)


def kind_of(clause: str) -> str:
    """What sort of clause it is: `items`, `sources`, `optional`, or the name of the field."""
    field, _, rest = clause.partition(".")
    if field != "items":
        return field
    found = re.search(r"\.(?:(optional)|(sources)\.(?:customer|sdk))$", rest)
    return (found[1] or found[2]) if found else field


_ENGLISH = PageWords(
    history="All versions",
    history_text="Every version that was ever announced, the newest first. Each keeps its address for good.",
    change_from="What changed from version {number}",
    change_title="What changed from version {before} to version {after}",
    back="The notice in force",
    banner="A new version has been announced. It takes effect on {date}.",
    banner_open=(
        "A new version has been announced. It takes effect on {date},"
        " or as soon after as every Customer has been told."
    ),
    read_it="Read version {number}",
    what_changes="See what changes",
    older="This is not the version in force.",
    announced_page="This version has been announced and is not in force yet.",
    unknown_title="There is no such version",
    unknown_text="No version of this number has been announced in this language.",
    withdrawn_title="Version {number} was withdrawn",
    withdrawn_text="This version was announced and withdrawn before it took effect. It was never in force.",
    terms_heading="Terms",
    text_heading="Text",
    no_terms="The terms are the same.",
    no_text="The text is the same.",
    legend="Words that were taken out are struck through, words that are new are underlined.",
    clause="Clause",
    change="What changes",
    material="material",
    unchanged="unchanged",
    table="table of data items",
    announced="Announced",
    from_when="In force from",
    not_before="{date} at the earliest",
    until="until",
    withdrawn="withdrawn",
    feed="Feed",
    states={
        State.ANNOUNCED: "announced",
        State.IN_FORCE: "in force",
        State.SUPERSEDED: "superseded",
        State.WITHDRAWN: "withdrawn",
    },
    reasons={},
)

_CHINESE = PageWords(
    history="全部版本",
    history_text="此处列出所有曾经公布的版本，最新的在前。每个版本的地址永久不变。",
    change_from="与第 {number} 版相比的变更",
    change_title="第 {before} 版至第 {after} 版的变更",
    back="现行声明",
    banner="新版本已经公布，将于 {date} 生效。",
    banner_open="新版本已经公布，将于 {date} 生效；如届时尚未告知全部客户，则在告知完毕时生效。",
    read_it="阅读第 {number} 版",
    what_changes="查看变更",
    older="本页不是现行版本。",
    announced_page="本版本已经公布，尚未生效。",
    unknown_title="没有这个版本",
    unknown_text="尚未以本语言公布此编号的版本。",
    withdrawn_title="第 {number} 版已撤回",
    withdrawn_text="本版本公布之后、生效之前已被撤回，从未生效。",
    terms_heading="条款",
    text_heading="文本",
    no_terms="条款没有变更。",
    no_text="文本没有变更。",
    legend="删除的文字以删除线标出，新增的文字以下划线标出。",
    clause="条款项",
    change="变更内容",
    material="重大",
    unchanged="未变更",
    table="数据项表",
    announced="公布于",
    from_when="生效于",
    not_before="最早 {date}",
    until="至",
    withdrawn="已撤回",
    feed="订阅",
    states={
        State.ANNOUNCED: "已公布",
        State.IN_FORCE: "现行",
        State.SUPERSEDED: "已被取代",
        State.WITHDRAWN: "已撤回",
    },
    reasons={
        ("retention_days", True): "数据的保存时间比此前告知的更长",
        ("retention_days", False): "数据的保存时间缩短",
        ("items", True): "收集此前未收集的数据",
        ("items", False): "不再收集该数据项",
        ("sources", True): "该数据项可来自此前未告知的来源",
        ("sources", False): "该数据项不再来自此来源",
        ("optional", True): "该数据项此前仅在客户指名要求时收集",
        ("optional", False): "在客户要求之前，该数据项默认关闭",
        ("purposes", True): "数据可为此前未告知的用途而读取",
        ("purposes", False): "不再用于此用途",
        ("recipients", True): "数据提供给此前未列明的接收方",
        ("recipients", False): "不再提供给此接收方",
        ("regions", True): "数据可送往此前未列明的地区",
        ("regions", False): "不再送往此地区",
        ("rights", True): "此前支持的一项权利不再支持",
        ("rights", False): "新增支持一项权利",
    },
)

PAGE_WORDS: Mapping[Language, PageWords] = {"en": _ENGLISH, "zh": _CHINESE}
