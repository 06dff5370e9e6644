"""Chapter: a Customer takes out all that is held on an end user, and corrects what is wrong."""

from __future__ import annotations

from idv import archives
from idv.archives import PartialFile
from idv.errors import Reason
from idv.requests import correct_record, export_subject
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import data_pb2

from services.cli.client import CALL_SECONDS
from services.cli.demo.calls import new_id, open_session, read, refusal, session_request, submit
from services.cli.demo.cast import Person
from services.cli.demo.stage import GLOBEX, Chapter, Stage, Step, promised
from services.cli.records import counted

_PERSON = "C"
_BREAK = 100_000


async def known(stage: Stage) -> str:
    """An archive that breaks off and goes on is whole, by the digests of its own manifest."""
    partial = PartialFile(stage.folder / "export.zip", new_id())
    stub = stage.suite.stub(RightsServiceStub, "retention", GLOBEX)
    breaks = 0
    while True:
        request = export_subject(
            GLOBEX.name, stage.person(_PERSON).subject, partial.request_id, partial.offset
        )
        call, begun = stub.ExportSubject(request, timeout=CALL_SECONDS), partial.offset
        async for part in call:
            partial.take(part, None)
            if not breaks and partial.offset - begun >= _BREAK:
                call.cancel()
                breaks += 1
                break
        else:
            break
    verified = archives.verify(partial.finish())
    promised(verified.file_count > 0, "the archive is empty")
    files = counted(verified.file_count, "file")
    return f"{files}, {verified.size_bytes:,} bytes, each as the manifest says; broken off {breaks} time(s)"


async def corrected(stage: Stage) -> str:
    """The right item supersedes the wrong one, which nobody reads again."""
    person = Person("an end user of globex with another device")
    opened = await open_session(stage, GLOBEX, session_request(stage, GLOBEX, person, ("device.hardware",)))
    person.session.CopyFrom(opened.session)
    person.token = opened.upload_token
    wrong = (await submit(stage, person, _hardware("X-100"))).records[0]
    stub = stage.suite.stub(RightsServiceStub, "retention", GLOBEX)
    request = correct_record(wrong.name, _hardware("X-200"), new_id())
    answer = await stub.CorrectRecord(request, timeout=CALL_SECONDS)
    promised(answer.record.expire_time == wrong.expire_time, "a correction changed the term")
    promised(answer.record.supersedes == wrong.name, "the record does not say what it supersedes")
    told = await refusal(read(stage, wrong), Reason.ERROR_REASON_ERASED)
    body = await read(stage, answer.record)
    promised(data_pb2.DeviceHardware.FromString(body).model == "X-200", "the right item is not read")
    return f"the right one ends when the wrong one would have; the wrong one: {told}"


def _hardware(model: str) -> data_pb2.ItemSet:
    return data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=model))


CHAPTER = Chapter(
    "Know and correct",
    "An end user asks globex what is held, and that the wrong device is corrected. "
    "globex takes out an archive, and sends the right item.",
    (
        Step("P6", "Everything held is exported, and resumes", known),
        Step("P6", "A correction supersedes and erases", corrected),
    ),
)
