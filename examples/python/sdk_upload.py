"""A mobile SDK, with the upload token as its only credential, sends device data and a picture (asyncio).

python examples/python/sdk_upload.py session.json selfie.jpg
"""

import asyncio
import json
import sys
from pathlib import Path

from idv.aio_client import Session
from idv.errors import IdvError
from idv.media import Media
from idv.types.v1.data_pb2 import FACE_CAPTURE_SELFIE, DeviceHardware, DeviceNetwork, FaceImage, ItemSet
from local import AUTHORITY, address


def show(sent: int, total: int) -> None:
    """Draws the progress."""
    print(f"\r{sent * 100 // total:3d} %", end="" if sent < total else "\n", file=sys.stderr)


async def main(opened: dict[str, str], picture: Path) -> None:
    """Sends what the session asks for, and shows what happens to what it does not."""
    name, token = opened["session"], opened["upload_token"]
    async with Session.connect(address("ingest"), AUTHORITY, name, token) as session:
        await session.submit(ItemSet(device_hardware=DeviceHardware(manufacturer="Example", model="E-17")))
        # A lost connection is no matter: the same request is sent again, and makes no second record.
        stored = await session.upload(
            Media.read(picture, FaceImage(capture=FACE_CAPTURE_SELFIE)), progress=show
        )
        try:
            await session.submit(ItemSet(device_network=DeviceNetwork(carrier="Example")))
        except IdvError as refused:
            print(f"{refused.reason_name}: {refused.message}; {refused.remedy}", file=sys.stderr)
    print(stored.record.name)


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
