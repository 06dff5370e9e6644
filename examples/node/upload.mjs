// A device uploads a face image with the upload token of its session. Prints the record's name.
//
//   node examples/node/upload.mjs session.json selfie.jpg
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { deadline, ingest, refusal } from "./suite.mjs";

const CHUNK_BYTES = 256 * 1024;
const [sessionFile, picture] = process.argv.slice(2);
const { session, upload_token: token } = JSON.parse(readFileSync(sessionFile, "utf8"));
const body = readFileSync(picture);

function* messages() {
  const header = {
    session,
    request_id: randomUUID(), // a repeat under the same id makes no second record
    face_image: { capture: "FACE_CAPTURE_SELFIE" },
    media_type: "image/jpeg",
    size_bytes: body.length,
    sha256: createHash("sha256").update(body).digest(),
  };
  yield { header };
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    yield { chunk: body.subarray(at, at + CHUNK_BYTES) };
  }
}

const client = ingest(token);
try {
  const answer = await new Promise((resolve, reject) => {
    const call = client.UploadMedia({ deadline: deadline(60) }, (error, value) => (error ? reject(error) : resolve(value)));
    pipeline(Readable.from(messages()), call).catch(() => {}); // what went wrong reaches the callback above
  });
  console.error(`stored until ${new Date(answer.record.expire_time.seconds * 1000).toISOString()}`);
  console.error(`taken out: ${answer.stripped.join(", ")}`);
  console.log(answer.record.name);
} catch (error) {
  console.error(refusal(error));
  process.exitCode = 1;
} finally {
  client.close();
}
