// The suite's services, from the descriptor set that protos/generate.py makes of the .proto files; and what each
// party knows, from the ready file of a stack such as `make up` starts.
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const contract = loadFileDescriptorSetFromBuffer(readFileSync(process.env.IDV_CONTRACT ?? "build/idv.binpb"), {
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { idv } = grpc.loadPackageDefinition(contract);
const ready = JSON.parse(readFileSync(process.env.IDV_CONNECT ?? ".idv/ready.json", "utf8"));
const authority = readFileSync(ready.ca);

/** Ingest, for a device whose only credential is the upload token of a session. */
export function ingest(uploadToken) {
  const bearer = grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${uploadToken}`);
    done(null, metadata);
  });
  const credentials = grpc.credentials.combineChannelCredentials(grpc.credentials.createSsl(authority), bearer);
  return new idv.ingest.v1.IngestService(ready.services.ingest.tls, credentials);
}

/** Storage, for an internal service with a certificate: `verification` or `support`. */
export function storage(service) {
  const files = ready.certificates[`service:${service}`];
  const credentials = grpc.credentials.createSsl(
    authority,
    readFileSync(files.private_key),
    readFileSync(files.certificate),
  );
  return new idv.storage.v1.StorageService(ready.services.storage.mtls, credentials);
}

/** When a call must be over at the latest. */
export function deadline(seconds) {
  return new Date(Date.now() + seconds * 1000);
}

/** What a refused call says to a program: reason, remedy, fields at fault. The message is for people: do not parse it. */
export function refusal(error) {
  const said = { reason: grpc.status[error.code], message: error.details };
  const [status] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = status ? contract["google.rpc.Status"].deserialize(status).details : [];
  for (const { type_url: type, value } of details) {
    if (type.endsWith("/google.rpc.ErrorInfo")) {
      const { reason, metadata } = contract["google.rpc.ErrorInfo"].deserialize(value);
      // From a descriptor set, a map is read as the list of its entries.
      const { remedy } = Object.fromEntries(metadata.map((entry) => [entry.key, entry.value]));
      Object.assign(said, { reason, remedy });
    } else if (type.endsWith("/google.rpc.BadRequest")) {
      said.fields = contract["google.rpc.BadRequest"].deserialize(value).field_violations;
    }
  }
  return said;
}
