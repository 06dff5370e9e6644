"""Describe a running stack for its clients."""

from __future__ import annotations

import os
from datetime import timedelta

from services.local.authority import TRUST_DOMAIN
from services.local.configuration import DEPLOYMENT
from services.local.errors import LocalError
from services.local.layout import SERVICES
from services.local.ready import (
    CertificateFiles,
    MailAddress,
    ObjectsAddress,
    PostgresAddress,
    Ready,
    ServiceAddress,
)
from services.local.stack import LocalStack
from services.local.tokens import SCOPES

_TOKEN_LIFE = timedelta(days=365)
"""Long enough to survive travelling past the end of a retention term."""


def describe(stack: LocalStack) -> Ready:
    """What the ready file of this running stack says."""
    layout, operator = stack.layout, stack.objects.identity("operator")
    return Ready(
        directory=layout.root,
        deployment=DEPLOYMENT,
        trust_domain=TRUST_DOMAIN,
        supervisor_pid=os.getpid(),
        services={
            service: ServiceAddress(
                **vars(stack.addresses[service]),
                pid=_pid(stack, service),
                log=layout.log(service),
                telemetry=layout.telemetry(service),
            )
            for service in SERVICES
        },
        postgres=PostgresAddress(
            dsn=stack.databases["storage"].admin_dsn, pid=_pid(stack, "postgres"), log=layout.log("postgres")
        ),
        objects=ObjectsAddress(
            endpoint=stack.objects.endpoint,
            filer=stack.objects.filer,
            access_key=operator.access_key,
            secret_key=operator.secret_key,
            pid=_pid(stack, "objects"),
            log=layout.log("objects"),
        ),
        mail=MailAddress(address=stack.mail.address, directory=layout.mail),
        ca=layout.tls / "ca.pem",
        certificates={
            identity: CertificateFiles(**vars(files)) for identity, files in stack.certificates.items()
        },
        tokens={customer: stack.token(customer, lifetime=_TOKEN_LIFE) for customer in stack.customers},
        scopes=SCOPES,
        log_public_key=stack.log_public_key,
        log_public_key_file=layout.keys / "log.pub",
        log_files=stack.log_files,
        witness_key=str(stack.witness.key),
        public_page=stack.public_page,
        officer_page=stack.officer_page,
        time_file=layout.time_file,
    )


def _pid(stack: LocalStack, process: str) -> int:
    pid = stack.processes[process].component.pid
    if pid is None:
        raise LocalError(f"{process} ended just after its start.", f"Read {stack.layout.log(process)}.")
    return pid
