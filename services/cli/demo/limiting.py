"""Chapter: a Customer restricts an end user's data, and lets another opt out."""

from __future__ import annotations

from idv.errors import Reason
from idv.retention.v1 import deletions_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import processing_pb2

from services.cli.client import CALL_SECONDS, parent
from services.cli.demo.calls import new_id, open_session, read, refusal, session_request, submit
from services.cli.demo.cast import Person, log_items
from services.cli.demo.stage import GLOBEX, SUPPORT, Chapter, Stage, Step, promised
from services.cli.messages import shown_time
from services.cli.records import counted

_PERSON, _RECORD = "C", "C jpeg"


async def restricted(stage: Stage) -> str:
    """Until it is lifted, restricted data serves the support of rights and nothing else."""
    record = stage.record(_RECORD)
    answer = await _restrict(stage, restricted=True)
    promised(answer.record_count > 0, "no record was restricted")
    told = await refusal(read(stage, record), Reason.ERROR_REASON_RESTRICTED)
    promised("accuracy contested" in told, "the refusal does not say why")
    body = await read(stage, record, SUPPORT, processing_pb2.PURPOSE_RIGHTS_SUPPORT)
    promised(len(body) > 0, "support of rights reads nothing")
    return f"{counted(answer.record_count, 'record')}: {told}"


async def never_longer(stage: Stage) -> str:
    """A restriction extends no term."""
    answer = await _restrict(stage, restricted=False)
    record = stage.record(_RECORD)
    promised(answer.expire_time.seconds >= record.expire_time.seconds, "the answer does not say when it ends")
    body = await read(stage, record)
    promised(len(body) > 0, "after it was lifted nothing can be read")
    return f"lifted: readable again, and ends at {shown_time(record.expire_time)} as before"


async def opted_out(stage: Stage) -> str:
    """Nothing more is collected, in the session that is open already either, until it is lifted."""
    person = await _somebody(stage)
    items = log_items(person, stage.stack.clock.now())
    await submit(stage, person, items)
    await _opt_out(stage, person, opted_out=True)
    told = await refusal(submit(stage, person, items), Reason.ERROR_REASON_OPTED_OUT)
    again = open_session(stage, GLOBEX, session_request(stage, GLOBEX, person, ("log",)))
    await refusal(again, Reason.ERROR_REASON_OPTED_OUT)
    await _opt_out(stage, person, opted_out=False)
    await submit(stage, person, items)
    return f"{told}; no session either; lifted, the same data is taken"


async def counted_first(stage: Stage) -> str:
    """A Customer sees what a deletion would concern before it asks for it."""
    request = deletions_pb2.CreateDeletionRequest(
        parent=parent(GLOBEX),
        request_id=new_id(),
        target=deletions_pb2.DeletionTarget(everything=True),
        dry_run=True,
    )
    stub = stage.suite.stub(DeletionServiceStub, "retention", GLOBEX)
    found = (await stub.CreateDeletion(request, timeout=CALL_SECONDS)).deletion
    promised(found.record_count > 0 and not found.name, "a dry run is no deletion, and counts what there is")
    promised(len(await read(stage, stage.record(_RECORD))) > 0, "a dry run changed something")
    counts = f"{counted(found.record_count, 'record')}, {counted(found.session_count, 'session')}"
    return f"everything of globex: {counts}; nothing recorded, nothing changed"


async def _somebody(stage: Stage) -> Person:
    person = Person("an end user of globex who leaves")
    opened = await open_session(stage, GLOBEX, session_request(stage, GLOBEX, person, ("log",)))
    person.session.CopyFrom(opened.session)
    person.token = opened.upload_token
    return person


async def _restrict(stage: Stage, *, restricted: bool) -> rights_pb2.SetRestrictionResponse:
    request = rights_pb2.SetRestrictionRequest(
        parent=parent(GLOBEX),
        request_id=new_id(),
        subject=stage.person(_PERSON).subject,
        restricted=restricted,
        reason=processing_pb2.RESTRICTION_REASON_ACCURACY_CONTESTED,
    )
    stub = stage.suite.stub(RightsServiceStub, "retention", GLOBEX)
    return await stub.SetRestriction(request, timeout=CALL_SECONDS)


async def _opt_out(stage: Stage, person: Person, *, opted_out: bool) -> None:
    request = rights_pb2.SetOptOutRequest(
        parent=parent(GLOBEX), request_id=new_id(), subject=person.subject, opted_out=opted_out
    )
    stub = stage.suite.stub(RightsServiceStub, "retention", GLOBEX)
    await stub.SetOptOut(request, timeout=CALL_SECONDS)


CHAPTER = Chapter(
    "Rights go through the Customer",
    "An end user asks globex to limit the use of a picture, and another wants nothing more collected. "
    "globex sets both, and lifts them.",
    (
        Step("P6", "Restricted data serves rights alone", restricted),
        Step("P6", "A restriction extends no term", never_longer),
        Step("P6", "Opted out, nothing more is collected", opted_out),
        Step("P4", "A deletion is counted first", counted_first),
    ),
)
