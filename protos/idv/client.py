"""The suite for a program of a Customer or an internal service: blocking calls, repeated where that is safe.

    from idv import client

    with client.Gateway("acme", "ingest.example:8443", "retention.example:8443", credentials, token) as acme:
        session = acme.open_session("user-17", ["face_image"], attestation)
        session.upload(Media.read(Path("selfie.jpg"), FaceImage(capture=FACE_CAPTURE_SELFIE)))

`idv.aio_client` has the same for asyncio. What is refused raises `idv.errors.IdvError`, with the reason, the
field at fault and the remedy. What is not here is one call of a generated stub away: `idv.channel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from idv import archives, channel, requests
from idv.channel import Credentials
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.media import Media, Progress
from idv.requests import Deleted, Opened, Target
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.retry import Retry
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.sync_channel import SyncChannel
from idv.types.v1 import data_pb2, processing_pb2

__all__ = ["Gateway", "Session", "Verifier"]

Token = str | Callable[[], str]


class _Client:
    """Holds the channels that it closes."""

    def __init__(self, retry: Retry, *channels: SyncChannel) -> None:
        self._retry = retry
        self._channels = channels

    def close(self) -> None:
        """Ends the connections."""
        for opened in self._channels:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Session(_Client):
    """An open session of one end user: what may be sent to it, by whoever holds its upload token.

    `name` is its resource name, `token` the upload token that an SDK needs.
    """

    def __init__(
        self, stub: IngestServiceStub, name: str, token: str, retry: Retry, *channels: SyncChannel, sdk: bool
    ) -> None:
        super().__init__(retry, *channels)
        self.name = name
        self.token = token
        self._ingest = stub
        self._sent_token = "" if sdk else token  # an SDK's credential is the token itself

    @classmethod
    def connect(
        cls, ingest: str, credentials: Credentials, name: str, token: str, *, retry: Retry | None = None
    ) -> Session:
        """The session as an SDK has it: with the upload token as its only credential."""
        opened = channel.sync(ingest, credentials, token=token)
        return cls(IngestServiceStub(opened), name, token, retry or Retry(), opened, sdk=True)

    def submit(
        self, items: data_pb2.ItemSet, *, request_id: str | None = None
    ) -> list[processing_pb2.Record]:
        """Sends typed items; every record returned is durable. Raises IdvError."""
        request = ingest_pb2.SubmitItemsRequest(
            session=self.name,
            session_token=self._sent_token,
            request_id=request_id or requests.new_id(),
            items=items,
        )
        return list(self._retry.run(lambda: self._ingest.SubmitItems(request)).records)

    def upload(
        self, media: Media, *, progress: Progress | None = None, request_id: str | None = None
    ) -> ingest_pb2.UploadMediaResponse:
        """Sends an image or document, from its start again when the connection is lost. Raises IdvError.

        The answer names the record and what was taken out. A repeat under the same `request_id`, also of
        another process, makes no second record.
        """
        header = media.header(self.name, self._sent_token, request_id or requests.new_id())

        def once() -> ingest_pb2.UploadMediaResponse:
            messages = media.messages(header, progress)
            return self._ingest.UploadMedia(messages, timeout=requests.UPLOAD_SECONDS)

        return self._retry.run(once)


class Gateway(_Client):
    """A Customer's gateway. `token` is the Customer's bearer token, or what gives the present one."""

    def __init__(
        self,
        customer: str,
        ingest: str,
        retention: str,
        credentials: Credentials,
        token: Token | None,
        *,
        retry: Retry | None = None,
    ) -> None:
        to_ingest = channel.sync(ingest, credentials, token=token)
        to_retention = channel.sync(retention, credentials, token=token)
        super().__init__(retry or Retry(), to_ingest, to_retention)
        self._customer = customer
        self._ingest = IngestServiceStub(to_ingest)
        self._deletions = DeletionServiceStub(to_retention)
        self._rights = RightsServiceStub(to_retention)

    def open_session(
        self,
        subject: str,
        items: Iterable[str],
        attestation: processing_pb2.Attestation,
        *,
        request_id: str | None = None,
    ) -> Session:
        """Opens a session for the end user whom you call `subject`. Raises IdvError."""
        request = requests.create_session(self._customer, subject, items, attestation, request_id)
        answer = self._retry.run(lambda: self._ingest.CreateSession(request))
        return Session(self._ingest, answer.session.name, answer.upload_token, self._retry, sdk=False)

    def records(
        self, *, session: str | None = None, subject: str | None = None
    ) -> Iterator[processing_pb2.Record]:
        """What is held of a session or a subject, by receipt time. Raises IdvError."""
        request = requests.retention_records(self._customer, session, subject)
        while True:
            page = self._retry.run(lambda: self._deletions.ListRecords(request))
            yield from page.records
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def accesses(self, *, resource: str = "") -> Iterator[processing_pb2.Access]:
        """Who saw the Customer's records and why, the newest first; `resource`: of one session or record.

        Raises IdvError.
        """
        request = requests.list_accesses(self._customer, resource)
        while True:
            page = self._retry.run(lambda: self._deletions.ListAccesses(request))
            yield from page.accesses
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def watch_accesses(
        self, *, cursor: str = "", only_new: bool = False, timeout: float | None = None
    ) -> Iterator[deletions_pb2.WatchAccessesResponse]:
        """Accesses as they happen, from a cursor on, else from the oldest, or with `only_new` from now on.

        Keep the `cursor` of each answer once you have dealt with its accesses: after any end, go on from it,
        and none is missed. Ends after `timeout` seconds; raises IdvError, also when the service restarts.
        """
        request = requests.watch_accesses(self._customer, cursor, only_new)
        try:
            yield from self._deletions.WatchAccesses(request, timeout=timeout)
        except IdvError as error:
            if timeout is None or error.reason != Reason.ERROR_REASON_DEADLINE_EXCEEDED:
                raise

    def delete(
        self, target: Target, *, request_id: str | None = None, wait: float = requests.WAIT_SECONDS
    ) -> Deleted:
        """Deletes for good: unreadable when this returns. Raises IdvError.

        Follows the deletion to its receipt for at most `wait` seconds; see `Deleted.done`. Later, the same
        call with the same `request_id` goes on following it.
        """
        request = requests.create_deletion(self._customer, target, request_id)
        deletion = self._retry.run(lambda: self._deletions.CreateDeletion(request)).deletion
        if deletion.state not in requests.ENDED and wait > 0:
            deletion = self._followed(deletion, wait)
        return Deleted(deletion, request.request_id, target)

    def export(
        self,
        file: Path,
        *,
        subject: str | None = None,
        progress: archives.Progress | None = None,
        request_id: str | None = None,
    ) -> Path:
        """Writes everything held on `subject`, or without one for the Customer, into `file`: a ZIP archive.

        What is received rests in a partial file beside it. A broken connection is resumed where it broke, and
        so is an earlier process's: by the same call, within a day. Check with `idv.archives.verify`. Raises
        IdvError, OSError.
        """
        partial = archives.PartialFile.begin(file, request_id)

        def once() -> None:
            timeout = archives.EXPORT_SECONDS
            key, offset = partial.request_id, partial.offset
            if subject is None:
                everything = requests.export_customer(self._customer, key, offset)
                for part in self._rights.ExportCustomer(everything, timeout=timeout):
                    partial.take(part, progress)
            else:
                one = requests.export_subject(self._customer, subject, key, offset)
                for piece in self._rights.ExportSubject(one, timeout=timeout):
                    partial.take(piece, progress)

        try:
            self._retry.run(once)
        except BaseException:
            partial.keep()
            raise
        return partial.finish()

    def correct(
        self, record: str, items: data_pb2.ItemSet, *, request_id: str | None = None
    ) -> rights_pb2.CorrectRecordResponse:
        """Puts corrected items in the place of a wrong record, which is erased. Raises IdvError.

        `items` holds one message, whole, of the record's category.
        """
        request = requests.correct_record(record, items, request_id)
        return self._retry.run(lambda: self._rights.CorrectRecord(request))

    def _followed(self, deletion: deletions_pb2.Deletion, wait: float) -> deletions_pb2.Deletion:
        request = deletions_pb2.WatchDeletionRequest(name=deletion.name)
        try:
            for answer in self._deletions.WatchDeletion(request, timeout=wait):
                deletion = answer.deletion
        except IdvError as error:
            if error.reason not in (Reason.ERROR_REASON_DEADLINE_EXCEEDED, Reason.ERROR_REASON_UNAVAILABLE):
                raise
        return deletion


class Verifier(_Client):
    """An internal service that reads, known by its certificate (mutual TLS)."""

    def __init__(self, storage: str, credentials: Credentials, *, retry: Retry | None = None) -> None:
        opened = channel.sync(storage, credentials)
        super().__init__(retry or Retry(), opened)
        self._storage = StorageServiceStub(opened)

    def records(
        self,
        customer: str,
        *,
        session: str | None = None,
        subject: str | None = None,
        purpose: processing_pb2.Purpose.ValueType = processing_pb2.PURPOSE_VERIFICATION,
        person: str = "",
        ticket: str = "",
    ) -> Iterator[processing_pb2.Record]:
        """What is held of a session or a subject of a Customer, by receipt time.

        The Customer sees that it was listed. Raises IdvError.
        """
        request = requests.storage_records(customer, session, subject, purpose, person, ticket)
        while True:
            page = self._retry.run(lambda: self._storage.ListRecords(request))
            yield from page.records
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def read(
        self,
        record: str,
        purpose: processing_pb2.Purpose.ValueType,
        *,
        person: str = "",
        ticket: str = "",
    ) -> Opened:
        """Reads a record for a purpose; the Customer sees that it was read. Raises IdvError.

        Troubleshooting names the person, by staff id, and the ticket.
        """
        request = requests.read_record(record, purpose, person, ticket)

        def once() -> Opened:
            opening, body = storage_pb2.RecordOpening(), bytearray()
            for part in self._storage.ReadRecord(request, timeout=requests.UPLOAD_SECONDS):
                if part.HasField("opening"):
                    opening = part.opening
                body += part.chunk
            return Opened(opening.record, opening.description, bytes(body))

        return self._retry.run(once)
