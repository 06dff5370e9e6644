"""The transparency log's methods, for anyone: salted hashes, and what concerns no single Customer."""

from __future__ import annotations

from datetime import date
from typing import Any

from idv.errors import IdvError, Reason
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceServicer
from idv.types.v1 import receipt_pb2

from services.retention.log import TransparencyLog
from services.retention.messages import PAGE
from services.retention.statement_store import Statement
from services.retention.statements import Statements
from services.retention.witnesses import Witnesses
from services.runtime.instants import timestamp


class TransparencyLogApi(TransparencyLogServiceServicer):
    """Checkpoints, leaves, proofs and statements."""

    def __init__(self, log: TransparencyLog, witnesses: Witnesses, statements: Statements) -> None:
        self._log, self._witnesses, self._statements = log, witnesses, statements

    async def GetCheckpoint(
        self, request: log_pb2.GetCheckpointRequest, context: Any
    ) -> log_pb2.GetCheckpointResponse:
        """Returns the newest checkpoint, or the newest that was witnessed."""
        if request.witnessed:
            head = await self._witnesses.newest()
            if head is None:
                raise _none_witnessed(asked=bool(self._witnesses.keys))
        else:
            head = await self._witnesses.cosigned(await self._log.head())
        checkpoint = receipt_pb2.Checkpoint(
            note=head.note, tree_size=head.size, root_hash=head.root, sign_time=timestamp(head.sign_time)
        )
        return log_pb2.GetCheckpointResponse(
            checkpoint=checkpoint,
            verifier_key=self._log.verifier_keys,
            keys=self._keys(),
            witness_keys=self._witnesses.keys,
        )

    async def ListLogEntries(
        self, request: log_pb2.ListLogEntriesRequest, context: Any
    ) -> log_pb2.ListLogEntriesResponse:
        """Lists leaves in order."""
        rows, size = await self._log.leaves(request.start_index, request.page_size or PAGE)
        return log_pb2.ListLogEntriesResponse(entries=map(_log_entry, rows), tree_size=size)

    async def GetInclusionProof(
        self, request: log_pb2.GetInclusionProofRequest, context: Any
    ) -> log_pb2.GetInclusionProofResponse:
        """Proves that a leaf is in a tree."""
        proof = await self._log.inclusion_proof(request.leaf_index, request.tree_size or None)
        return log_pb2.GetInclusionProofResponse(
            hashes=proof.hashes, tree_size=proof.size, root_hash=proof.root
        )

    async def GetConsistencyProof(
        self, request: log_pb2.GetConsistencyProofRequest, context: Any
    ) -> log_pb2.GetConsistencyProofResponse:
        """Proves that one tree is the beginning of another."""
        proof = await self._log.consistency_proof(request.first_size, request.second_size or None)
        return log_pb2.GetConsistencyProofResponse(hashes=proof.hashes, second_size=proof.size)

    async def GetStatement(
        self, request: log_pb2.GetStatementRequest, context: Any
    ) -> log_pb2.GetStatementResponse:
        """Returns the statement of a day, or the newest."""
        day = _day(request.day, "day") if request.day else None
        return log_pb2.GetStatementResponse(statement=_statement(await self._statements.get(day)))

    async def ListStatements(
        self, request: log_pb2.ListStatementsRequest, context: Any
    ) -> log_pb2.ListStatementsResponse:
        """Lists statements, the newest first."""
        limit = request.page_size or PAGE
        before = _day(request.page_token, "page_token") if request.page_token else None
        page = await self._statements.list(limit + 1, before)
        more = len(page) > limit
        return log_pb2.ListStatementsResponse(
            statements=map(_statement, page[:limit]),
            next_page_token=page[limit - 1].day.isoformat() if more else "",
        )

    def _keys(self) -> list[log_pb2.LogKey]:
        first, *others = self._log.signer.signing
        uses = [
            (first, log_pb2.LOG_KEY_USE_SIGNS),
            *((key, log_pb2.LOG_KEY_USE_SIGNS_TOO) for key in others),
            *((key, log_pb2.LOG_KEY_USE_FORMER) for key in self._log.signer.former),
        ]
        return [log_pb2.LogKey(verifier_key=str(key), use=use) for key, use in uses]


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            f"{field} names no day",
            field=field,
            remedy="write a day that exists as YYYY-MM-DD"
            if field == "day"
            else "begin again without a page token",
        ) from error


def _none_witnessed(*, asked: bool) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_NOT_FOUND,
        "no checkpoint is witnessed yet",
        field="witnessed",
        remedy="ask again in a minute" if asked else "this deployment asks no witness",
    )


def _statement(row: Statement) -> log_pb2.Statement:
    return log_pb2.Statement(
        day=row.day.isoformat(),
        json=row.document,
        leaf_index=row.leaf_index,
        make_time=timestamp(row.make_time),
    )


def _log_entry(row: Any) -> receipt_pb2.LogEntry:
    message = receipt_pb2.LogEntry(
        index=row.leaf_index,
        leaf_data=row.leaf_data,
        kind=row.kind,
        append_time=timestamp(row.append_time),
    )
    if row.salt is not None:
        message.opening.salt, message.opening.entry = row.salt, row.entry
    return message
