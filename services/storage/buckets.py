"""A bucket to rely on: the account's own, and one that lets go of what is deleted."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError
from idv.errors import IdvError, Reason

_NO_LOCK: Final = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"})
"""Said of a bucket without Object Lock, and by stores that know none."""
_UNSEEN: Final = frozenset({"AccessDenied", "403", "NoSuchBucket"})


def error_code(error: ClientError) -> str:
    """The S3 error code, such as `NoSuchKey`; empty where the store gave none."""
    return str(error.response.get("Error", {}).get("Code", ""))


async def take(client: Any, bucket: str) -> None:
    """Makes the bucket unless the account has it already.

    Raises WRONG_STATE for one that is somebody else's, or that Object Lock keeps from being emptied;
    ClientError where the store refuses otherwise.
    """
    try:
        await client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error_code(error) == "BucketAlreadyExists":
            await _require_own(client, bucket)
        elif error_code(error) != "BucketAlreadyOwnedByYou":
            raise
    await refuse_locked(client, bucket)


async def _require_own(client: Any, bucket: str) -> None:
    """The name is taken, and the store does not say that it is by us: its owner reads what is put there.

    Stores differ in what else they mean by that answer, so the two owners are compared. What the account may
    do with the bucket says nothing: a stranger may have let everyone in.
    """
    own = (await client.list_buckets(Prefix=bucket)).get("Owner", {}).get("ID")
    try:
        owner = (await client.get_bucket_acl(Bucket=bucket)).get("Owner", {}).get("ID")
    except ClientError as error:
        if error_code(error) not in _UNSEEN:
            raise
        owner = None
    if own is None or owner != own:
        raise IdvError(
            Reason.ERROR_REASON_WRONG_STATE,
            f"the bucket {bucket} belongs to another account",
            remedy="choose an objects.bucket_prefix that nobody else has taken",
        )


async def refuse_locked(client: Any, bucket: str) -> None:
    """Raises WRONG_STATE for a bucket under Object Lock."""
    try:
        answer = await client.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error_code(error) in _NO_LOCK:
            return
        raise
    if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled":
        raise IdvError(
            Reason.ERROR_REASON_WRONG_STATE,
            f"Object Lock is on for the bucket {bucket}: what is erased in it could stay",
            remedy="remove the bucket, and let this service make it; Object Lock cannot be switched off",
        )
