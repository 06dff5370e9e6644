"""What a certificate says in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """One language; `titles`, `leads`, `fields` and `values` are by their names in the entry."""

    title: str
    titles: Mapping[str, str]
    lead: str
    leads: Mapping[str, str]
    broken: str
    says: str
    proof: str
    log: str
    leaf: str
    of: str
    root: str
    key: str
    cosigned: str
    none: str
    limits_title: str
    limits: str
    limits_of_deletion: str
    check_title: str
    check: str
    receipt: str
    fields: Mapping[str, str]
    values: Mapping[str, str]


_ENGLISH = Words(
    title="Certificate of a log entry",
    titles={"deletion": "Certificate of deletion", "statement": "Daily statement"},
    lead="The transparency log named below holds this entry. The proof was verified when this page was made.",
    leads={
        "deletion": "The data named in the request was deleted, and the transparency log named below holds "
        "this entry. The proof was verified when this page was made.",
        "statement": "What was held at this instant, and what could be read of it. The transparency log "
        "named below holds this statement. The proof was verified when this page was made.",
    },
    broken="The statement says that something past its term could be read.",
    says="What the entry says",
    proof="What proves it",
    log="Log",
    leaf="Leaf",
    of="of",
    root="Root of the signed checkpoint",
    key="Public key that signed it",
    cosigned="Cosigned by",
    none="no witness whose key was given",
    limits_title="What it does not say",
    limits="It proves what the service signed and when it said so, not that no copy exists anywhere.",
    limits_of_deletion="It names no person: what was deleted can be confirmed only by who knows the "
    "request's id and what was asked for.",
    check_title="Verify it again",
    check="This page is no proof; the receipt below is. Save it as a file, exactly as it stands, and verify "
    "it with the log's public key from a place you trust:",
    receipt="The receipt",
    fields={
        "scope": "What kind of data",
        "record_count": "Records made unreadable",
        "session_count": "Sessions closed for good",
        "object_count": "Stored objects removed",
        "target_count": "Targets asked for",
        "failed_count": "Of these, failed",
        "receive_time": "Request received",
        "erase_time": "Unreadable since",
        "complete_time": "Completed and logged",
        "final_time": "No copy opens after",
        "claim": "What the key authority says",
        "deletion": "Name of the deletion",
        "request": "Commitment to the request",
        "day": "Day (UTC)",
        "make_time": "Made",
        "previous_day": "Statement before",
        "missed_day_count": "Days without one since",
        "first_missed_day": "First day without one",
        "nothing_past_term_readable": "Nothing past its term readable",
        "inspect_time": "Instant of the figures",
        "day_count": "Days whose bytes rest",
        "readable_count": "Records that can be read",
        "oldest_readable_time": "Oldest of these received",
        "past_term_count": "Records past their term that rest",
        "past_term_tried": "Of these, tried to read",
        "past_term_readable": "Of the tried, readable",
        "key_count": "Root keys that exist",
        "due_key_tried": "Due root keys tried",
        "due_key_opened": "Of these, opened",
        "destroyed_key_count": "Root keys destroyed in all",
        "new_destroyed_key_count": "Root keys destroyed since",
        "new_late_key_count": "Of these, late",
        "new_removed_day_count": "Days removed since",
        "new_late_day_count": "Of these, late (days)",
        "new_worst_lateness_seconds": "Greatest delay, in seconds",
        "deletion_count": "Deletions logged in all",
        "new_deletion_count": "Deletions logged since",
        "pending_deletion_count": "Deletions not at their end",
        "tree_size": "Leaves of the log before",
    },
    values={
        "record": "one record",
        "session": "one session with everything in it",
        "subject": "everything of one end user",
        "category": "every record of one category",
        "received": "what was received within a time",
        "everything": "everything of the Customer",
        "targets": "several targets",
        "yes": "yes",
        "no": "no",
    },
)

_CHINESE = Words(
    title="日志条目证明",
    titles={"deletion": "删除证明", "statement": "每日声明"},
    lead="下列透明日志包含此条目。生成本页时已验证其证明。",
    leads={
        "deletion": "请求所指的数据已被删除，下列透明日志包含此条目。生成本页时已验证其证明。",
        "statement": "此刻所保存的数据及其可读情况。下列透明日志包含此声明。生成本页时已验证其证明。",
    },
    broken="声明表示：有超过保存期限的数据仍可被读取。",
    says="条目内容",
    proof="证明依据",
    log="日志",
    leaf="叶",
    of="共",
    root="已签名检查点的根",
    key="签名公钥",
    cosigned="共同签名者",
    none="所给密钥的见证者均未签名",
    limits_title="本证明不包含的内容",
    limits="它证明服务签署了什么以及何时签署，并不证明任何地方都不存在副本。",
    limits_of_deletion="它不指明任何个人：只有知道请求编号及请求内容的人才能确认所删除的是什么。",
    check_title="再次验证",
    check="本页不是证明，下面的回执才是。请将其原样保存为文件，并用从可信处取得的日志公钥验证：",
    receipt="回执",
    fields={
        "scope": "数据范围",
        "record_count": "已不可读的记录数",
        "session_count": "永久关闭的会话数",
        "object_count": "已移除的存储对象数",
        "target_count": "请求的目标数",
        "failed_count": "其中失败数",
        "receive_time": "收到请求",
        "erase_time": "自此不可读",
        "complete_time": "完成并记入日志",
        "final_time": "此后任何副本均无法打开",
        "claim": "密钥机构的说明",
        "deletion": "删除的名称",
        "request": "对请求的承诺值",
        "day": "日期（UTC）",
        "make_time": "作出时间",
        "previous_day": "上一份声明",
        "missed_day_count": "其间缺失的天数",
        "first_missed_day": "首个缺失日",
        "nothing_past_term_readable": "超期数据均不可读",
        "inspect_time": "数据统计时刻",
        "day_count": "仍有字节的天数",
        "readable_count": "可读记录数",
        "oldest_readable_time": "其中最早的接收时间",
        "past_term_count": "仍留存的超期记录数",
        "past_term_tried": "其中尝试读取数",
        "past_term_readable": "尝试中可读数",
        "key_count": "现存根密钥数",
        "due_key_tried": "到期根密钥尝试数",
        "due_key_opened": "其中可打开数",
        "destroyed_key_count": "累计销毁根密钥数",
        "new_destroyed_key_count": "新销毁根密钥数",
        "new_late_key_count": "其中逾时数",
        "new_removed_day_count": "新移除天数",
        "new_late_day_count": "其中逾时天数",
        "new_worst_lateness_seconds": "最大延迟（秒）",
        "deletion_count": "累计删除数",
        "new_deletion_count": "新增删除数",
        "pending_deletion_count": "未完成删除数",
        "tree_size": "此前日志叶数",
    },
    values={
        "each key is overwritten in place on one host's disk; a copy of its file would still hold it": (
            "每个密钥在一台主机的磁盘上原位覆盖；其文件的副本仍会保留该密钥"
        ),
        "record": "一条记录",
        "session": "一个会话及其全部内容",
        "subject": "一位最终用户的全部数据",
        "category": "某一类别的全部记录",
        "received": "某段时间内接收的数据",
        "everything": "客户的全部数据",
        "targets": "多个目标",
        "yes": "是",
        "no": "否",
    },
)

WORDS: Mapping[str, Words] = {"en": _ENGLISH, "zh": _CHINESE}
