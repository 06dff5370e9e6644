"""Generates the Python stubs beside their .proto files; run by `make protos`.

The import path of a generated module is its directory, so nothing is rewritten. The rules of protovalidate
come from the installed package, whose wheel carries them only as a descriptor: a descriptor set is made
from that.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from google.protobuf import descriptor_pb2
from protovalidate._gen.buf.validate import validate_pb  # the only copy of validate.proto in the wheel

HERE = Path(__file__).parent
WELL_KNOWN = resources.files("grpc_tools") / "_proto"
SITE = Path(descriptor_pb2.__file__).parents[2]  # google/rpc/*.proto lie beside the package


def protoc(*arguments: str) -> None:
    """Runs protoc; raises CalledProcessError, with protoc's own words on standard error, when it refuses."""
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True, cwd=HERE)  # noqa: S603 - fixed program


def validate_descriptor(target: Path) -> None:
    """Writes a descriptor set with buf/validate/validate.proto and what it imports."""
    wanted = descriptor_pb2.FileDescriptorSet()
    protoc(
        f"-I{WELL_KNOWN}",
        "--include_imports",
        f"--descriptor_set_out={target}",
        *("google/protobuf/descriptor.proto", "google/protobuf/duration.proto"),
        *("google/protobuf/field_mask.proto", "google/protobuf/timestamp.proto"),
    )
    wanted.ParseFromString(target.read_bytes())
    wanted.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    target.write_bytes(wanted.SerializeToString())


def main() -> None:
    """Generates every stub, or with `--descriptors FILE` only the descriptor set that the contract checks and
    clients of other languages read.
    """
    protos = sorted(str(path.relative_to(HERE)) for path in (HERE / "idv").rglob("*.proto"))
    outputs = ("--python_out=.", "--mypy_out=.")
    with tempfile.TemporaryDirectory() as folder:
        validate = Path(folder) / "validate.binpb"
        validate_descriptor(validate)
        imports = (f"--descriptor_set_in={validate}", f"-I{HERE}", f"-I{WELL_KNOWN}", f"-I{SITE}")
        if sys.argv[1:2] == ["--descriptors"]:
            target = Path(sys.argv[2]).resolve()
            protoc(
                *imports,
                "--include_imports",
                "--include_source_info",
                f"--descriptor_set_out={target}",
                *protos,
                "google/rpc/error_details.proto",  # what a refusal carries, for clients of other languages
            )
        else:
            protoc(f"--descriptor_set_in={validate}", *outputs, "buf/validate/validate.proto")
            protoc(*imports, *outputs, "--grpc_python_out=.", "--mypy_grpc_out=.", *protos)


if __name__ == "__main__":
    main()
