"""The words of the pages around an officer's text, in each language that is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.notice.terms import Language


@dataclass(frozen=True, slots=True)
class Words:
    """What the pages say by themselves."""

    name: str
    """The language, in itself."""
    locale: str
    """BCP 47 tag for the page."""
    version: str
    in_force: str
    """With `{date}`."""
    contents: str
    skip: str
    caption: str
    """Caption of the table of items, with `{days}`."""
    item: str
    source: str
    kept: str
    days: str
    """With `{days}`."""
    optional: str
    languages: str
    formats: str
    digest: str
    missing_title: str
    missing_text: str
    away_title: str
    away_text: str
    sources: Mapping[str, str]
    categories: Mapping[str, str]
    """Headings of the table's groups, by category."""
    months: tuple[str, ...]

    def category(self, code: str) -> str:
        """Heading of a category; its code where this release has no words for it."""
        return self.categories.get(code, code)

    def date(self, instant: datetime) -> str:
        """An instant to the minute, in UTC, as it is printed."""
        at = instant.astimezone(UTC)
        return self.months[at.month - 1].format(day=at.day, year=at.year, time=f"{at:%H:%M} UTC")


_ENGLISH_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)

ENGLISH = Words(
    name="English",
    locale="en",
    version="Version {number}",
    in_force="In force since {date}",
    contents="Contents",
    skip="Skip to the notice",
    caption="Data items, where they come from, and for how long they are kept",
    item="Data item",
    source="Source",
    kept="Kept for",
    days="{days} days",
    optional="optional",
    languages="Languages",
    formats="Also as",
    digest="SHA-256 of terms and texts",
    missing_title="No notice is in force",
    missing_text="No version of the privacy notice is in force. The service collects nothing until one is.",
    away_title="The notice cannot be shown",
    away_text="The privacy notice cannot be read at this moment. Please come back in a few seconds.",
    sources={"customer": "Customer", "sdk": "SDK"},
    categories={
        "device.hardware": "Device hardware and system",
        "device.network": "Network information of the device",
        "device.application": "The application that hosts the SDK",
        "device.installed_applications": "Installed applications",
        "device.permissions": "Device permissions",
        "face_image": "Face images",
        "identity_document": "Identity documents",
        "log": "Log data",
    },
    months=tuple(f"{{day}} {month} {{year}}, {{time}}" for month in _ENGLISH_MONTHS),
)

CHINESE = Words(
    name="中文",
    locale="zh-Hans",
    version="第 {number} 版",
    in_force="自 {date} 起生效",
    contents="目录",
    skip="跳至正文",
    caption="数据项、数据来源与保存时间",
    item="数据项",
    source="来源",
    kept="保存时间",
    days="{days} 天",
    optional="可选",
    languages="语言",
    formats="其他格式",
    digest="条款与文本的 SHA-256",
    missing_title="尚无生效的声明",
    missing_text="目前没有生效的隐私声明版本。在其生效之前，本服务不收集任何数据。",
    away_title="声明暂时无法显示",
    away_text="目前无法读取隐私声明。请稍后再试。",
    sources={"customer": "客户", "sdk": "SDK"},
    categories={
        "device.hardware": "设备硬件与系统",
        "device.network": "设备的网络信息",
        "device.application": "SDK 的宿主应用",
        "device.installed_applications": "已安装的应用",
        "device.permissions": "设备权限",
        "face_image": "人脸图像",
        "identity_document": "身份证件",
        "log": "日志数据",
    },
    months=tuple(f"{{year}} 年 {month} 月 {{day}} 日 {{time}}" for month in range(1, 13)),
)

WORDS: Mapping[Language, Words] = {"en": ENGLISH, "zh": CHINESE}
